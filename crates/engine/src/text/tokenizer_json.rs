//! Reads `tokenizer.json` of a Hugging Face folder, if it describes Qwen2's tokenizer.
//!
//! The file describes a pipeline in general terms. A pipeline that cuts text as Qwen2's does is
//! read, in any of its spellings. Anything else is refused with an error that names the part: it
//! would cut text in another way, and nobody would notice.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::shown;
use super::scaffold::ADDED_TOKENS;
use super::tokenizer::normalised;
use super::{TextError, TokenKind, TokenizerOptions, Vocabulary, VocabularyToken};
use crate::printable::printable_within;

/// Longest file in bytes; Qwen2.5's has 7 MB.
pub(crate) const FILE_BYTES: usize = 32 << 20;
/// Ids must be below this number; the highest id of Qwen2.5 is 151,664.
const TOKENS: usize = 1 << 18;
/// Longest token in bytes; Qwen2.5's longest is 256.
const TOKEN_BYTES: usize = 4096;
/// Longest error of the JSON reader, in characters: its errors repeat parts of the file.
const ERROR_CHARS: usize = 300;
/// Most characters of a file's own text that an error repeats.
const FOUND_CHARS: usize = 200;

/// Qwen2's pattern, as the file spells it.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Other spellings of parts of the pattern that match the same text, each with Qwen2's spelling.
const SAME_PARTS: [(&str, &str); 5] = [
    ("'(?i:[sdmt]|ll|ve|re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"),
    ("(?i:'[sdmt]|'ll|'ve|'re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"),
    // `?+` and `++` never give a character back. Here no match would need one back.
    (r"[^\r\n\p{L}\p{N}]?+\p{L}+", r"[^\r\n\p{L}\p{N}]?\p{L}+"),
    (r"[^\s\p{L}\p{N}]++", r"[^\s\p{L}\p{N}]+"),
    (r"|\p{N}{1}|", r"|\p{N}|"),
];

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct File {
    #[serde(default)]
    added_tokens: AtMost<AddedToken, ADDED_TOKENS>,
    normalizer: Option<Stage>,
    pre_tokenizer: Option<Stage>,
    model: Model,
}

/// An added token: a token that is not made by merging.
#[derive(Deserialize)]
#[serde(expecting = "an object that describes a token")]
pub(super) struct AddedToken {
    pub(super) id: Option<u32>,
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

/// A normalizer or a pre-tokenizer, with the fields of all kinds; the other kinds' fields are
/// missing.
#[derive(Deserialize)]
#[serde(expecting = "an object with a type")]
struct Stage {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    normalizers: AtMost<Stage, 8>,
    #[serde(default)]
    pretokenizers: AtMost<Stage, 8>,
    pattern: Option<Pattern>,
    behavior: Option<String>,
    invert: Option<bool>,
    add_prefix_space: Option<bool>,
    use_regex: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with a Regex")]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocab,
    merges: AtMost<Merge, TOKENS>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    ignore_merges: bool,
}

/// A list of at most `LIMIT` items, more than any real file has. A longer list is refused as soon
/// as one item too many is read.
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
                        "merge {}: expected two parts with one space between them",
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

/// The vocabulary, ordered by id. An id that occurs twice is refused.
pub(super) struct Vocab(pub(super) Vec<VocabularyToken>);

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

/// The place of an id in `tokens`. If the list is too short, unused tokens are added.
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

/// Reads a vocabulary from the bytes of `tokenizer.json`. End tokens and BOS are in other files, so
/// they are left empty.
///
/// Errors: [`TextError::TokenizerJson`] if the bytes are not JSON of this form, if a part of the
/// pipeline is not Qwen2's, if an id occurs twice or is too high, or if a merge does not have two
/// parts.
pub fn parse_tokenizer_json(bytes: &[u8]) -> Result<Vocabulary, TextError> {
    if bytes.len() > FILE_BYTES {
        return Err(wrong(format!("expected at most {FILE_BYTES} bytes, found {}", bytes.len())));
    }
    let file: File = read_json(bytes)?;
    check_model(&file.model)?;
    let nfc = normalises(file.normalizer.as_ref())?;
    check_pre_tokenizer(file.pre_tokenizer.as_ref())?;
    let options = TokenizerOptions { nfc, ignore_merges: file.model.ignore_merges };
    Ok(Vocabulary {
        tokens: with_added(file.model.vocab.0, file.added_tokens.0, options)?,
        merges: file.model.merges.0.into_iter().map(|Merge(left, right)| (left, right)).collect(),
        options,
        add_bos: false,
        bos: None,
        end_tokens: Vec::new(),
    })
}

/// Reads JSON. A byte order mark at the start is skipped.
pub(super) fn read_json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, TextError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        let found = printable_within(&error.to_string(), ERROR_CHARS);
        // A number at the end of a cut file may be wrong, and be found before the end is.
        let is_cut = bytes.starts_with(b"{") && !bytes.trim_ascii_end().ends_with(b"}");
        wrong(if error.is_eof() || is_cut {
            format!("expected a whole file, found that it ends early ({found}): download it again")
        } else {
            found
        })
    })
}

/// An error of a tokenizer file.
pub(super) fn wrong(what: String) -> TextError {
    TextError::TokenizerJson(what)
}

/// Fails if `holds` is false, with an error that names `part`, `expected` and `found`.
fn expect(part: &str, expected: &str, holds: bool, found: &str) -> Result<(), TextError> {
    if holds {
        return Ok(());
    }
    Err(wrong(format!(
        "{part}: expected {expected}, found {}",
        printable_within(found, FOUND_CHARS)
    )))
}

/// Checks the settings of the model other than tokens and merges. `byte_fallback` is ignored: it is
/// for bytes without a token, and here each byte has one.
fn check_model(model: &Model) -> Result<(), TextError> {
    let kind = model.kind.as_deref().unwrap_or("BPE");
    expect("model.type", "BPE", kind == "BPE", kind)?;
    let dropout = model.dropout.unwrap_or(0.0);
    expect("model.dropout", "none", dropout == 0.0, &dropout.to_string())?;
    for (part, affix) in [
        ("model.continuing_subword_prefix", &model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        let affix = affix.as_deref().unwrap_or("");
        expect(part, "none", affix.is_empty(), affix)?;
    }
    Ok(())
}

/// Whether the normalizer composes characters (NFC). Without a normalizer, text stays as it is.
///
/// Errors: the normalizer does anything else.
fn normalises(normalizer: Option<&Stage>) -> Result<bool, TextError> {
    let Some(normalizer) = normalizer else { return Ok(false) };
    let steps = flattened(normalizer, |stage| &stage.normalizers.0);
    let holds = steps.iter().all(|step| step.kind == "NFC");
    expect("normalizer", "NFC or none", holds, &names(&steps))?;
    Ok(!steps.is_empty())
}

/// Checks that the pre-tokenizer cuts text as Qwen2's does.
fn check_pre_tokenizer(pre_tokenizer: Option<&Stage>) -> Result<(), TextError> {
    const EXPECTED: &str = "Split by Qwen2's pattern and then ByteLevel";
    let stages = pre_tokenizer
        .map(|stage| flattened(stage, |stage| &stage.pretokenizers.0))
        .unwrap_or_default();
    let (split, bytes) = match stages.as_slice() {
        [split, bytes] if split.kind == "Split" && bytes.kind == "ByteLevel" => (split, bytes),
        _ => return expect("pre_tokenizer", EXPECTED, false, &names(&stages)),
    };
    let pattern = split.pattern.as_ref().and_then(|pattern| pattern.regex.as_deref());
    let pattern = pattern.unwrap_or("no regular expression");
    let is_qwens = pattern.len() <= 2 * PATTERN.len() && {
        let same = |text: String, (other, ours): &(&str, &str)| text.replace(other, ours);
        SAME_PARTS.iter().fold(pattern.to_owned(), same) == PATTERN
    };
    expect("pre_tokenizer: pattern of Split", "Qwen2's", is_qwens, pattern)?;
    // The pattern matches all of a text, so there is no text between two matches.
    let behavior = split.behavior.as_deref().unwrap_or("none");
    let keeps_matches = match behavior {
        "Isolated" => true,
        "Removed" => split.invert == Some(true),
        _ => false,
    };
    let expected = "Isolated, or Removed with invert";
    expect("pre_tokenizer: behavior of Split", expected, keeps_matches, behavior)?;
    let is_false = |part: &str, flag: Option<bool>, usual: bool| {
        let part = format!("pre_tokenizer: {part} of ByteLevel");
        expect(&part, "false", !flag.unwrap_or(usual), "true")
    };
    is_false("add_prefix_space", bytes.add_prefix_space, false)?;
    is_false("use_regex", bytes.use_regex, true)
}

/// The stages in the order in which they run; a sequence is replaced by its stages.
fn flattened(stage: &Stage, stages_of: fn(&Stage) -> &Vec<Stage>) -> Vec<&Stage> {
    if stage.kind != "Sequence" {
        return vec![stage];
    }
    stages_of(stage).iter().flat_map(|inner| flattened(inner, stages_of)).collect()
}

/// The names of stages, for errors.
fn names(stages: &[&Stage]) -> String {
    if stages.is_empty() {
        return "none".to_owned();
    }
    stages.iter().map(|stage| stage.kind.as_str()).collect::<Vec<_>>().join(", ")
}

/// The vocabulary with the added tokens at their ids.
///
/// Errors: an added token occurs twice, needs an unsupported setting, has no id, or has the id of
/// another token; there are no tokens at all.
pub(super) fn with_added(
    mut tokens: Vec<VocabularyToken>,
    added: Vec<AddedToken>,
    options: TokenizerOptions,
) -> Result<Vec<VocabularyToken>, TextError> {
    let mut spelled = HashSet::new();
    for added in added {
        let part = format!("added token {}", shown(&added.content));
        expect(&part, "it once", spelled.insert(added.content.clone()), "it twice")?;
        for (flag, is_set) in
            [("single_word", added.single_word), ("lstrip", added.lstrip), ("rstrip", added.rstrip)]
        {
            expect(&part, "no single_word, lstrip or rstrip", !is_set, flag)?;
        }
        // A literal in composed form is found before and after text is composed.
        let stays =
            !options.nfc || !added.normalized || normalised(&added.content) == added.content;
        expect(&part, "not to be normalized, or NFC already", stays, "another spelling")?;
        let id = added.id.ok_or_else(|| wrong(format!("{part}: expected an id, found none")))?;
        let token = place(&mut tokens, id).map_err(wrong)?;
        let is_free = token.kind == TokenKind::Unused || token.text == added.content;
        expect(&part, "an id of its own", is_free, &format!("the id of {}", shown(&token.text)))?;
        let kind = if added.special { TokenKind::Control } else { TokenKind::UserDefined };
        *token = VocabularyToken { text: added.content, kind };
    }
    expect("tokens", "one or more", !tokens.is_empty(), "none")?;
    Ok(tokens)
}
