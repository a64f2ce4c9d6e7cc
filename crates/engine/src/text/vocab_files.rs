//! `vocab.json` and `merges.txt`: the files of which `tokenizer.json` is made. They say nothing of how
//! text is cut, nor of added tokens; the tokenizer's class and its configuration do.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::error::shown;
use super::scaffold::ADDED_TOKENS;
use super::tokenizer_json::{AddedToken, Vocab, read_json, with_added, wrong};
use super::{TextError, TokenizerOptions, Vocabulary};

/// Most merges, as of tokens in `tokenizer.json`.
const MERGES: usize = 1 << 18;

/// What `tokenizer_config.json` says of added tokens.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Configuration {
    added_tokens_decoder: Option<AddedTokens>,
}

/// Added tokens by their ids.
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

/// Makes Qwen2's vocabulary of `vocab.json`, `merges.txt` and the added tokens in
/// `tokenizer_config.json` (`added_tokens_decoder`); none if it lists none. End tokens and BOS are
/// left empty.
///
/// Errors: not JSON, ids that stand twice, a line that is no merge, an added token that is no such.
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

/// One merge a line, both parts with a blank between; the first line may name a version.
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
                let expected = format!("two parts with a blank between, on at most {MERGES} lines");
                return Err(wrong(format!(
                    "merges.txt, line {number}: expected {expected}, found {found}"
                )));
            }
        }
    }
    Ok(merges)
}
