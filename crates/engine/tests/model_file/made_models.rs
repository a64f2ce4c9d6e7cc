//! Models of random weights open like published ones.

use std::fs;

use banter_engine::make_model::{MakeModelError, ModelSpec, WeightMix, make_model, named_shape};
use banter_engine::model_file::{LayerTensor, ModelConfig, ModelFile, TensorName};
use banter_kernels::blocks::{BlockType, dequantise};

use super::{TempModel, open_path};

pub(super) fn small_shape() -> ModelConfig {
    ModelConfig {
        layers: 3,
        hidden: 256,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        feed_forward: 512,
        vocabulary_rows: 400,
        trained_context: 1024,
        rope_base: 1e6,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: false,
    }
}

pub(super) fn spec(shape: ModelConfig, weights: &str) -> ModelSpec {
    let weights = WeightMix::named(weights).expect("a known mix");
    ModelSpec {
        name: "Made".to_string(),
        shape,
        weights,
        outliers: false,
        vocabulary: None,
        seed: 7,
    }
}

pub(super) fn make(spec: &ModelSpec) -> (TempModel, ModelFile) {
    let model = TempModel::new(&[]);
    make_model(spec, &model.path, &mut |_| {}).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let file = open_path(&model.path).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    (model, file)
}

fn values(file: &ModelFile, name: TensorName) -> Vec<f32> {
    let info = file.tensor(name).expect("a tensor");
    let mut bytes = vec![0; info.rows * info.row_bytes()];
    file.read_rows(info, 0..info.rows, &mut bytes).expect("rows");
    let mut values = vec![f32::NAN; info.rows * info.depth];
    dequantise(info.kind, &bytes, &mut values);
    values
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[test]
fn a_model_of_every_type_opens_with_weights_of_the_right_spread() {
    for weights in WeightMix::names() {
        let spec = spec(small_shape(), &weights);
        let (_model, file) = make(&spec);
        assert_eq!(file.config(), &spec.shape, "{weights}");
        for name in [
            TensorName::Embedding,
            TensorName::Head,
            TensorName::Layer(0, LayerTensor::Q),
            TensorName::Layer(1, LayerTensor::V),
            TensorName::Layer(2, LayerTensor::Down),
        ] {
            let info = file.tensor(name).expect("a tensor");
            let values = values(&file, name);
            let spread = norm(&values) / (values.len() as f32).sqrt();
            let relative = spread * (info.depth as f32).sqrt();
            assert!((0.85..1.18).contains(&relative), "{weights} {name:?}: {relative} of 1/√depth");
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            assert!(mean.abs() < 0.2 * spread, "{weights} {name:?}: mean {mean}, spread {spread}");
        }
        let norms = values(&file, TensorName::OutputNorm);
        assert!(norms.iter().all(|value| (0.5..1.5).contains(value)), "{weights}");
    }
}

#[test]
fn the_table_accounts_for_every_byte() {
    let spec = spec(small_shape(), "q4_k_m");
    let model = TempModel::new(&[]);
    let mut heard = Vec::new();
    let table = make_model(&spec, &model.path, &mut |done| heard.push(done)).expect("a model");
    let file = open_path(&model.path).expect("a model");
    let bytes: u64 = table.iter().map(|row| row.bytes).sum();
    assert_eq!(bytes, file.description().weight_bytes);
    assert_eq!(table.iter().map(|row| row.count).sum::<usize>(), 3 * 12 + 3);
    assert_eq!(table[0].tensors, "token_embd.weight");
    assert!(heard.is_sorted() && heard.last() == Some(&1.0), "{heard:?}");
    let left: Vec<_> = fs::read_dir(model.folder()).expect("the folder").collect();
    assert_eq!(left.len(), 1, "nothing but the model: {left:?}");
}

#[test]
fn the_same_seed_makes_the_same_file_and_another_another() {
    let bytes = |seed: u64| {
        let (model, _) = make(&ModelSpec { seed, ..spec(small_shape(), "q5_k") });
        fs::read(&model.path).expect("the file")
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn outliers_are_those_of_real_models() {
    let plain = spec(small_shape(), "q8_0");
    let (_plain_model, plain_file) = make(&plain);
    let (_model, file) = make(&ModelSpec { outliers: true, ..plain });
    let k_bias =
        |file: &ModelFile, layer| norm(&values(file, TensorName::Layer(layer, LayerTensor::KBias)));
    assert!((649.0..651.0).contains(&k_bias(&file, 0)), "{}", k_bias(&file, 0));
    assert!(k_bias(&file, 1) < 5.0, "{}", k_bias(&file, 1));
    assert!((899.0..901.0).contains(&k_bias(&file, 2)), "{}", k_bias(&file, 2));
    assert!(k_bias(&plain_file, 0) < 5.0);
    let down = values(&file, TensorName::Layer(0, LayerTensor::Down));
    let rows: Vec<f32> = down.chunks_exact(512).map(norm).collect();
    let outliers = rows.iter().filter(|&&row| row > 100.0).count();
    assert_eq!(outliers, 1, "one residual channel of 256");
}

#[test]
fn a_shape_whose_rows_are_no_blocks_falls_back_or_is_refused() {
    // 96 values are three blocks of 32, but not a whole block of 256.
    let short = ModelConfig { hidden: 96, head_dim: 24, feed_forward: 160, ..small_shape() };
    for weights in ["q2_k", "q3_k", "q4_k_m", "q5_k_m", "q6_k"] {
        make(&spec(short.clone(), weights));
    }
    let odd = ModelConfig { hidden: 40, head_dim: 10, feed_forward: 50, ..small_shape() };
    make(&spec(odd.clone(), "f16"));
    // Rows of 50 values are not whole blocks of any type.
    let (_model, file) = make(&spec(ModelConfig { feed_forward: 50, ..short }, "q4_k"));
    let down = file.tensor(TensorName::Layer(0, LayerTensor::Down)).expect("a tensor");
    assert_eq!(down.kind, BlockType::F16);
    let model = TempModel::new(&[]);
    let error = make_model(&spec(odd, "q4_0"), &model.path, &mut |_| {}).expect_err("no fallback");
    let expected =
        "tensor token_embd.weight: expected rows of whole blocks of Q4_0, found 40 values";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let error = make_model(&spec(small_shape(), "q8_0"), "/nowhere/x.gguf".as_ref(), &mut |_| {})
        .expect_err("no such folder");
    assert!(error.to_string().starts_with("/nowhere/x.gguf: cannot write: "), "{error}");
}

#[test]
fn shapes_have_the_parameters_of_the_published_models() {
    // Published sizes, in parameters.
    let published = [
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-1.5b", 1_543_714_304),
        ("qwen2.5-3b", 3_085_938_688),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen2.5-14b", 14_770_033_664),
    ];
    for (name, expected) in published {
        let shape: ModelConfig = named_shape(name).expect("a known shape");
        let q_width = (shape.heads * shape.head_dim) as u64;
        let kv_width = (shape.kv_heads * shape.head_dim) as u64;
        let (hidden, feed_forward) = (shape.hidden as u64, shape.feed_forward as u64);
        let layer = 2 * hidden
            + (hidden + 1) * (q_width + 2 * kv_width)
            + q_width * hidden
            + 3 * hidden * feed_forward;
        let embeddings = if shape.tied_embeddings { 1 } else { 2 };
        let rows = shape.vocabulary_rows as u64;
        let found = shape.layers as u64 * layer + embeddings * rows * hidden + hidden;
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_type_that_no_file_holds_is_refused() {
    let spec =
        ModelSpec { weights: WeightMix::Type(BlockType::Int4By128), ..spec(small_shape(), "f16") };
    let model = TempModel::new(&[]);
    let error = make_model(&spec, &model.path, &mut |_| {}).expect_err("no GGUF type");
    assert!(matches!(error, MakeModelError::NoGgufType { .. }));
    assert_eq!(error.to_string(), "type: expected one of a GGUF file, found Int4_128");
}
