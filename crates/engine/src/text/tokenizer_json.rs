//! `tokenizer.json` of a Hugging Face folder, as far as Qwen2's goes.
//!
//! The file describes a pipeline in general terms; what differs from Qwen2's pipeline is refused by
//! name, since it would cut text another way without anyone noticing.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::shown;
use super::{PreTokenizerKind, TextError, TokenKind, Vocabulary, VocabularyToken};

/// Longest file; Qwen2.5's has 7 MB.
const FILE_BYTES: usize = 64 << 20;
/// Highest id and a little more; Qwen2.5's is 151,664.
const TOKENS: usize = 1 << 20;
/// Most added tokens; known vocabularies have some thirty.
const ADDED_TOKENS: usize = 4096;
/// Longest token in bytes; Qwen2.5's longest is 256.
const TOKEN_BYTES: usize = 4096;

/// Qwen2's pattern, as the file spells it.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocab,
    merges: Merges,
    #[serde(default)]
    byte_fallback: bool,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    ignore_merges: bool,
}

/// A merge in either of the two spellings: `"a b"` or `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "merges: expected \"a b\" or [\"a\", \"b\"]")]
enum Merge {
    Joined(String),
    Pair(String, String),
}

/// The merges, no more of them than there may be tokens for them to make.
struct Merges(Vec<Merge>);

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Merges, D::Error> {
        struct OfList;
        impl<'de> Visitor<'de> for OfList {
            type Value = Merges;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
                let mut merges = Vec::new();
                while let Some(merge) = list.next_element()? {
                    if merges.len() >= TOKENS {
                        return Err(de::Error::custom(format!("more than {TOKENS} merges")));
                    }
                    merges.push(merge);
                }
                Ok(Merges(merges))
            }
        }
        deserializer.deserialize_seq(OfList)
    }
}

/// The vocabulary, with a key that stands twice refused.
struct Vocab(HashMap<String, u32>);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vocab, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Vocab;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tokens and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut ids = HashMap::new();
                while let Some((text, id)) = map.next_entry::<String, u32>()? {
                    if ids.len() >= TOKENS {
                        return Err(de::Error::custom(format!("more than {TOKENS} tokens")));
                    }
                    if text.len() > TOKEN_BYTES {
                        let found = text.len();
                        return Err(de::Error::custom(format!("token {id} has {found} bytes")));
                    }
                    if let Some(first) = ids.insert(text, id) {
                        return Err(de::Error::custom(format!(
                            "a token twice, ids {first} and {id}"
                        )));
                    }
                }
                Ok(Vocab(ids))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

/// Reads `tokenizer.json`. End tokens and BOS stand in other files; they are left empty.
///
/// Errors: not JSON of this form, a part of the pipeline that is not Qwen2's, ids that stand twice
/// or beyond any vocabulary, merges of two parts that are not two parts.
pub fn parse_tokenizer_json(bytes: &[u8]) -> Result<Vocabulary, TextError> {
    if bytes.len() > FILE_BYTES {
        return Err(wrong(format!("expected at most {FILE_BYTES} bytes, found {}", bytes.len())));
    }
    let file: File = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    check_pipeline(&file)?;
    Ok(Vocabulary {
        tokens: tokens(file.model.vocab.0, file.added_tokens)?,
        merges: file.model.merges.0.into_iter().map(split_merge).collect::<Result<_, _>>()?,
        pre_tokenizer: PreTokenizerKind::Qwen2,
        add_bos: false,
        bos: None,
        end_tokens: Vec::new(),
    })
}

fn wrong(what: String) -> TextError {
    TextError::TokenizerJson(what)
}

fn expect(
    part: &str,
    expected: &str,
    holds: bool,
    found: &dyn fmt::Debug,
) -> Result<(), TextError> {
    if holds {
        return Ok(());
    }
    Err(wrong(format!("{part}: expected {expected}, found {}", shown(found))))
}

fn check_pipeline(file: &File) -> Result<(), TextError> {
    let model = &file.model;
    let kind = model.kind.as_deref();
    expect("model.type", "BPE", matches!(kind, None | Some("BPE")), &kind)?;
    expect("model.byte_fallback", "false", !model.byte_fallback, &model.byte_fallback)?;
    expect("model.ignore_merges", "false", !model.ignore_merges, &model.ignore_merges)?;
    expect("model.dropout", "none", model.dropout.is_none_or(|p| p == 0.0), &model.dropout)?;
    for (part, affix) in [
        ("model.continuing_subword_prefix", &model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        expect(part, "none", affix.as_deref().unwrap_or("").is_empty(), affix)?;
    }
    let normalizer = file.normalizer.as_ref().and_then(|value| value.get("type"));
    let is_nfc = normalizer.and_then(Value::as_str) == Some("NFC");
    expect("normalizer.type", "NFC", is_nfc, &normalizer)?;
    check_pre_tokenizer(file.pre_tokenizer.as_ref().unwrap_or(&Value::Null))
}

fn check_pre_tokenizer(value: &Value) -> Result<(), TextError> {
    let split = &value["pretokenizers"][0];
    let byte_level = &value["pretokenizers"][1];
    let count = value["pretokenizers"].as_array().map_or(0, Vec::len);
    let is_sequence = value["type"] == "Sequence" && count == 2;
    expect("pre_tokenizer", "a sequence of Split and ByteLevel", is_sequence, value)?;
    let pattern = &split["pattern"]["Regex"];
    expect("pre_tokenizer pattern", "Qwen2's", pattern == PATTERN, pattern)?;
    let behavior = &split["behavior"];
    expect("pre_tokenizer behavior", "Isolated", behavior == "Isolated", behavior)?;
    let invert = &split["invert"];
    expect("pre_tokenizer invert", "false", *invert != true, invert)?;
    let is_plain = byte_level["type"] == "ByteLevel"
        && byte_level["add_prefix_space"] != true
        && byte_level["use_regex"] == false;
    expect("pre_tokenizer bytes", "ByteLevel without prefix and pattern", is_plain, byte_level)
}

fn split_merge(merge: Merge) -> Result<(String, String), TextError> {
    match merge {
        Merge::Pair(left, right) => Ok((left, right)),
        Merge::Joined(text) => match text.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
            _ => {
                let text = shown(&text);
                Err(wrong(format!("merge {text}: expected two parts and one blank between")))
            }
        },
    }
}

fn tokens(
    vocab: HashMap<String, u32>,
    added: Vec<AddedToken>,
) -> Result<Vec<VocabularyToken>, TextError> {
    expect("added_tokens", "at most 4096", added.len() <= ADDED_TOKENS, &added.len())?;
    let highest = vocab.values().copied().chain(added.iter().map(|token| token.id)).max();
    let count = highest.map_or(0, |id| id as usize + 1);
    expect("tokens", "1 to 1048576 of them", (1..=TOKENS).contains(&count), &count)?;
    let unused = VocabularyToken { text: String::new(), kind: TokenKind::Unused };
    let mut tokens = vec![unused; count];
    for (text, id) in vocab {
        let token = &mut tokens[id as usize];
        if token.kind != TokenKind::Unused {
            let (first, second) = (shown(&token.text), shown(&text));
            return Err(wrong(format!("id {id}: expected one token, found {first} and {second}")));
        }
        *token = VocabularyToken { text, kind: TokenKind::Normal };
    }
    let mut spelled = HashSet::new();
    for added in added {
        let part = format!("added token {}", shown(&added.content));
        let is_short = (1..=TOKEN_BYTES).contains(&added.content.len());
        expect(&part, "1 to 4096 bytes", is_short, &added.content.len())?;
        expect(&part, "to stand once", spelled.insert(added.content.clone()), &"it twice")?;
        let plain = !(added.single_word || added.lstrip || added.rstrip);
        expect(&part, "no single_word, lstrip or rstrip", plain, &"one of them")?;
        // To look for a composed literal before or after composing is the same.
        let is_composed = !added.normalized || added.content.is_ascii();
        expect(&part, "not to be normalized, or ASCII", is_composed, &added.normalized)?;
        let token = &mut tokens[added.id as usize];
        let is_free = token.kind == TokenKind::Unused || token.text == added.content;
        expect(&part, "an id of its own", is_free, &token.text)?;
        let kind = if added.special { TokenKind::Control } else { TokenKind::UserDefined };
        *token = VocabularyToken { text: added.content, kind };
    }
    Ok(tokens)
}
