//! The server: sockets, limits, access rules and the chat page in front of a backend.
//!
//! Reading order, which follows one message:
//! - [`config`]: every limit, and what happens at it.
//! - [`server`]: [`Server`] and [`run`], the whole public server.
//! - `well_known`: files of the operator at the root.
//! - `tasks`: how everything ends; `shares`: how much of a budget one client may hold.
//! - `accept`: connections: how many there may be, and how long a client may be silent on one.
//! - `access`: who may use the server, decided by Host, peer, forwarding headers, Origin and key.
//! - [`qr`]: links as QR codes.
//! - `http`: the routes, the page, errors as responses, and the headers of every response.
//! - `socket`: a WebSocket with small buffers, liveness and limits on what a client may send.
//! - `plain`: the plain language: a state machine without I/O, and the loop that drives it.
//! - `answers`: answers while they are written: a task for each, and followers that read along.
//! - `v1`: the language `banter.v1`, with conversations that last.
//! - `conversations`: conversations in the store, and what is told about them.
//! - `interfaces`: OpenAI's HTTP interface, and others that programs use already.
//! - [`models`]: which models there are, pulling them, and switching between them.
//! - [`backend`]: what makes answers: our engine, an engine that somebody else runs, or a script.
//!   All of them speak [`banter_seam`].
//!
//! Absent on purpose: HTTP/2 (it would bring new floods and no gain), SQL (`banter-store` has it),
//! and anything that knows tensors.

#![forbid(unsafe_code)]

mod accept;
pub mod access;
mod answers;
pub mod backend;
pub mod config;
mod conversations;
mod http;
mod interfaces;
mod log_throttle;
mod metrics;
pub mod models;
mod plain;
pub mod qr;
mod quotas;
pub mod server;
mod shares;
mod socket;
mod tasks;
mod v1;
mod watchdog;
mod well_known;

pub use accept::{CertificateError, Tls};
pub use access::{KeyHash, Origin, PublicUrl, SCOPES, make_key};
pub use config::{OnDisconnect, ServerConfig};
pub use http::is_own_name;
pub use server::{Server, run};
pub use well_known::{WellKnown, WellKnownError};
