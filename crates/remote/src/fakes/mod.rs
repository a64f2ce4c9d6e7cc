//! Servers for tests, which behave like real ones and fail on demand.

mod engine;
mod hub;
mod tls;
mod tls_proxy;
mod trick;

pub use engine::{EngineRequest, EngineTrick, FakeEngine};
pub use hub::{FakeHub, Request, Target};
pub use tls_proxy::TlsProxy;
pub use trick::Trick;
