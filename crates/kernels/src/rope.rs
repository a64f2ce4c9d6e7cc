//! Rotary position embedding in NeoX order.

use crate::elementwise::run_rows;
use crate::isa::dispatch;
use crate::pool::Pool;

/// The cosines and sines of every position and pair, made once.
pub struct Rope {
    head_dim: usize,
    /// [position][head_dim]: half cosines, then half sines
    angles: Vec<f32>,
}

impl Rope {
    /// The table for heads of `head_dim` values and positions below `positions`.
    ///
    /// Frequencies and angles are rounded to `f32` before the cosine is taken, because models were
    /// trained that way: at position 30,000 the exact angle is another one.
    /// Panics if `head_dim` is odd or zero.
    pub fn new(head_dim: usize, base: f32, positions: usize) -> Rope {
        assert!(
            head_dim > 0 && head_dim.is_multiple_of(2),
            "heads of pairs, not {head_dim} values"
        );
        let frequency = |pair: usize| {
            let exponent = (2 * pair) as f32 / head_dim as f32;
            (1.0 / f64::from(base).powf(f64::from(exponent))) as f32
        };
        let frequencies: Vec<f32> = (0..head_dim / 2).map(frequency).collect();
        Rope::with_frequencies(&frequencies, 1.0, positions)
    }

    /// The table for heads of two values per frequency and positions below `positions`; every
    /// rotated value is multiplied by `magnitude`.
    ///
    /// Panics if there is no frequency.
    pub fn with_frequencies(frequencies: &[f32], magnitude: f32, positions: usize) -> Rope {
        assert!(!frequencies.is_empty(), "heads of at least one pair");
        let head_dim = 2 * frequencies.len();
        let magnitude = f64::from(magnitude);
        let mut angles = Vec::with_capacity(positions * head_dim);
        for position in 0..positions {
            let angle = |frequency: &f32| f64::from(position as f32 * frequency);
            let cosine = |frequency| (magnitude * angle(frequency).cos()) as f32;
            let sine = |frequency| (magnitude * angle(frequency).sin()) as f32;
            angles.extend(frequencies.iter().map(cosine));
            angles.extend(frequencies.iter().map(sine));
        }
        Rope { head_dim, angles }
    }

    /// The cosines and the sines of one position.
    fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let start = position as usize * self.head_dim;
        assert!(start < self.angles.len(), "position {position} within the table");
        self.angles[start..start + self.head_dim].split_at(self.head_dim / 2)
    }
}

/// Rotates every head of every row by the angles of the row's position.
///
/// Shapes: `x` `[batch, heads * head_dim]`, `positions` `[batch]`.
/// Value `i` of a head is paired with value `i + head_dim / 2`.
/// Panics if `x` is not whole heads or a position is beyond the table.
/// Source: Su et al., RoFormer, 2021, in the order of GPT-NeoX.
pub fn rope(pool: &Pool, table: &Rope, x: &mut [f32], positions: &[u32]) {
    if positions.is_empty() {
        assert!(x.is_empty(), "one position for every row");
        return;
    }
    assert!(x.len().is_multiple_of(positions.len() * table.head_dim), "rows of whole heads");
    let width = x.len() / positions.len();
    run_rows(pool, x, width, &|row, x| {
        let (cosines, sines) = table.at(positions[row]);
        for head in x.chunks_exact_mut(table.head_dim) {
            let (first, second) = head.split_at_mut(table.head_dim / 2);
            dispatch!(pool.isa(), elementwise::rotate(first, second, cosines, sines));
        }
    });
}
