//! Attention: multiply-adds per nanosecond of a prompt's chunk, and GB/s of keys and values for
//! single rows.

mod support;

use banter_kernels::ceilings;
use banter_kernels::{Attend, BLOCK_TOKENS, KvPages, KvShape, KvType, Pool, Workspace, attend};
use support::{is_asked_to_measure, numbers, pools, read_ceiling, report, seconds};

/// The 1.5B shape: 12 query heads share 2 KV heads of 128.
const HEADS: usize = 12;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 128;
/// How much of the context is before the rows that are computed.
const CONTEXTS: [usize; 2] = [512, 4096];
/// One new token, and a chunk of a prompt.
const ROWS: [usize; 3] = [1, 16, 512];

fn main() {
    if !is_asked_to_measure() {
        return;
    }
    for pool in pools() {
        let float = ceilings::float_products_per_second(&pool).best / 1e9;
        let memory = read_ceiling(&pool);
        for kv_type in [KvType::F16, KvType::F32, KvType::Q8_0] {
            for context in CONTEXTS {
                for rows in ROWS {
                    measure(&pool, kv_type, context, rows, float, memory);
                }
            }
        }
    }
}

fn measure(pool: &Pool, kv_type: KvType, context: usize, rows: usize, float: f64, memory: f64) {
    let positions = context + rows;
    let block_count = positions.div_ceil(BLOCK_TOKENS);
    let layers = 4;
    let shape = KvShape { layers, kv_heads: KV_HEADS, head_dim: HEAD_DIM, block_count, kv_type };
    let mut pages = KvPages::new(shape).expect("memory for the pages");
    let row = numbers(KV_HEADS * HEAD_DIM);
    for (layer, position) in (0..layers).flat_map(|l| (0..positions).map(move |p| (l, p))) {
        pages.write(layer, (position / BLOCK_TOKENS) as u32, position % BLOCK_TOKENS, &row, &row);
    }
    let blocks: Vec<u32> = (0..block_count as u32).collect();
    let q = numbers(rows * HEADS * HEAD_DIM);
    let mut out = vec![0.0; q.len()];
    let mut workspace = Workspace::new(pool.threads(), positions);
    let mut turn = (0..layers).cycle();
    let time = seconds(|| {
        let span = Attend { blocks: &blocks, first_position: context, rows };
        let layer = pages.layer(turn.next().expect("it never ends"));
        attend(pool, layer, &q, &[span], &mut workspace, &mut out);
    });
    let what = format!("attention {kv_type:?}, {context} before, {rows} rows");
    if rows == 1 {
        let bytes = positions * KvPages::block_bytes(shape) / layers / BLOCK_TOKENS;
        report(&what, pool, bytes as f64 / time / 1e9, "GB/s    ", memory);
    }
    let seen: usize = (context + 1..=positions).sum();
    report(&what, pool, (seen * HEADS * HEAD_DIM * 2) as f64 / time / 1e9, "GFMA/s  ", float);
}
