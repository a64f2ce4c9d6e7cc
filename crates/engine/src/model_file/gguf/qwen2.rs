//! What the keys of a Qwen2 model in a GGUF file mean.

use std::path::Path;

use super::super::config::{ModelConfig, RawConfig, Stated};
use super::super::error::Fault;
use super::super::sampling::RawSampling;
use super::super::stored::{self, StoredTensor};
use super::super::tensors::TensorName;
use super::super::yarn::RawYarn;
use super::super::{About, SamplingDefaults};
use super::metadata::{Metadata, missing};
use crate::printable::{printable, printable_within};
use crate::text::{TokenId, TokenKind, TokenizerOptions, Vocabulary, VocabularyToken};

const ARCHITECTURE: &str = "qwen2";

/// Refuses what is not a Qwen2 language model.
pub(super) fn check_architecture(metadata: &Metadata) -> Result<(), Fault> {
    let key = "general.architecture";
    match metadata.string(key)? {
        Some(ARCHITECTURE) => {}
        Some(other) => {
            let found = format!("{}, which this engine does not run", printable(other));
            return Err(Fault::key(key, ARCHITECTURE, found));
        }
        None => return Err(missing(key, ARCHITECTURE)),
    }
    let key = "general.type";
    match metadata.string(key)? {
        Some("model") | None => Ok(()),
        Some(other) => Err(Fault::key(key, "model", printable(other))),
    }
}

/// The checked hyper-parameters.
pub(super) fn config(metadata: &Metadata, stored: &[StoredTensor]) -> Result<ModelConfig, Fault> {
    refuse_variations(metadata)?;
    let heads = unsigned(metadata, "attention.head_count")?;
    let kv_heads = match optional_unsigned(metadata, "attention.head_count_kv")? {
        Some(kv_heads) => kv_heads,
        None => heads.clone(), // The format says: missing means one per query head.
    };
    let head_dim = optional_unsigned(metadata, "attention.key_length")?;
    let raw = RawConfig {
        layers: unsigned(metadata, "block_count")?,
        hidden: unsigned(metadata, "embedding_length")?,
        heads,
        kv_heads,
        head_dim,
        feed_forward: unsigned(metadata, "feed_forward_length")?,
        vocabulary_rows: embedding_rows(stored)?,
        trained_context: unsigned(metadata, "context_length")?,
        rope_base: float(metadata, "rope.freq_base")?,
        yarn: yarn(metadata)?,
        rms_eps: float(metadata, "attention.layer_norm_rms_epsilon")?,
        tied_embeddings: !stored.iter().any(|tensor| tensor.name == TensorName::Head.gguf_name()),
    };
    let config = raw.check()?;
    for name in ["attention.key_length", "attention.value_length", "rope.dimension_count"] {
        expect_unsigned(metadata, name, config.head_dim as u64)?;
    }
    expect_unsigned(metadata, "vocab_size", config.vocabulary_rows as u64)?;
    refuse_sliding_window(metadata, config.trained_context)?;
    Ok(config)
}

/// The embedding says how many rows the vocabulary has; `claim` checks the rest of its shape.
fn embedding_rows(stored: &[StoredTensor]) -> Result<Stated<u64>, Fault> {
    let name = TensorName::Embedding.gguf_name();
    match stored.iter().find(|tensor| tensor.name == name) {
        Some(tensor) if tensor.shape.len() == 2 => {
            Ok(Stated::new(&format!("rows of {name}"), tensor.shape[0]))
        }
        Some(tensor) => {
            Err(Fault::tensor(&name, "two dimensions", format!("shape {:?}", tensor.shape)))
        }
        None => Err(stored::missing(&name)),
    }
}

/// Refuses what would change the results and is not implemented.
fn refuse_variations(metadata: &Metadata) -> Result<(), Fault> {
    for name in ["rope.scale_linear", "rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"] {
        if let Some(factor) = metadata.float(&key(name))?.filter(|&factor| factor != 1.0) {
            return Err(Fault::key(&key(name), "1, or no such key", factor.to_string()));
        }
    }
    for name in ["expert_count", "expert_used_count"] {
        expect_unsigned(metadata, name, 0)?;
    }
    if metadata.bool(&key("attention.causal"))? == Some(false) {
        let found = "false, as in models that embed text and do not generate any";
        return Err(Fault::key(&key("attention.causal"), "true", found));
    }
    Ok(())
}

/// How the context was extended, if it was.
fn yarn(metadata: &Metadata) -> Result<Option<RawYarn>, Fault> {
    // The format says: missing means linear.
    let kind_key = key("rope.scaling.type");
    let kind = metadata.string(&kind_key)?.unwrap_or("linear");
    let factor_key = key("rope.scaling.factor");
    let factor = metadata.float(&factor_key)?.unwrap_or(1.0);
    if kind == "none" || factor == 1.0 {
        return Ok(None);
    }
    if kind != "yarn" {
        return Err(Fault::Unsupported {
            feature: format!(
                "rope scaling of type {} by {factor} (key {kind_key})",
                printable(kind)
            ),
            advice: "use a file of the same model without it, and a context within the trained one"
                .to_string(),
        });
    }
    let optional =
        |name: &str| Ok(metadata.float(&key(name))?.map(|value| Stated::new(&key(name), value)));
    let original = optional_unsigned(metadata, "rope.scaling.original_context_length")?;
    let original_context = match original {
        Some(original) => original,
        None => unsigned(metadata, "context_length")?,
    };
    Ok(Some(RawYarn {
        factor: Stated::new(&factor_key, factor),
        original_context,
        fast_turns: optional("rope.scaling.yarn_beta_fast")?,
        slow_turns: optional("rope.scaling.yarn_beta_slow")?,
        magnitude: None,
    }))
}

fn refuse_sliding_window(metadata: &Metadata, trained_context: usize) -> Result<(), Fault> {
    let name = "attention.sliding_window";
    match metadata.unsigned(&key(name))? {
        Some(window) if window > 0 && window < trained_context as u64 => Err(Fault::Unsupported {
            feature: format!("a sliding window of {window} positions (key {})", key(name)),
            advice: "use a file of the model with full attention".to_string(),
        }),
        _ => Ok(()),
    }
}

/// Checks a key that may be missing, but that must have this value if it is there.
fn expect_unsigned(metadata: &Metadata, name: &str, expected: u64) -> Result<(), Fault> {
    match metadata.unsigned(&key(name))? {
        Some(found) if found != expected => {
            Err(Fault::key(&key(name), expected.to_string(), found.to_string()))
        }
        _ => Ok(()),
    }
}

fn key(name: &str) -> String {
    format!("{ARCHITECTURE}.{name}")
}

fn optional_unsigned(metadata: &Metadata, name: &str) -> Result<Option<Stated<u64>>, Fault> {
    let value = metadata.unsigned(&key(name))?;
    Ok(value.map(|value| Stated::new(&key(name), value)))
}

fn unsigned(metadata: &Metadata, name: &str) -> Result<Stated<u64>, Fault> {
    optional_unsigned(metadata, name)?.ok_or_else(|| missing(&key(name), "an integer"))
}

fn float(metadata: &Metadata, name: &str) -> Result<Stated<f64>, Fault> {
    let value = metadata.float(&key(name))?.ok_or_else(|| missing(&key(name), "a float"))?;
    Ok(Stated::new(&key(name), value))
}

/// What the file says about itself; the name falls back to the file's.
pub(super) fn about(metadata: &Metadata, file: &str) -> Result<About, Fault> {
    const MAX_CHARS: usize = 500;
    let text = |name| {
        let text = metadata.string(name)?.filter(|text| !text.is_empty());
        Ok(text.map(|text| printable_within(text, MAX_CHARS)))
    };
    let file_name = || Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    Ok(About {
        name: text("general.name")?.unwrap_or_else(|| printable(&file_name())),
        licence: text("general.license")?,
        text: text("general.description")?,
    })
}

/// The template that makes a prompt of messages.
pub(super) fn chat_template(metadata: &Metadata) -> Result<Option<String>, Fault> {
    Ok(metadata.string("tokenizer.chat_template")?.map(str::to_string))
}

/// The parameters the makers recommend.
pub(super) fn sampling_defaults(metadata: &Metadata, file: &str) -> SamplingDefaults {
    let number = |name: &str| {
        let key = format!("general.sampling.{name}");
        Ok(metadata.number(&key)?.map(|value| Stated::new(&key, value)))
    };
    let raw = RawSampling {
        temperature: number("temp"),
        top_p: number("top_p"),
        top_k: number("top_k"),
        min_p: number("min_p"),
        repetition_penalty: number("penalty_repeat"),
    };
    raw.usable(file)
}

const PRE_KEY: &str = "tokenizer.ggml.pre";
const TOKENS_KEY: &str = "tokenizer.ggml.tokens";
const TYPES_KEY: &str = "tokenizer.ggml.token_type";
const MERGES_KEY: &str = "tokenizer.ggml.merges";

/// The tokens and merges.
pub(super) fn vocabulary(metadata: &mut Metadata, rows: usize) -> Result<Vocabulary, Fault> {
    expect_text(metadata, "tokenizer.ggml.model", &["gpt2"])?;
    let names_no_pre_tokenizer = matches!(metadata.string(PRE_KEY)?, None | Some("default"));
    if !names_no_pre_tokenizer {
        // DeepSeek's distilled Qwen models name their own, which cuts as Qwen2's does.
        expect_text(metadata, PRE_KEY, &["qwen2", "deepseek-r1-qwen"])?;
    }
    let texts = metadata.take_strings(TOKENS_KEY)?;
    if texts.is_empty() || texts.len() > rows {
        let expected = format!("1 to {rows} tokens, as many as the embedding has rows");
        return Err(Fault::key(TOKENS_KEY, expected, texts.len().to_string()));
    }
    let tokens = tokens(metadata, texts)?;
    if names_no_pre_tokenizer {
        expect_qwens(&tokens)?;
        tracing::warn!("the model file names no pre-tokenizer (key {PRE_KEY}); Qwen2's is used");
    }
    let merges = merges(metadata.take_strings(MERGES_KEY)?, tokens.len())?;
    let token = |name: &str| token_id(metadata, name, tokens.len());
    let bos = token("bos_token_id")?;
    let eos_key = "tokenizer.ggml.eos_token_id";
    let eos = token("eos_token_id")?.ok_or_else(|| missing(eos_key, "a token id"))?;
    let add_bos_key = "tokenizer.ggml.add_bos_token";
    let add_bos = metadata.bool(add_bos_key)?.unwrap_or(false);
    if add_bos && bos.is_none() {
        return Err(missing("tokenizer.ggml.bos_token_id", "a token id, since one is to be added"));
    }
    let mut end_tokens = vec![eos];
    for id in [token("eot_token_id")?, token("eom_token_id")?].into_iter().flatten() {
        push_new(&mut end_tokens, id);
    }
    for id in spelled_end_tokens(&tokens) {
        push_new(&mut end_tokens, id);
    }
    Ok(Vocabulary { tokens, merges, options: TokenizerOptions::QWEN2, add_bos, bos, end_tokens })
}

/// Checks that tokens are Qwen's. Files of early 2024 do not say how text is cut; for tokens of
/// another model, Qwen2's way would give wrong answers without anyone noticing.
fn expect_qwens(tokens: &[VocabularyToken]) -> Result<(), Fault> {
    let is_control = |spelling: &str| {
        let is =
            |token: &VocabularyToken| token.kind != TokenKind::Normal && token.text == spelling;
        tokens.iter().any(is)
    };
    if is_control("<|endoftext|>") && is_control("<|im_start|>") {
        return Ok(());
    }
    let found = "no such key, and tokens that are not Qwen's";
    Err(Fault::key(PRE_KEY, "qwen2 or deepseek-r1-qwen", found))
}

fn expect_text(metadata: &Metadata, key: &str, known: &[&str]) -> Result<(), Fault> {
    let expected = known.join(" or ");
    match metadata.string(key)? {
        Some(text) if known.contains(&text) => Ok(()),
        Some(text) => Err(Fault::key(key, expected, printable(text))),
        None => Err(missing(key, &expected)),
    }
}

fn tokens(metadata: &Metadata, texts: Vec<String>) -> Result<Vec<VocabularyToken>, Fault> {
    let types = metadata.i32s(TYPES_KEY)?;
    let types = types.ok_or_else(|| missing(TYPES_KEY, "an array of i32"))?;
    same_count(TYPES_KEY, types.len(), texts.len())?;
    // Byte-level merging needs no scores, but a wrong number of them shows that the file is
    // damaged.
    if let Some(scores) = metadata.f32s("tokenizer.ggml.scores")? {
        same_count("tokenizer.ggml.scores", scores.len(), texts.len())?;
    }
    let mut tokens = Vec::with_capacity(texts.len());
    for (index, (text, kind)) in texts.into_iter().zip(types).enumerate() {
        let kind = match kind {
            1 => TokenKind::Normal,
            3 => TokenKind::Control,
            4 => TokenKind::UserDefined,
            5 => TokenKind::Unused,
            other => {
                let key = format!("{TYPES_KEY}[{index}]");
                let expected = "1 (normal), 3 (control), 4 (user defined) or 5 (unused)";
                return Err(Fault::key(&key, expected, other.to_string()));
            }
        };
        tokens.push(VocabularyToken { text, kind });
    }
    Ok(tokens)
}

fn same_count(key: &str, found: usize, tokens: usize) -> Result<(), Fault> {
    if found == tokens {
        return Ok(());
    }
    Err(Fault::key(key, format!("{tokens}, one per token"), found.to_string()))
}

fn merges(spelled: Vec<String>, tokens: usize) -> Result<Vec<(String, String)>, Fault> {
    if spelled.len() > tokens {
        let expected = format!("at most {tokens}, since each makes a token");
        return Err(Fault::key(MERGES_KEY, expected, spelled.len().to_string()));
    }
    let mut merges = Vec::with_capacity(spelled.len());
    for (index, merge) in spelled.into_iter().enumerate() {
        match merge.split_once(' ') {
            Some((left, right))
                if !left.is_empty() && !right.is_empty() && !right.contains(' ') =>
            {
                merges.push((left.to_string(), right.to_string()));
            }
            _ => {
                let expected = "two pieces with one space between them";
                let found = format!("\"{}\"", printable(&merge));
                return Err(Fault::key(&format!("{MERGES_KEY}[{index}]"), expected, found));
            }
        }
    }
    Ok(merges)
}

fn token_id(metadata: &Metadata, name: &str, tokens: usize) -> Result<Option<TokenId>, Fault> {
    let key = format!("tokenizer.ggml.{name}");
    match metadata.unsigned(&key)? {
        Some(id) if id < tokens as u64 => Ok(u32::try_from(id).ok().map(TokenId)),
        Some(id) => Err(Fault::key(&key, format!("an id below {tokens}"), id.to_string())),
        None => Ok(None),
    }
}

/// Control tokens that end an answer whatever the file calls them: GGUF files name one end token,
/// while the models were trained with two.
fn spelled_end_tokens(tokens: &[VocabularyToken]) -> Vec<TokenId> {
    const SPELLINGS: [&str; 3] = ["<|im_end|>", "<|endoftext|>", "<｜end▁of▁sentence｜>"];
    let is_end = |token: &VocabularyToken| {
        token.kind == TokenKind::Control && SPELLINGS.contains(&token.text.as_str())
    };
    let ends = tokens.iter().zip(0..).filter(|(token, _)| is_end(token));
    ends.map(|(_, id)| TokenId(id)).collect()
}

fn push_new(ids: &mut Vec<TokenId>, id: TokenId) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

/// Keys of the architecture that are read above or that do not change the computation.
const KNOWN_KEYS: [&str; 25] = [
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "context_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "expert_count",
    "expert_used_count",
];

/// Logs the keys of the architecture that are not read here, because one of them might matter.
pub(super) fn mention_unknown_keys(metadata: &Metadata, file: &str) {
    const MENTIONED: usize = 8;
    let mut unknown: Vec<String> = metadata
        .keys_under("qwen2.")
        .filter(|name| !KNOWN_KEYS.iter().any(|known| key(known) == *name))
        .map(printable)
        .collect();
    if unknown.is_empty() {
        return;
    }
    unknown.sort();
    let count = unknown.len();
    unknown.truncate(MENTIONED);
    tracing::warn!(file, count, keys = unknown.join(", "), "the model file has keys unknown here");
}
