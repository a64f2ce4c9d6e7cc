//! The words on the wire: what clients may send and what the server answers, and nothing about how
//! any of it is done.
//!
//! Reading order:
//! - [`plain`]: the WebSocket language of bare text frames (`/ws` without a subprotocol). Bytes
//!   become a [`plain::ClientMessage`] in which every value is checked, or one [`Fault`].
//! - [`v1`]: the WebSocket language of conversations that the server keeps (`/ws` with the
//!   subprotocol `banter.v1`).
//! - [`fault`]: what can be wrong, in one JSON form for the WebSocket and HTTP.
//!   The failures of answers themselves are those of [`banter_seam`].
//! - [`http`]: the bodies of the HTTP routes.
//! - [`conversations`]: those of the routes under `/api/conversations`. [`admin`]: of those for
//!   administrators.
//! - [`interfaces`]: the HTTP interfaces that others have defined.
//!
//! - `json`, `ranges`, [`text`] and [`settable`] are what these are read with.
//!
//! Absent on purpose: sockets, sessions, and defaults that depend on the loaded model. Everything
//! here depends only on its input, so that a fuzzer can call it directly.

#![forbid(unsafe_code)]

pub mod admin;
pub mod conversations;
pub mod fault;
pub mod http;
pub mod interfaces;
mod json;
pub mod plain;
mod ranges;
#[cfg(test)]
mod schema;
pub mod settable;
pub mod text;
pub mod v1;

/// The bodies of the HTTP routes as JSON Schema.
pub const HTTP_SCHEMA: &str = include_str!("../../../docs/http.schema.json");
/// The events of `banter.v1`, and the bodies of the routes of conversations, as JSON Schema.
pub const V1_SCHEMA: &str = include_str!("../../../docs/v1.schema.json");

pub use fault::Fault;
pub use settable::Settable;
