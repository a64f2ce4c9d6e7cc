//! `config.json`: what is read, and what is refused by name.

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
            json!(null),
            "key tie_word_embeddings: expected a value, found no such key",
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
            json!({"type": "yarn", "factor": 4.0}),
            "rope scaling of type yarn by 4 (key rope_scaling) is not supported: remove \
             rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_scaling",
            json!({"type": "longrope", "short_factor": [1.0]}),
            "rope scaling of type longrope (key rope_scaling) is not supported: remove \
             rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_scaling",
            json!({"factor": 2.0}),
            "rope scaling of type unknown by 2 (key rope_scaling) is not supported: remove \
             rope_scaling from config.json, and stay within the trained context",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}),
            "rope scaling of type yarn by 4 (key rope_parameters) is not supported: remove \
             rope_parameters from config.json, and stay within the trained context",
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
    folder.write(CONFIG, vec![b' '; (1 << 20) + 1]);
    folder.refused(CONFIG, "expected at most 1048576 bytes, found 1048577 bytes", "1 MiB and 1");
}
