//! Files cut short, with bits flipped, or changed under a reader (FAULTS M9 to M11).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use banter_engine::make_model::{ModelSpec, WeightMix, make_model};
use banter_engine::model_file::{LayerTensor, ModelConfig, ModelFile, ModelFileError, TensorName};
use banter_engine::text::Message;
use banter_kernels::blocks::BlockType;

use super::builder::Gguf;
use super::{TempModel, open_path};

/// Pseudo-random numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A model with 300 tokens and quantised weights, and the offset of its data.
fn realistic_model() -> (TempModel, u64) {
    let model = TempModel::new(&[]);
    let spec = ModelSpec {
        name: "Damaged".to_string(),
        shape: ModelConfig {
            layers: 2,
            hidden: 64,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            feed_forward: 96,
            vocabulary_rows: 300,
            trained_context: 256,
            rope_base: 1e6,
            yarn: None,
            rms_eps: 1e-6,
            tied_embeddings: true,
        },
        weights: WeightMix::Type(BlockType::Q8_0),
        outliers: false,
        vocabulary: None,
        seed: 1,
    };
    make_model(&spec, &model.path, &mut |_| {}).expect("a model");
    let file = model.open().expect("a model");
    let data = fs::metadata(&model.path).expect("a file").len() - file.description().weight_bytes;
    // The size of every tensor is a multiple of 32 bytes, so there is no padding between them.
    (model, data)
}

/// Uses all parts of a model except the computation: its text, and the last row of every tensor.
///
/// Errors: the vocabulary or the template is wrong; the error names the file.
fn use_all(file: &ModelFile) -> Result<(), ModelFileError> {
    read_all_tensors(file);
    let text = file.text()?;
    let message = Message::user("a <|im_end|> 你好");
    // A damaged template may refuse the conversation or write something else.
    let _ = text.prompt(&[message]);
    Ok(())
}

/// Reads the last row of every tensor.
fn read_all_tensors(file: &ModelFile) {
    let layers = (0..file.config().layers)
        .flat_map(|layer| LayerTensor::ALL.map(|tensor| TensorName::Layer(layer, tensor)));
    for name in [TensorName::Embedding, TensorName::OutputNorm].into_iter().chain(layers) {
        let info = file.tensor(name).unwrap_or_else(|| panic!("no {name:?}"));
        let mut bytes = vec![0; info.row_bytes()];
        file.read_rows(info, info.rows - 1..info.rows, &mut bytes).expect("a row");
    }
}

#[test]
fn a_file_cut_at_any_byte_of_its_metadata_is_refused() {
    let (model, data_start) = realistic_model();
    let file = OpenOptions::new().write(true).open(&model.path).expect("the file");
    for length in (0..data_start).rev() {
        file.set_len(length).expect("a shorter file");
        let error = model.open().expect_err("a cut file");
        assert_eq!(error.file, model.path.display().to_string(), "cut at {length}");
    }
}

#[test]
fn a_file_cut_anywhere_in_its_data_is_refused() {
    let (model, data_start) = realistic_model();
    let whole = fs::read(&model.path).expect("the file");
    let mut numbers = Numbers(9);
    let data_bytes = whole.len() as u64 - data_start;
    let mut lengths: Vec<u64> = (0..1000).map(|_| data_start + numbers.below(data_bytes)).collect();
    lengths.sort_unstable();
    let file = OpenOptions::new().write(true).open(&model.path).expect("the file");
    for length in lengths.into_iter().rev() {
        file.set_len(length).expect("a shorter file");
        let error = model.open().expect_err("a cut file").to_string();
        assert!(error.contains("the file ends early: expected "), "cut at {length}: {error}");
    }
}

#[test]
fn a_flipped_bit_of_metadata_is_an_error_or_a_model_that_can_be_read() {
    const FLIPS: usize = 10_000;
    let (model, data_start) = realistic_model();
    let original = fs::read(&model.path).expect("the file");
    let file = OpenOptions::new().write(true).open(&model.path).expect("the file");
    let mut numbers = Numbers(10);
    let (mut refused, mut loaded) = (0, 0);
    for _ in 0..FLIPS {
        let place = numbers.below(data_start);
        let flipped = original[place as usize] ^ (1 << numbers.below(8));
        file.write_all_at(&[flipped], place).expect("a flipped bit");
        match model.open().and_then(|file| use_all(&file)) {
            Ok(()) => loaded += 1,
            Err(error) => {
                assert_eq!(error.file, model.path.display().to_string());
                refused += 1;
            }
        }
        file.write_all_at(&[original[place as usize]], place).expect("the bit restored");
    }
    // Most bits belong to the spellings of tokens. Most changes there make a token or a merge
    // wrong.
    assert_eq!(refused + loaded, FLIPS);
    assert!(refused > FLIPS / 4 && loaded > FLIPS / 20, "{refused} refused, {loaded} loaded");
}

#[test]
fn a_flipped_bit_of_data_does_not_matter_to_opening() {
    let (model, data_start) = realistic_model();
    let original = fs::read(&model.path).expect("the file");
    let file = OpenOptions::new().write(true).open(&model.path).expect("the file");
    let mut numbers = Numbers(11);
    for _ in 0..1000 {
        let place = data_start + numbers.below(original.len() as u64 - data_start);
        let flipped = original[place as usize] ^ (1 << numbers.below(8));
        file.write_all_at(&[flipped], place).expect("a flipped bit");
        read_all_tensors(&model.open().expect("a model"));
    }
}

#[test]
fn a_file_that_shrinks_after_opening_is_an_error_of_the_read() {
    let model = TempModel::new(&Gguf::tiny().bytes());
    let file = model.open().expect("a model");
    let info = file.tensor(TensorName::Layer(1, LayerTensor::Down)).expect("a tensor").clone();
    let mut bytes = vec![0; info.row_bytes()];
    file.read_rows(&info, 0..1, &mut bytes).expect("a row");
    OpenOptions::new().write(true).open(&model.path).expect("the file").set_len(64).expect("cut");
    let error = file.read_rows(&info, 0..1, &mut bytes).expect_err("a missing row").to_string();
    let expected = format!("{}: cannot read: failed to fill whole buffer", model.path.display());
    assert_eq!(error, expected);
}

#[test]
fn a_file_replaced_after_opening_is_read_as_it_was() {
    let model = TempModel::new(&Gguf::tiny().bytes());
    let file = model.open().expect("a model");
    let other = model.folder().join("other");
    fs::write(&other, b"something else").expect("another file");
    fs::rename(&other, &model.path).expect("replaced");
    read_all_tensors(&file);
    assert!(open_path(&model.path).is_err());
}
