//! Servers that behave like real ones, and misbehave on demand. For tests.

mod engine;
mod hub;
mod tls;
mod trick;

pub use engine::{EngineRequest, EngineTrick, FakeEngine};
pub use hub::{FakeHub, Request, Target};
pub use trick::Trick;
