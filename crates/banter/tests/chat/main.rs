//! `banter chat`, in a terminal and in pipes, with servers that play a script.

mod once;
mod plain;
#[allow(dead_code, reason = "not all of it is used yet")]
mod servers;
#[path = "../binary/support.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;
#[allow(dead_code, reason = "not all of it is used yet")]
mod terminal;
