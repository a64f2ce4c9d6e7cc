//! Tests of the events, as bytes.

mod client;
mod server;
