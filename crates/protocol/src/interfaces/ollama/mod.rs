//! Ollama's HTTP interface, as far as it is about text.
//!
//! - [`request`]: `POST /api/chat` and `POST /api/generate`. `options`: their `options`.
//! - [`embeddings`]: `POST /api/embed` and `POST /api/embeddings`.
//! - `message`: the messages of a conversation.
//! - [`answer`]: what is answered, as a whole or as a stream of lines.
//! - [`models`]: what is known of the model.
//!
//! A field that is not known is refused, and so is one that asks for something that this server
//! does not do. Options for loading a model (`num_ctx`, `num_gpu`, …) are taken and ignored: the
//! server has loaded the model before, and never cuts a prompt silently.
//!
//! Source: the API reference of Ollama 0.12 and the types of its Python package.

pub mod answer;
pub mod embeddings;
mod message;
pub mod models;
mod options;
pub mod request;
#[cfg(test)]
mod tests;

pub use embeddings::{read_embed, read_embeddings};
pub use request::{Request, read_chat, read_generate};

/// The version of Ollama that has this interface. Some clients refuse older ones.
pub const VERSION: &str = "0.12.11";
