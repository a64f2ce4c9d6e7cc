//! Which tensor gets which type: the rules of llama.cpp's quantiser, so that what is made or
//! quantised here is what people download.
//!
//! Source: `llama-quant.cpp` of llama.cpp, November 2026, for dense models of fewer than 80 layers
//! and without an importance matrix.

use banter_kernels::blocks::BlockType;

use super::gguf::known_types;
use super::{LayerTensor, ModelConfig, TensorName};

/// How the weights of a model are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightMix {
    /// Every layer in one type; head and embedding follow the quantiser.
    Type(BlockType),
    /// Q4_K, with Q6_K where errors cost most.
    Q4KM,
    /// Q5_K, with Q6_K where errors cost most.
    Q5KM,
}

impl WeightMix {
    /// The mix called `name` on command lines: `q4_0`, `f16`, `q4_k_m`, in any case.
    pub fn named(name: &str) -> Option<WeightMix> {
        match name.to_ascii_lowercase().as_str() {
            "q4_k_m" => Some(WeightMix::Q4KM),
            "q5_k_m" => Some(WeightMix::Q5KM),
            _ => known_types()
                .find(|kind| kind.name().eq_ignore_ascii_case(name))
                .map(WeightMix::Type),
        }
    }

    /// Every name [`WeightMix::named`] knows.
    pub fn names() -> Vec<String> {
        let types = known_types().map(|kind| kind.name().to_ascii_lowercase());
        types.chain(["q4_k_m".to_string(), "q5_k_m".to_string()]).collect()
    }

    /// The type of most tensors.
    pub(crate) fn base(self) -> BlockType {
        match self {
            WeightMix::Type(kind) => kind,
            WeightMix::Q4KM => BlockType::Q4K,
            WeightMix::Q5KM => BlockType::Q5K,
        }
    }
}

/// The type of one tensor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub kind: BlockType,
    /// The type its rows are too short for.
    pub instead_of: Option<BlockType>,
}

/// Chooses the type of a tensor; none where its rows are not whole blocks of the type that it
/// should have, and no other takes its place.
pub(crate) fn choose(name: TensorName, config: &ModelConfig, mix: WeightMix) -> Option<Choice> {
    if name.is_vector() {
        return Some(Choice { kind: BlockType::F32, instead_of: None });
    }
    let base = mix.base();
    if !base.is_quantised() {
        return Some(Choice { kind: base, instead_of: None });
    }
    let depth = name.shape(config).depth;
    let wanted = match name {
        TensorName::Head => head_type(base, depth),
        TensorName::Embedding if config.tied_embeddings => head_type(base, depth),
        TensorName::Layer(layer, LayerTensor::V | LayerTensor::Down)
            if mix != WeightMix::Type(base) && uses_more_bits(layer, config.layers) =>
        {
            BlockType::Q6K
        }
        _ => base,
    };
    if depth.is_multiple_of(wanted.block_len()) {
        return Some(Choice { kind: wanted, instead_of: None });
    }
    Some(Choice { kind: fallback(wanted, depth)?, instead_of: Some(wanted) })
}

fn head_type(base: BlockType, depth: usize) -> BlockType {
    if base == BlockType::Q8_0 || !depth.is_multiple_of(base.block_len()) {
        BlockType::Q8_0
    } else {
        BlockType::Q6K
    }
}

/// The first and last eighth of the layers, and every third between them.
fn uses_more_bits(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// The type of shorter blocks that stands in for one of 256 values.
fn fallback(wanted: BlockType, depth: usize) -> Option<BlockType> {
    let shorter = match wanted {
        BlockType::Q2K | BlockType::Q3K => BlockType::Q4_0,
        BlockType::Q4K => BlockType::Q5_0,
        BlockType::Q5K => BlockType::Q5_1,
        BlockType::Q6K => BlockType::Q8_0,
        _ => return None,
    };
    Some(if depth.is_multiple_of(shorter.block_len()) { shorter } else { BlockType::F16 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::make_model::named_shape;

    fn type_of(shape: &str, mix: WeightMix, name: TensorName) -> Choice {
        choose(name, &named_shape(shape).expect("a known shape"), mix).expect("a type")
    }

    #[test]
    fn published_mixes_choose_as_the_quantiser_does() {
        struct Case {
            shape: &'static str,
            mix: WeightMix,
            name: TensorName,
            kind: BlockType,
            instead_of: Option<BlockType>,
        }
        let layer = TensorName::Layer;
        let case = |shape, mix, name, kind, instead_of| Case { shape, mix, name, kind, instead_of };
        use BlockType::*;
        use LayerTensor::{Down, Gate, Q, V};
        let q4_0 = WeightMix::Type(Q4_0);
        let cases = [
            case("qwen2.5-1.5b", q4_0, TensorName::Embedding, Q6K, None),
            case("qwen2.5-1.5b", q4_0, layer(0, Down), Q4_0, None),
            case("qwen2.5-7b", q4_0, TensorName::Embedding, Q4_0, None),
            case("qwen2.5-7b", q4_0, TensorName::Head, Q6K, None),
            case("qwen2.5-7b", WeightMix::Type(Q8_0), TensorName::Head, Q8_0, None),
            case("qwen2.5-7b", WeightMix::Q4KM, TensorName::Embedding, Q4K, None),
            case("qwen2.5-7b", WeightMix::Q4KM, layer(0, V), Q6K, None),
            case("qwen2.5-7b", WeightMix::Q4KM, layer(3, V), Q4K, None),
            case("qwen2.5-7b", WeightMix::Q4KM, layer(5, Down), Q6K, None),
            case("qwen2.5-7b", WeightMix::Q4KM, layer(27, Down), Q6K, None),
            case("qwen2.5-7b", WeightMix::Q4KM, layer(27, Gate), Q4K, None),
            case("qwen2.5-7b", WeightMix::Q5KM, layer(3, Q), Q5K, None),
            case("qwen2.5-0.5b", q4_0, TensorName::Embedding, Q8_0, Some(Q6K)),
            case("qwen2.5-0.5b", WeightMix::Q4KM, TensorName::Embedding, Q8_0, None),
            case("qwen2.5-0.5b", WeightMix::Q4KM, layer(0, Q), Q5_0, Some(Q4K)),
            case("qwen2.5-0.5b", WeightMix::Q5KM, layer(0, Q), Q5_1, Some(Q5K)),
            case("qwen2.5-0.5b", WeightMix::Q4KM, layer(0, V), Q8_0, Some(Q6K)),
            case("qwen2.5-0.5b", WeightMix::Q4KM, layer(0, Down), Q6K, None),
            case("qwen2.5-0.5b", WeightMix::Type(Q2K), layer(0, Gate), Q4_0, Some(Q2K)),
            case("qwen2.5-0.5b", WeightMix::Type(F16), TensorName::Embedding, F16, None),
            case("qwen2.5-0.5b", q4_0, TensorName::OutputNorm, F32, None),
        ];
        for Case { shape, mix, name, kind, instead_of } in cases {
            let expected = Choice { kind, instead_of };
            assert_eq!(type_of(shape, mix, name), expected, "{shape} {mix:?} {name:?}");
        }
    }

    #[test]
    fn half_of_the_layers_use_more_bits() {
        let layers: Vec<usize> = (0..28).filter(|&layer| uses_more_bits(layer, 28)).collect();
        assert_eq!(layers, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27]);
    }

    #[test]
    fn every_name_names_a_mix() {
        for name in WeightMix::names() {
            assert!(WeightMix::named(&name).is_some(), "{name}");
            assert!(WeightMix::named(&name.to_ascii_uppercase()).is_some(), "{name}");
        }
        assert_eq!(WeightMix::named("q4_k_s"), None);
        assert_eq!(WeightMix::named("int4_128"), None);
    }
}
