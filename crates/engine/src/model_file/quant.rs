//! Types that matrices are given as they are loaded.

use banter_kernels::blocks::BlockType;

use super::type_choice::{WeightMix, choose};
use super::{ModelConfig, ModelFile, TensorName};

/// What to hold matrices in, instead of what they are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quant {
    /// Float matrices become Q8_0.
    Q8_0,
    /// Float matrices become Q4_0, and where logits are made of them, Q6_K.
    Q4_0,
    /// Float matrices become BF16, and are multiplied by activations that are rounded to BF16 too.
    Bf16Dot,
    /// Every matrix becomes F32: what the accuracy of a type is measured against.
    F32,
}

impl Quant {
    /// Every one there is.
    pub const ALL: [Quant; 4] = [Quant::Q8_0, Quant::Q4_0, Quant::Bf16Dot, Quant::F32];

    /// The name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Quant::Q8_0 => "q8_0",
            Quant::Q4_0 => "q4_0",
            Quant::Bf16Dot => "bf16-dot",
            Quant::F32 => "f32",
        }
    }

    /// The one called `name`.
    pub fn named(name: &str) -> Option<Quant> {
        Quant::ALL.into_iter().find(|quant| quant.name() == name)
    }

    /// The type a matrix is given; the one it is stored in where it stays as it is.
    fn kind(self, name: TensorName, stored: BlockType, config: &ModelConfig) -> BlockType {
        let base = match self {
            Quant::F32 => return BlockType::F32,
            _ if stored.is_quantised() => return stored,
            Quant::Bf16Dot => return Quant::pairs(name, stored, config),
            Quant::Q8_0 => BlockType::Q8_0,
            Quant::Q4_0 => BlockType::Q4_0,
        };
        let choice = choose(name, config, WeightMix::Type(base));
        choice.map(|choice| choice.kind).filter(|kind| kind.is_quantised()).unwrap_or(stored)
    }

    /// Pairs, unless one number of a row is left over.
    fn pairs(name: TensorName, stored: BlockType, config: &ModelConfig) -> BlockType {
        let pairs = BlockType::Bf16Dot;
        let fits = name.shape(config).depth.is_multiple_of(pairs.block_len());
        if fits { pairs } else { stored }
    }
}

impl ModelFile {
    /// Gives matrices other types. What is quantised already stays so, unless floats are asked for;
    /// what does not fit into blocks stays float. With none, all stay as they are stored.
    pub fn with_quant(mut self, quant: Option<Quant>) -> ModelFile {
        let Some(quant) = quant else { return self };
        for (&name, info) in &mut self.tensors {
            if !name.is_vector() {
                info.kind = quant.kind(name, info.stored, &self.config);
            }
        }
        self.description.count_weights(&self.tensors);
        self
    }
}
