//! Servers that behave like real ones, and misbehave on demand. For tests.

mod hub;
mod tls;

pub use hub::{FakeHub, Request, Target, Trick};
