//! The container: headers, keys and layout (FAULTS M1 to M6, M15).

use banter_engine::model_file::{LayerTensor, ModelConfig, TensorName};
use banter_engine::text::{TokenId, TokenKind};
use banter_kernels::blocks::{BlockType, dequantise};

use super::builder::{Gguf, HIDDEN, Value, push_text, text};
use super::{assert_refused, open_bytes};

/// The error for a file that is too short.
fn ends_early(item: &str, expected: u64, found: usize) -> String {
    format!(
        "the file ends early: expected {expected} bytes (for {item}), found {found}: download it \
         again"
    )
}

#[test]
fn a_model_says_what_its_file_says() {
    let file = open_bytes(&Gguf::tiny().bytes()).expect("a model");
    let expected = ModelConfig {
        layers: 2,
        hidden: 32,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        feed_forward: 64,
        vocabulary_rows: 16,
        trained_context: 512,
        rope_base: 1e6,
        yarn: None,
        rms_eps: 1e-6,
        tied_embeddings: true,
    };
    assert_eq!(file.config(), &expected);
    let description = file.description();
    assert_eq!(description.name, "Tiny");
    assert_eq!(description.licence.as_deref(), Some("apache-2.0"));
    assert_eq!(description.text.as_deref(), Some("A model for tests"));
    assert_eq!(description.weight_types, "F32");
    let of_layer = 2 * 32 * 32 + 2 * 32 * 16 + 32 + 2 * 16 + 2 * 32 + 3 * 32 * 64;
    let parameters = 16 * 32 + 32 + 2 * of_layer;
    assert_eq!(description.parameters, parameters);
    assert_eq!(description.weight_bytes, parameters * 4);
    assert_eq!(file.chat_template(), Some("{{ messages }}"));
    let vocabulary = file.vocabulary();
    assert_eq!(vocabulary.tokens.len(), 8);
    assert_eq!(vocabulary.tokens[7].kind, TokenKind::UserDefined);
    assert_eq!(vocabulary.merges, [("a".to_string(), "b".to_string())]);
    assert_eq!((vocabulary.add_bos, vocabulary.bos), (false, Some(TokenId(4))));
    assert_eq!(vocabulary.end_tokens, [TokenId(6), TokenId(4)], "its own first, then the spelled");
    assert!(file.tensor(TensorName::Head).is_none());
    let untied = open_bytes(&Gguf::untied().bytes()).expect("a model");
    assert!(!untied.config().tied_embeddings);
    assert!(untied.tensor(TensorName::Head).is_some());
}

#[test]
fn rows_of_every_type_read_back_as_stored() {
    // Values of 512 per row, so that every block length divides them.
    let sizes = [
        ("qwen2.embedding_length", 512),
        ("qwen2.feed_forward_length", 512),
        ("qwen2.attention.head_count", 8),
        ("qwen2.attention.head_count_kv", 8),
    ];
    let ids = [0, 1, 30, 8, 2, 3, 6, 7, 10, 11, 12, 13, 14];
    // The types after these are for packed folders; no GGUF file has them.
    for (kind, type_id) in BlockType::ALL.into_iter().zip(ids) {
        let mut gguf = Gguf::tiny();
        for (key, value) in sizes {
            gguf = gguf.with(key, Value::U32(value));
        }
        for tensor in &mut gguf.tensors {
            tensor.dims = tensor
                .dims
                .iter()
                .map(|&size| if size == 16 && tensor.name.starts_with("token") { 16 } else { 512 })
                .collect();
            let count: u64 = tensor.dims.iter().product();
            let values = (0..count).map(|index| ((index * 37) % 101) as f32 / 101.0 - 0.5);
            tensor.data = values.flat_map(f32::to_le_bytes).collect();
        }
        let name = "blk.1.ffn_down.weight";
        gguf.store_as(name, kind, type_id);
        let stored = gguf.tensor(name).data.clone();
        let file = open_bytes(&gguf.bytes()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let info = file.tensor(TensorName::Layer(1, LayerTensor::Down)).expect("a tensor");
        assert_eq!((info.kind, info.rows, info.depth), (kind, 512, 512));
        let mut bytes = vec![0; 3 * info.row_bytes()];
        file.read_rows(info, 500..503, &mut bytes).expect("rows");
        assert_eq!(bytes, stored[500 * info.row_bytes()..503 * info.row_bytes()], "{kind}");
        let mut values = vec![f32::NAN; 3 * 512];
        dequantise(kind, &bytes, &mut values);
        for (index, value) in values.iter().enumerate() {
            let original = (((500 * 512 + index) * 37) % 101) as f32 / 101.0 - 0.5;
            assert!((value - original).abs() < 0.2, "{kind} {index}: {original} became {value}");
        }
    }
}

#[test]
fn variants_of_the_format_load() {
    let tiny = Gguf::tiny;
    let mut shuffled = tiny();
    shuffled.keys.reverse();
    // The header lists the tensors in reverse order; the data stay in place.
    let mut unsorted = tiny();
    let mut offset = 0;
    for tensor in &mut unsorted.tensors {
        tensor.offset = Some(offset);
        offset = (offset + tensor.data.len() as u64).next_multiple_of(32);
    }
    let data = unsorted.bytes().split_off(unsorted.metadata().len());
    unsorted.tensors.reverse();
    let unsorted = [unsorted.metadata(), data].concat();
    let mut aligned = tiny().with("general.alignment", Value::U32(64));
    aligned.alignment = 64;
    let version_2 = Gguf { version: 2, ..tiny() };
    let every_value_type = tiny()
        .with("x.u8", Value::U8(255))
        .with("x.i8", Value::Raw(1, vec![0x80]))
        .with("x.u16", Value::Raw(2, vec![0xff; 2]))
        .with("x.i16", Value::Raw(3, vec![0xff; 2]))
        .with("x.i32", Value::I32(-1))
        .with("x.u64", Value::U64(u64::MAX))
        .with("x.i64", Value::Raw(11, vec![0xff; 8]))
        .with("x.f64", Value::Raw(12, f64::NAN.to_le_bytes().to_vec()))
        .with("x.empty", Value::Raw(9, [&10_u32.to_le_bytes()[..], &[0; 8]].concat()));
    let trailing = [tiny().bytes(), vec![0xff; 100]].concat();
    let cases = [
        ("version 2", version_2.bytes()),
        ("keys in another order", shuffled.bytes()),
        ("tensors in another order", unsorted),
        ("alignment 64", aligned.bytes()),
        ("every value type", every_value_type.bytes()),
        ("bytes after the last tensor", trailing),
        ("no key of kv heads", one_kv_head_per_head().bytes()),
        (
            "rope scaling by 1",
            tiny()
                .with("qwen2.rope.scaling.type", text("linear"))
                .with("qwen2.rope.scaling.factor", Value::F32(1.0))
                .bytes(),
        ),
    ];
    for (case, bytes) in cases {
        open_bytes(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
    }
}

/// A model whose file does not give the number of KV heads; then each head has its own.
fn one_kv_head_per_head() -> Gguf {
    let mut gguf = Gguf::tiny().without("qwen2.attention.head_count_kv");
    for layer in 0..2 {
        for name in ["attn_k", "attn_v"] {
            for (part, like) in [("weight", "attn_q.weight"), ("bias", "attn_q.bias")] {
                let like = gguf.tensor(&format!("blk.{layer}.{like}")).clone();
                let tensor = gguf.tensor(&format!("blk.{layer}.{name}.{part}"));
                (tensor.dims, tensor.data) = (like.dims, like.data);
            }
        }
    }
    gguf
}

#[test]
fn malformed_headers_are_refused() {
    let tiny = Gguf::tiny;
    let mut huge_key = tiny().bytes();
    huge_key[24..32].copy_from_slice(&u64::MAX.to_le_bytes()); // The length of the first key.
    let huge_key_error = ends_early("name of key 0", u64::MAX, huge_key.len());
    let keys = tiny().keys.len();
    let cases = [
        (
            "bad magic",
            Gguf { magic: *b"FUGG", ..tiny() }.bytes(),
            "expected a GGUF file, which starts with \"GGUF\", found \"FUGG\" at its start"
                .to_string(),
        ),
        (
            "version 0",
            Gguf { version: 0, ..tiny() }.bytes(),
            "version: expected 2 or 3, found 0".to_string(),
        ),
        (
            "version 1",
            Gguf { version: 1, ..tiny() }.bytes(),
            "version: expected 2 or 3, found 1".to_string(),
        ),
        (
            "version 4",
            Gguf { version: 4, ..tiny() }.bytes(),
            "version: expected 2 or 3, found 4".to_string(),
        ),
        (
            "big-endian",
            Gguf { version: 3_u32.swap_bytes(), ..tiny() }.bytes(),
            "version: expected little-endian version 2 or 3, found a big-endian file".to_string(),
        ),
        (
            "tensor count -1",
            Gguf { tensor_count: Some(u64::MAX), ..tiny() }.bytes(),
            "number of tensors: expected at most 16384, found 18446744073709551615".to_string(),
        ),
        (
            "key count -1",
            Gguf { key_count: Some(u64::MAX), ..tiny() }.bytes(),
            "number of keys: expected at most 4096, found 18446744073709551615".to_string(),
        ),
        ("key length -1", huge_key, huge_key_error),
        (
            "empty key",
            tiny().with("", Value::U8(1)).bytes(),
            format!("name of key {keys}: expected a name, found an empty one"),
        ),
        (
            "key twice",
            {
                let mut twice = tiny();
                twice.keys.push(("general.name".to_string(), text("Other")));
                twice.bytes()
            },
            "key general.name: expected a key once, found the key again".to_string(),
        ),
        (
            "value type 13",
            tiny().with("x", Value::Raw(13, vec![0; 8])).bytes(),
            "key x: expected a value type from 0 to 12, found value type 13".to_string(),
        ),
        (
            "bool 2",
            tiny().with("x", Value::Raw(7, vec![2])).bytes(),
            "key x: expected a bool of 0 or 1, found 2".to_string(),
        ),
        (
            "nested array",
            tiny()
                .with("x", Value::Raw(9, [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat()))
                .bytes(),
            "key x: expected an array of numbers or strings, found an array of array".to_string(),
        ),
        (
            "no keys",
            Gguf { keys: Vec::new(), ..tiny() }.bytes(),
            "key general.architecture: expected qwen2, found no such key".to_string(),
        ),
    ];
    for (case, bytes, expected) in cases {
        assert_refused(open_bytes(&bytes), &expected, case);
    }
}

#[test]
fn alignment_is_a_power_of_two_that_files_use() {
    for alignment in [0, 1, 4, 13, 48, 1 << 17, 1 << 31] {
        let gguf = Gguf::tiny().with("general.alignment", Value::U32(alignment));
        let expected = format!(
            "key general.alignment: expected a power of two from 8 to 65536, found {alignment}"
        );
        assert_refused(open_bytes(&gguf.bytes()), &expected, "alignment");
    }
    let wrong_type = Gguf::tiny().with("general.alignment", Value::F32(32.0));
    let expected = "key general.alignment: expected an integer from 0 on, found 32";
    assert_refused(open_bytes(&wrong_type.bytes()), expected, "alignment as a float");
    // The data are aligned to 32 bytes, but the key says 64. The first tensor that does not begin
    // at a multiple of 64 shows it.
    let mut inconsistent = Gguf::tiny().with("general.alignment", Value::U32(64));
    inconsistent.store_as("blk.0.attn_k.bias", BlockType::F16, 1);
    let mut bytes = inconsistent.bytes();
    bytes.extend([0; 64]);
    let error = open_bytes(&bytes).expect_err("inconsistent alignment").to_string();
    let expected = "tensor blk.0.attn_v.weight: expected an offset that is a multiple of 64, found";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn counts_without_bytes_behind_them_are_refused_at_once() {
    let header = |tensors: u64, keys: u64| {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        bytes
    };
    let many_keys = header(0, 500_000_000);
    assert_eq!(many_keys.len(), 24);
    let expected = "number of keys: expected at most 4096, found 500000000";
    assert_refused(open_bytes(&many_keys), expected, "24 bytes, 5e8 keys");
    let expected = ends_early("number of keys, 4000", 24 + 4000 * 14, 24);
    assert_refused(open_bytes(&header(0, 4000)), &expected, "24 bytes, 4000 keys");

    let mut long_array = header(0, 1);
    push_text(&mut long_array, "abc");
    long_array.extend(9_u32.to_le_bytes());
    long_array.extend(8_u32.to_le_bytes());
    long_array.extend((1_u64 << 63).to_le_bytes());
    let expected = "length of the array at key abc: expected at most 524288, found \
                    9223372036854775808";
    assert_refused(open_bytes(&long_array), expected, "array of 2^63");

    let mut long_string = header(0, 1);
    push_text(&mut long_string, "abc");
    long_string.extend(8_u32.to_le_bytes());
    long_string.extend((1_u64 << 63).to_le_bytes());
    let expected = ends_early("value of key abc", 47 + (1 << 63), long_string.len());
    assert_refused(open_bytes(&long_string), &expected, "string of 2^63");

    let mut nested = header(0, 1);
    push_text(&mut nested, "abc");
    nested.extend(9_u32.to_le_bytes());
    for _ in 0..100_000 {
        nested.extend(9_u32.to_le_bytes());
        nested.extend(1_u64.to_le_bytes());
    }
    let expected = "key abc: expected an array of numbers or strings, found an array of array";
    assert_refused(open_bytes(&nested), expected, "arrays nested 100,000 deep");
}

#[test]
fn malformed_tensors_are_refused() {
    fn edit(edit: impl FnOnce(&mut super::builder::Tensor)) -> Vec<u8> {
        let mut gguf = Gguf::tiny();
        edit(gguf.tensor("blk.0.attn_q.weight"));
        gguf.bytes()
    }
    let too_big = 0x7FFF_FFFF_FFFF_FFC0_u64;
    let cases = [
        (
            "name of 64 bytes",
            edit(|t| t.name = "n".repeat(64)),
            "name of tensor 3: expected 1 to 63 bytes, found 64 bytes",
        ),
        (
            "no name",
            edit(|t| t.name.clear()),
            "name of tensor 3: expected 1 to 63 bytes, found 0 bytes",
        ),
        (
            "0 dimensions",
            edit(|t| t.dim_count = Some(0)),
            "tensor blk.0.attn_q.weight: expected 1 to 4 dimensions, found 0",
        ),
        (
            "5 dimensions",
            edit(|t| t.dim_count = Some(5)),
            "tensor blk.0.attn_q.weight: expected 1 to 4 dimensions, found 5",
        ),
        (
            "2^32 - 1 dimensions",
            edit(|t| t.dim_count = Some(u32::MAX)),
            "tensor blk.0.attn_q.weight: expected 1 to 4 dimensions, found 4294967295",
        ),
        (
            "a zero dimension",
            edit(|t| t.dims = vec![32, 0]),
            "tensor blk.0.attn_q.weight: expected no empty dimension, found shape [0, 32]",
        ),
        (
            "elements overflow",
            edit(|t| t.dims = vec![1 << 32, 1 << 32]),
            "tensor blk.0.attn_q.weight: expected a size below 2^64 bytes, found shape \
             [4294967296, 4294967296] of F32",
        ),
        (
            "a product that wraps",
            edit(|t| t.dims = vec![(1 << 63) + 2, 2]),
            "tensor blk.0.attn_q.weight: expected rows of whole blocks of 1 (F32), found shape \
             [2, 9223372036854775810]",
        ),
        (
            "bytes overflow",
            edit(|t| t.dims = vec![1 << 61, 2]),
            "tensor blk.0.attn_q.weight: expected a size below 2^64 bytes, found shape [2, \
             2305843009213693952] of F32",
        ),
        (
            "2^63 - 64 values",
            edit(|t| t.dims = vec![too_big]),
            "tensor blk.0.attn_q.weight: expected rows of whole blocks of 1 (F32), found shape \
             [9223372036854775744]",
        ),
        (
            "rows of half a block",
            edit(|t| {
                t.dims = vec![16, 64];
                t.type_id = 2;
            }),
            "tensor blk.0.attn_q.weight: expected rows of whole blocks of 32 (Q4_0), found shape \
             [64, 16]",
        ),
        (
            "rows of an eighth of a block",
            edit(|t| t.type_id = 12),
            "tensor blk.0.attn_q.weight: expected rows of whole blocks of 256 (Q4_K), found shape \
             [32, 32]",
        ),
    ];
    for (case, bytes, expected) in cases {
        assert_refused(open_bytes(&bytes), expected, case);
    }
    let mut twice = Gguf::tiny();
    twice.tensor("blk.1.attn_q.weight").name = "blk.0.attn_q.weight".to_string();
    let expected = "tensor blk.0.attn_q.weight: expected the tensor once, found it twice";
    assert_refused(open_bytes(&twice.bytes()), expected, "a tensor twice");
}

#[test]
fn tensors_that_do_not_lie_one_after_the_other_are_refused() {
    let tiny = Gguf::tiny();
    let data_start = tiny.metadata().len().next_multiple_of(32) as u64;
    let file_bytes = tiny.bytes().len();
    let last = "blk.1.ffn_down.weight";
    let bytes = HIDDEN * 64 * 4;
    let place = |name: &str, offset: u64| {
        let mut gguf = Gguf::tiny();
        gguf.tensor(name).offset = Some(offset);
        gguf.bytes()
    };
    let beyond = |offset: u64| {
        let end = data_start.saturating_add(offset).saturating_add(bytes);
        ends_early("its tensors", end, file_bytes)
    };
    let true_offset = file_bytes as u64 - data_start - bytes;
    let embedding = HIDDEN * 16 * 4;
    let norm_start = data_start + embedding;
    let misplaced = |tensor: &str, expected: u64, before: &str, found: String| {
        format!(
            "tensor {tensor}: expected byte {expected} of the file, where {before} ends, found \
             byte {found}: download the file again"
        )
    };
    let cases = [
        ("past the end by 2^63", place(last, 1 << 63), beyond(1 << 63)),
        ("an end that wraps", place(last, u64::MAX - 31), beyond(u64::MAX - 31)),
        ("past the end by 32", place(last, true_offset + 32), beyond(true_offset + 32)),
        (
            "on the same bytes as another",
            place("output_norm.weight", 0),
            misplaced(
                "token_embd.weight",
                data_start + HIDDEN * 4,
                "output_norm.weight",
                format!("{data_start}, an overlap"),
            ),
        ),
        (
            "over the end of another",
            place("output_norm.weight", embedding - 32),
            misplaced(
                "output_norm.weight",
                norm_start,
                "token_embd.weight",
                format!("{}, an overlap", norm_start - 32),
            ),
        ),
        (
            "not aligned",
            place("output_norm.weight", embedding + 1),
            format!(
                "tensor output_norm.weight: expected an offset that is a multiple of 32, found {}",
                embedding + 1
            ),
        ),
    ];
    for (case, bytes, expected) in cases {
        assert_refused(open_bytes(&bytes), &expected, case);
    }
    let mut short = Gguf::tiny().bytes();
    short.pop();
    let expected = ends_early("its tensors", file_bytes as u64, file_bytes - 1);
    assert_refused(open_bytes(&short), &expected, "one byte too few");
}

/// The tiny model with a tensor that the model does not use. `place` tensors are listed after it.
fn with_unused(name: &str, type_id: u32, dims: &[u64], data: Vec<u8>, place: usize) -> Gguf {
    let mut gguf = Gguf::tiny();
    let mut tensor = gguf.tensor("output_norm.weight").clone();
    tensor.name = name.to_string();
    (tensor.dims, tensor.type_id, tensor.data) = (dims.to_vec(), type_id, data);
    gguf.tensors.insert(gguf.tensors.len() - place, tensor);
    gguf
}

#[test]
fn bytes_between_tensors_belong_to_one_that_is_listed() {
    let spare = with_unused("spare", 0, &[8], vec![1; 32], 3);
    open_bytes(&spare.bytes()).expect("an unused tensor between used ones");
    // The same bytes, but no tensor is listed for them.
    let mut gap = spare.clone();
    let listed = gap.tensors.len() - 4;
    let metadata = |gguf: &Gguf| gguf.metadata().len().next_multiple_of(32);
    let data = spare.bytes().split_off(metadata(&spare));
    let mut offset = 0;
    for tensor in &mut gap.tensors {
        tensor.offset = Some(offset);
        offset = (offset + tensor.data.len() as u64).next_multiple_of(32);
    }
    gap.tensors.remove(listed);
    let mut bytes = gap.metadata();
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend(data);
    let error = open_bytes(&bytes).expect_err("a gap").to_string();
    assert!(error.contains(", a gap: download the file again"), "{error}");
}

#[test]
fn tensors_that_the_model_does_not_use_may_be_anything() {
    let cases = [
        ("I64", 27, vec![4]),
        ("F64", 28, vec![4]),
        ("I8", 24, vec![32]),
        ("IQ4_NL", 20, vec![64]),
        ("a type of the future", 9999, vec![3, 5]),
        ("no type", u32::MAX, vec![1, 1, 1, 1]),
        ("rows of half a block", 2, vec![16]),
        ("an empty dimension", 0, vec![0, 4]),
        ("a product that wraps", 0, vec![1 << 63, 4]),
    ];
    for (case, type_id, dims) in cases {
        for name in ["unused", "v.blk.0.attn_q.weight", "blk.0.attn_k.k_scale", "mm.0.bias"] {
            for place in [0, 5] {
                let gguf = with_unused(name, type_id, &dims, vec![7; 32], place);
                let file = open_bytes(&gguf.bytes())
                    .unwrap_or_else(|error| panic!("{case}, {name}: {error}"));
                let tiny = open_bytes(&Gguf::tiny().bytes()).expect("a model");
                assert_eq!(file.description(), tiny.description(), "{case}, {name}");
            }
        }
    }
    let mut beyond = with_unused("unused", 0, &[8], vec![0; 32], 0);
    beyond.tensor("unused").offset = Some(1 << 40);
    open_bytes(&beyond.bytes()).expect("an unused tensor beyond the end");
}

#[test]
fn arrays_of_the_wrong_elements_are_refused() {
    let bytes_array = |count: u64| {
        let mut content = 0_u32.to_le_bytes().to_vec();
        content.extend(count.to_le_bytes());
        content.resize(content.len() + count as usize, 1);
        Value::Raw(9, content)
    };
    let cases = [
        (
            "tokenizer.ggml.token_type",
            bytes_array(8),
            "expected an array of i32, found an array of u8",
        ),
        ("tokenizer.ggml.scores", bytes_array(8), "expected an array of f32, found an array of u8"),
        (
            "tokenizer.ggml.tokens",
            bytes_array(8),
            "expected an array of string, found an array of u8",
        ),
        (
            "tokenizer.ggml.merges",
            bytes_array(1),
            "expected an array of string, found an array of u8",
        ),
        ("tokenizer.ggml.tokens", text("a"), "expected an array of string, found \"a\""),
        (
            "tokenizer.ggml.token_type",
            Value::I32s(vec![1; 7]),
            "expected 8, one per token, found 7",
        ),
        ("tokenizer.chat_template", Value::U8(1), "expected a string, found 1"),
        ("tokenizer.ggml.add_bos_token", Value::U8(1), "expected a bool, found 1"),
        ("qwen2.block_count", Value::F32(2.0), "expected an integer from 0 on, found 2"),
        ("qwen2.rope.freq_base", Value::U32(1), "expected a float, found 1"),
    ];
    for (key, value, expected) in cases {
        let expected = format!("key {key}: {expected}");
        assert_refused(open_bytes(&Gguf::tiny().with(key, value).bytes()), &expected, key);
    }
}

#[test]
fn without_a_pre_tokenizer_qwens_tokens_are_cut_as_qwens() {
    let key = "tokenizer.ggml.pre";
    let unnamed = || [Gguf::tiny().without(key), Gguf::tiny().with(key, text("default"))];
    let named = open_bytes(&Gguf::tiny().bytes()).expect("it is whole");
    for file in unnamed() {
        let file = open_bytes(&file.bytes()).expect("its tokens are Qwen's");
        assert_eq!(file.vocabulary().options, named.vocabulary().options);
    }
    let others = ["a", "b", "ab", "c", "<s>", "</s>", "<unk>", "<x>"].map(str::to_string).to_vec();
    for file in unnamed() {
        let file = file.with("tokenizer.ggml.tokens", Value::Texts(others.clone()));
        let expected = "key tokenizer.ggml.pre: expected qwen2 or deepseek-r1-qwen, found no such \
                        key, and tokens that are not Qwen's";
        assert_refused(open_bytes(&file.bytes()), expected, key);
    }
}

#[test]
fn vocabularies_that_contradict_themselves_are_refused() {
    let texts = |texts: &[&str]| Value::Texts(texts.iter().map(|text| text.to_string()).collect());
    let cases = [
        ("tokenizer.ggml.model", text("llama"), "tokenizer.ggml.model: expected gpt2, found llama"),
        (
            "tokenizer.ggml.pre",
            text("llama-bpe"),
            "tokenizer.ggml.pre: expected qwen2 or deepseek-r1-qwen, found llama-bpe",
        ),
        (
            "tokenizer.ggml.merges",
            texts(&["ab"]),
            "tokenizer.ggml.merges[0]: expected two pieces with one space between them, found \
             \"ab\"",
        ),
        (
            "tokenizer.ggml.merges",
            texts(&["a b", "a b c"]),
            "tokenizer.ggml.merges[1]: expected two pieces with one space between them, found \"a \
             b c\"",
        ),
        (
            "tokenizer.ggml.merges",
            texts(&["a b"; 9]),
            "tokenizer.ggml.merges: expected at most 8, since each makes a token, found 9",
        ),
        (
            "tokenizer.ggml.tokens",
            texts(&["a"; 17]),
            "tokenizer.ggml.tokens: expected 1 to 16 tokens, as many as the embedding has rows, \
             found 17",
        ),
        (
            "tokenizer.ggml.tokens",
            texts(&[]),
            "tokenizer.ggml.tokens: expected 1 to 16 tokens, as many as the embedding has rows, \
             found 0",
        ),
        (
            "tokenizer.ggml.token_type",
            Value::I32s(vec![1, 1, 1, 1, 3, 3, 3, 6]),
            "tokenizer.ggml.token_type[7]: expected 1 (normal), 3 (control), 4 (user defined) or \
             5 (unused), found 6",
        ),
        (
            "tokenizer.ggml.eos_token_id",
            Value::U32(8),
            "tokenizer.ggml.eos_token_id: expected an id below 8, found 8",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            Value::I32(-1),
            "tokenizer.ggml.bos_token_id: expected an integer from 0 on, found -1",
        ),
    ];
    for (key, value, expected) in cases {
        let expected = format!("key {expected}");
        assert_refused(open_bytes(&Gguf::tiny().with(key, value).bytes()), &expected, key);
    }
    let no_bos = Gguf::tiny()
        .with("tokenizer.ggml.add_bos_token", Value::Bool(true))
        .without("tokenizer.ggml.bos_token_id");
    let expected = "key tokenizer.ggml.bos_token_id: expected a token id, since one is to be \
                    added, found no such key";
    assert_refused(open_bytes(&no_bos.bytes()), expected, "bos to add, but none");
}

#[test]
fn text_that_is_not_utf_8_or_not_printable_does_not_reach_the_terminal() {
    let mut not_utf8 = Vec::new();
    push_text(&mut not_utf8, "????");
    not_utf8.truncate(8);
    not_utf8.extend([0xff, 0xfe, 0xfd, 0xfc]);
    let gguf = Gguf::tiny().with("general.name", Value::Raw(8, not_utf8));
    let error = open_bytes(&gguf.bytes()).expect_err("not UTF-8").to_string();
    assert!(error.contains("value of key general.name: expected UTF-8"), "{error}");
    let gguf = Gguf::tiny().with("general.architecture", text("\x1b[31m\n\0evil"));
    let expected = "key general.architecture: expected qwen2, found \\u{1b}[31m\\n\\0evil, which \
                    this engine does not run";
    assert_refused(open_bytes(&gguf.bytes()), expected, "control characters");
    let long = Gguf::tiny().with("general.architecture", text(&"x".repeat(100_000)));
    let error = open_bytes(&long.bytes()).expect_err("a long name").to_string();
    assert!(error.len() < 500, "{} bytes of error", error.len());
}

#[test]
fn types_the_engine_cannot_read_are_refused_by_name() {
    let cases = [
        (4, "Q4_2 (removed from the format)"),
        (5, "Q4_3 (removed from the format)"),
        (9, "Q8_1"),
        (15, "Q8_K"),
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (23, "IQ4_XS"),
        (24, "I8"),
        (25, "I16"),
        (26, "I32"),
        (27, "I64"),
        (28, "F64"),
        (29, "IQ1_M"),
        (31, "Q4_0_4_4 (removed from the format)"),
        (32, "Q4_0_4_8 (removed from the format)"),
        (33, "Q4_0_8_8 (removed from the format)"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (36, "IQ4_NL_4_4 (removed from the format)"),
        (37, "IQ4_NL_4_8 (removed from the format)"),
        (38, "IQ4_NL_8_8 (removed from the format)"),
        (39, "MXFP4"),
        (40, "NVFP4"),
        (41, "Q1_0"),
        (9999, "number 9999, which has no name"),
        (u32::MAX, "number 4294967295, which has no name"),
    ];
    for (type_id, name) in cases {
        let mut gguf = Gguf::tiny();
        gguf.tensor("blk.0.ffn_up.weight").type_id = type_id;
        let expected = format!(
            "tensor blk.0.ffn_up.weight: unsupported type {name} (supported: F32, F16, BF16, \
             Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K): take another file of \
             the model, such as its Q4_K_M"
        );
        assert_refused(open_bytes(&gguf.bytes()), &expected, name);
    }
    let mut quantised_norm = Gguf::tiny();
    quantised_norm.store_as("blk.0.attn_norm.weight", BlockType::Q8_0, 8);
    let expected = "tensor blk.0.attn_norm.weight: unsupported type Q8_0 (supported: F32, F16, \
                    BF16 for a vector): take another copy of the model, such as the GGUF file of \
                    its Q4_K_M";
    assert_refused(open_bytes(&quantised_norm.bytes()), expected, "a quantised norm");
}
