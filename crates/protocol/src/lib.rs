//! The words on the wire: what clients may send and what the server answers, and nothing about how
//! any of it is done.
//!
//! Reading order:
//! - [`plain`]: the WebSocket language of bare text frames (`/ws` without a subprotocol). Bytes
//!   become a [`plain::ClientMessage`] in which every value is checked, or one [`Fault`].
//! - [`fault`]: what can be wrong, in one JSON form for the WebSocket and HTTP.
//!   The failures of answers themselves are those of [`banter_seam`].
//! - [`http`]: the bodies of the HTTP routes.
//!
//! - `json`, `ranges` and [`text`] are what these are read with.
//!
//! Absent on purpose: sockets, sessions, defaults that depend on the loaded model, and `banter.v1`,
//! which does not exist yet. Everything here depends only on its input, so that a fuzzer can call
//! it directly.

#![forbid(unsafe_code)]

pub mod fault;
pub mod http;
mod json;
pub mod plain;
mod ranges;
#[cfg(test)]
mod schema;
pub mod text;

pub use fault::Fault;
