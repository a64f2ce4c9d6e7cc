//! Opens bytes as a GGUF file. What opens must also be readable: every tensor, to its last row, and
//! its vocabulary and template must be usable or refused.

#![no_main]

use banter_engine::model_file::{LayerTensor, ModelFile, ModelSource, TensorName};
use banter_engine::text::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("banter-fuzz-{}.gguf", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    if let Ok(file) = ModelFile::open(&ModelSource::Path(path)) {
        read_last_rows(&file);
        if let Ok(text) = file.text() {
            let content = "a b, 12 <|im_end|> 你好\n".to_owned();
            let _ = text.prompt(&[Message::user(content)]);
        }
    }
});

fn read_last_rows(file: &ModelFile) {
    let layers = (0..file.config().layers)
        .flat_map(|layer| LayerTensor::ALL.map(|tensor| TensorName::Layer(layer, tensor)));
    for name in [TensorName::Embedding, TensorName::OutputNorm].into_iter().chain(layers) {
        let info = file.tensor(name).expect("a model has all of its tensors");
        let mut row = vec![0; info.row_bytes()];
        file.read_rows(info, info.rows - 1..info.rows, &mut row).expect("a row within the file");
    }
}
