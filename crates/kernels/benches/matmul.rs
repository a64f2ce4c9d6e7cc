//! Matmul: products per nanosecond of a prompt and of a few streams, and GB/s of weights where
//! memory is the limit.

mod support;

use banter_kernels::{BlockType, Input, Pool, matmul};
use support::{ceilings, is_asked_to_measure, numbers, pools, report, seconds, weights};

/// The widest matrix of the 1.5B shape, and its way back.
const SHAPES: [(usize, usize); 2] = [(8960, 1536), (1536, 8960)];
/// One stream, several, and a prompt.
const BATCHES: [usize; 4] = [1, 8, 16, 512];
/// So many different matrices go round that the caches hold none of them.
const CACHE_BYTES: usize = 512 << 20;

fn main() {
    if !is_asked_to_measure() {
        return;
    }
    for pool in pools() {
        let int8 = ceilings::int8_products(&pool);
        let float = ceilings::float_products(&pool);
        let memory = ceilings::memory_reads(&pool);
        for kind in [BlockType::Q4_0, BlockType::Q8_0, BlockType::F16, BlockType::F32] {
            let products = if kind.is_quantised() { int8 } else { float };
            for (rows, depth) in SHAPES {
                measure(&pool, kind, rows, depth, products, memory);
            }
        }
    }
}

fn measure(pool: &Pool, kind: BlockType, rows: usize, depth: usize, products: f64, memory: f64) {
    let first = weights(pool, kind, rows, depth);
    let more = CACHE_BYTES / first.bytes();
    let mut matrices = vec![first];
    matrices.extend((0..more).map(|_| weights(pool, kind, rows, depth)));
    for batch in BATCHES {
        let mut input = Input::new(batch, depth);
        input.set(pool, &numbers(batch * depth), batch, depth);
        let mut output = vec![0.0; batch * rows];
        let mut turn = matrices.iter().cycle();
        let time = seconds(|| {
            matmul(pool, turn.next().expect("it never ends"), &input, &mut output);
        });
        let what = format!("{} [{rows}, {depth}] x {batch}", kind.name());
        if batch <= 16 {
            report(&what, pool, matrices[0].bytes() as f64 / time / 1e9, "GB/s    ", memory);
        }
        if batch >= 16 {
            report(&what, pool, (batch * rows * depth) as f64 / time / 1e9, "GMAC/s  ", products);
        }
    }
}
