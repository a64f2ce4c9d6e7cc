//! Attention against plain arithmetic, and against itself in other chunks, pools and instruction
//! sets.

mod support;

use banter_kernels::{
    Attend, BLOCK_TOKENS, Isa, KvPages, KvShape, KvType, Pool, Workspace, attend,
};
use support::{Random, assert_close, assert_same, every_pool, pool, scalar_pool};

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
        let mut workspace = Workspace::new(pool.threads(), first_position + rows);
        attend(pool, self.pages.layer(LAYER), q, &[span], &mut workspace, &mut out);
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
            for kv_type in [KvType::F16, KvType::F32, KvType::Q8_0] {
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
            let tolerance = match case.kv_type {
                KvType::F32 => 1e-5,
                // A number is off by up to 1/2,048 of itself.
                KvType::F16 => 2e-3,
                // A number is off by up to 1/254 of the largest of its token.
                KvType::Q8_0 => 2e-2,
            };
            assert_close(
                &actual,
                &expected,
                tolerance,
                &format!("{case:?} on {}", pool.isa().name()),
            );
        }
    }
}

#[test]
fn every_instruction_set_gives_the_bits_of_scalar() {
    let mut random = Random(2);
    for case in cases(&[1, 15, 16, 33, 256, 257, 530]) {
        let mut sequence = Sequence::random(&mut random, case);
        // Some queries make scores hundreds apart, so that many weights are nothing.
        let spread = [1.0, 1.0, 300.0].into_iter().cycle();
        sequence.q.iter_mut().zip(spread).for_each(|(q, spread)| *q *= spread);
        // The whole prompt where it is short, and the last rows of it.
        let mut first_positions = vec![case.positions - 1, case.positions.saturating_sub(7)];
        if case.positions < 100 {
            first_positions.push(0);
        }
        for first in first_positions {
            let rows = case.positions - first;
            let expected = sequence.attend(&scalar_pool(), first, rows);
            for pool in every_pool() {
                let actual = sequence.attend(&pool, first, rows);
                assert_same(&actual, &expected, &format!("{case:?} on {}", pool.isa().name()));
            }
        }
    }
}

#[test]
fn a_row_gets_the_same_bits_in_every_chunk_on_any_number_of_threads() {
    let mut random = Random(3);
    const POSITIONS: usize = 300;
    for case in cases(&[POSITIONS]) {
        let sequence = Sequence::random(&mut random, case);
        let width = case.heads * case.head_dim;
        for isa in Isa::available().into_iter().filter(|isa| *isa != Isa::scalar()) {
            let alone: Vec<f32> =
                (0..POSITIONS).flat_map(|row| sequence.attend(&pool(isa, 1), row, 1)).collect();
            for threads in [1, 2, 3, 5] {
                let pool = pool(isa, threads);
                for chunk in [POSITIONS, 1 + random.below(40), 100 + random.below(100)] {
                    for first in (0..POSITIONS).step_by(chunk) {
                        let rows = chunk.min(POSITIONS - first);
                        let actual = sequence.attend(&pool, first, rows);
                        let expected = &alone[first * width..][..rows * width];
                        let isa = isa.name();
                        let what =
                            format!("{case:?} on {isa}, {threads} threads, {rows} at {first}");
                        assert_same(&actual, expected, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn spans_of_several_sequences_do_not_touch_each_other() {
    let mut random = Random(4);
    let shape =
        KvShape { layers: 1, kv_heads: 2, head_dim: 8, block_count: 40, kv_type: KvType::F16 };
    const HEADS: usize = 4;
    let (width, kv_width) = (HEADS * shape.head_dim, shape.kv_heads * shape.head_dim);
    let mut pages = KvPages::new(shape).expect("memory for a few blocks");
    for (block, slot) in (0..40).flat_map(|block| (0..BLOCK_TOKENS).map(move |slot| (block, slot)))
    {
        pages.write(0, block, slot, &random.floats(kv_width), &random.floats(kv_width));
    }
    let blocks: [&[u32]; 4] = [&[3, 1], &[7], &[30, 2, 9, 4], &[11, 12]];
    let spans = [(0, 20), (15, 1), (40, 0), (17, 9)].iter().zip(blocks);
    let spans: Vec<Attend<'_>> = spans
        .map(|(&(first_position, rows), blocks)| Attend { blocks, first_position, rows })
        .collect();
    let rows: usize = spans.iter().map(|span| span.rows).sum();
    let q = random.floats(rows * width);
    for pool in every_pool() {
        let mut together = vec![f32::MIN; q.len()];
        let mut workspace = Workspace::new(pool.threads(), 40 * BLOCK_TOKENS);
        attend(&pool, pages.layer(0), &q, &spans, &mut workspace, &mut together);
        let mut first_row = 0;
        for span in &spans {
            let range = first_row * width..(first_row + span.rows) * width;
            let mut alone = vec![f32::MIN; range.len()];
            attend(&pool, pages.layer(0), &q[range.clone()], &[*span], &mut workspace, &mut alone);
            assert_same(&together[range], &alone, &format!("{span:?} on {}", pool.isa().name()));
            first_row += span.rows;
        }
    }
}

#[test]
fn scores_as_large_as_published_key_biases_make_stay_finite_and_exact_in_the_maximum() {
    // One key stands out so far that the others' weights are nothing: the result is its value,
    // whether its piece of the softmax comes first, in the middle or last.
    const HEAD_DIM: usize = 64;
    const POSITIONS: usize = 700;
    const BLOCKS: usize = POSITIONS.div_ceil(BLOCK_TOKENS);
    let shape = KvShape {
        layers: 1,
        kv_heads: 1,
        head_dim: HEAD_DIM,
        block_count: BLOCKS,
        kv_type: KvType::F32,
    };
    let blocks: Vec<u32> = (0..BLOCKS as u32).collect();
    let mut random = Random(5);
    let values: Vec<Vec<f32>> = (0..POSITIONS).map(|_| random.floats(HEAD_DIM)).collect();
    for standout in [3, 270, 690] {
        let mut pages = KvPages::new(shape).expect("memory for a few blocks");
        for (position, value) in values.iter().enumerate() {
            // The further on, the lower: a maximum that followed the last piece would overflow.
            let size = if position == standout { 900.0 } else { -(position as f32) };
            let (block, slot) = (position / BLOCK_TOKENS, position % BLOCK_TOKENS);
            pages.write(0, block as u32, slot, &[size; HEAD_DIM], value);
        }
        for pool in every_pool() {
            let mut out = [0.0; HEAD_DIM];
            let span = Attend { blocks: &blocks, first_position: POSITIONS - 1, rows: 1 };
            let mut workspace = Workspace::new(pool.threads(), POSITIONS);
            attend(&pool, pages.layer(0), &[10.0; HEAD_DIM], &[span], &mut workspace, &mut out);
            let what = format!("{standout} on {}", pool.isa().name());
            assert_close(&out, &values[standout], 1e-6, &what);
        }
    }
}

/// Weights that cannot matter are nothing. Small as they are, their products with values would be
/// subnormal, which some processors compute a hundred times as slowly.
#[test]
fn scores_far_below_the_largest_leave_nothing_subnormal() {
    const HEAD_DIM: usize = 32;
    const POSITIONS: usize = 600;
    const BLOCKS: usize = POSITIONS.div_ceil(BLOCK_TOKENS);
    let blocks: Vec<u32> = (0..BLOCKS as u32).collect();
    for kv_type in [KvType::F16, KvType::F32, KvType::Q8_0] {
        let shape =
            KvShape { layers: 1, kv_heads: 1, head_dim: HEAD_DIM, block_count: BLOCKS, kv_type };
        // The largest score is in the first, the middle or the last piece, and its value is zero,
        // so that the result shows what all others add up to.
        let belows = (40..200).step_by(8);
        let standouts = [3, 300, 590];
        for (standout, below) in
            standouts.into_iter().flat_map(|s| belows.clone().map(move |b| (s, b)))
        {
            let mut pages = KvPages::new(shape).expect("memory for a few blocks");
            for position in 0..POSITIONS {
                let is_standout = position == standout;
                let score = if is_standout { 0.0 } else { -(below as f32) };
                let key = score / (HEAD_DIM as f32).sqrt();
                let value = if is_standout { 0.0 } else { 1e-3 };
                let (block, slot) = (position / BLOCK_TOKENS, position % BLOCK_TOKENS);
                pages.write(0, block as u32, slot, &[key; HEAD_DIM], &[value; HEAD_DIM]);
            }
            for pool in every_pool() {
                let mut out = [f32::NAN; HEAD_DIM];
                let span = Attend { blocks: &blocks, first_position: POSITIONS - 1, rows: 1 };
                let mut workspace = Workspace::new(pool.threads(), POSITIONS);
                attend(&pool, pages.layer(0), &[1.0; HEAD_DIM], &[span], &mut workspace, &mut out);
                let is_nothing = below > 45;
                for value in out {
                    let what = format!("{value:e}, {below} below {standout} in {kv_type:?}");
                    assert!(!value.is_subnormal(), "{what} on {}", pool.isa().name());
                    assert_eq!(value == 0.0, is_nothing, "{what} on {}", pool.isa().name());
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "blocks for 17 positions")]
fn too_few_blocks_are_a_bug() {
    let shape =
        KvShape { layers: 1, kv_heads: 1, head_dim: 2, block_count: 1, kv_type: KvType::F32 };
    let pages = KvPages::new(shape).expect("memory for a block");
    let span = Attend { blocks: &[0], first_position: 16, rows: 1 };
    let mut workspace = Workspace::new(1, 17);
    attend(&scalar_pool(), pages.layer(0), &[0.0; 2], &[span], &mut workspace, &mut [0.0; 2]);
}
