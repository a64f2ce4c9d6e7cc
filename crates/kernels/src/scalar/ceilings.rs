//! As many products or bytes as plain code can make or read, to measure by.

use std::hint::black_box;

use crate::ceilings::CHAINS;

/// Pairs are multiplied as floats.
pub(crate) use self::float_products as pair_products;

/// Adds products of integers to some sums, `steps` times each; returns how many there were.
pub(crate) fn int8_products(steps: usize) -> usize {
    let mut sums = [0_i32; CHAINS];
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = sum.wrapping_add(black_box(3_i32).wrapping_mul(5));
        }
    }
    black_box(sums);
    steps * CHAINS
}

/// Adds products of floats to some sums, `steps` times each; returns how many there were.
pub(crate) fn float_products(steps: usize) -> usize {
    let mut sums = [0.0_f32; CHAINS];
    for _ in 0..steps {
        for sum in &mut sums {
            *sum += black_box(0.5) * 1.5;
        }
    }
    black_box(sums);
    steps * CHAINS
}

/// Reads bytes and forgets them.
pub(crate) fn read(bytes: &[u8]) {
    let (words, _) = bytes.as_chunks();
    black_box(words.iter().fold(0, |sum, word| sum ^ u64::from_ne_bytes(*word)));
}
