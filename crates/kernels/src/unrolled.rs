//! Loops that must not stay loops.

/// Repeats a block of code with a constant that counts from 0, for kernels in which the number
/// decides shifts and masks.
///
/// The compiler leaves a loop alone once its body is as large as that of a kernel for several
/// tokens; the shifts then become arithmetic on vectors. That took a third of AVX2's speed with
/// four tokens.
macro_rules! unrolled {
    ($index:ident in 0..2 => $body:expr) => {
        $crate::unrolled::unrolled!(@ $index $body, 0 1)
    };
    ($index:ident in 0..8 => $body:expr) => {
        $crate::unrolled::unrolled!(@ $index $body, 0 1 2 3 4 5 6 7)
    };
    (@ $index:ident $body:expr, $($value:literal)*) => {
        $({
            const $index: usize = $value;
            $body
        })*
    };
}
pub(crate) use unrolled;
