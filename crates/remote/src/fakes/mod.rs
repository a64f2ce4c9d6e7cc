//! Servers for tests, which behave like real ones and fail on demand.

mod engine;
mod engine_trick;
mod hub;
mod tls;
mod tls_proxy;
mod trick;

pub use engine::{EngineRequest, FakeEngine};
pub use engine_trick::EngineTrick;
pub use hub::{FakeHub, Request, Target};
pub use tls_proxy::TlsProxy;
pub use trick::Trick;
