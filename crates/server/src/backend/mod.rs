//! What makes answers.
//!
//! There are three implementations of [`Backend`](banter_seam::Backend): [`EngineBackend`] computes
//! in this process, [`RemoteBackend`] asks an engine that somebody else runs, and `ScriptedBackend`
//! plays a script for tests and for work on the page. [`BackendSlot`] holds the one that is in use.

mod engine;
mod for_engine;
mod metrics;
mod on_the_way;
mod places;
mod remote;
#[cfg(any(test, feature = "scripted"))]
mod scripted;
mod slot;
mod waiting_drafts;

pub use engine::EngineBackend;
pub use remote::{HealthChecks, RemoteBackend};
#[cfg(any(test, feature = "scripted"))]
pub use scripted::{ScriptedBackend, ScriptedCounters};
pub use slot::{BackendSlot, Readiness};

use banter_protocol::http::ModelInfo;
use banter_seam::BackendInfo;

/// The loaded model, as people are told.
pub(crate) fn model_info(loaded: &BackendInfo) -> ModelInfo {
    ModelInfo {
        name: loaded.name.clone(),
        demo: loaded.is_demo,
        parameters: loaded.parameters,
        licence: loaded.licence.clone(),
        weights_bytes: loaded.weights_bytes,
    }
}
