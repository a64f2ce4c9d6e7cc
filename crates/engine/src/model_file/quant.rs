//! Other types for matrices, chosen when a model is loaded.

use banter_kernels::blocks::BlockType;

use super::type_choice::{WeightMix, choose};
use super::{ModelConfig, ModelFile, TensorName};

/// The type in which matrices are held in memory, in place of the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quant {
    /// Float matrices become Q8_0.
    Q8_0,
    /// Float matrices become Q4_0; the one that makes the logits becomes Q6_K.
    Q4_0,
    /// Float matrices become BF16, and activations are rounded to BF16 before the product.
    Bf16Dot,
    /// Every matrix becomes F32. The accuracy of other types is measured against this.
    F32,
}

impl Quant {
    /// Every variant.
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

    /// The variant with this name.
    pub fn named(name: &str) -> Option<Quant> {
        Quant::ALL.into_iter().find(|quant| quant.name() == name)
    }

    /// The type of a matrix in memory: its stored type if this variant leaves it as it is.
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

    /// BF16 in pairs, or the stored type if rows have an odd number of values.
    fn pairs(name: TensorName, stored: BlockType, config: &ModelConfig) -> BlockType {
        let pairs = BlockType::Bf16Dot;
        let fits = name.shape(config).depth.is_multiple_of(pairs.block_len());
        if fits { pairs } else { stored }
    }
}

impl ModelFile {
    /// Gives matrices other types. A quantised matrix stays as it is, unless `quant` asks for
    /// floats. A float matrix whose rows are not whole blocks stays float. With `None`, all
    /// matrices stay as they are stored.
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
