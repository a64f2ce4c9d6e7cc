//! What the kernel tests share: pools of every instruction set, random numbers, comparisons.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::convert::Infallible;
use std::num::NonZeroUsize;

use banter_kernels::{BlockType, Isa, Matrix, Pool, quantise};

/// A pool of one instruction set.
pub fn pool(isa: Isa, threads: usize) -> Pool {
    Pool::new(isa, NonZeroUsize::new(threads).expect("not zero"))
}

pub fn scalar_pool() -> Pool {
    pool(Isa::scalar(), 1)
}

/// One single-threaded pool for every instruction set here; says which sets are not tested.
///
/// `BANTER_TEST_ISAS` names those that must be (`avx2,avx512-vnni`), for a machine known to have
/// them.
pub fn every_pool() -> Vec<Pool> {
    let available = Isa::available();
    let required = std::env::var("BANTER_TEST_ISAS").unwrap_or_default();
    for name in Isa::NAMES {
        if !available.iter().any(|isa| isa.name() == name) {
            println!("NOT RUN on this processor: {name}");
            assert!(!required.split(',').any(|one| one == name), "{name} must be tested here");
        }
    }
    available.into_iter().map(|isa| pool(isa, 1)).collect()
}

/// Reproducible numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number in -1..1.
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// An index below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}

/// Loads a matrix from the bytes of a file.
pub fn load(pool: &Pool, kind: BlockType, rows: usize, depth: usize, bytes: &[u8]) -> Matrix {
    let row_bytes = kind.row_bytes(depth).expect("a depth of whole blocks");
    let matrix = Matrix::load::<Infallible>(pool, kind, rows, depth, &|range, buffer| {
        buffer.copy_from_slice(&bytes[range.start * row_bytes..range.end * row_bytes]);
        Ok(())
    });
    matrix.expect("memory for a small matrix")
}

/// The file bytes of random weights.
pub fn random_weights(random: &mut Random, kind: BlockType, rows: usize, depth: usize) -> Vec<u8> {
    let row_bytes = kind.row_bytes(depth).expect("a depth of whole blocks");
    let mut bytes = vec![0; rows * row_bytes];
    for row in bytes.chunks_exact_mut(row_bytes.max(1)) {
        quantise(kind, &random.floats(depth), row);
    }
    bytes
}

/// Fails unless both are the same bits; what is not a number equals its like.
#[track_caller]
pub fn assert_same(actual: &[f32], expected: &[f32], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let same = actual.to_bits() == expected.to_bits() || actual.is_nan() && expected.is_nan();
        assert!(same, "{what}: value {index} is {actual:e} where {expected:e} was expected");
    }
}

/// Fails unless every value is within `tolerance` of what is expected.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let close = (actual - expected).abs() <= tolerance;
        assert!(close, "{what}: value {index} is {actual} where {expected} was expected");
    }
}
