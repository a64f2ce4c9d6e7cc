//! Attention against plain arithmetic, and against itself in other chunks, pools and instruction
//! sets.

mod support;

use banter_kernels::{Attend, BLOCK_TOKENS, KvPages, KvShape, KvType, Pool, attend};
use support::{Random, assert_close, every_pool};

#[derive(Clone, Copy, Debug)]
struct Case {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    positions: usize,
    kv_type: KvType,
}

/// A sequence of random queries, keys and values, its pages in scattered blocks.
struct Sequence {
    case: Case,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    blocks: Vec<u32>,
    pages: KvPages,
}

/// The layer that is written and read; there is one before it.
const LAYER: usize = 1;

impl Sequence {
    fn random(random: &mut Random, case: Case) -> Sequence {
        let block_count = case.positions.div_ceil(BLOCK_TOKENS);
        let shape = KvShape {
            layers: 2,
            kv_heads: case.kv_heads,
            head_dim: case.head_dim,
            block_count: block_count + 3,
            kv_type: case.kv_type,
        };
        let mut pages = KvPages::new(shape).expect("memory for a few blocks");
        let kv_width = case.kv_heads * case.head_dim;
        let q = random.floats(case.positions * case.heads * case.head_dim);
        let k = random.floats(case.positions * kv_width);
        let v = random.floats(case.positions * kv_width);
        let blocks: Vec<u32> = (0..block_count as u32).rev().map(|block| block + 3).collect();
        // Slots that no position of the sequence fills hold what an earlier one left there.
        for (&block, slot) in
            blocks.iter().flat_map(|block| (0..BLOCK_TOKENS).map(move |s| (block, s)))
        {
            let garbage = vec![f32::NAN; kv_width];
            pages.write(LAYER, block, slot, &garbage, &garbage);
        }
        for position in 0..case.positions {
            let row = position * kv_width..(position + 1) * kv_width;
            let block = blocks[position / BLOCK_TOKENS];
            pages.write(LAYER, block, position % BLOCK_TOKENS, &k[row.clone()], &v[row]);
        }
        Sequence { case, q, k, v, blocks, pages }
    }

    fn attend(&self, pool: &Pool, first_position: usize, rows: usize) -> Vec<f32> {
        let width = self.case.heads * self.case.head_dim;
        let q = &self.q[first_position * width..][..rows * width];
        let mut out = vec![f32::MIN; q.len()];
        let span = Attend { blocks: &self.blocks, first_position, rows };
        attend(pool, &self.pages, LAYER, q, &[span], &mut out);
        out
    }

    /// Attention of all rows in f64, as it is written in textbooks.
    fn plain_attention(&self) -> Vec<f32> {
        let Case { heads, kv_heads, head_dim, positions, .. } = self.case;
        let mut out = Vec::new();
        for (row, head) in (0..positions).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            let kv_head = head / (heads / kv_heads);
            let q = &self.q[(row * heads + head) * head_dim..][..head_dim];
            let at = |numbers: &'_ [f32], position: usize, dim: usize| {
                f64::from(numbers[(position * kv_heads + kv_head) * head_dim + dim])
            };
            let score = |position: usize| {
                let dot: f64 =
                    (0..head_dim).map(|dim| f64::from(q[dim]) * at(&self.k, position, dim)).sum();
                (dot / (head_dim as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = (0..=row).map(score).collect();
            let sum: f64 = weights.iter().sum();
            for dim in 0..head_dim {
                let weighted = weights.iter().enumerate().map(|(p, w)| w * at(&self.v, p, dim));
                out.push((weighted.sum::<f64>() / sum) as f32);
            }
        }
        out
    }
}

const SHAPES: [(usize, usize, usize); 7] =
    [(1, 1, 2), (4, 2, 16), (12, 2, 10), (14, 2, 64), (3, 3, 34), (20, 1, 24), (2, 1, 256)];

fn cases(positions: &[usize]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim) in SHAPES {
        for &positions in positions {
            for kv_type in [KvType::F16, KvType::F32] {
                cases.push(Case { heads, kv_heads, head_dim, positions, kv_type });
            }
        }
    }
    cases
}

#[test]
fn attention_is_close_to_plain_arithmetic() {
    let mut random = Random(1);
    for case in cases(&[1, 17, 300]) {
        let sequence = Sequence::random(&mut random, case);
        let expected = sequence.plain_attention();
        for pool in every_pool() {
            let actual = sequence.attend(&pool, 0, case.positions);
            // An f16 is off by up to 1/2,048 of itself.
            let tolerance = if case.kv_type == KvType::F16 { 2e-3 } else { 1e-5 };
            assert_close(
                &actual,
                &expected,
                tolerance,
                &format!("{case:?} on {}", pool.isa().name()),
            );
        }
    }
}
