//! Compares packed matrices with the results of published dequantisers, in `packed.safetensors`;
//! `tools/golden/packed/make.py` writes that file.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use banter_engine::model_file::ModelFileError;
use banter_kernels::{Isa, Pool, dequantise};
use half::{bf16, f16};

use super::*;

/// The matrix that is packed: 8 outputs.
pub const GATE: TensorName = TensorName::Layer(0, LayerTensor::Gate);
const STEM: &str = "model.layers.0.mlp.gate_proj";
const OUTPUTS: u64 = 8;

/// The golden file.
pub struct Golden {
    tensors: HashMap<String, Tensor>,
    pub cases: Vec<GoldenCase>,
}

/// One packed matrix and its folder.
pub struct GoldenCase {
    pub name: String,
    pub quantisation: Value,
}

impl Golden {
    pub fn read() -> Golden {
        let file = include_bytes!("packed.safetensors");
        let (length, rest) = file.split_first_chunk().expect("a length");
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header: Value = serde_json::from_slice(header).expect("a header");
        let mut tensors = HashMap::new();
        for (name, entry) in header.as_object().expect("an object") {
            if name == "__metadata__" {
                continue;
            }
            let numbers = |key: &str| -> Vec<u64> {
                let numbers = entry[key].as_array().expect("numbers").iter();
                numbers.map(|number| number.as_u64().expect("a number")).collect()
            };
            let offsets = numbers("data_offsets");
            let dtype = if entry["dtype"] == "I32" { "I32" } else { "F16" };
            let data = data[offsets[0] as usize..offsets[1] as usize].to_vec();
            let tensor = Tensor { name: name.clone(), dtype, shape: numbers("shape"), data };
            tensors.insert(name.clone(), tensor);
        }
        let cases = header["__metadata__"]["cases"].as_str().expect("cases");
        let cases: Vec<Value> = serde_json::from_str(cases).expect("JSON");
        let case = |case: Value| GoldenCase {
            name: case["name"].as_str().expect("a name").to_string(),
            quantisation: case["quantization_config"].clone(),
        };
        Golden { tensors, cases: cases.into_iter().map(case).collect() }
    }

    pub fn case(&self, name: &str) -> &GoldenCase {
        self.cases.iter().find(|case| case.name == name).expect("a case of that name")
    }

    fn tensor(&self, case: &GoldenCase, part: &str) -> Option<&Tensor> {
        self.tensors.get(&format!("{}.{part}", case.name))
    }

    /// [inputs, outputs]
    fn expected(&self, case: &GoldenCase) -> &Tensor {
        self.tensor(case, "expected").expect("every case has expected weights")
    }

    /// All tensors of a model. The matrix of this case is packed, the others are floats.
    pub fn tensors(&self, case: &GoldenCase) -> Vec<Tensor> {
        let hidden = self.expected(case).shape[0];
        let mut tensors = tensors_of(BlockType::F32, "F32", hidden, OUTPUTS);
        tensors.retain(|tensor| tensor.name != format!("{STEM}.weight"));
        for part in ["qweight", "qzeros", "scales", "g_idx"] {
            let tensor = self.tensor(case, part).cloned();
            tensors
                .extend(tensor.map(|tensor| Tensor { name: format!("{STEM}.{part}"), ..tensor }));
        }
        tensors
    }

    /// A folder with these tensors and this case's configuration.
    pub fn folder(&self, case: &GoldenCase, tensors: &[Tensor]) -> Folder {
        let folder = Folder::new();
        let mut config = self.config(case);
        config["quantization_config"] = case.quantisation.clone();
        folder.write(CONFIG, config.to_string());
        folder.write(WEIGHTS, safetensors(tensors));
        folder
    }

    /// The configuration without its part about packing.
    pub fn config(&self, case: &GoldenCase) -> Value {
        let mut config = config();
        config["hidden_size"] = json!(self.expected(case).shape[0]);
        config["head_dim"] = json!(8);
        config["intermediate_size"] = json!(OUTPUTS);
        config
    }

    /// Asserts that the packed matrix, rounded to 16 bits, equals the expected one.
    pub fn check(&self, case: &GoldenCase, file: &ModelFile) {
        let expected = self.expected(case);
        let found = gate(file).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let (inputs, outputs) = (expected.shape[0] as usize, expected.shape[1] as usize);
        for input in 0..inputs {
            for output in 0..outputs {
                let place = (input * outputs + output) * 2;
                let expected = f16::from_le_bytes([expected.data[place], expected.data[place + 1]]);
                let found = f16::from_f32(found[output * inputs + input]);
                assert!(found == expected, "{} {input} {output}: {found} {expected}", case.name);
            }
        }
    }
}

/// The packed matrix as numbers: [outputs, inputs].
pub fn gate(file: &ModelFile) -> Result<Vec<f32>, ModelFileError> {
    let pool = Pool::new(Isa::best(), NonZeroUsize::new(2).expect("not zero"));
    let info = file.tensor(GATE).expect("a tensor");
    let rows = file.rows(info, &pool)?;
    let mut bytes = vec![0; info.rows * info.row_bytes()];
    // Reads two pieces whose sizes are not multiples of each other.
    let (first, second) = bytes.split_at_mut(3 * info.row_bytes());
    rows.read(0..3, first)?;
    rows.read(3..info.rows, second)?;
    let mut stored = vec![0.0; info.rows * info.depth];
    dequantise(info.kind, &bytes, &mut stored);
    let Some(order) = rows.order() else { return Ok(stored) };
    let mut values = vec![0.0; stored.len()];
    for (row, stored) in values.chunks_mut(info.depth).zip(stored.chunks(info.depth)) {
        for (value, &input) in stored.iter().zip(order.places()) {
            row[input as usize] = *value;
        }
    }
    Ok(values)
}

#[test]
fn packed_matrices_are_what_published_dequantisers_make_of_them() {
    let golden = Golden::read();
    assert_eq!(golden.cases.len(), 72);
    for case in &golden.cases {
        let folder = golden.folder(case, &golden.tensors(case));
        let file = folder.open();
        let info = file.tensor(GATE).expect("a tensor");
        let bits = &case.quantisation["bits"];
        let group_len = match case.quantisation["group_size"].as_i64() {
            Some(-1) => 32, // The longest block length that divides 96 inputs.
            other => other.expect("a number"),
        };
        assert_eq!(info.kind.name(), format!("Int{bits}_{group_len}"), "{}", case.name);
        golden.check(case, &file);
    }
}

#[test]
fn older_folders_say_it_in_a_file_of_its_own() {
    let golden = Golden::read();
    let case = golden.case("gptq-4-128-act-asym");
    let folder = golden.folder(case, &golden.tensors(case));
    folder.write(CONFIG, golden.config(case).to_string());
    let mut older = case.quantisation.clone();
    for newer_key in ["quant_method", "checkpoint_format"] {
        older.as_object_mut().expect("an object").remove(newer_key);
    }
    folder.write("quantize_config.json", older.to_string());
    golden.check(case, &folder.open());
}

#[test]
fn keys_of_other_writers_are_read() {
    let golden = Golden::read();
    let cases = [
        ("gptq-4-32-runs-sym", "is_marlin_format", json!(false)),
        ("gptq-4-32-runs-sym", "dynamic", json!({})),
        ("gptq-4-32-runs-sym", "pack_dtype", json!("int32")),
        ("gptq-4-32-runs-sym", "format", json!("gptq")),
        ("awq-4-32-asym", "version", json!("GEMM")),
        ("awq-4-32-asym", "backend", json!("autoawq")),
    ];
    for (name, key, value) in cases {
        let case = golden.case(name);
        let mut changed =
            GoldenCase { name: name.to_string(), quantisation: case.quantisation.clone() };
        changed.quantisation[key] = value;
        golden.check(case, &golden.folder(&changed, &golden.tensors(&changed)).open());
    }
}

#[test]
fn a_bias_of_zeroes_that_the_model_does_not_have_is_passed_over() {
    let golden = Golden::read();
    let case = golden.case("gptq-4-64-runs-asym");
    let mut tensors = golden.tensors(case);
    let bias = Tensor {
        name: format!("{STEM}.bias"),
        dtype: "F16",
        shape: vec![OUTPUTS],
        data: vec![0; 2 * OUTPUTS as usize],
    };
    tensors.push(bias);
    golden.check(case, &golden.folder(case, &tensors).open());
    tensors.last_mut().expect("the bias").data[5] = 0x3c;
    let expected = "tensor model.layers.0.mlp.gate_proj.bias: expected zeroes, since a Qwen2 model \
                    has no such bias, found 1";
    golden.folder(case, &tensors).refused(WEIGHTS, expected, "a bias that changes the result");
}

#[test]
fn scales_in_bf16_are_read_if_f16_reaches_as_far() {
    let golden = Golden::read();
    let case = golden.case("gptq-8-128-runs-sym");
    let with_scale = |scale: f32| {
        let mut tensors = golden.tensors(case);
        let name = format!("{STEM}.scales");
        let scales = tensors.iter_mut().find(|tensor| tensor.name == name).expect("scales");
        scales.dtype = "BF16";
        scales.data = bf16::from_f32(scale).to_le_bytes().repeat(scales.data.len() / 2);
        golden.folder(case, &tensors).open()
    };
    let file = with_scale(0.5);
    let values = gate(&file).expect("0.5 is a 16-bit float");
    assert!(values.iter().all(|value| value.fract() % 0.5 == 0.0 && value.abs() <= 64.0));
    let error = gate(&with_scale(1e6)).expect_err("beyond 16-bit floats").to_string();
    let expected = "tensor model.layers.0.mlp.gate_proj.scales: expected scales up to 65504, found";
    assert!(error.contains(expected), "{error}");
}

/// The integers of a `g_idx` in another type.
fn convert(g_idx: &Tensor, dtype: &'static str, bytes: usize) -> Tensor {
    let (groups, _) = g_idx.data.as_chunks::<4>();
    let wide = groups.iter().map(|group| i64::from(i32::from_le_bytes(*group)).to_le_bytes());
    let data = wide.flat_map(|wide| wide[..bytes].to_vec()).collect();
    Tensor { dtype, data, ..g_idx.clone() }
}

#[test]
fn groups_may_be_integers_of_any_width() {
    let golden = Golden::read();
    let case = golden.case("gptq-4-64-act-asym");
    for (dtype, bytes) in
        [("I8", 1), ("U8", 1), ("I16", 2), ("U16", 2), ("U32", 4), ("I64", 8), ("U64", 8)]
    {
        let mut tensors = golden.tensors(case);
        let g_idx = tensors.last_mut().expect("the groups");
        *g_idx = convert(g_idx, dtype, bytes);
        golden.check(case, &golden.folder(case, &tensors).open());
    }
}

#[test]
fn groups_that_are_runs_need_no_index_and_ignore_a_useless_one() {
    let golden = Golden::read();
    let case = golden.case("gptq-4-64-runs-asym");
    let like = golden.tensors(golden.case("gptq-4-64-act-asym")).pop().expect("the groups");
    let g_idx = |dtype, data| {
        let name = format!("{STEM}.g_idx");
        Tensor { name, dtype, shape: like.shape.clone(), data }
    };
    let useless = [
        g_idx("I32", vec![0; 128 * 4]),
        g_idx("I64", vec![0; 128 * 8]),
        g_idx("I32", vec![0xff; 128 * 4]),
        g_idx("F32", vec![0; 128 * 4]),
        Tensor { shape: vec![1], ..g_idx("I32", vec![0; 4]) },
    ];
    let stated = [json!(false), json!(null)];
    for desc_act in stated {
        let mut changed =
            GoldenCase { name: case.name.clone(), quantisation: case.quantisation.clone() };
        changed.quantisation["desc_act"] = desc_act.clone();
        let mut tensors = golden.tensors(case);
        tensors.retain(|tensor| !tensor.name.ends_with("g_idx"));
        golden.check(case, &golden.folder(&changed, &tensors).open());
        for index in &useless {
            let mut tensors = tensors.clone();
            tensors.push(index.clone());
            golden.check(case, &golden.folder(&changed, &tensors).open());
        }
    }
}

#[test]
fn an_empty_format_is_as_if_it_were_missing() {
    let golden = Golden::read();
    let case = golden.case("gptq-4-32-runs-sym");
    for key in ["checkpoint_format", "format", "pack_dtype"] {
        for value in [json!(""), json!(null)] {
            let quantisation = case.quantisation.clone();
            let mut changed = GoldenCase { name: case.name.clone(), quantisation };
            changed.quantisation[key] = value;
            golden.check(case, &golden.folder(&changed, &golden.tensors(&changed)).open());
        }
    }
}

#[test]
fn folders_of_mlx_are_refused_by_name() {
    let folder = Folder::new();
    let mut mlx = config();
    for key in ["quantization", "quantization_config"] {
        mlx[key] = json!({"group_size": 64, "bits": 4, "mode": "affine"});
        folder.write(CONFIG, mlx.to_string());
        let expected = "a folder that MLX has quantised (key quantization without quant_method) \
                        is not supported: use a folder packed by GPTQ or AWQ, that of the \
                        unquantised model, or a GGUF file";
        folder.refused(CONFIG, expected, key);
    }
}
