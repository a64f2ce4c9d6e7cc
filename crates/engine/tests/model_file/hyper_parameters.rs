//! Hyper-parameters and the shapes they imply (FAULTS M7 and M8).

use banter_engine::model_file::Yarn;

use super::builder::{Gguf, Value, text};
use super::{assert_refused, open_bytes};

#[test]
fn hyper_parameters_out_of_range_are_refused() {
    let cases = [
        ("block_count", Value::U32(0), "1 to 512, found 0"),
        ("block_count", Value::U32(513), "1 to 512, found 513"),
        ("block_count", Value::U64(1 << 32), "1 to 512, found 4294967296"),
        ("attention.head_count", Value::U32(0), "1 to 1024, found 0"),
        ("attention.head_count", Value::U32(6), "a divisor of the hidden size 32, found 6"),
        (
            "attention.head_count",
            Value::U32(32),
            "heads of an even width, for rotary positions, found a width of 1",
        ),
        ("attention.head_count_kv", Value::U32(0), "1 to 1024, found 0"),
        ("attention.head_count_kv", Value::U32(3), "a divisor of the 4 heads, found 3"),
        ("attention.head_count_kv", Value::U32(8), "a divisor of the 4 heads, found 8"),
        ("embedding_length", Value::U32(0), "1 to 65536, found 0"),
        ("embedding_length", Value::U64(1 << 40), "1 to 65536, found 1099511627776"),
        ("feed_forward_length", Value::U32(0), "1 to 262144, found 0"),
        ("attention.key_length", Value::U32(512), "1 to 256, found 512"),
        ("context_length", Value::U32(0), "32 to 16777216, found 0"),
        ("context_length", Value::U32(1), "32 to 16777216, found 1"),
        ("context_length", Value::U32(3), "32 to 16777216, found 3"),
        ("context_length", Value::U32(31), "32 to 16777216, found 31"),
        ("context_length", Value::U32(1 << 31), "32 to 16777216, found 2147483648"),
        ("rope.freq_base", Value::F32(0.0), "a number from 1 to 1000000000000, found 0"),
        ("rope.freq_base", Value::F32(-1e6), "a number from 1 to 1000000000000, found -1000000"),
        ("rope.freq_base", Value::F32(f32::NAN), "a number from 1 to 1000000000000, found NaN"),
        (
            "rope.freq_base",
            Value::F32(f32::INFINITY),
            "a number from 1 to 1000000000000, found inf",
        ),
        (
            "attention.layer_norm_rms_epsilon",
            Value::F32(0.0),
            "a number from 0.000000000001 to 0.1, found 0",
        ),
        (
            "attention.layer_norm_rms_epsilon",
            Value::F32(f32::NAN),
            "a number from 0.000000000001 to 0.1, found NaN",
        ),
        ("vocab_size", Value::U32(17), "16, found 17"),
        ("rope.dimension_count", Value::U32(4), "8, found 4"),
        ("attention.value_length", Value::U32(4), "8, found 4"),
        ("expert_count", Value::U32(8), "0, found 8"),
        ("rope.scale_linear", Value::F32(2.0), "1, or no such key, found 2"),
        (
            "attention.causal",
            Value::Bool(false),
            "true, found false, as in models that embed text and do not generate any",
        ),
    ];
    for (key, value, expected) in cases {
        let key = format!("qwen2.{key}");
        let found = open_bytes(&Gguf::tiny().with(&key, value).bytes());
        assert_refused(found, &format!("key {key}: expected {expected}"), &key);
    }
}

#[test]
fn keys_a_model_needs_have_no_default() {
    let needed = [
        "general.architecture",
        "qwen2.block_count",
        "qwen2.context_length",
        "qwen2.embedding_length",
        "qwen2.feed_forward_length",
        "qwen2.attention.head_count",
        "qwen2.attention.layer_norm_rms_epsilon",
        "qwen2.rope.freq_base",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.eos_token_id",
    ];
    for key in needed {
        let error = open_bytes(&Gguf::tiny().without(key).bytes()).expect_err(key).to_string();
        assert!(error.contains(&format!("key {key}: expected ")), "{error}");
        assert!(error.ends_with("found no such key"), "{error}");
    }
}

#[test]
fn other_architectures_and_variations_are_refused_by_name() {
    let cases = [
        (
            "general.architecture",
            text("llama"),
            "key general.architecture: expected qwen2, found llama, which this engine does not run",
        ),
        (
            "general.architecture",
            text("qwen3"),
            "key general.architecture: expected qwen2, found qwen3, which this engine does not run",
        ),
        ("general.type", text("adapter"), "key general.type: expected model, found adapter"),
        (
            "qwen2.attention.sliding_window",
            Value::U32(128),
            "a sliding window of 128 positions (key qwen2.attention.sliding_window) is not \
             supported: use a file of the model with full attention",
        ),
    ];
    for (key, value, expected) in cases {
        assert_refused(open_bytes(&Gguf::tiny().with(key, value).bytes()), expected, key);
    }
    for kind in ["linear", "longrope"] {
        let scaled = Gguf::tiny()
            .with("qwen2.rope.scaling.type", text(kind))
            .with("qwen2.rope.scaling.factor", Value::F32(4.0));
        let expected = format!(
            "rope scaling of type {kind} by 4 (key qwen2.rope.scaling.type) is not supported: use \
             a file of the same model without it, and a context within the trained one"
        );
        assert_refused(open_bytes(&scaled.bytes()), &expected, kind);
    }
    let no_type = Gguf::tiny().with("qwen2.rope.scaling.factor", Value::F32(4.0));
    let expected = "rope scaling of type linear by 4 (key qwen2.rope.scaling.type) is not \
                    supported: use a file of the same model without it, and a context within the \
                    trained one";
    assert_refused(open_bytes(&no_type.bytes()), expected, "a factor without a type");
}

#[test]
fn a_context_that_yarn_extends_is_as_long_as_it_says() {
    let yarn = Gguf::tiny()
        .with("qwen2.rope.scaling.type", text("yarn"))
        .with("qwen2.rope.scaling.factor", Value::F32(4.0));
    let file = open_bytes(&yarn.bytes()).expect("a model");
    let expected = Yarn { original_context: 512, ..Yarn::by(4.0) };
    assert_eq!(file.config().yarn, Some(expected), "without an original context");
    assert_eq!(file.config().trained_context, 2048);
    let yarn = yarn
        .with("qwen2.rope.scaling.original_context_length", Value::U32(128))
        .with("qwen2.rope.scaling.yarn_beta_fast", Value::F32(16.0));
    let file = open_bytes(&yarn.bytes()).expect("a model");
    let expected = Yarn { original_context: 128, fast_turns: 16.0, ..Yarn::by(4.0) };
    assert_eq!(file.config().yarn, Some(expected));
    assert_eq!(file.config().trained_context, 512);
    let other = yarn.with("qwen2.rope.scaling.yarn_attn_factor", Value::F32(0.5));
    let expected = "key qwen2.rope.scaling.yarn_attn_factor: expected 1, or no such key, found 0.5";
    assert_refused(open_bytes(&other.bytes()), expected, "another magnitude");
}

#[test]
fn a_tensor_of_another_shape_is_refused_whichever_it_is() {
    let names: Vec<String> =
        Gguf::untied().tensors.iter().map(|tensor| tensor.name.clone()).collect();
    for name in names {
        let mut gguf = Gguf::untied();
        let tensor = gguf.tensor(&name);
        let before = tensor.dims.clone();
        // Halves the outermost dimension.
        *tensor.dims.last_mut().expect("a dimension") /= 2;
        let half = tensor.data.len() / 2;
        tensor.data.truncate(half);
        let found = tensor.dims.iter().rev().copied().collect::<Vec<u64>>();
        let expected = before.iter().rev().copied().collect::<Vec<u64>>();
        let error = open_bytes(&gguf.bytes()).expect_err(&name).to_string();
        if name == "token_embd.weight" {
            // The embedding defines the number of rows, so the error is about the head.
            assert!(
                error.contains("output.weight: expected shape [8, 32], found [16, 32]"),
                "{error}"
            );
            continue;
        }
        let wanted = format!("tensor {name}: expected shape {expected:?}, found {found:?}");
        assert!(error.contains(&wanted), "expected {wanted}, found {error}");
    }
}

#[test]
fn a_transposed_or_swapped_tensor_is_refused() {
    let mut transposed = Gguf::tiny();
    transposed.tensor("blk.1.ffn_down.weight").dims.reverse();
    let expected = "tensor blk.1.ffn_down.weight: expected shape [32, 64], found [64, 32]";
    assert_refused(open_bytes(&transposed.bytes()), expected, "transposed");
    let mut swapped = Gguf::tiny();
    swapped.tensor("blk.0.ffn_up.weight").name = "swap".to_string();
    swapped.tensor("blk.0.ffn_down.weight").name = "blk.0.ffn_up.weight".to_string();
    swapped.tensor("swap").name = "blk.0.ffn_down.weight".to_string();
    let expected = "tensor blk.0.ffn_up.weight: expected shape [64, 32], found [32, 64]";
    assert_refused(open_bytes(&swapped.bytes()), expected, "swapped");
    let mut matrix_for_vector = Gguf::tiny();
    matrix_for_vector.tensor("output_norm.weight").dims.push(1);
    let expected = "tensor output_norm.weight: expected shape [32], found [1, 32]";
    assert_refused(open_bytes(&matrix_for_vector.bytes()), expected, "a norm with two dimensions");
}

#[test]
fn a_missing_or_unknown_tensor_is_refused_by_name() {
    for name in ["token_embd.weight", "output_norm.weight", "blk.1.attn_k.bias"] {
        let mut gguf = Gguf::tiny();
        gguf.tensors.retain(|tensor| tensor.name != name);
        let expected = format!("tensor {name}: expected a tensor of that name, found none");
        assert_refused(open_bytes(&gguf.bytes()), &expected, name);
    }
    for name in ["rope_freqs.weight", "blk.2.attn_norm.weight", "blk.0.attn_q_norm.weight"] {
        let mut gguf = Gguf::tiny();
        let mut extra = gguf.tensor("output_norm.weight").clone();
        extra.name = name.to_string();
        gguf.tensors.push(extra);
        let expected = format!(
            "tensor {name}: expected only the tensors of a Qwen2 model of 2 layers, found one \
             that changes the result"
        );
        assert_refused(open_bytes(&gguf.bytes()), &expected, name);
    }
    let mut bias = Gguf::tiny();
    let mut extra = bias.tensor("output_norm.weight").clone();
    extra.name = "blk.0.attn_output.bias".to_string();
    extra.data.fill(0);
    bias.tensors.push(extra);
    open_bytes(&bias.bytes()).expect("a bias of zeroes");
    bias.tensor("blk.0.attn_output.bias").data[7] = 0x40;
    let expected = "tensor blk.0.attn_output.bias: expected zeroes, since a Qwen2 model has no \
                    such bias, found 2";
    assert_refused(open_bytes(&bias.bytes()), expected, "a bias");
}
