//! The server: sockets, limits, access rules and the chat page in front of a backend.
//!
//! Reading order, which is the way of one message:
//! - [`config`]: every limit, and what happens at it.
//! - [`server`]: [`Server`] and [`run`], the whole public server.
//! - `shared`: what all connections have in common; `shares`: how much of it one may hold.
//! - `accept`: connections, each with its time for a request; how many one address may hold.
//! - `access`: who may come in, decided from Host, peer, forwarding headers, Origin and key.
//! - `http`: the routes, the page, errors as responses, the headers of every response.
//! - `socket`: a WebSocket with small buffers, liveness and limits on what a client may send.
//! - `plain`: the plain language; a state machine without I/O, and the loop that drives it.
//! - [`models`]: which models there are; pulling them and switching while the old one serves.
//! - [`backend`]: the seam to whatever makes answers: the engine, or a script for tests.
//!
//! Absent on purpose: TLS (a proxy's work), HTTP/2 (its floods buy nothing here), conversations on
//! disk, `banter.v1`, and anything that knows tensors.

#![forbid(unsafe_code)]

mod accept;
pub mod access;
pub mod backend;
pub mod config;
mod http;
mod log_throttle;
pub mod models;
mod plain;
pub mod server;
mod shared;
mod shares;
mod socket;

pub use access::{KeyHash, Origin, PublicUrl};
pub use config::ServerConfig;
pub use server::{Server, run};
