//! OpenAI's HTTP interface, as far as it is about text.
//!
//! - [`chat`]: `POST /v1/chat/completions`.
//! - [`message`]: the messages of a conversation.
//! - [`tools`]: functions that the model may call.
//!
//! A request is read strictly: a field that is not known, or that asks for something that this
//! server does not do, is a mistake that names the field. Fields that change nothing about the
//! answer of a text model (`user`, `metadata`, `store`, …) are taken and ignored.

pub mod chat;
pub mod message;
#[cfg(test)]
mod tests;
pub mod tools;

pub use chat::ChatRequest;
