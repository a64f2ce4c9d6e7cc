//! Matmul against plain arithmetic, and against itself in other batches, pools and instruction
//! sets.

mod support;

use banter_kernels::{BlockType, Input, InputOrder, Isa, Matrix, Pool, dequantise, matmul};
use support::{
    Random, assert_close, assert_same, every_pool, load, pool, random_weights, scalar_pool,
};

/// Every format has kernels of its own.
const KINDS: [BlockType; 20] = BlockType::ALL;

struct Case {
    kind: BlockType,
    rows: usize,
    depth: usize,
    batch: usize,
}

impl Case {
    fn name(&self, pool: &Pool) -> String {
        let Case { kind, rows, depth, batch } = self;
        let (isa, threads) = (pool.isa().name(), pool.threads());
        format!("{} [{rows}, {depth}] x {batch} on {isa}, {threads} threads", kind.name())
    }
}

fn product(pool: &Pool, weights: &Matrix, x: &[f32], batch: usize) -> Vec<f32> {
    let mut input = Input::new(batch, weights.depth());
    input.set(pool, x, batch, weights.depth());
    let mut output = vec![f32::MIN; batch * weights.rows()];
    matmul(pool, weights, &input, &mut output);
    output
}

/// The product in f64 of the weights as stored.
fn plain_product(case: &Case, bytes: &[u8], x: &[f32]) -> Vec<f32> {
    let mut weights = vec![0.0; case.rows * case.depth];
    dequantise(case.kind, bytes, &mut weights);
    let mut output = Vec::new();
    for token in 0..case.batch {
        let x = &x[token * case.depth..][..case.depth];
        for row in 0..case.rows {
            let weights = &weights[row * case.depth..][..case.depth];
            let sum: f64 = weights.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            output.push(sum as f32);
        }
    }
    output
}

#[test]
fn products_are_close_to_plain_arithmetic() {
    let mut random = Random(1);
    for kind in KINDS {
        for (rows, depth, batch) in
            [(16, 32, 1), (5, 96, 3), (33, 1024, 17), (3, 256, 2), (1, 1, 1), (7, 31, 2)]
        {
            if kind.row_bytes(depth).is_none() {
                continue;
            }
            let case = Case { kind, rows, depth, batch };
            let bytes = random_weights(&mut random, kind, rows, depth);
            let x = random.floats(batch * depth);
            let expected = plain_product(&case, &bytes, &x);
            // A rounded activation is off by up to 1/254 of its block's largest, at random: the sum
            // of errors grows with the root of the depth.
            let tolerance = match kind {
                BlockType::F32 | BlockType::F16 | BlockType::Bf16 => 1e-5 * depth as f32,
                _ => 0.01 * (depth as f32).sqrt(),
            };
            for pool in every_pool() {
                let weights = load(&pool, kind, rows, depth, &bytes);
                let actual = product(&pool, &weights, &x, batch);
                assert_close(&actual, &expected, tolerance, &case.name(&pool));
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_bits_of_scalar() {
    let mut random = Random(2);
    let shapes = [
        (0, 32),
        (1, 32),
        (15, 64),
        (16, 96),
        (17, 32),
        (40, 256),
        (9, 768),
        (48, 1),
        (3, 0),
        (20, 33),
    ];
    for kind in KINDS {
        for (rows, depth) in shapes {
            if kind.row_bytes(depth).is_none() {
                continue;
            }
            let bytes = random_weights(&mut random, kind, rows, depth);
            for batch in [0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 33] {
                let x = random.floats(batch * depth);
                let scalar = scalar_pool();
                let weights = load(&scalar, kind, rows, depth, &bytes);
                let expected = product(&scalar, &weights, &x, batch);
                for pool in every_pool() {
                    let case = Case { kind, rows, depth, batch };
                    let actual = product(&pool, &weights, &x, batch);
                    let name = case.name(&pool);
                    // How the instruction for pairs rounds between its two products is its own.
                    if kind == BlockType::Bf16Dot && pool.isa().name() == "avx512-bf16" {
                        assert_close(&actual, &expected, 1e-5 * depth as f32, &name);
                    } else {
                        assert_same(&actual, &expected, &name);
                    }
                }
            }
        }
    }
}

#[test]
fn a_token_gets_the_same_bits_in_every_batch_on_any_number_of_threads() {
    const ROWS: usize = 50;
    const DEPTH: usize = 256;
    const TOKENS: usize = 64;
    let mut random = Random(3);
    for kind in KINDS {
        let bytes = random_weights(&mut random, kind, ROWS, DEPTH);
        let x = random.floats(TOKENS * DEPTH);
        for isa in Isa::available() {
            let alone = pool(isa, 1);
            let weights = load(&alone, kind, ROWS, DEPTH, &bytes);
            let each: Vec<f32> =
                x.chunks_exact(DEPTH).flat_map(|x| product(&alone, &weights, x, 1)).collect();
            for threads in [1, 2, 3, 5] {
                let pool = pool(isa, threads);
                for batch in 1..=TOKENS {
                    let actual = product(&pool, &weights, &x[..batch * DEPTH], batch);
                    let case = Case { kind, rows: ROWS, depth: DEPTH, batch };
                    assert_same(&actual, &each[..batch * ROWS], &case.name(&pool));
                }
            }
        }
    }
}

#[test]
fn a_product_of_many_pieces_is_that_of_its_tokens() {
    // Deep and wide enough to be cut by rows and by tokens, with a rest in each.
    const ROWS: usize = 300;
    const DEPTH: usize = 2048;
    const TOKENS: usize = 150;
    let mut random = Random(4);
    for kind in [
        BlockType::Q4_0,
        BlockType::Q8_0,
        BlockType::Q4K,
        BlockType::Q6K,
        BlockType::F16,
        BlockType::Int4By128,
    ] {
        let bytes = random_weights(&mut random, kind, ROWS, DEPTH);
        let x = random.floats(TOKENS * DEPTH);
        for isa in Isa::available().into_iter().filter(|isa| *isa != Isa::scalar()) {
            let alone = pool(isa, 1);
            let weights = load(&alone, kind, ROWS, DEPTH, &bytes);
            let each: Vec<f32> =
                x.chunks_exact(DEPTH).flat_map(|x| product(&alone, &weights, x, 1)).collect();
            for threads in [1, 2, 3, 5] {
                let pool = pool(isa, threads);
                let case = Case { kind, rows: ROWS, depth: DEPTH, batch: TOKENS };
                assert_same(&product(&pool, &weights, &x, TOKENS), &each, &case.name(&pool));
            }
        }
    }
}

#[test]
fn an_input_prepared_for_its_weights_gives_the_same_product() {
    const DEPTH: usize = 256;
    let mut random = Random(5);
    let x = random.floats(5 * DEPTH);
    let pool = scalar_pool();
    for kind in KINDS {
        let weights = load(&pool, kind, 20, DEPTH, &random_weights(&mut random, kind, 20, DEPTH));
        let mut input = Input::new(5, DEPTH);
        input.set_for(&pool, &x, 5, &[&weights, &weights]);
        let mut output = vec![0.0; 5 * 20];
        matmul(&pool, &weights, &input, &mut output);
        assert_same(&output, &product(&pool, &weights, &x, 5), kind.name());
    }
}

/// Places of inputs in no order, every one once.
fn shuffled(random: &mut Random, depth: usize) -> Vec<u32> {
    let mut places: Vec<u32> = (0..depth as u32).collect();
    (1..depth).for_each(|last| places.swap(last, random.below(last + 1)));
    places
}

#[test]
fn weights_in_an_order_of_their_own_take_their_inputs_in_it() {
    const ROWS: usize = 20;
    // More than is put in order at a time, with a rest.
    const DEPTH: usize = 19 * 128;
    const TOKENS: usize = 18;
    let mut random = Random(6);
    let x = random.floats(TOKENS * DEPTH);
    for kind in [BlockType::Int4By128, BlockType::Int8By32, BlockType::F16] {
        let bytes = random_weights(&mut random, kind, ROWS, DEPTH);
        let places = shuffled(&mut random, DEPTH);
        let in_order: Vec<f32> = x
            .chunks_exact(DEPTH)
            .flat_map(|x| places.iter().map(|&input| x[input as usize]))
            .collect();
        for pool in every_pool() {
            let plain = load(&pool, kind, ROWS, DEPTH, &bytes);
            let expected = product(&pool, &plain, &in_order, TOKENS);
            let order = InputOrder::new(places.clone()).expect("every input once");
            let ordered = load(&pool, kind, ROWS, DEPTH, &bytes).with_order(order);
            let mut input = Input::new(TOKENS, DEPTH);
            input.set_for(&pool, &x, TOKENS, &[&ordered]);
            assert!(input.suits(&ordered) && !input.suits(&plain));
            let mut output = vec![0.0; TOKENS * ROWS];
            matmul(&pool, &ordered, &input, &mut output);
            let case = Case { kind, rows: ROWS, depth: DEPTH, batch: TOKENS };
            assert_same(&output, &expected, &case.name(&pool));

            let (mut stored, mut row) = (vec![0.0; DEPTH], vec![0.0; DEPTH]);
            plain.row(3, &mut stored);
            ordered.row(3, &mut row);
            let row: Vec<f32> = places.iter().map(|&input| row[input as usize]).collect();
            assert_same(&row, &stored, "a row read back");
        }
    }
}

#[test]
#[should_panic(expected = "weights and input have one order")]
fn an_input_in_another_order_is_a_bug() {
    let pool = scalar_pool();
    let order = InputOrder::new((0..32).rev().collect()).expect("every input once");
    let weights = load(&pool, BlockType::Q8_0, 1, 32, &[0; 34]).with_order(order);
    let mut input = Input::new(1, 32);
    input.set(&pool, &[0.0; 32], 1, 32);
    matmul(&pool, &weights, &input, &mut [0.0]);
}

#[test]
#[should_panic(expected = "the input was prepared for float weights")]
fn an_input_prepared_for_other_weights_is_a_bug() {
    let pool = scalar_pool();
    let quantised = load(&pool, BlockType::Q8_0, 1, 32, &[0; 34]);
    let float = load(&pool, BlockType::F32, 1, 32, &[0; 128]);
    let mut input = Input::new(1, 32);
    input.set_for(&pool, &[0.0; 32], 1, &[&quantised]);
    matmul(&pool, &float, &input, &mut [0.0]);
}
