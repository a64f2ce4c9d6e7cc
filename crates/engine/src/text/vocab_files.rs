//! Reads `vocab.json` and `merges.txt`, the files from which `tokenizer.json` is made. They do not
//! say how text is cut: the tokenizer's class does. Added tokens are in `tokenizer_config.json`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::error::shown;
use super::scaffold::ADDED_TOKENS;
use super::tokenizer_json::{AddedToken, Vocab, read_json, with_added, wrong};
use super::{TextError, TokenizerOptions, Vocabulary};

/// Most merges: the limit for tokens and merges in `tokenizer.json`.
const MERGES: usize = 1 << 18;

/// The part of `tokenizer_config.json` about added tokens.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Configuration {
    added_tokens_decoder: Option<AddedTokens>,
}

/// Added tokens, each with its id.
struct AddedTokens(Vec<AddedToken>);

impl<'de> Deserialize<'de> for AddedTokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AddedTokens, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = AddedTokens;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "an object of at most {ADDED_TOKENS} ids and tokens")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AddedTokens, A::Error> {
                let mut tokens = Vec::new();
                while let Some((id, mut token)) = map.next_entry::<String, AddedToken>()? {
                    if tokens.len() >= ADDED_TOKENS {
                        return Err(Error::invalid_length(tokens.len() + 1, &self));
                    }
                    let number = id.parse().map_err(|_| {
                        Error::custom(format!("added token: expected an id, found {}", shown(&id)))
                    })?;
                    token.id = Some(number);
                    tokens.push(token);
                }
                Ok(AddedTokens(tokens))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

/// Makes a vocabulary with Qwen2's options from the bytes of `vocab.json`, `merges.txt` and
/// `tokenizer_config.json`. Returns `None` if the last has no added tokens
/// (`added_tokens_decoder`). End tokens and BOS are left empty.
///
/// Errors: [`TextError::TokenizerJson`] if a file is not JSON of the right form, if an id occurs
/// twice, if a line of `merges.txt` is not a merge, or if an added token is not supported.
pub fn parse_vocab_and_merges(
    vocab: &[u8],
    merges: &[u8],
    configuration: &[u8],
) -> Result<Option<Vocabulary>, TextError> {
    let configuration: Configuration = read_json(configuration)?;
    let Some(AddedTokens(added)) = configuration.added_tokens_decoder else { return Ok(None) };
    let options = TokenizerOptions::QWEN2;
    Ok(Some(Vocabulary {
        tokens: with_added(read_json::<Vocab>(vocab)?.0, added, options)?,
        merges: read_merges(merges)?,
        options,
        add_bos: false,
        bos: None,
        end_tokens: Vec::new(),
    }))
}

/// Reads `merges.txt`: one merge per line, its two parts with a space between them. The first line
/// may be a version instead.
fn read_merges(bytes: &[u8]) -> Result<Vec<(String, String)>, TextError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| wrong(format!("merges.txt: expected UTF-8, found {error}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut merges = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || (index == 0 && line.starts_with("#version")) {
            continue;
        }
        match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') && merges.len() < MERGES => {
                merges.push((left.to_owned(), right.to_owned()));
            }
            _ => {
                let (number, found) = (index + 1, shown(&line));
                let expected =
                    format!("two parts with one space between them, on at most {MERGES} lines");
                return Err(wrong(format!(
                    "merges.txt, line {number}: expected {expected}, found {found}"
                )));
            }
        }
    }
    Ok(merges)
}
