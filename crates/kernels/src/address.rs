//! Addresses that stay in one register, for operands of the loops that multiply.
//!
//! An instruction that multiplies and adds from memory is one operation where the operand's address
//! is a register and a constant. With an index register Intel cores split it in two, and their
//! window holds half as many tokens: a prompt was 17 to 19 % slower there. Compilers like to share
//! one index among several arrays, so the address has to be hidden from them.

use std::arch::asm;
use std::marker::PhantomData;

/// The same reference, computed here and held in one register.
#[inline(always)]
pub(crate) fn in_one_register<T>(value: &T) -> &T {
    // SAFETY: hiding an address does not change it.
    unsafe { &*hide(value) }
}

/// The same reference, which the compiler can use only after everything that was kept in a register
/// before it.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written through it")]
pub(crate) fn now_in_one_register<T>(value: &T) -> &T {
    let mut address: *const T = value;
    // SAFETY: there are no instructions in it, and hiding an address does not change it. It is not
    // `pure`, so that it keeps its place among other such statements.
    unsafe {
        asm!("/* {0} */", inout(reg) address, options(nomem, nostack, preserves_flags));
        &*address
    }
}

/// An address that the compiler takes for unknown.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written through it")]
fn hide<T>(mut address: *const T) -> *const T {
    // SAFETY: there are no instructions in it.
    unsafe {
        asm!("/* {0} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
    }
    address
}

/// One column of a matrix of `ROWS` rows, held by the address of its first value.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a, const ROWS: usize, const WIDTH: usize> {
    first: *const f32,
    matrix: PhantomData<&'a [[f32; WIDTH]; ROWS]>,
}

impl<'a, const ROWS: usize, const WIDTH: usize> Column<'a, ROWS, WIDTH> {
    /// Panics if the matrix has no such column.
    #[inline(always)]
    pub(crate) fn of(matrix: &'a [[f32; WIDTH]; ROWS], column: usize) -> Self {
        assert!(column < WIDTH, "a column of the matrix");
        let first = hide(matrix.as_ptr().cast::<f32>().wrapping_add(column));
        Column { first, matrix: PhantomData }
    }

    /// Panics if the matrix has no such row.
    #[inline(always)]
    pub(crate) fn row(self, row: usize) -> f32 {
        assert!(row < ROWS, "a row of the matrix");
        // SAFETY: row and column were found to be within the matrix, which is borrowed.
        unsafe { *self.first.add(row * WIDTH) }
    }
}
