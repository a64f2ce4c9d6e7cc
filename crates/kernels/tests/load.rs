//! Loading matrices: what is kept, what goes wrong, what hostile files hold.

mod support;

use std::convert::Infallible;
use std::sync::Mutex;

use banter_kernels::{BlockType, Input, LoadError, Matrix, dequantise, matmul, quantise};
use proptest::prelude::*;
use support::{
    Random, assert_close, assert_same, every_pool, load, pool, random_weights, scalar_pool,
};

#[test]
fn rows_read_back_as_the_file_says() {
    let mut random = Random(1);
    for kind in BlockType::ALL {
        for (rows, depth) in [(1, 32), (16, 64), (17, 96), (50, 32), (3, 256), (18, 1024)] {
            if kind.row_bytes(depth).is_none() {
                continue;
            }
            let bytes = random_weights(&mut random, kind, rows, depth);
            let mut expected = vec![0.0; rows * depth];
            dequantise(kind, &bytes, &mut expected);
            let matrix = load(&scalar_pool(), kind, rows, depth, &bytes);
            for (index, expected) in expected.chunks_exact(depth).enumerate() {
                let mut values = vec![f32::MIN; depth];
                matrix.row(index, &mut values);
                assert_same(&values, expected, &format!("{} row {index}", kind.name()));
            }
        }
    }
}

#[test]
fn packed_bytes_is_what_loading_takes() {
    for kind in BlockType::ALL {
        let matrix =
            load(&scalar_pool(), kind, 40, 512, &vec![0; 40 * kind.row_bytes(512).expect("fits")]);
        assert_eq!(matrix.bytes(), Matrix::packed_bytes(kind, 40, 512), "{}", kind.name());
    }
    // As in the file, but for the 6-bit scales (12 bytes become 16, of two minimums too) and what
    // fills up the last line of a group.
    for kind in BlockType::ALL {
        let in_file = 16 * kind.row_bytes(4096).expect("fits");
        let widened = match kind {
            BlockType::Q4K | BlockType::Q5K => 4,
            BlockType::Q3K => 4,
            _ => 0,
        };
        let expected = in_file + 16 * 16 * widened;
        assert_eq!(Matrix::packed_bytes(kind, 16, 4096), expected, "{}", kind.name());
    }
    assert_eq!(Matrix::packed_bytes(BlockType::F32, usize::MAX, usize::MAX), usize::MAX);
}

#[test]
fn every_row_is_read_exactly_once_on_any_number_of_threads() {
    const ROWS: usize = 3001;
    const DEPTH: usize = 256;
    for threads in [1, 2, 3] {
        let seen = Mutex::new(vec![0; ROWS]);
        let read = |range: std::ops::Range<usize>, buffer: &mut [u8]| {
            assert_eq!(buffer.len(), range.len() * DEPTH * 4);
            seen.lock().expect("no reader panics")[range].iter_mut().for_each(|count| *count += 1);
            Ok::<(), Infallible>(())
        };
        let pool = pool(banter_kernels::Isa::scalar(), threads);
        Matrix::load(&pool, BlockType::F32, ROWS, DEPTH, &read).expect("memory for the matrix");
        assert!(seen.into_inner().expect("no reader panics").iter().all(|&count| count == 1));
    }
}

#[test]
fn a_failed_read_is_the_error() {
    let read = |range: std::ops::Range<usize>, _: &mut [u8]| match range.contains(&2000) {
        true => Err("the disk is gone"),
        false => Ok(()),
    };
    let outcome =
        Matrix::load(&pool(banter_kernels::Isa::scalar(), 2), BlockType::F32, 3000, 256, &read);
    assert!(matches!(outcome, Err(LoadError::Read("the disk is gone"))));
}

#[test]
fn a_depth_of_broken_blocks_is_an_error_that_says_so() {
    let read = |_: std::ops::Range<usize>, _: &mut [u8]| Ok::<(), Infallible>(());
    let outcome = Matrix::load(&scalar_pool(), BlockType::Q4_0, 16, 40, &read);
    let error = outcome.err().expect("40 is not a multiple of 32");
    assert_eq!(error.to_string(), "Q4_0 weights: expected a multiple of 32 inputs, found 40");
}

#[test]
fn a_matrix_beyond_all_memory_is_an_error() {
    let read = |_: std::ops::Range<usize>, _: &mut [u8]| Ok::<(), Infallible>(());
    let outcome = Matrix::load(&scalar_pool(), BlockType::F32, usize::MAX / 64, 1 << 20, &read);
    assert!(matches!(outcome, Err(LoadError::Alloc(_))));
}

#[test]
fn a_weight_of_minus_128_is_exact_on_every_instruction_set() {
    // The worst case of the instruction that saturates: all weights at the least, all activations
    // at the most, with either sign.
    const DEPTH: usize = 64;
    let row: Vec<u8> = (0..DEPTH / 32)
        .flat_map(|_| half::f16::ONE.to_le_bytes().into_iter().chain([0x80; 32]))
        .collect();
    for sign in [1.0, -1.0] {
        for pool in every_pool() {
            let weights = load(&pool, BlockType::Q8_0, 1, DEPTH, &row);
            let mut input = Input::new(1, DEPTH);
            input.set(&pool, &[127.0 * sign; DEPTH], 1, DEPTH);
            let mut output = [0.0];
            matmul(&pool, &weights, &input, &mut output);
            let expected = -128.0 * 127.0 * sign * DEPTH as f32;
            assert_eq!(output, [expected], "on {}", pool.isa().name());
        }
    }
}

#[test]
fn codes_and_zeros_at_their_ends_are_exact_on_every_instruction_set() {
    const DEPTH: usize = 128;
    let block = |zero: i8, code: u8| -> Vec<u8> {
        let head = half::f16::ONE.to_le_bytes().into_iter().chain([zero.cast_unsigned()]);
        head.chain([code; DEPTH]).collect()
    };
    for (zero, code) in [(-128, 0), (-128, 255), (127, 0), (127, 255), (0, 0), (-128, 128)] {
        for sign in [1.0, -1.0] {
            for pool in every_pool() {
                let weights = load(&pool, BlockType::Int8By128, 1, DEPTH, &block(zero, code));
                let mut input = Input::new(1, DEPTH);
                input.set(&pool, &[127.0 * sign; DEPTH], 1, DEPTH);
                let mut output = [0.0];
                matmul(&pool, &weights, &input, &mut output);
                let weight = f32::from(code) - 128.0 - f32::from(zero);
                let expected = weight * 127.0 * sign * DEPTH as f32;
                assert_eq!(output, [expected], "{code} {zero} on {}", pool.isa().name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever bytes a file holds and whatever the activations are, scales that are infinite or
    /// not a number included: no crash, and every instruction set computes the same bits.
    #[test]
    fn hostile_weights_and_activations_give_the_same_bits_everywhere(
        kind_index in 0..BlockType::ALL.len(),
        rows in 1_usize..20,
        batch in 1_usize..6,
        seed in any::<u64>(),
    ) {
        let kind = BlockType::ALL[kind_index];
        let depth = 256;
        let mut random = Random(seed);
        let mut bytes: Vec<u8> = (0..rows * kind.row_bytes(depth).expect("fits"))
            .map(|_| if random.below(8) == 0 { 0xff } else { random.next() as u8 })
            .collect();
        for _ in 0..bytes.len() / 256 {
            let at = random.below(bytes.len() - 1);
            bytes[at..at + 2].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
        }
        let x: Vec<f32> = (0..batch * depth)
            .map(|_| match random.below(2000) {
                0 => f32::from_bits(random.next() as u32),
                1 => f32::NAN,
                2 => f32::INFINITY,
                3 => f32::NEG_INFINITY,
                _ => random.float(),
            })
            .collect();
        let product = |pool: &banter_kernels::Pool| {
            let weights = load(pool, kind, rows, depth, &bytes);
            let mut input = Input::new(batch, depth);
            input.set(pool, &x, batch, depth);
            let mut output = vec![0.0; batch * rows];
            matmul(pool, &weights, &input, &mut output);
            output
        };
        let expected = product(&scalar_pool());
        for pool in every_pool() {
            assert_same(&product(&pool), &expected, &format!("{} on {}", kind.name(), pool.isa().name()));
        }
    }

    /// A matrix of one weight 1 in each row picks activations: each comes back within half a step
    /// of its block's 8 bits.
    #[test]
    fn rounded_activations_are_within_half_a_step(
        values in prop::collection::vec(-1e6_f32..1e6, 32),
        shrink in 0..12_i32,
    ) {
        let values: Vec<f32> = values.iter().map(|value| value * 10_f32.powi(-shrink)).collect();
        let mut bytes = vec![0; 32 * 34];
        for (index, row) in bytes.chunks_exact_mut(34).enumerate() {
            let mut one = [0.0; 32];
            one[index] = 127.0;
            quantise(BlockType::Q8_0, &one, row);
        }
        let largest = values.iter().fold(0_f32, |most, value| most.max(value.abs()));
        for pool in every_pool() {
            let weights = load(&pool, BlockType::Q8_0, 32, 32, &bytes);
            let mut input = Input::new(1, 32);
            input.set_for(&pool, &values, 1, &[&weights]);
            let mut output = vec![0.0; 32];
            matmul(&pool, &weights, &input, &mut output);
            let picked: Vec<f32> = output.iter().map(|sum| sum / 127.0).collect();
            assert_close(&picked, &values, largest / 253.9, pool.isa().name());
        }
    }
}
