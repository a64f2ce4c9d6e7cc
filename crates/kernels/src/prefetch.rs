//! Memory that will be wanted soon.

/// Asks the processor to have the memory at an address at hand soon, whatever is there.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault, whatever the address; SSE is part of
        // x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// How far ahead weights are asked for: at a page's end the processor's own prefetching stops.
const AHEAD_BYTES: usize = 8192;
const LINE_BYTES: usize = 64;

/// Asks for memory that lies [`AHEAD_BYTES`] after weights which are `bytes` long.
#[inline(always)]
pub(crate) fn ask_ahead<T>(weights: *const T, bytes: usize) {
    for line in 0..bytes.div_ceil(LINE_BYTES) {
        prefetch(weights.wrapping_byte_add(AHEAD_BYTES + line * LINE_BYTES));
    }
}
