//! Builds GGUF files byte by byte, malformed ones too. It shares no code with the reader under
//! test.

use banter_kernels::blocks::{BlockType, quantise};

/// A metadata value.
#[derive(Clone)]
pub enum Value {
    U8(u8),
    U32(u32),
    U64(u64),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    /// A type number and bytes, both arbitrary.
    Raw(u32, Vec<u8>),
}

pub fn text(value: &str) -> Value {
    Value::Text(value.to_string())
}

#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    /// Dimensions in the order of the file: the innermost comes first.
    pub dims: Vec<u64>,
    pub dim_count: Option<u32>,
    pub type_id: u32,
    /// The offset that the header gives, if it is a wrong one.
    pub offset: Option<u64>,
    pub data: Vec<u8>,
}

#[derive(Clone)]
pub struct Gguf {
    pub magic: [u8; 4],
    pub version: u32,
    pub tensor_count: Option<u64>,
    pub key_count: Option<u64>,
    pub keys: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
    /// The alignment of the data in bytes, even if the key says another.
    pub alignment: u64,
}

pub const HIDDEN: u64 = 32;
pub const HEADS: u64 = 4;
pub const KV_HEADS: u64 = 2;
pub const HEAD_DIM: u64 = 8;
pub const FEED_FORWARD: u64 = 64;
pub const LAYERS: u64 = 2;
pub const ROWS: u64 = 16;

fn f32_tensor(name: &str, dims: &[u64]) -> Tensor {
    let count: u64 = dims.iter().product();
    let seed = name.bytes().map(u32::from).sum::<u32>();
    let values = (0..count as u32).map(|index| ((index * 37 + seed) % 101) as f32 / 101.0 - 0.5);
    Tensor {
        name: name.to_string(),
        dims: dims.to_vec(),
        dim_count: None,
        type_id: 0,
        offset: None,
        data: values.flat_map(f32::to_le_bytes).collect(),
    }
}

impl Gguf {
    /// A complete model with an embedding that is also the head.
    pub fn tiny() -> Gguf {
        Gguf {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            key_count: None,
            keys: tiny_keys(),
            tensors: tiny_tensors(),
            alignment: 32,
        }
    }

    /// The same model with its own output head.
    pub fn untied() -> Gguf {
        let mut gguf = Gguf::tiny();
        gguf.tensors.push(f32_tensor("output.weight", &[HIDDEN, ROWS]));
        gguf
    }

    pub fn with(mut self, key: &str, value: Value) -> Gguf {
        match self.keys.iter_mut().find(|(existing, _)| existing == key) {
            Some((_, existing)) => *existing = value,
            None => self.keys.push((key.to_string(), value)),
        }
        self
    }

    pub fn without(mut self, key: &str) -> Gguf {
        let before = self.keys.len();
        self.keys.retain(|(existing, _)| existing != key);
        assert_eq!(self.keys.len() + 1, before, "{key} was not there");
        self
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        let found = self.tensors.iter_mut().find(|tensor| tensor.name == name);
        found.unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// Stores a tensor in another type; its values are quantised.
    pub fn store_as(&mut self, name: &str, kind: BlockType, type_id: u32) {
        let tensor = self.tensor(name);
        let floats = tensor.data.as_chunks::<4>().0;
        let values: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensor.data = vec![0; kind.row_bytes(values.len()).expect("whole blocks")];
        quantise(kind, &values, &mut tensor.data);
        tensor.type_id = type_id;
    }

    /// Everything before the data, padding excluded.
    pub fn metadata(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        bytes.extend(self.key_count.unwrap_or(self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            push_text(&mut bytes, key);
            push_value(&mut bytes, value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            push_text(&mut bytes, &tensor.name);
            let dims = tensor.dim_count.unwrap_or(tensor.dims.len() as u32);
            bytes.extend(dims.to_le_bytes());
            for size in &tensor.dims {
                bytes.extend(size.to_le_bytes());
            }
            bytes.extend(tensor.type_id.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(offset).to_le_bytes());
            offset = (offset + tensor.data.len() as u64).next_multiple_of(self.alignment);
        }
        bytes
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.metadata();
        let pad = |bytes: &mut Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(self.alignment as usize), 0);
        };
        for tensor in &self.tensors {
            pad(&mut bytes);
            bytes.extend(&tensor.data);
        }
        bytes
    }
}

fn tiny_keys() -> Vec<(String, Value)> {
    let size = |value: u64| Value::U32(value as u32);
    let tokens =
        ["a", "b", "ab", "Ġ", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"];
    let keys = [
        ("general.architecture", text("qwen2")),
        ("general.name", text("Tiny")),
        ("general.license", text("apache-2.0")),
        ("general.description", text("A model for tests")),
        ("qwen2.block_count", size(LAYERS)),
        ("qwen2.context_length", size(512)),
        ("qwen2.embedding_length", size(HIDDEN)),
        ("qwen2.feed_forward_length", size(FEED_FORWARD)),
        ("qwen2.attention.head_count", size(HEADS)),
        ("qwen2.attention.head_count_kv", size(KV_HEADS)),
        ("qwen2.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("qwen2.rope.freq_base", Value::F32(1e6)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("qwen2")),
        ("tokenizer.ggml.tokens", Value::Texts(tokens.map(str::to_string).to_vec())),
        ("tokenizer.ggml.token_type", Value::I32s(vec![1, 1, 1, 1, 3, 3, 3, 4])),
        ("tokenizer.ggml.merges", Value::Texts(vec!["a b".to_string()])),
        ("tokenizer.ggml.bos_token_id", Value::U32(4)),
        ("tokenizer.ggml.eos_token_id", Value::U32(6)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
        ("tokenizer.chat_template", text("{{ messages }}")),
    ];
    keys.map(|(key, value)| (key.to_string(), value)).to_vec()
}

fn tiny_tensors() -> Vec<Tensor> {
    let mut tensors = vec![
        f32_tensor("token_embd.weight", &[HIDDEN, ROWS]),
        f32_tensor("output_norm.weight", &[HIDDEN]),
    ];
    let kv_width = KV_HEADS * HEAD_DIM;
    let of_layer: [(&str, &[u64]); 12] = [
        ("attn_norm.weight", &[HIDDEN]),
        ("attn_q.weight", &[HIDDEN, HIDDEN]),
        ("attn_q.bias", &[HIDDEN]),
        ("attn_k.weight", &[HIDDEN, kv_width]),
        ("attn_k.bias", &[kv_width]),
        ("attn_v.weight", &[HIDDEN, kv_width]),
        ("attn_v.bias", &[kv_width]),
        ("attn_output.weight", &[HIDDEN, HIDDEN]),
        ("ffn_norm.weight", &[HIDDEN]),
        ("ffn_gate.weight", &[HIDDEN, FEED_FORWARD]),
        ("ffn_up.weight", &[HIDDEN, FEED_FORWARD]),
        ("ffn_down.weight", &[FEED_FORWARD, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        for (name, dims) in of_layer {
            tensors.push(f32_tensor(&format!("blk.{layer}.{name}"), dims));
        }
    }
    tensors
}

pub fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn push_value(bytes: &mut Vec<u8>, value: &Value) {
    let mut array = |element: u32, count: usize| {
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::Texts(texts) => {
            array(8, texts.len());
            texts.iter().for_each(|text| push_text(bytes, text));
        }
        Value::I32s(values) => {
            array(5, values.len());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        scalar => {
            let (type_id, content): (u32, Vec<u8>) = match scalar {
                Value::U8(value) => (0, vec![*value]),
                Value::U32(value) => (4, value.to_le_bytes().to_vec()),
                Value::U64(value) => (10, value.to_le_bytes().to_vec()),
                Value::I32(value) => (5, value.to_le_bytes().to_vec()),
                Value::F32(value) => (6, value.to_le_bytes().to_vec()),
                Value::Bool(value) => (7, vec![u8::from(*value)]),
                Value::Text(value) => {
                    let mut content = Vec::new();
                    push_text(&mut content, value);
                    (8, content)
                }
                Value::Raw(type_id, content) => (*type_id, content.clone()),
                Value::Texts(_) | Value::I32s(_) => unreachable!("arrays are written above"),
            };
            bytes.extend(type_id.to_le_bytes());
            bytes.extend(content);
        }
    }
}
