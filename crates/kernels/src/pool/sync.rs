//! What the gate synchronises with: the standard library, or `loom`, which tries all interleavings.

#[cfg(not(loom))]
pub(super) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

#[cfg(loom)]
pub(super) use loom::{
    cell::UnsafeCell as Slot,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize},
    },
};

/// A place that who uses it must have to itself.
#[cfg(not(loom))]
pub(super) struct Slot<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Slot<T> {
    pub(super) fn new(value: T) -> Slot<T> {
        Slot(std::cell::UnsafeCell::new(value))
    }

    /// Calls `read` with the place.
    pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Calls `write` with the place.
    pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// Where sequentially consistent accesses stand on both sides of this, `loom` needs a fence: it
/// takes the accesses themselves for less than they are.
pub(super) fn in_one_order() {
    #[cfg(loom)]
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
}
