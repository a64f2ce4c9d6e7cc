//! The slot of the backend, which may still be loading and which another may replace.

use banter_protocol::http::Status;
use banter_seam::{Backend, Health};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// Holds the backend when it has loaded. The server listens before that.
#[derive(Clone, Default)]
pub struct BackendSlot {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    content: RwLock<Content>,
    /// What was in the slot before and may not have ended yet, because an answer may still need it.
    ending: Mutex<Vec<CancellationToken>>,
    /// Loading progress in thousandths.
    progress: AtomicU32,
}

#[derive(Clone, Default)]
enum Content {
    /// It is being loaded.
    #[default]
    Loading,
    /// It cannot be reached, for this reason. The caller goes on trying.
    Awaited(String),
    Filled(Arc<dyn Backend>),
}

/// What a slot has now.
pub enum Readiness {
    /// The backend is there.
    Loaded(Arc<dyn Backend>),
    /// It is still loading; from 0 to 1.
    Loading(f32),
    /// It cannot be reached, for this reason.
    Unreachable(String),
}

impl BackendSlot {
    /// Reports how far loading has come, from 0 to 1.
    pub fn set_progress(&self, progress: f32) {
        // A cast of an `f32` saturates and takes NaN as 0, so no value is out of range.
        let thousandths = (progress.clamp(0.0, 1.0) * 1000.0) as u32;
        self.inner.progress.store(thousandths, Ordering::Relaxed);
    }

    /// Stores why the engine of somebody else cannot be reached yet.
    pub fn set_unreachable(&self, reason: String) {
        self.put(Content::Awaited(reason));
    }

    /// Fills the slot with a backend. Answers that the one before has begun go on; new ones come
    /// from this one.
    pub fn fill(&self, backend: impl Backend) {
        self.fill_with(Arc::new(backend));
    }

    /// The same for a backend that is shared already.
    pub fn fill_with(&self, backend: Arc<dyn Backend>) {
        self.put(Content::Filled(backend));
    }

    /// Empties the slot. It is ready when everything that was ever in the slot has ended.
    pub async fn end(&self) {
        self.put(Content::Loading);
        let ending = std::mem::take(&mut *self.ending());
        for ended in ending {
            ended.cancelled().await;
        }
    }

    fn put(&self, content: Content) {
        let mut current =
            self.inner.content.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let previous = std::mem::replace(&mut *current, content);
        // The lock is free before the old backend ends, which may take long.
        drop(current);
        if let Content::Filled(backend) = &previous {
            let mut ending = self.ending();
            ending.retain(|ended| !ended.is_cancelled());
            ending.extend(backend.ended());
        }
        drop(previous);
    }

    fn ending(&self) -> MutexGuard<'_, Vec<CancellationToken>> {
        self.inner.ending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The backend, or how far loading it has come.
    pub fn readiness(&self) -> Readiness {
        let content = self.inner.content.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*content {
            Content::Filled(backend) => Readiness::Loaded(backend.clone()),
            Content::Awaited(reason) => Readiness::Unreachable(reason.clone()),
            Content::Loading => {
                Readiness::Loading(self.inner.progress.load(Ordering::Relaxed) as f32 / 1000.0)
            }
        }
    }

    /// What `/ready` says.
    pub fn status(&self) -> Status {
        match self.readiness() {
            Readiness::Loading(progress) => Status::Loading { progress },
            Readiness::Unreachable(reason) => Status::Unreachable { reason: Some(reason) },
            Readiness::Loaded(backend) => match backend.health() {
                Health::Ready => Status::Ready,
                Health::Stalled => Status::Stalled,
                Health::Unreachable(reason) => Status::Unreachable { reason: Some(reason) },
            },
        }
    }
}
