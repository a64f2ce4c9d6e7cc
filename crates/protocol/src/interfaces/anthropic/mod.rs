//! Anthropic's HTTP interface, as far as it is about text.
//!
//! - [`request`]: `POST /v1/messages` and `POST /v1/messages/count_tokens`.
//! - `message`: the messages of a conversation. `tools`: functions that the model may call.
//! - [`answer`]: what is answered, as a whole or as a stream of events.
//! - [`models`]: `GET /v1/models`.
//! - [`mod@error`]: what is told when something is wrong.
//!
//! A field that is not known is refused, and so is one that asks for something that this server
//! does not do. Marks for a cache of prompts are taken and ignored: every prompt is found again.
//!
//! Source: the types of Anthropic's Python package.

pub mod answer;
pub mod error;
mod message;
pub mod models;
pub mod request;
#[cfg(test)]
mod tests;
mod tools;

pub use request::{CountRequest, MessageRequest};
