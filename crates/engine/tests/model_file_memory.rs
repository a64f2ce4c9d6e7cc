//! Opening a hostile file takes little memory. These tests are a program of their own, because the
//! peak that the system reports is that of the whole process.

#[path = "support/memory.rs"]
mod memory;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use banter_engine::model_file::{ModelFile, ModelSource};
use banter_engine::text::{
    Message, Text, TokenId, TokenKind, TokenizerOptions, Vocabulary, VocabularyToken,
    parse_tokenizer_json,
};
use memory::grown_kib;

/// The limit in FAULTS, section M.
const LIMIT_KIB: u64 = 64 * 1024;

/// Locked by a test while it measures, because memory is that of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A file without tensors whose keys are arrays of `(name, element type, count)`, without elements.
fn gguf(keys: &[(&str, u32, u64)]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend((keys.len() as u64).to_le_bytes());
    for (key, element, count) in keys {
        push_text(&mut bytes, key);
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend(count.to_le_bytes());
    }
    bytes
}

#[test]
fn hostile_files_take_at_most_64_mib() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8], length: Option<u64>| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        if let Some(length) = length {
            let file = OpenOptions::new().write(true).open(&path).expect("the file");
            file.set_len(length).expect("a sparse file");
        }
        path
    };
    const TEBIBYTE: u64 = 1 << 40;
    let strings = |count| gguf(&[("a", 8, count)]);
    let numbers = |count| gguf(&[("a", 0, count)]);
    let cases = [
        (write("sparse", b"GGUF", Some(TEBIBYTE)), "version: expected 2 or 3, found 0"),
        // As many elements as allowed; the file is zeros from there on.
        (write("strings", &strings(1 << 19), Some(TEBIBYTE)), "key general.architecture"),
        (write("numbers", &numbers(24_000_000), Some(TEBIBYTE)), "key general.architecture"),
        (write("empty", &[], None), "an empty file (0 bytes)"),
        (
            folder_with(folder.path(), "a", long_shape().as_bytes(), CONFIG),
            "tensor model.embed_tokens.weight: expected a tensor of that name",
        ),
        (folder_with(folder.path(), "b", b"{}", &long_config("a")), "at most 65536 values"),
        (folder_with(folder.path(), "c", b"{}", &long_config("id2label")), "key model_type"),
    ];
    for (path, expected) in cases {
        let grown = grown_kib(|| {
            let error = ModelFile::open(&ModelSource::Path(path)).expect_err("a hostile file");
            assert!(error.to_string().contains(expected), "{error}");
        });
        assert!(grown <= LIMIT_KIB, "{expected}: {grown} KiB more than before");
        println!("{expected}: {grown} KiB more than before");
    }
}

/// Each file is as long as allowed. Its bytes are in memory before the measurement begins.
#[test]
fn hostile_tokenizers_take_as_little() {
    let _alone = alone();
    struct Case {
        begin: &'static str,
        item: fn(usize) -> String,
        end: &'static str,
    }
    let cases = [
        Case { begin: r#"{"normalizer": ["#, item: |_| "0".to_owned(), end: "]}" },
        Case { begin: r#"{"normalizer": {"#, item: |at| format!("\"{at}\":[]"), end: "}}" },
        Case {
            begin: r#"{"pre_tokenizer": {"pretokenizers": ["#,
            item: |_| "{}".to_owned(),
            end: "]}}",
        },
        Case {
            begin: r#"{"added_tokens": ["#,
            item: |at| format!(r#"{{"id":{at},"content":""}}"#),
            end: "]}",
        },
        Case { begin: r#"{"model": {"vocab": {"#, item: |at| format!("\"{at}\":{at}"), end: "}}}" },
        Case { begin: r#"{"model": {"merges": ["#, item: |_| "\"a b\"".to_owned(), end: "]}}" },
        Case {
            begin: r#"{"model": {"merges": ["#,
            item: |_| r#"["a","b"]"#.to_owned(),
            end: "]}}",
        },
    ];
    for Case { begin, item, end } in cases {
        let mut file = begin.to_owned();
        for index in 0.. {
            file.push_str(&item(index));
            if file.len() > (32 << 20) - 200 {
                break;
            }
            file.push(',');
        }
        file.push_str(end);
        let grown = grown_kib(|| {
            parse_tokenizer_json(file.as_bytes()).expect_err("a hostile file");
        });
        assert!(grown <= LIMIT_KIB, "{begin}: {grown} KiB more than before");
        println!("{begin}: {grown} KiB more than before");
    }
}

/// Templates that grow until something stops them (FAULTS T7).
#[test]
fn template_bombs_take_at_most_16_mib() {
    let _alone = alone();
    let doubling = "{% set x = x ~ x %}".repeat(64);
    let bombs = [
        "{{ 'a' * 1000000000 }}".to_owned(),
        "{% set x = 'a' * 100000 %}{{ x | replace('a', x) }}".to_owned(),
        "{% set x = 'a' * 500000 %}{{ ([x] * 2000) | join }}".to_owned(),
        "{{ ('a' * 100000).replace('a', 'a' * 100000) }}".to_owned(),
        format!("{{% set x = 'aaaaaaaa' %}}{doubling}{{{{ x }}}}"),
        "{% for a in range(1000000000) %}x{% endfor %}".to_owned(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        format!("{{{{ {}1{} }}}}", "[".repeat(20_000), "]".repeat(20_000)),
        format!("{{% raw %}}{{#{{% endraw %}}{{{{ x{} }}}}", "~1\n".repeat(40_000)),
    ];
    let vocabulary = vocabulary_of_bytes();
    for bomb in bombs {
        let shown: String = bomb.chars().take(60).collect();
        let message = Message::user("hello");
        let grown = grown_kib(|| {
            let ended =
                Text::new(&vocabulary, Some(&bomb)).and_then(|text| text.prompt(&[message]));
            ended.expect_err("a bomb");
        });
        assert!(grown <= 16 * 1024, "{shown}: {grown} KiB more than before");
        println!("{shown}: {grown} KiB more than before");
    }
}

/// As many added tokens as allowed, all with the same beginning, and a long message made of them.
#[test]
fn a_hostile_vocabulary_takes_as_little() {
    let _alone = alone();
    let control = |text: String| VocabularyToken { text, kind: TokenKind::Control };
    let mut vocabulary = vocabulary_of_bytes();
    vocabulary.tokens.extend((2..360).map(|count| control("a".repeat(count))));
    let message = Message::user("a".repeat(1 << 20));
    let grown = grown_kib(|| {
        let text = Text::new(&vocabulary, None).expect("a whole vocabulary");
        text.prompt(&[message]).expect("a prompt");
    });
    assert!(grown <= LIMIT_KIB, "vocabulary: {grown} KiB more than before");
    println!("vocabulary: {grown} KiB more than before");
}

const CONFIG: &str = r#"{"model_type": "qwen2", "hidden_act": "silu", "hidden_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "vocab_size": 16, "max_position_embeddings": 512, "rope_theta": 1e6,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "eos_token_id": 0}"#;
const TOKENIZER: &str = r#"{"normalizer": {"type": "NFC"}, "model": {"vocab": {"a": 0}, "merges": []},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated"},
        {"type": "ByteLevel", "use_regex": false}]}}"#;

/// A header as long as allowed; most of it is the shape of one tensor.
fn long_shape() -> String {
    format!(
        r#"{{"a": {{"dtype": "F32", "data_offsets": [0, 0], "shape": [{}0]}}}}"#,
        "0,".repeat((2 << 20) - 100)
    )
}

/// A configuration as long as allowed; most of it is one array.
fn long_config(key: &str) -> String {
    format!(r#"{{"{key}": [{}0]}}"#, "0,".repeat((8 << 20) - 100))
}

fn folder_with(parent: &Path, name: &str, header: &[u8], config: &str) -> PathBuf {
    let path = parent.join(name);
    fs::create_dir(&path).expect("a folder");
    fs::write(path.join("config.json"), config).expect("a file");
    fs::write(path.join("tokenizer.json"), TOKENIZER).expect("a file");
    let weights = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    fs::write(path.join("model.safetensors"), weights).expect("a file");
    path
}

/// A vocabulary with a token for each byte, in byte-level spelling.
fn vocabulary_of_bytes() -> Vocabulary {
    let printable = (33..127).chain(161..173).chain(174..256_u32);
    let codes = printable.chain(256..324);
    let spelled = codes.map(|code| char::from_u32(code).expect("a character").to_string());
    let normal = |text| VocabularyToken { text, kind: TokenKind::Normal };
    Vocabulary {
        tokens: spelled.map(normal).collect(),
        merges: Vec::new(),
        options: TokenizerOptions::QWEN2,
        add_bos: false,
        bos: None,
        end_tokens: vec![TokenId(0)],
    }
}
