//! Random weights, generated as stored blocks.
//!
//! All bits of a block are random except its 16-bit scales. The scales are set so that values have
//! the spread of a trained model's, 1 / √depth: then a product with the matrix neither grows nor
//! shrinks its input. Quantising random floats instead would give the same kind of file, but take a
//! hundred times longer.

use std::io;

use banter_kernels::blocks::{BlockType, dequantise, quantise};
use half::{bf16, f16};

use super::ModelSpec;
use super::gguf_writer::TensorEntry;
use crate::model_file::{LayerTensor, ModelConfig, TensorName};

/// Bytes that are generated before they are written.
const PIECE_BYTES: usize = 1 << 20;
const NORM_SPREAD: f32 = 0.1;
const BIAS_SPREAD: f32 = 0.1;
/// Euclidean norms of the k biases of the first and the last layer, where Qwen2.5-7B has 605 and
/// 921.
const FIRST_K_BIAS_NORM: f32 = 650.0;
const LAST_K_BIAS_NORM: f32 = 900.0;
/// One of this many residual channels is an outlier.
const OUTLIER_STRIDE: usize = 256;
const OUTLIER_FACTOR: f32 = 1000.0;

/// The weights of one model.
pub(super) struct Weights<'a> {
    spec: &'a ModelSpec,
    random: Random,
}

impl Weights<'_> {
    /// The weights that `spec` and its seed define.
    pub fn new(spec: &ModelSpec) -> Weights<'_> {
        Weights { spec, random: Random { state: spec.seed } }
    }

    /// Generates one tensor and hands it to `write` in pieces.
    pub fn generate(
        &mut self,
        name: TensorName,
        entry: &TensorEntry,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if name.is_vector() {
            let values = self.vector(name, entry.depth);
            let mut bytes = vec![0; entry.row_bytes()];
            quantise(entry.kind, &values, &mut bytes);
            return write(&bytes);
        }
        let spread = 1.0 / (entry.depth as f32).sqrt();
        let filler = BlockFiller::new(entry.kind, &mut self.random);
        let row_bytes = entry.row_bytes();
        let mut piece = vec![0; row_bytes];
        let mut pending = Vec::with_capacity(PIECE_BYTES + row_bytes);
        for row in 0..entry.rows.unwrap_or(1) {
            let spread = if self.is_outlier(name, row) { spread * OUTLIER_FACTOR } else { spread };
            filler.fill(spread, &mut self.random, &mut piece);
            pending.extend_from_slice(&piece);
            if pending.len() >= PIECE_BYTES {
                write(&pending)?;
                pending.clear();
            }
        }
        if pending.is_empty() { Ok(()) } else { write(&pending) }
    }

    /// The values of a bias or a norm.
    fn vector(&mut self, name: TensorName, len: usize) -> Vec<f32> {
        let is_bias = matches!(
            name,
            TensorName::Layer(_, LayerTensor::QBias | LayerTensor::KBias | LayerTensor::VBias)
        );
        let (centre, spread) = if is_bias { (0.0, BIAS_SPREAD) } else { (1.0, NORM_SPREAD) };
        let mut values: Vec<f32> =
            (0..len).map(|_| centre + spread * self.random.uniform()).collect();
        if let Some(norm) = self.k_bias_norm(name) {
            let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
            values.iter_mut().for_each(|value| *value *= norm / length);
        }
        values
    }

    fn k_bias_norm(&self, name: TensorName) -> Option<f32> {
        let ModelConfig { layers, .. } = self.spec.shape;
        match name {
            TensorName::Layer(layer, LayerTensor::KBias) if self.spec.outliers => match layer {
                0 => Some(FIRST_K_BIAS_NORM),
                _ if layer + 1 == layers => Some(LAST_K_BIAS_NORM),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a row writes a residual channel that is much larger than the others. As in trained
    /// models, the first feed-forward layer makes these channels, and they stay large.
    fn is_outlier(&self, name: TensorName, row: usize) -> bool {
        self.spec.outliers
            && name == TensorName::Layer(0, LayerTensor::Down)
            && row % OUTLIER_STRIDE == OUTLIER_STRIDE / 2
    }
}

/// Fills rows with random blocks of one type.
struct BlockFiller {
    kind: BlockType,
    /// Spread of the values of random blocks with scale 1.
    unit_spread: f32,
}

impl BlockFiller {
    fn new(kind: BlockType, random: &mut Random) -> BlockFiller {
        const SAMPLE_BLOCKS: usize = 1024;
        let mut filler = BlockFiller { kind, unit_spread: 1.0 };
        let mut bytes = vec![0; SAMPLE_BLOCKS * kind.block_bytes()];
        filler.fill(1.0, random, &mut bytes);
        let mut values = vec![0.0; SAMPLE_BLOCKS * kind.block_len()];
        dequantise(kind, &bytes, &mut values);
        let squares: f32 = values.iter().map(|value| value * value).sum();
        filler.unit_spread = (squares / values.len() as f32).sqrt();
        filler
    }

    fn fill(&self, spread: f32, random: &mut Random, bytes: &mut [u8]) {
        let scale = spread / self.unit_spread;
        match self.kind {
            BlockType::F32 => fill_floats(bytes, |out: &mut [u8; 4]| {
                *out = (scale * random.uniform()).to_le_bytes();
            }),
            BlockType::F16 => fill_floats(bytes, |out: &mut [u8; 2]| {
                *out = f16::from_f32(scale * random.uniform()).to_le_bytes();
            }),
            BlockType::Bf16 => fill_floats(bytes, |out: &mut [u8; 2]| {
                *out = bf16::from_f32(scale * random.uniform()).to_le_bytes();
            }),
            _ => {
                random.fill(bytes);
                for block in bytes.chunks_exact_mut(self.kind.block_bytes()) {
                    // Scales differ between blocks, as in real models.
                    self.set_scales(block, scale * (1.0 + 0.4 * random.uniform()));
                }
            }
        }
    }

    /// Overwrites the 16-bit scales of a block of random bits. The minimums are chosen so that the
    /// average value is about zero.
    fn set_scales(&self, block: &mut [u8], scale: f32) {
        let mut set = |at: usize, value: f32| {
            block[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
        };
        match self.kind {
            BlockType::Q8_0 | BlockType::Q4_0 | BlockType::Q5_0 => set(0, scale),
            BlockType::Q4_1 => {
                set(0, scale);
                set(2, -7.5 * scale);
            }
            BlockType::Q5_1 => {
                set(0, scale);
                set(2, -15.5 * scale);
            }
            BlockType::Q2K => {
                set(80, scale);
                set(82, 1.5 * scale);
            }
            BlockType::Q3K => set(108, scale),
            BlockType::Q4K => {
                set(0, scale);
                set(2, 7.5 * scale);
            }
            BlockType::Q5K => {
                set(0, scale);
                set(2, 15.5 * scale);
            }
            BlockType::Q6K => set(208, scale),
            BlockType::F32 | BlockType::F16 | BlockType::Bf16 => {
                unreachable!("floats have no scales")
            }
            BlockType::Int4By32
            | BlockType::Int4By64
            | BlockType::Int4By128
            | BlockType::Int8By32
            | BlockType::Int8By64
            | BlockType::Int8By128
            | BlockType::Bf16Dot => unreachable!("types of no GGUF file are not chosen"),
        }
    }
}

fn fill_floats<const N: usize>(bytes: &mut [u8], mut float: impl FnMut(&mut [u8; N])) {
    for value in bytes.as_chunks_mut().0 {
        float(value);
    }
}

/// A fast generator whose bits are random enough for weights (SplitMix64).
struct Random {
    state: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = self.next().to_le_bytes();
        }
        let last = self.next().to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }

    /// A number from −√3 to √3: average 0, spread 1.
    fn uniform(&mut self) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1 << 24) as f32;
        (2.0 * unit - 1.0) * 3.0_f32.sqrt()
    }
}
