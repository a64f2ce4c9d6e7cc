//! A mutable slice that many workers write at once, each its own part.

use std::marker::PhantomData;
use std::ops::Range;

use crate::prefetch::{Cache, prefetch};

/// A borrowed slice whose parts can be written from several threads.
///
/// The borrow checker cannot see that the pieces of a job touch different parts; the caller of
/// [`Disjoint::part`] promises it.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a Disjoint is a &mut [T] whose parts are handed to threads, which `T: Send` allows; the
// parts never overlap by the contract of `part`.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Disjoint<'a, T> {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// Asks the processor to have the memory at `index` at hand soon.
    pub(crate) fn prefetch(&self, index: usize) {
        prefetch(self.start.wrapping_add(index).cast_const(), Cache::First);
    }

    /// The elements in `range`, to be written.
    ///
    /// Panics if the range does not lie in the slice.
    ///
    /// # Safety
    ///
    /// While the result lives, no other part that overlaps `range` may be in use.
    #[expect(clippy::mut_from_ref, reason = "that is what this type is for; see Safety")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "part within the slice");
        // SAFETY: the range lies in the borrowed slice, and the caller keeps parts apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
