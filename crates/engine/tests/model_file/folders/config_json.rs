//! `config.json`: settings that are read, and settings that are refused with an error that names
//! them.

use banter_engine::model_file::Yarn;

use super::*;

#[test]
fn the_newer_spelling_of_the_configuration_is_read() {
    let folder = Folder::new();
    let mut newer = config();
    newer.as_object_mut().expect("an object").remove("rope_theta");
    newer["rope_parameters"] = json!({"rope_theta": 5e5, "rope_type": "default"});
    newer["layer_types"] = json!(["full_attention", "full_attention"]);
    folder.write(CONFIG, newer.to_string());
    assert_eq!(folder.open().config().rope_base, 5e5);
}

#[test]
fn configurations_that_cannot_be_run_are_refused_by_name() {
    let cases = [
        (
            "model_type",
            json!("llama"),
            "key model_type: expected qwen2, found llama, which this engine does not run",
        ),
        (
            "architectures",
            json!(["Qwen2ForRewardModel"]),
            "key architectures: expected Qwen2ForCausalLM, found [\"Qwen2ForRewardModel\"]",
        ),
        (
            "hidden_act",
            json!("gelu"),
            "key hidden_act: expected silu, found gelu, which this engine does not run",
        ),
        (
            "hidden_size",
            json!("32"),
            "key hidden_size: expected an integer from 0 on, found \"32\"",
        ),
        ("hidden_size", json!(-32), "key hidden_size: expected an integer from 0 on, found -32"),
        ("hidden_size", json!(null), "key hidden_size: expected a value, found no such key"),
        (
            "hidden_size",
            json!(1e300),
            "key hidden_size: expected an integer from 0 on, found 1e+300",
        ),
        ("num_hidden_layers", json!(513), "key num_hidden_layers: expected 1 to 512, found 513"),
        ("num_attention_heads", json!(0), "key num_attention_heads: expected 1 to 1024, found 0"),
        (
            "num_key_value_heads",
            json!(3),
            "key num_key_value_heads: expected a divisor of the 4 heads, found 3",
        ),
        (
            "head_dim",
            json!(7),
            "key head_dim: expected heads of an even width, for rotary positions, found a width \
             of 7",
        ),
        (
            "rms_norm_eps",
            json!(0),
            "key rms_norm_eps: expected a number from 0.000000000001 to 0.1, found 0",
        ),
        (
            "rope_theta",
            json!(0),
            "key rope_theta: expected a number from 1 to 1000000000000, found 0",
        ),
        ("rope_theta", json!(null), "key rope_theta: expected a value, found no such key"),
        (
            "tie_word_embeddings",
            json!("yes"),
            "key tie_word_embeddings: expected true or false, found \"yes\"",
        ),
        (
            "use_sliding_window",
            json!(true),
            "a sliding attention window (use_sliding_window, layer_types) is not supported: use a \
             model with full attention, such as any Qwen2.5-Instruct",
        ),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            "a sliding attention window (use_sliding_window, layer_types) is not supported: use a \
             model with full attention, such as any Qwen2.5-Instruct",
        ),
        (
            "rope_scaling",
            json!({"type": "longrope", "short_factor": [1.0]}),
            "rope scaling of type longrope (key rope_scaling) is not supported: only yarn is; or \
             remove rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_scaling",
            json!({"factor": 2.0}),
            "rope scaling of type unknown by 2 (key rope_scaling) is not supported: only yarn is; \
             or remove rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6}),
            "rope scaling of type linear by 4 (key rope_parameters) is not supported: only yarn \
             is; or remove rope_parameters from config.json, and stay within the trained context",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn"}),
            "key rope_scaling.factor: expected a value, found no such key",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 0.5}),
            "key rope_scaling.factor: expected a number from 1 to 1024, found 0.5",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 0}),
            "key rope_scaling.original_max_position_embeddings: expected 32 to 16777216, found 0",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4, "attention_factor": 0}),
            "key rope_scaling.attention_factor: expected a number from 0.01 to 100, found 0",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4, "beta_fast": 1, "beta_slow": 2}),
            "key rope_scaling.beta_fast: expected a number from 2 to 1000000, found 1",
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4, "truncate": false}),
            "key rope_scaling.truncate: expected true, or no such key, found false",
        ),
    ];
    for (key, value, expected) in cases {
        let folder = Folder::new();
        let mut changed = config();
        changed[key] = value;
        folder.write(CONFIG, changed.to_string());
        folder.refused(CONFIG, expected, key);
    }
    let folder = Folder::new();
    let mut one = config();
    one["rope_scaling"] = json!({"type": "linear", "factor": 1.0});
    folder.write(CONFIG, one.to_string());
    folder.open();
}

#[test]
fn malformed_configurations_are_refused() {
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        ("not JSON", "{".to_string(), "EOF while parsing"),
        ("not an object", "[]".to_string(), "expected an object"),
        (
            "a key twice",
            config().to_string().replacen('{', "{\"hidden_size\": 64,", 1),
            "key hidden_size: expected once, found twice",
        ),
        ("nested 100,000 deep", deep, "recursion limit exceeded"),
        ("not UTF-8", "{\"a\": \"\u{0}\"}".to_string(), "control character"),
    ];
    for (case, content, expected) in cases {
        let folder = Folder::new();
        folder.write(CONFIG, content);
        let error = open_path(&folder.path).expect_err(case);
        assert!(error.file.ends_with(CONFIG), "{case}: {error}");
        assert!(error.to_string().contains(expected), "{case}: {error}");
    }
    let folder = Folder::new();
    folder.write(CONFIG, vec![b' '; (16 << 20) + 1]);
    folder.refused(CONFIG, "expected at most 16777216 bytes, found 16777217 bytes", "too long");
    let mut long = config();
    long["labels"] = json!(vec![0; 70_000]);
    folder.write(CONFIG, long.to_string());
    let error = open_path(&folder.path).expect_err("too many values").to_string();
    assert!(error.contains("expected at most 65536 values, found more"), "{error}");
}

#[test]
fn configurations_are_read_as_other_programs_write_them() {
    let text = config().to_string();
    let with = |more: &str| text.replacen('{', &format!("{{{more}, "), 1);
    let labels: Vec<String> = (0..40_000).map(|id| format!("\"{id}\": \"LABEL_{id}\"")).collect();
    let labels = format!("\"id2label\": {{{}}}", labels.join(", "));
    let cases = [
        ("a byte order mark", format!("\u{feff}{text}")),
        ("NaN", with("\"initializer_range\": NaN, \"a\": [Infinity, -Infinity], \"b\": \"NaN\"")),
        ("a float for a whole number", text.replace("\"hidden_size\":32", "\"hidden_size\":32.0")),
        ("an empty quantisation", with("\"quantization_config\": {}")),
        ("no quantisation", with("\"quantization_config\": null")),
        ("many labels", with(&labels)),
    ];
    for (case, content) in cases {
        assert_ne!(content, text, "{case}");
        let folder = Folder::new();
        folder.write(CONFIG, content);
        let file = open_path(&folder.path).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(file.config().hidden, 32, "{case}");
    }
    let folder = Folder::new();
    folder.write(CONFIG, text.replace("\"rms_norm_eps\":1e-6", "\"rms_norm_eps\":NaN"));
    let expected = "key rms_norm_eps: expected a number, found \"NaN\"";
    folder.refused(CONFIG, expected, "NaN where a number is needed");
}

#[test]
fn a_model_that_does_not_say_whether_it_is_tied_is_tied_unless_it_has_a_head() {
    for stated in [json!(null), json!(true)] {
        let folder = Folder::new();
        let mut changed = config();
        changed["tie_word_embeddings"] = stated.clone();
        folder.write(CONFIG, changed.to_string());
        assert!(folder.open().config().tied_embeddings, "{stated}, no head");
        let mut tensors = tensors(BlockType::F32, "F32");
        let name = "lm_head.weight".to_string();
        tensors.push(Tensor { name, ..tensors[0].clone() });
        folder.write(WEIGHTS, safetensors(&tensors));
        let file = folder.open();
        assert_eq!(file.config().tied_embeddings, stated == json!(true), "{stated}, a head");
        assert_eq!(file.tensor(TensorName::Head).is_none(), stated == json!(true), "{stated}");
    }
}

#[test]
fn a_context_that_yarn_extends_is_as_long_as_it_says() {
    struct Case {
        key: &'static str,
        scaling: Value,
        context: usize,
        yarn: Yarn,
    }
    let of = |factor, original_context| Yarn { original_context, ..Yarn::by(factor) };
    let cases = [
        Case {
            key: "rope_scaling",
            scaling: json!({
                "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512,
            }),
            context: 2048,
            yarn: of(4.0, 512),
        },
        Case {
            key: "rope_scaling",
            scaling: json!({"rope_type": "yarn", "factor": 2, "beta_fast": 16, "beta_slow": null}),
            context: 1024,
            yarn: Yarn { fast_turns: 16.0, ..of(2.0, 512) },
        },
        Case {
            key: "rope_parameters",
            scaling: json!({
                "rope_type": "yarn", "original_max_position_embeddings": 128, "rope_theta": 1e6,
                "attention_factor": 1.5,
            }),
            context: 512,
            yarn: Yarn { magnitude: 1.5, ..of(4.0, 128) },
        },
        Case {
            key: "rope_scaling",
            scaling: json!({"type": "yarn", "factor": 4, "mscale": 1, "mscale_all_dim": 1}),
            context: 2048,
            yarn: Yarn { magnitude: 1.0, ..of(4.0, 512) },
        },
    ];
    for Case { key, scaling, context, yarn } in cases {
        let folder = Folder::new();
        let mut changed = config();
        changed[key] = scaling.clone();
        folder.write(CONFIG, changed.to_string());
        let file = open_path(&folder.path).unwrap_or_else(|error| panic!("{scaling}: {error}"));
        assert_eq!(file.config().yarn, Some(yarn), "{scaling}");
        assert_eq!(file.config().trained_context, context, "{scaling}");
    }
}
