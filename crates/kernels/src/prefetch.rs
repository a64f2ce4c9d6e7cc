//! Memory that will be wanted soon.

/// The cache that memory is brought into.
///
/// The first cache has few places for lines that are on their way from memory, so it delays a kernel
/// that reads faster than they are freed. AVX-512's kernels of quantised weights ask for the second
/// cache. Zen 4, one thread, one token, [8960, 1536], in microseconds, both 8 KiB ahead:
///
/// | | first cache | second cache |
/// | --- | --- | --- |
/// | Q4_0 | 313 | 314 to 339 |
/// | Q4_K | 369 to 436 | 272 |
/// | Q6_K | 477 to 763 | 419 |
///
/// 4 KiB and 16 KiB ahead were slower, and so was the second cache 8 KiB ahead together with the
/// first 1 KiB ahead (Q4_0). On a Xeon one stream of Q4_0 was 19 % faster with the second cache.
#[derive(Clone, Copy)]
pub(crate) enum Cache {
    First,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "x86-64 alone asks ahead"))]
    Second,
}

/// Asks the processor to have the memory at an address at hand soon, whatever is there.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T, cache: Cache) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault, whatever the address; SSE is part of
        // x86-64.
        unsafe {
            match cache {
                Cache::First => _mm_prefetch::<_MM_HINT_T0>(address.cast()),
                Cache::Second => _mm_prefetch::<_MM_HINT_T1>(address.cast()),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (address, cache);
}

/// How far ahead weights are asked for: at a page's end the processor's own prefetching stops.
const AHEAD_BYTES: usize = 8192;
const LINE_BYTES: usize = 64;

/// Asks for memory that lies [`AHEAD_BYTES`] after weights which are `bytes` long.
#[inline(always)]
pub(crate) fn ask_ahead<T>(weights: *const T, bytes: usize, cache: Cache) {
    for line in 0..bytes.div_ceil(LINE_BYTES) {
        prefetch(weights.wrapping_byte_add(AHEAD_BYTES + line * LINE_BYTES), cache);
    }
}
