//! Strips of a tile, for instruction sets on which four tokens' sums fill the registers.

/// The most tokens or queries that go together.
pub(crate) const MOST: usize = 4;

/// Calls the kernel once for every strip of up to [`MOST`], with the strip's width as its constant
/// and the strip's start as its last argument.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! with_widths {
    ($width:expr, $kernel:ident $(::<$type:ty>)? ( $($argument:expr),* )) => {
        let width = $width;
        for start in (0..width).step_by($crate::strips::MOST) {
            match $crate::strips::MOST.min(width - start) {
                1 => $kernel::<1 $(, $type)?>($($argument),*, start),
                2 => $kernel::<2 $(, $type)?>($($argument),*, start),
                3 => $kernel::<3 $(, $type)?>($($argument),*, start),
                _ => $kernel::<4 $(, $type)?>($($argument),*, start),
            }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use with_widths;
