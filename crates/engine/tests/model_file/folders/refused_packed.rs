//! Packed folders that are refused: for their configuration, for their tensors, and for faults that
//! show only when the weights are read.

use std::fs::OpenOptions;

use super::packed::{Golden, GoldenCase, gate};
use super::*;

const CASE: &str = "gptq-4-64-act-asym";
const STEM: &str = "model.layers.0.mlp.gate_proj";

#[test]
fn packings_that_are_not_known_are_refused_by_name() {
    let golden = Golden::read();
    let cases = [
        (
            CASE,
            "quant_method",
            json!("bitsandbytes"),
            "quantization_config.quant_method with bitsandbytes is not supported: use a folder \
             packed by GPTQ or AWQ, that of the unquantised model, or a GGUF file",
        ),
        (
            CASE,
            "quant_method",
            json!(null),
            "a folder that MLX has quantised (key quantization_config without quant_method) is not \
             supported: use a folder packed by GPTQ or AWQ, that of the unquantised model, or a \
             GGUF file",
        ),
        (CASE, "bits", json!(3), "key quantization_config.bits: expected 4 or 8, found 3"),
        (
            CASE,
            "bits",
            json!(null),
            "key quantization_config.bits: expected a value, found no such key",
        ),
        (
            CASE,
            "bits",
            json!("4"),
            "key quantization_config.bits: expected an integer from 0 on, found \"4\"",
        ),
        (
            CASE,
            "group_size",
            json!(48),
            "key quantization_config.group_size: expected -1 or a multiple of 32, found 48",
        ),
        (
            CASE,
            "group_size",
            json!(0),
            "key quantization_config.group_size: expected -1 or a multiple of 32, found 0",
        ),
        (
            CASE,
            "group_size",
            json!(-64),
            "key quantization_config.group_size: expected -1 or a multiple of 32, found -64",
        ),
        (
            CASE,
            "group_size",
            json!(null),
            "key quantization_config.group_size: expected a value, found no such key",
        ),
        (
            CASE,
            "checkpoint_format",
            json!("marlin"),
            "quantization_config.checkpoint_format with marlin is not supported: use a folder in \
             the format gptq or gptq_v2",
        ),
        (
            CASE,
            "is_marlin_format",
            json!(true),
            "quantization_config.is_marlin_format with true is not supported: use a folder in the \
             format gptq or gptq_v2",
        ),
        (
            CASE,
            "pack_dtype",
            json!("int64"),
            "quantization_config.pack_dtype with int64 is not supported: use a folder packed in \
             int32, as usual",
        ),
        (
            CASE,
            "dynamic",
            json!({"-:.*gate.*": {}}),
            "quantization_config.dynamic with settings of single modules is not supported: use a \
             folder whose modules are all packed in one way",
        ),
        (
            "awq-4-64-asym",
            "version",
            json!("gemv"),
            "quantization_config.version with gemv is not supported: use a folder packed in \
             version gemm",
        ),
        (
            "awq-4-64-asym",
            "version",
            json!(null),
            "key quantization_config.version: expected a value, found no such key",
        ),
        ("awq-4-64-asym", "bits", json!(8), "key quantization_config.bits: expected 4, found 8"),
    ];
    for (name, key, value, expected) in cases {
        let quantisation = golden.case(name).quantisation.clone();
        let mut changed = GoldenCase { name: name.to_string(), quantisation };
        let case = format!("{key} {value}");
        changed.quantisation[key] = value;
        golden.folder(&changed, &golden.tensors(&changed)).refused(CONFIG, expected, &case);
    }
}

#[test]
fn words_without_a_word_of_how_they_are_packed_are_refused() {
    let golden = Golden::read();
    let case = golden.case(CASE);
    let folder = golden.folder(case, &golden.tensors(case));
    folder.write(CONFIG, golden.config(case).to_string());
    let expected = "tensor model.layers.0.mlp.gate_proj.qweight: expected quantization_config in \
                    config.json or quantize_config.json, which say how it is packed, found neither";
    folder.refused(WEIGHTS, expected, "no configuration");
    folder.write("quantize_config.json", r#"{"bits": 2, "group_size": 64}"#);
    let expected = "key bits: expected 4 or 8, found 2";
    folder.refused("quantize_config.json", expected, "2 bits in a file of its own");
}

/// A change of one tensor of the packed matrix.
struct Damage {
    part: &'static str,
    edit: fn(&mut Vec<Tensor>, usize),
    expected: &'static str,
}

#[test]
fn parts_of_a_packed_matrix_must_fit_each_other() {
    let cases = [
        Damage {
            part: "qzeros",
            edit: |tensors, index| drop(tensors.remove(index)),
            expected: "tensor model.layers.0.mlp.gate_proj.qzeros: expected a tensor of that name, \
                       found none",
        },
        Damage {
            part: "scales",
            edit: |tensors, index| drop(tensors.remove(index)),
            expected: "tensor model.layers.0.mlp.gate_proj.scales: expected a tensor of that name, \
                       found none",
        },
        Damage {
            part: "g_idx",
            edit: |tensors, index| drop(tensors.remove(index)),
            expected: "tensor model.layers.0.mlp.gate_proj.g_idx: expected a tensor of that name, \
                       found none",
        },
        Damage {
            part: "qweight",
            edit: |tensors, index| drop(tensors.remove(index)),
            expected: "tensor model.layers.0.mlp.gate_proj.weight: expected a tensor of that name, \
                       found none",
        },
        Damage {
            part: "qweight",
            edit: |tensors, index| tensors[index].shape.reverse(),
            expected: "tensor model.layers.0.mlp.gate_proj.qweight: expected shape [16, 8], found \
                       [8, 16]",
        },
        Damage {
            part: "qzeros",
            edit: |tensors, index| tensors[index].shape = vec![2],
            expected: "tensor model.layers.0.mlp.gate_proj.qzeros: expected shape [2, 1], found [2]",
        },
        Damage {
            part: "scales",
            edit: |tensors, index| tensors[index].shape = vec![1, 16],
            expected: "tensor model.layers.0.mlp.gate_proj.scales: expected shape [2, 8], found \
                       [1, 16]",
        },
        Damage {
            part: "g_idx",
            edit: |tensors, index| tensors[index].shape = vec![2, 64],
            expected: "tensor model.layers.0.mlp.gate_proj.g_idx: expected shape [128], found \
                       [2, 64]",
        },
        Damage {
            part: "qweight",
            edit: |tensors, index| tensors[index].dtype = "F32",
            expected: "tensor model.layers.0.mlp.gate_proj.qweight: unsupported type F32 \
                       (supported: I32): take another copy of the model, such as the GGUF \
                       file of its Q4_K_M",
        },
        Damage {
            part: "scales",
            edit: |tensors, index| {
                tensors[index].dtype = "F32";
                tensors[index].data.extend([0; 32]);
            },
            expected: "tensor model.layers.0.mlp.gate_proj.scales: unsupported type F32 \
                       (supported: F16, BF16): take another copy of the model, such as the GGUF \
                       file of its Q4_K_M",
        },
        Damage {
            part: "qweight",
            edit: |tensors, index| {
                let name = format!("{STEM}.weight");
                let copy = Tensor { name, ..tensors[index].clone() };
                tensors.push(copy);
            },
            expected: "tensor model.layers.0.mlp.gate_proj.weight: expected only the tensors of a \
                       Qwen2 model of 2 layers, found one that changes the result",
        },
        Damage {
            part: "qweight",
            edit: |tensors, index| {
                let name = "model.embed_tokens.qweight".to_string();
                let copy = Tensor { name, ..tensors[index].clone() };
                tensors.push(copy);
            },
            expected: "tensor model.embed_tokens.qweight: expected only the tensors of a Qwen2 \
                       model of 2 layers, found one that changes the result",
        },
    ];
    let golden = Golden::read();
    let case = golden.case(CASE);
    for Damage { part, edit, expected } in cases {
        let mut tensors = golden.tensors(case);
        let name = format!("{STEM}.{part}");
        let index = tensors.iter().position(|tensor| tensor.name == name).expect("a part");
        edit(&mut tensors, index);
        let found = open_path(&golden.folder(case, &tensors).path);
        match found {
            Err(error) => assert_eq!(error.fault.to_string(), expected, "{part}"),
            Ok(_) => panic!("expected {expected}, found a model"),
        }
    }
}

#[test]
fn groups_must_be_whole() {
    let golden = Golden::read();
    let case = golden.case(CASE);
    for (group_size, outputs, expected) in [
        (96, 8, "tensor model.layers.0.mlp.gate_proj: expected a multiple of 96 inputs, found 128"),
        (
            256,
            8,
            "tensor model.layers.0.mlp.gate_proj: expected a multiple of 256 inputs, found 128",
        ),
        (64, 12, "tensor model.layers.0.mlp.gate_proj: expected a multiple of 8 outputs, found 12"),
    ] {
        let folder = golden.folder(case, &golden.tensors(case));
        let mut config = golden.config(case);
        config["quantization_config"] = case.quantisation.clone();
        config["quantization_config"]["group_size"] = json!(group_size);
        config["intermediate_size"] = json!(outputs);
        folder.write(CONFIG, config.to_string());
        folder.refused(WEIGHTS, expected, expected);
    }
}

#[test]
fn groups_of_hostile_files_are_errors_when_they_are_read() {
    let golden = Golden::read();
    let case = golden.case(CASE);
    for (group, expected) in [
        (2_i32, "tensor model.layers.0.mlp.gate_proj.g_idx: expected groups from 0 to 1, found 2"),
        (-1, "tensor model.layers.0.mlp.gate_proj.g_idx: expected groups from 0 to 1, found -1"),
        (i32::MIN, "expected groups from 0 to 1, found -2147483648 for input 5"),
    ] {
        let mut tensors = golden.tensors(case);
        let g_idx = tensors.last_mut().expect("the groups");
        g_idx.data[20..24].copy_from_slice(&group.to_le_bytes());
        let file = golden.folder(case, &tensors).open();
        let error = gate(&file).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut tensors = golden.tensors(case);
    tensors.last_mut().expect("the groups").data.fill(0);
    let error = gate(&golden.folder(case, &tensors).open()).expect_err("one group").to_string();
    assert!(error.ends_with("expected 64 inputs in each group, found 128 in group 0"), "{error}");
}

#[test]
fn a_packed_file_that_shrinks_is_an_error_of_one_read() {
    let golden = Golden::read();
    let case = golden.case(CASE);
    let folder = golden.folder(case, &golden.tensors(case));
    let file = folder.open();
    let weights = OpenOptions::new().write(true).open(folder.path.join(WEIGHTS)).expect("a file");
    weights.set_len(4096).expect("shorter");
    let error = gate(&file).expect_err("a shorter file").to_string();
    assert!(error.contains("cannot read"), "{error}");
}
