use super::*;

/// A deterministic spread of values of both signs.
fn spread(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 40) as f32 / (1 << 23) as f32) - 1.0
        })
        .collect()
}

fn round_trip(kind: BlockType, values: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0xa5; kind.row_bytes(values.len()).expect("whole blocks")];
    quantise(kind, values, &mut bytes);
    let mut back = vec![f32::NAN; values.len()];
    dequantise(kind, &bytes, &mut back);
    back
}

#[test]
fn a_value_comes_back_within_the_step_of_its_type() {
    struct Case {
        kind: BlockType,
        /// Of values in −1 to 1: half a step, and what rounding the scales adds.
        tolerance: f32,
    }
    let cases = [
        Case { kind: BlockType::F32, tolerance: 0.0 },
        Case { kind: BlockType::F16, tolerance: 2.5e-4 },
        Case { kind: BlockType::Bf16, tolerance: 2.0e-3 },
        Case { kind: BlockType::Q8_0, tolerance: 4.5e-3 },
        Case { kind: BlockType::Q4_0, tolerance: 0.126 },
        Case { kind: BlockType::Q4_1, tolerance: 0.068 },
        Case { kind: BlockType::Q5_0, tolerance: 0.063 },
        Case { kind: BlockType::Q5_1, tolerance: 0.034 },
        Case { kind: BlockType::Q2K, tolerance: 0.42 },
        Case { kind: BlockType::Q3K, tolerance: 0.27 },
        Case { kind: BlockType::Q4K, tolerance: 0.09 },
        Case { kind: BlockType::Q5K, tolerance: 0.06 },
        Case { kind: BlockType::Q6K, tolerance: 0.035 },
        Case { kind: BlockType::Int4By32, tolerance: 0.068 },
        Case { kind: BlockType::Int4By64, tolerance: 0.068 },
        Case { kind: BlockType::Int4By128, tolerance: 0.068 },
        Case { kind: BlockType::Int8By32, tolerance: 4.5e-3 },
        Case { kind: BlockType::Int8By64, tolerance: 4.5e-3 },
        Case { kind: BlockType::Int8By128, tolerance: 4.5e-3 },
        Case { kind: BlockType::Bf16Dot, tolerance: 2.0e-3 },
    ];
    let values = spread(4096);
    for Case { kind, tolerance } in cases {
        let back = round_trip(kind, &values);
        let worst = values.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{kind}: off by {worst}, allowed {tolerance}");
    }
}

#[test]
fn zeros_stay_zeros() {
    for kind in BlockType::ALL {
        let back = round_trip(kind, &[0.0; 512]);
        assert!(back.iter().all(|&value| value == 0.0), "{kind}: {back:?}");
    }
}

#[test]
fn a_row_that_is_not_whole_blocks_has_no_size() {
    for kind in BlockType::ALL {
        assert_eq!(kind.row_bytes(kind.block_len() * 3), Some(kind.block_bytes() * 3), "{kind}");
        if kind.block_len() > 1 {
            assert_eq!(kind.row_bytes(kind.block_len() + 1), None, "{kind}");
        }
        assert_eq!(kind.row_bytes(0), Some(0), "{kind}");
        let enormous = usize::MAX / 256 * 256;
        if kind == BlockType::F32 {
            assert_eq!(kind.row_bytes(enormous), None, "{kind}");
        }
    }
}

#[test]
#[should_panic(expected = "35 bytes of Q8_0 do not hold 32 values")]
fn bytes_of_another_length_are_a_bug() {
    dequantise(BlockType::Q8_0, &[0; 35], &mut [0.0; 32]);
}

/// Blocks and values of another implementation, made by `tools/golden/blocks/make.py`.
struct Golden {
    kind: BlockType,
    file: &'static [u8],
}

const GOLDEN: [Golden; 12] = [
    Golden { kind: BlockType::F16, file: include_bytes!("golden/f16.bin") },
    Golden { kind: BlockType::Bf16, file: include_bytes!("golden/bf16.bin") },
    Golden { kind: BlockType::Q8_0, file: include_bytes!("golden/q8_0.bin") },
    Golden { kind: BlockType::Q4_0, file: include_bytes!("golden/q4_0.bin") },
    Golden { kind: BlockType::Q4_1, file: include_bytes!("golden/q4_1.bin") },
    Golden { kind: BlockType::Q5_0, file: include_bytes!("golden/q5_0.bin") },
    Golden { kind: BlockType::Q5_1, file: include_bytes!("golden/q5_1.bin") },
    Golden { kind: BlockType::Q2K, file: include_bytes!("golden/q2_k.bin") },
    Golden { kind: BlockType::Q3K, file: include_bytes!("golden/q3_k.bin") },
    Golden { kind: BlockType::Q4K, file: include_bytes!("golden/q4_k.bin") },
    Golden { kind: BlockType::Q5K, file: include_bytes!("golden/q5_k.bin") },
    Golden { kind: BlockType::Q6K, file: include_bytes!("golden/q6_k.bin") },
];

/// Cuts `bytes` bytes off the front of `file`.
fn cut<'a>(file: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (front, rest) = file.split_at(bytes);
    *file = rest;
    front
}

fn cut_count(file: &mut &[u8]) -> usize {
    u32::from_le_bytes(cut(file, 4).try_into().expect("4 bytes")) as usize
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.as_chunks().0;
    chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn blocks_decode_to_the_bits_the_gguf_package_decodes_them_to() {
    for Golden { kind, file } in GOLDEN {
        let mut rest = file;
        let count = cut_count(&mut rest);
        assert!(count * kind.block_len() >= 512, "{kind}: only {count} blocks");
        let blocks = cut(&mut rest, count * kind.block_bytes());
        let expected = floats(cut(&mut rest, count * kind.block_len() * 4));
        let mut found = vec![f32::NAN; expected.len()];
        dequantise(kind, blocks, &mut found);
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let equal = found.to_bits() == expected.to_bits();
            assert!(equal, "{kind} value {index}: expected {expected:e}, found {found:e}");
        }
    }
}

#[test]
fn values_encode_to_the_blocks_the_gguf_package_makes_of_them() {
    let mut compared = Vec::new();
    for Golden { kind, file } in GOLDEN {
        let mut rest = file;
        let count = cut_count(&mut rest);
        cut(&mut rest, count * (kind.block_bytes() + kind.block_len() * 4));
        let count = cut_count(&mut rest);
        if count == 0 {
            continue; // The package cannot encode this type.
        }
        let values = floats(cut(&mut rest, count * kind.block_len() * 4));
        let expected = cut(&mut rest, count * kind.block_bytes());
        let mut found = vec![0xa5; expected.len()];
        quantise(kind, &values, &mut found);
        for (index, (found, expected)) in found
            .chunks_exact(kind.block_bytes())
            .zip(expected.chunks_exact(kind.block_bytes()))
            .enumerate()
        {
            assert_eq!(found, expected, "{kind} block {index}");
        }
        compared.push(kind);
    }
    assert_eq!(compared.len(), 7, "{compared:?}");
}
