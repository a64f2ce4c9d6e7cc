//! `tokenizer.json` of a Hugging Face folder, as far as Qwen2's goes.
//!
//! The file describes a pipeline in general terms; what differs from Qwen2's pipeline is refused by
//! name, since it would cut text another way without anyone noticing.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::shown;
use super::scaffold::ADDED_TOKENS;
use super::tokenizer::normalised;
use super::{PreTokenizerKind, TextError, TokenKind, Vocabulary, VocabularyToken};
use crate::printable::printable_within;

/// Longest file; Qwen2.5's has 7 MB.
pub(crate) const FILE_BYTES: usize = 32 << 20;
/// Highest id and a little more; Qwen2.5's is 151,664.
const TOKENS: usize = 1 << 18;
/// Longest token in bytes; Qwen2.5's longest is 256.
const TOKEN_BYTES: usize = 4096;
/// Longest error of the JSON reader, which repeats what it found.
const ERROR_CHARS: usize = 300;

/// Qwen2's pattern, as the file spells it.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: AtMost<AddedToken, ADDED_TOKENS>,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<PreTokenizer>,
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
struct Normalizer {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct PreTokenizer {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    pretokenizers: AtMost<PreTokenizerStage, 8>,
}

/// What any stage may say; what a stage does not know is missing.
#[derive(Debug, Deserialize)]
struct PreTokenizerStage {
    #[serde(rename = "type")]
    kind: Option<String>,
    pattern: Option<Pattern>,
    behavior: Option<String>,
    invert: Option<bool>,
    add_prefix_space: Option<bool>,
    use_regex: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocab,
    merges: AtMost<Merge, TOKENS>,
    #[serde(default)]
    byte_fallback: bool,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    ignore_merges: bool,
}

/// A list that is refused while it is read once it is longer than any real one.
struct AtMost<T, const LIMIT: usize>(Vec<T>);

impl<T, const LIMIT: usize> Default for AtMost<T, LIMIT> {
    fn default() -> Self {
        AtMost(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for AtMost<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfList<T, const LIMIT: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const LIMIT: usize> Visitor<'de> for OfList<T, LIMIT> {
            type Value = AtMost<T, LIMIT>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a list of at most {LIMIT}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() >= LIMIT {
                        return Err(de::Error::invalid_length(items.len() + 1, &self));
                    }
                    items.push(item);
                }
                Ok(AtMost(items))
            }
        }
        deserializer.deserialize_seq(OfList(PhantomData))
    }
}

/// A merge in either of the two spellings: `"a b"` or `["a", "b"]`.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Merge, D::Error> {
        struct OfEither;
        impl<'de> Visitor<'de> for OfEither {
            type Value = Merge;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("merges: \"a b\" or [\"a\", \"b\"]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Merge, E> {
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => {
                        Ok(Merge(left.to_owned(), right.to_owned()))
                    }
                    _ => Err(E::custom(format!(
                        "merge {}: expected two parts and one blank between",
                        shown(&text)
                    ))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Merge, A::Error> {
                let mut part = |at| {
                    pair.next_element()?.ok_or_else(|| de::Error::invalid_length(at, &OfEither))
                };
                let merge = Merge(part(0)?, part(1)?);
                match pair.next_element::<de::IgnoredAny>()? {
                    None => Ok(merge),
                    Some(_) => Err(de::Error::invalid_length(3, &OfEither)),
                }
            }
        }
        deserializer.deserialize_any(OfEither)
    }
}

/// The vocabulary by id; an id that stands twice is refused.
struct Vocab(Vec<VocabularyToken>);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vocab, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Vocab;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tokens and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut tokens = Vec::new();
                while let Some((text, id)) = map.next_entry::<String, u32>()? {
                    if text.len() > TOKEN_BYTES {
                        let found = text.len();
                        return Err(de::Error::custom(format!("token {id} has {found} bytes")));
                    }
                    let token = place(&mut tokens, id).map_err(de::Error::custom)?;
                    if token.kind != TokenKind::Unused {
                        let (first, second) = (shown(&token.text), shown(&text));
                        return Err(de::Error::custom(format!(
                            "id {id}: expected one token, found {first} and {second}"
                        )));
                    }
                    *token = VocabularyToken { text, kind: TokenKind::Normal };
                }
                Ok(Vocab(tokens))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

/// The place of an id, made if there is none yet.
fn place(tokens: &mut Vec<VocabularyToken>, id: u32) -> Result<&mut VocabularyToken, String> {
    let index = id as usize;
    if index >= TOKENS {
        return Err(format!("tokens: expected ids below {TOKENS}, found {id}"));
    }
    if index >= tokens.len() {
        let unused = VocabularyToken { text: String::new(), kind: TokenKind::Unused };
        tokens.resize(index + 1, unused);
    }
    Ok(&mut tokens[index])
}

/// Reads `tokenizer.json`. End tokens and BOS stand in other files; they are left empty.
///
/// Errors: not JSON of this form, a part of the pipeline that is not Qwen2's, ids that stand twice
/// or beyond any vocabulary, merges of two parts that are not two parts.
pub fn parse_tokenizer_json(bytes: &[u8]) -> Result<Vocabulary, TextError> {
    if bytes.len() > FILE_BYTES {
        return Err(wrong(format!("expected at most {FILE_BYTES} bytes, found {}", bytes.len())));
    }
    let file: File = serde_json::from_slice(bytes)
        .map_err(|error| wrong(printable_within(&error.to_string(), ERROR_CHARS)))?;
    check_pipeline(&file)?;
    Ok(Vocabulary {
        tokens: with_added(file.model.vocab.0, file.added_tokens.0)?,
        merges: file.model.merges.0.into_iter().map(|Merge(left, right)| (left, right)).collect(),
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
    let normalizer = file.normalizer.as_ref().and_then(|normalizer| normalizer.kind.as_deref());
    expect("normalizer.type", "NFC", normalizer == Some("NFC"), &normalizer)?;
    check_pre_tokenizer(file.pre_tokenizer.as_ref())
}

fn check_pre_tokenizer(pre_tokenizer: Option<&PreTokenizer>) -> Result<(), TextError> {
    let kind = pre_tokenizer.and_then(|pre_tokenizer| pre_tokenizer.kind.as_deref());
    let stages = pre_tokenizer.map_or(&[][..], |pre_tokenizer| &pre_tokenizer.pretokenizers.0);
    let (Some("Sequence"), [split, byte_level]) = (kind, stages) else {
        return expect(
            "pre_tokenizer",
            "a sequence of Split and ByteLevel",
            false,
            &(kind, stages),
        );
    };
    let pattern = split.pattern.as_ref().and_then(|pattern| pattern.regex.as_deref());
    expect("pre_tokenizer pattern", "Qwen2's", pattern == Some(PATTERN), &pattern)?;
    let behavior = split.behavior.as_deref();
    expect("pre_tokenizer behavior", "Isolated", behavior == Some("Isolated"), &behavior)?;
    expect("pre_tokenizer invert", "false", split.invert != Some(true), &split.invert)?;
    let is_plain = byte_level.kind.as_deref() == Some("ByteLevel")
        && byte_level.add_prefix_space != Some(true)
        && byte_level.use_regex == Some(false);
    expect("pre_tokenizer bytes", "ByteLevel without prefix and pattern", is_plain, byte_level)
}

/// The vocabulary with its added tokens in their places.
fn with_added(
    mut tokens: Vec<VocabularyToken>,
    added: Vec<AddedToken>,
) -> Result<Vec<VocabularyToken>, TextError> {
    let mut spelled = HashSet::new();
    for added in added {
        let part = format!("added token {}", shown(&added.content));
        expect(&part, "to stand once", spelled.insert(added.content.clone()), &"it twice")?;
        let plain = !(added.single_word || added.lstrip || added.rstrip);
        expect(&part, "no single_word, lstrip or rstrip", plain, &"one of them")?;
        // To look for a composed literal before or after composing is the same.
        let is_composed = !added.normalized || normalised(&added.content) == added.content;
        expect(&part, "not to be normalized, or NFC already", is_composed, &added.normalized)?;
        let token = place(&mut tokens, added.id).map_err(wrong)?;
        let is_free = token.kind == TokenKind::Unused || token.text == added.content;
        expect(&part, "an id of its own", is_free, &token.text)?;
        let kind = if added.special { TokenKind::Control } else { TokenKind::UserDefined };
        *token = VocabularyToken { text: added.content, kind };
    }
    expect("tokens", "one or more", !tokens.is_empty(), &tokens.len())?;
    Ok(tokens)
}
