//! Weights of a folder: headers, tensors, shards and their index (FAULTS M12, M13).

use super::*;

#[test]
fn malformed_safetensors_headers_are_refused() {
    let size = |header: &[u8], data: &[u8]| raw_safetensors(header, data);
    let entry = |name: &str, start: u64, end: u64| {
        format!(
            "\"{name}\": {{\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [{start}, \
             {end}]}}"
        )
    };
    let two =
        |first: String, second: String| size(format!("{{{first}, {second}}}").as_bytes(), &[0; 16]);
    let long = ((4_u64 << 20) + 1).to_le_bytes();
    let cases = [
        ("7 bytes", vec![0; 7], "data at byte 0: expected 8 bytes, found 7"),
        (
            "length 2^64 - 1",
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            "length of the header: expected at most 2, found 18446744073709551615",
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
        (
            "an overlap",
            two(entry("a", 0, 8), entry("b", 4, 12)),
            "tensor b: expected offset 8, found offset 4, an overlap",
        ),
        ("the same bytes", two(entry("a", 0, 8), entry("b", 0, 8)), ""),
        (
            "a gap",
            two(entry("a", 0, 8), entry("b", 9, 17)),
            "tensor b: expected offset 8, found offset 9, a gap",
        ),
        (
            "inverted",
            two(entry("a", 0, 8), entry("b", 16, 8)),
            "tensor b: expected as many bytes as F32 of shape [2], found those from 16 to 8",
        ),
        (
            "another length",
            two(entry("a", 0, 8), entry("b", 8, 12)),
            "tensor b: expected as many bytes as F32 of shape [2], found those from 8 to 12",
        ),
        (
            "past the end",
            size(format!("{{{}}}", entry("a", 0, 8)).as_bytes(), &[0; 7]),
            "data: expected 7 bytes of tensors, found tensors that end at byte 8",
        ),
        (
            "bytes left over",
            size(format!("{{{}}}", entry("a", 0, 8)).as_bytes(), &[0; 9]),
            "data: expected 9 bytes of tensors, found tensors that end at byte 8",
        ),
        (
            "a product that wraps",
            size(
                "{\"a\": {\"dtype\": \"F16\", \"shape\": [9223372036854775809, 2], \
                 \"data_offsets\": [0, 4]}}"
                    .as_bytes(),
                &[0; 4],
            ),
            "tensor a: expected as many bytes as F16 of shape [9223372036854775809, 2], found \
             those from 0 to 4",
        ),
        (
            "nine dimensions",
            size(
                "{\"a\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,1], \"data_offsets\": \
                 [0, 4]}}"
                    .as_bytes(),
                &[0; 4],
            ),
            "tensor a: expected as many bytes as F32 of shape [1, 1, 1, 1, 1, 1, 1, 1], found \
             those from 0 to 4",
        ),
        (
            "8-bit floats",
            size(
                "{\"a\": {\"dtype\": \"F8_E4M3\", \"shape\": [4], \"data_offsets\": [0, 4]}}"
                    .as_bytes(),
                &[0; 4],
            ),
            "tensor a: unsupported type F8_E4M3 (supported: F32, F16, BF16)",
        ),
    ];
    for (case, bytes, expected) in cases {
        let folder = Folder::new();
        folder.write(WEIGHTS, bytes);
        if expected.is_empty() {
            let error = open_path(&folder.path).expect_err(case).to_string();
            assert!(error.contains("expected offset 8, found offset 0, an overlap"), "{error}");
        } else {
            folder.refused(WEIGHTS, expected, case);
        }
    }
}

#[test]
fn a_header_names_each_tensor_once_and_not_millions() {
    let entry = r#"{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}"#;
    let twice = format!("{{\"a\": {entry}, \"a\": {entry}}}");
    // As many as the limit of a header has room for.
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
    // Tables of older files and the head of a tied model have no use and do no harm.
    extra("model.layers.0.self_attn.rotary_emb.inv_freq").open();
    extra("lm_head.weight").open();
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

#[test]
fn an_index_and_its_shards_must_agree() {
    let folder = Folder::new();
    folder.shard(|index| index["weight_map"]["model.norm.weight"] = json!("model-9.safetensors"));
    folder.refused(
        INDEX,
        "tensor model.norm.weight: expected the tensor in model-9.safetensors, found it in \
         model-0.safetensors",
        "in another shard",
    );

    let folder = Folder::new();
    folder.shard(|index| index["weight_map"]["spare"] = json!("model-9.safetensors"));
    let error = open_path(&folder.path).expect_err("a missing shard");
    assert_eq!(error.file, folder.path.join("model-9.safetensors").display().to_string());
    assert!(error.to_string().contains("cannot open"), "{error}");

    let folder = Folder::new();
    folder.shard(|index| index["weight_map"]["spare"] = json!("model-0.safetensors"));
    folder.refused(
        INDEX,
        "tensor spare: expected the tensor in model-0.safetensors, found none",
        "a promise not kept",
    );

    // Both shards hold the last norm, but the index names one.
    let folder = Folder::new();
    folder.shard(|_| {});
    let norm = tensors(BlockType::F32, "F32").swap_remove(1);
    let mut second = tensors(BlockType::F32, "F32").split_off(13);
    second.push(norm);
    folder.write("model-1.safetensors", safetensors(&second));
    folder.refused(
        INDEX,
        "tensor model.norm.weight: expected the tensor in model-0.safetensors, found it in \
         model-1.safetensors",
        "a tensor in two shards",
    );

    let folder = Folder::new();
    folder.shard(|index| {
        for number in 0..257 {
            index["weight_map"][format!("t{number}")] = json!(format!("{number}.safetensors"));
        }
    });
    folder.refused(
        INDEX,
        "key weight_map: expected at most 256 files, found 259",
        "too many shards",
    );

    let folder = Folder::new();
    folder.shard(|_| {});
    folder.write(INDEX, r#"{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}"#);
    let error = open_path(&folder.path).expect_err("a tensor twice").to_string();
    assert!(error.contains("tensor a: expected once, found twice"), "{error}");
}
