//! Matmul: products per nanosecond of a prompt and of a few streams, and GB/s of weights where
//! memory is the limit.

mod support;

use banter_kernels::ceilings;
use banter_kernels::{BlockType, Input, Pool, matmul};
use support::{is_asked_to_measure, numbers, pools, read_ceiling, report, seconds, weights};

/// The widest matrix of the 1.5B shape, and its way back.
const SHAPES: [(usize, usize); 2] = [(8960, 1536), (1536, 8960)];
/// One stream, several, and a prompt.
const BATCHES: [usize; 10] = [1, 2, 4, 6, 8, 12, 16, 24, 32, 512];
/// So many different matrices go round that the caches hold none of them.
const CACHE_BYTES: usize = 512 << 20;

fn main() {
    if !is_asked_to_measure() {
        return;
    }
    for pool in pools() {
        let int8 = ceilings::int8_products_per_second(&pool).best / 1e9;
        let float = ceilings::float_products_per_second(&pool).best / 1e9;
        let pairs = ceilings::pair_products_per_second(&pool).best / 1e9;
        let memory = read_ceiling(&pool);
        for kind in kinds() {
            let products = match kind {
                BlockType::Bf16Dot => pairs,
                kind if kind.is_quantised() => int8,
                _ => float,
            };
            for (rows, depth) in SHAPES {
                measure(&pool, kind, rows, depth, products, memory);
            }
        }
    }
}

/// The formats to measure: those of published models, or what `BANTER_BENCH_KINDS` names
/// (`Q4_0,Q2_K`).
fn kinds() -> Vec<BlockType> {
    let usual = "Q4_0,Q8_0,Q4_K,Q5_K,Q6_K,F16,F32".to_string();
    let names = std::env::var("BANTER_BENCH_KINDS").unwrap_or(usual);
    let named = |name| BlockType::ALL.into_iter().find(|kind| kind.name() == name);
    names.split(',').map(|name| named(name).expect("a format's name")).collect()
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
        if batch <= 32 {
            report(&what, pool, matrices[0].bytes() as f64 / time / 1e9, "GB/s    ", memory);
        }
        if batch > 1 {
            report(&what, pool, (batch * rows * depth) as f64 / time / 1e9, "GMAC/s  ", products);
        }
    }
}
