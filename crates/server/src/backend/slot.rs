//! The place of a backend that may still be loading.

use super::{Backend, Health};
use banter_protocol::http::Status;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// Where a backend is put when it has loaded. The server listens before that.
#[derive(Clone, Default)]
pub struct BackendSlot {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    backend: OnceLock<Arc<dyn Backend>>,
    /// Loading progress in thousandths.
    progress: AtomicU32,
}

/// What can be had from a slot right now.
pub enum Readiness {
    /// The backend is there.
    Loaded(Arc<dyn Backend>),
    /// It is still loading; from 0 to 1.
    Loading(f32),
}

impl BackendSlot {
    /// Reports how far loading has come, from 0 to 1.
    pub fn set_progress(&self, progress: f32) {
        // A cast of an `f32` saturates and takes NaN as 0, so no value is out of range.
        let thousandths = (progress.clamp(0.0, 1.0) * 1000.0) as u32;
        self.inner.progress.store(thousandths, Ordering::Relaxed);
    }

    /// Puts the loaded backend in place.
    ///
    /// Panics if there is one already.
    pub fn fill(&self, backend: impl Backend) {
        let filled = self.inner.backend.set(Arc::new(backend)).is_ok();
        assert!(filled, "a backend slot is filled once");
    }

    /// The backend, or how far it is.
    pub fn readiness(&self) -> Readiness {
        match self.inner.backend.get() {
            Some(backend) => Readiness::Loaded(backend.clone()),
            None => Readiness::Loading(self.inner.progress.load(Ordering::Relaxed) as f32 / 1000.0),
        }
    }

    /// What `/ready` says.
    pub fn status(&self) -> Status {
        match self.readiness() {
            Readiness::Loading(progress) => Status::Loading { progress },
            Readiness::Loaded(backend) => match backend.health() {
                Health::Ready => Status::Ready,
                Health::Stalled => Status::Stalled,
            },
        }
    }
}
