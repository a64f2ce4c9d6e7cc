//! Matrices that are converted to another type while they are loaded.

use std::num::NonZeroUsize;

use banter_engine::Isa;
use banter_engine::model_file::{LayerTensor, ModelConfig, ModelFile, Quant, TensorName};
use banter_kernels::Pool;
use banter_kernels::blocks::{BlockType, dequantise, quantise};

use super::made_models::{make, small_shape, spec};
use super::open_path;

/// The type and the bytes of all rows of a matrix, as the engine reads them.
fn rows(file: &ModelFile, name: TensorName) -> (BlockType, Vec<u8>) {
    let info = file.tensor(name).expect("a tensor");
    let pool = Pool::new(Isa::scalar(), NonZeroUsize::MIN);
    let mut bytes = vec![0; info.rows * info.row_bytes()];
    let rows = file.rows(info, &pool).expect("rows");
    let middle = info.rows / 2 * info.row_bytes();
    rows.read(0..info.rows / 2, &mut bytes[..middle]).expect("the first rows");
    rows.read(info.rows / 2..info.rows, &mut bytes[middle..]).expect("the last rows");
    (info.kind, bytes)
}

/// The bytes of all rows of a matrix, converted from its stored type to `to` by this test.
fn converted(file: &ModelFile, name: TensorName, to: BlockType) -> Vec<u8> {
    let (stored, bytes) = rows(file, name);
    if stored == to {
        return bytes;
    }
    let info = file.tensor(name).expect("a tensor");
    let mut values = vec![0.0; info.rows * info.depth];
    dequantise(stored, &bytes, &mut values);
    let mut bytes = vec![0; to.row_bytes(info.depth).expect("whole blocks") * info.rows];
    quantise(to, &values, &mut bytes);
    bytes
}

#[test]
fn matrices_are_read_in_the_type_they_are_given() {
    use BlockType::{Bf16Dot, F32, Q4_0, Q4K, Q6K, Q8_0};
    struct Case {
        weights: &'static str,
        quant: Option<Quant>,
        types: &'static str,
        layers: BlockType,
        head: BlockType,
    }
    let case = |weights, quant, types, layers, head| Case { weights, quant, types, layers, head };
    let cases = [
        case("f16", Some(Quant::Q8_0), "Q8_0", Q8_0, Q8_0),
        case("bf16", Some(Quant::Q4_0), "Q4_0 + Q6_K", Q4_0, Q6K),
        case("f32", Some(Quant::Q4_0), "Q4_0 + Q6_K", Q4_0, Q6K),
        case("q4_k", Some(Quant::Q8_0), "Q4_K + Q6_K", Q4K, Q6K),
        case("f16", Some(Quant::Bf16Dot), "BF16_DOT", Bf16Dot, Bf16Dot),
        case("bf16", Some(Quant::Bf16Dot), "BF16_DOT", Bf16Dot, Bf16Dot),
        case("q4_k", Some(Quant::Bf16Dot), "Q4_K + Q6_K", Q4K, Q6K),
        case("q4_k", Some(Quant::F32), "F32", F32, F32),
        case("q4_k", None, "Q4_K + Q6_K", Q4K, Q6K),
    ];
    for case in cases {
        let spec = spec(small_shape(), case.weights);
        let (model, stored) = make(&spec);
        let file = open_path(&model.path).expect("a model").with_quant(case.quant);
        let label = format!("{} as {:?}", case.weights, case.quant);
        assert_eq!(file.description().weight_types, case.types, "{label}");
        assert_eq!(file.description().parameters, stored.description().parameters, "{label}");
        for (name, kind) in [
            (TensorName::Layer(1, LayerTensor::Down), case.layers),
            (TensorName::Layer(2, LayerTensor::K), case.layers),
            (TensorName::Head, case.head),
        ] {
            let (found, bytes) = rows(&file, name);
            assert_eq!(found, kind, "{label}: {name:?}");
            assert!(bytes == converted(&stored, name, kind), "{label}: rows of {name:?}");
        }
        let norm = file.tensor(TensorName::OutputNorm).expect("a norm").kind;
        assert_eq!(norm, F32, "{label}: vectors stay as they are");
    }
}

#[test]
fn a_matrix_whose_rows_do_not_fit_stays_float() {
    // 80 is not a multiple of 32; 512 is a multiple of both block lengths.
    let shape = ModelConfig { hidden: 80, heads: 5, kv_heads: 1, head_dim: 16, ..small_shape() };
    let (model, _) = make(&spec(shape, "f16"));
    let file = open_path(&model.path).expect("a model").with_quant(Some(Quant::Q4_0));
    let kind = |tensor| file.tensor(TensorName::Layer(0, tensor)).expect("a tensor").kind;
    assert_eq!([kind(LayerTensor::Gate), kind(LayerTensor::O)], [BlockType::F16; 2]);
    assert_eq!(kind(LayerTensor::Down), BlockType::Q4_0);
    assert_eq!(file.tensor(TensorName::Head).expect("a head").kind, BlockType::F16);
}
