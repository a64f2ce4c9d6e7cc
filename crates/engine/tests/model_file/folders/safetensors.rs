//! Weights of a folder: headers, tensors, shards and their index (FAULTS M12, M13).

use super::*;

#[test]
fn malformed_safetensors_headers_are_refused() {
    let size = |header: &[u8], data: &[u8]| raw_safetensors(header, data);
    let long = ((4_u64 << 20) + 1).to_le_bytes();
    let cases = [
        (
            "7 bytes",
            vec![1; 7],
            "the file ends early: expected 8 bytes (for the length of the header), found 7: \
             download it again",
        ),
        (
            "length 2^64 - 1",
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            "length of the header: expected at most 4194304, found 18446744073709551615",
        ),
        (
            "a header that is cut off",
            [&1000_u64.to_le_bytes()[..], b"{}"].concat(),
            "the file ends early: expected 1008 bytes (for the header), found 10: download it \
             again",
        ),
        (
            "length beyond the limit",
            [&long[..], &vec![b' '; 5 << 20]].concat(),
            "length of the header: expected at most 4194304, found 4194305",
        ),
        (
            "NULs after the header",
            size(b"{}\0\0", &[]),
            "JSON: expected a well-formed object, found trailing characters at line 1 column 3",
        ),
        (
            "not UTF-8",
            size(b"{\"\xff\": 1}", &[]),
            "header: expected UTF-8, found invalid utf-8 sequence of 1 bytes from index 2",
        ),
    ];
    for (case, bytes, expected) in cases {
        let folder = Folder::new();
        folder.write(WEIGHTS, bytes);
        folder.refused(WEIGHTS, expected, case);
    }
}

/// Length of the headers of [`edited`], in bytes.
const HEADER_BYTES: usize = 6000;

/// The weights with a header that `edit` has changed.
fn edited(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let file = safetensors(&tensors(BlockType::F32, "F32"));
    let (length, rest) = file.split_first_chunk().expect("a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header = serde_json::from_slice(header).expect("a header");
    edit(&mut header);
    let header = format!("{:HEADER_BYTES$}", header.to_string());
    raw_safetensors(header.as_bytes(), data)
}

#[test]
fn a_tensor_that_the_model_uses_must_be_where_its_header_says() {
    const NORM: &str = "model.norm.weight";
    let start = 16 * 32 * 4;
    let end = start + 32 * 4;
    let whole = edited(|_| ());
    let data_start = 8 + HEADER_BYTES as u64;
    let place =
        |start: u64, end: u64| edited(|header| header[NORM]["data_offsets"] = json!([start, end]));
    let size = |start: u64, end: u64| {
        format!(
            "tensor {NORM}: expected as many bytes as F32 of shape [32], found those from {start} \
             to {end}"
        )
    };
    let file_bytes = whole.len() as u64;
    let cases = [
        (
            "an overlap",
            place(start - 4, end - 4),
            format!(
                "tensor {NORM}: expected byte {} of the file, where model.embed_tokens.weight \
                 ends, found byte {}, an overlap: download the file again",
                data_start + start,
                data_start + start - 4
            ),
        ),
        ("inverted", place(end, start), size(end, start)),
        ("another length", place(start, end - 4), size(start, end - 4)),
        (
            "beyond the end",
            place(1 << 40, (1 << 40) + 128),
            format!(
                "the file ends early: expected {} bytes (for its tensors), found {file_bytes}: \
                 download it again",
                data_start + (1 << 40) + 128
            ),
        ),
        (
            "a product that wraps",
            edited(|header| header[NORM]["shape"] = json!([9_223_372_036_854_775_809_u64, 2])),
            format!(
                "tensor {NORM}: expected as many bytes as F32 of shape [9223372036854775809, 2], \
                 found those from {start} to {end}"
            ),
        ),
        (
            "nine dimensions",
            edited(|header| header[NORM]["shape"] = json!([32, 1, 1, 1, 1, 1, 1, 1, 1])),
            format!(
                "tensor {NORM}: expected shape [32], found 9 dimensions, first [32, 1, 1, 1, 1, \
                 1, 1, 1]"
            ),
        ),
        (
            "8-bit floats",
            edited(|header| header[NORM]["dtype"] = json!("F8_E4M3")),
            format!(
                "tensor {NORM}: unsupported type F8_E4M3 (supported: F32, F16, BF16): take \
                 another copy of the model, such as the GGUF file of its Q4_K_M"
            ),
        ),
        (
            "integers",
            edited(|header| header[NORM]["dtype"] = json!("I32")),
            format!(
                "tensor {NORM}: unsupported type I32 (supported: F32, F16, BF16): take another \
                 copy of the model, such as the GGUF file of its Q4_K_M"
            ),
        ),
        (
            "one byte too few",
            whole[..whole.len() - 1].to_vec(),
            format!(
                "the file ends early: expected {file_bytes} bytes (for its tensors), found {}: \
                 download it again",
                file_bytes - 1
            ),
        ),
    ];
    for (case, bytes, expected) in cases {
        let folder = Folder::new();
        folder.write(WEIGHTS, bytes);
        folder.refused(WEIGHTS, &expected, case);
    }
    // Four bytes after the embedding that belong to no tensor.
    let mut gap = tensors(BlockType::F32, "F32");
    gap[0].data.extend([0; 4]);
    let file = safetensors(&gap);
    let text = String::from_utf8_lossy(&file).into_owned();
    let gap = text.find("[0,2052]").expect("the place of the embedding");
    let mut file = file;
    file[gap..gap + 8].copy_from_slice(b"[0,2048]");
    let folder = Folder::new();
    folder.write(WEIGHTS, file);
    let error = open_path(&folder.path).expect_err("a gap").to_string();
    assert!(error.contains(", a gap: download the file again"), "{error}");
}

#[test]
fn tensors_that_the_model_does_not_use_may_be_anything() {
    const FAR: u64 = 1 << 40;
    let types = [
        ("F8_E4M3", 1),
        ("F8_E5M2", 1),
        ("I64", 8),
        ("I32", 4),
        ("I16", 2),
        ("U8", 1),
        ("BOOL", 1),
        ("F64", 8),
        ("U64", 8),
        ("C64", 8),
        ("F4", 1),
        ("A type of the future", 3),
    ];
    let names = [
        "unused",
        "aaa",
        "visual.blocks.0.attn.qkv.weight",
        "model.layers.0.self_attn.k_scale",
        "model.layers.0.self_attn.k_proj.k_scale",
        "model.layers.0.self_attn.masked_bias",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "lm_head.weight",
    ];
    let whole = Folder::new().open();
    for (dtype, size) in types {
        for name in names {
            for place in [0, 7, 26] {
                let mut tensors = tensors(BlockType::F32, "F32");
                let data = vec![7; 4 * size];
                let unused = Tensor { name: name.to_string(), dtype, shape: vec![2, 2], data };
                tensors.insert(place, unused);
                let folder = Folder::new();
                folder.write(WEIGHTS, safetensors(&tensors));
                let file = open_path(&folder.path)
                    .unwrap_or_else(|error| panic!("{dtype} {name} at {place}: {error}"));
                assert_eq!(file.description(), whole.description(), "{dtype} {name}");
            }
        }
    }
    for entry in [
        json!({"dtype": "F32", "shape": [], "data_offsets": [0, 0]}),
        json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        json!({"dtype": "F32", "shape": [2], "data_offsets": [16, 8]}),
        json!({"dtype": "F32", "shape": [1, 1, 1, 1, 1, 1, 1, 1, 1], "data_offsets": [0, 4]}),
        json!({"dtype": "F32", "shape": [FAR, FAR], "data_offsets": [0, 4]}),
        json!({"dtype": "F32", "shape": [4], "data_offsets": [FAR, FAR + 16]}),
    ] {
        let folder = Folder::new();
        folder.write(WEIGHTS, edited(|header| header["unused"] = entry.clone()));
        open_path(&folder.path).unwrap_or_else(|error| panic!("{entry}: {error}"));
    }
    let mut trailing = safetensors(&tensors(BlockType::F32, "F32"));
    trailing.extend([0xff; 16]);
    let folder = Folder::new();
    folder.write(WEIGHTS, trailing);
    folder.open();
}

#[test]
fn a_header_names_each_tensor_once_and_not_millions() {
    let entry = r#"{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}"#;
    let twice = format!("{{\"a\": {entry}, \"a\": {entry}}}");
    // About as many entries as fit into the largest header.
    let many: Vec<String> = (0..60_000).map(|number| format!("\"{number}\":{entry}")).collect();
    let many = format!("{{{}}}", many.join(","));
    for (content, expected) in [
        (twice, "tensor a: expected once, found twice"),
        (many, "expected at most 16384 tensors, found more"),
    ] {
        let folder = Folder::new();
        folder.write(WEIGHTS, raw_safetensors(content.as_bytes(), &[]));
        let error = open_path(&folder.path).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn tensors_are_claimed_by_name_and_shape() {
    let weights = |edit: &dyn Fn(&mut Vec<Tensor>)| {
        let folder = Folder::new();
        let mut tensors = tensors(BlockType::F32, "F32");
        edit(&mut tensors);
        folder.write(WEIGHTS, safetensors(&tensors));
        folder
    };
    let missing = weights(&|tensors| {
        tensors.pop();
    });
    let expected =
        "tensor model.layers.1.mlp.down_proj.weight: expected a tensor of that name, found none";
    missing.refused(WEIGHTS, expected, "missing");
    let transposed = weights(&|tensors| tensors[25].shape.reverse());
    let expected =
        "tensor model.layers.1.mlp.down_proj.weight: expected shape [32, 64], found [64, 32]";
    transposed.refused(WEIGHTS, expected, "transposed");
    let extra = |name: &str| {
        let name = name.to_string();
        weights(&move |tensors: &mut Vec<Tensor>| {
            let like = tensors[1].clone();
            tensors.push(Tensor { name: name.clone(), ..like });
        })
    };
    let expected = "tensor model.layers.0.self_attn.q_norm.weight: expected only the tensors of a \
                    Qwen2 model of 2 layers, found one that changes the result";
    extra("model.layers.0.self_attn.q_norm.weight").refused(WEIGHTS, expected, "unknown");
    for name in [
        "model.layers.2.input_layernorm.weight",
        "model.layers.0.mlp.up_proj.lora_A.weight",
        "model.layers.0.mlp.up_proj.lora_A.default.weight",
        "model.layers.1.self_attn.q_proj.weight_scale",
    ] {
        let expected = format!(
            "tensor {name}: expected only the tensors of a Qwen2 model of 2 layers, found one that \
             changes the result"
        );
        extra(name).refused(WEIGHTS, &expected, name);
    }
    let untied = Folder::new();
    let mut changed = config();
    changed["tie_word_embeddings"] = json!(false);
    untied.write(CONFIG, changed.to_string());
    let expected = "tensor lm_head.weight: expected a tensor of that name, found none";
    untied.refused(WEIGHTS, expected, "no head");
}

#[test]
fn shards_equal_the_whole() {
    let whole = Folder::new();
    let sharded = Folder::new();
    sharded.shard(|_| {});
    let (whole, sharded) = (whole.open(), sharded.open());
    assert_eq!(whole.description(), sharded.description());
    for name in [TensorName::Embedding, TensorName::Layer(1, LayerTensor::Down)] {
        assert_eq!(last_row(&whole, name), last_row(&sharded, name));
    }
}

#[test]
fn an_index_leads_only_to_safetensors_in_its_folder() {
    let names = [
        "../../etc/passwd",
        "/etc/passwd",
        "../model-0.safetensors",
        "/tmp/model-0.safetensors",
        "..",
        "",
        "sub/model-0.safetensors",
        "sub\\model-0.safetensors",
        "model\0.safetensors",
        INDEX,
        "pytorch_model.bin",
    ];
    for name in names {
        let folder = Folder::new();
        folder.shard(|index| index["weight_map"]["model.norm.weight"] = json!(name));
        let printed = name.replace('\0', "\\0");
        let expected = format!(
            "key weight_map: expected names of .safetensors files in the same folder, found \
             {printed}"
        );
        folder.refused(INDEX, &expected, name);
    }
}
