//! An engine and how long it lives.

use banter_engine::engine::Engine;
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::DropGuard;

/// An engine that lives as long as somebody needs it: another model may have replaced it while it
/// still writes an answer. Its end takes a while, because it saves what it keeps, so a thread of
/// its own does that. [`Backend::ended`] tells when it is done.
#[derive(Clone)]
pub(super) struct SharedEngine(Option<Arc<RunningEngine>>);

/// The fields are dropped in this order, so the guard is dropped when the engine has ended.
struct RunningEngine {
    engine: Engine,
    _ended: DropGuard,
}

impl SharedEngine {
    pub(super) fn new(engine: Engine, ended: DropGuard) -> SharedEngine {
        SharedEngine(Some(Arc::new(RunningEngine { engine, _ended: ended })))
    }
}

impl Deref for SharedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0.as_ref().expect("only drop takes it").engine
    }
}

impl Drop for SharedEngine {
    fn drop(&mut self) {
        if let Some(running) = self.0.take().and_then(Arc::into_inner) {
            // If the system has no thread for it, it ends here.
            let end = std::thread::Builder::new().name("engine-end".to_owned());
            drop(end.spawn(move || drop(running)));
        }
    }
}
