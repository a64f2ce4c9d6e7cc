//! OpenAI's HTTP interface, as far as it is about text.
//!
//! - [`chat`]: `POST /v1/chat/completions`. [`completions`]: `POST /v1/completions`.
//!   [`responses`]: `/v1/responses`. [`embeddings`]: `POST /v1/embeddings`.
//! - `message`: the messages of a conversation.
//! - `tools`: functions that the model may call.
//! - `fields`: fields that several requests have.
//! - [`answer`]: what is answered, as a whole or as a stream.
//! - [`models`]: `GET /v1/models`.
//! - [`mod@error`]: what is told when something is wrong.
//!
//! A request is read strictly: a field that is not known, or that asks for something that this
//! server does not do, is a mistake that names the field. Fields that change nothing about the
//! answer of a text model (`user`, `metadata`, `store`, …) are taken and ignored.

pub mod answer;
pub mod chat;
pub mod completions;
pub mod embeddings;
pub mod error;
mod fields;
mod message;
pub mod models;
pub mod responses;
#[cfg(test)]
mod tests;
mod tools;

pub use chat::ChatRequest;
pub use completions::CompletionRequest;
pub use embeddings::read_embeddings;
pub use fields::StreamOptions;
pub use responses::ResponseRequest;
