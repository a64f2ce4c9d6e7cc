//! `banter chat`, in a terminal and in pipes, with servers that play a script.

mod conversation;
mod once;
mod plain;
mod servers;
#[path = "../binary/support.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;
mod terminal;
