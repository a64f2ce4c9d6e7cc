//! Byte-level byte-pair encoding (BPE): text to token ids, and token ids to bytes.

use std::borrow::Cow;
use std::collections::HashMap;

use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::byte_level::{bytes_of, character_of};
use super::error::shown;
use super::merges::{Merges, Scratch};
use super::pre_tokenizer::pieces;
use super::{TextError, TokenId, TokenKind, TokenizerOptions, Vocabulary};

/// Turns content into tokens, but never into control tokens: those are added by
/// [`Scaffold`](super::scaffold::Scaffold).
#[derive(Debug)]
pub(super) struct Tokenizer {
    options: TokenizerOptions,
    merges: Merges,
    /// Tokens by their bytes, if a piece that equals a token skips merging; else empty.
    whole_pieces: HashMap<Box<[u8]>, TokenId>,
    id_of_byte: [TokenId; 256],
    /// The bytes of all tokens, one token after another.
    bytes: Vec<u8>,
    /// Where the bytes of each token end. A 0 comes first, so there is one entry more than tokens.
    ends: Vec<usize>,
}

impl Tokenizer {
    /// Checks a vocabulary and prepares it.
    ///
    /// Errors: a token contains a character that stands for no byte; two tokens have the same
    /// spelling; a byte has no token; a merge names or makes a token that does not exist.
    pub(super) fn new(vocabulary: &Vocabulary) -> Result<Tokenizer, TextError> {
        let id_of = ids_by_spelling(vocabulary)?;
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for token in &vocabulary.tokens {
            match token.kind {
                TokenKind::Normal => bytes.extend(bytes_of(&token.text).map_err(|character| {
                    wrong(format!("token {}: {character:?} stands for no byte", shown(&token.text)))
                })?),
                TokenKind::UserDefined => bytes.extend(token.text.as_bytes()),
                TokenKind::Control | TokenKind::Unused => {}
            }
            ends.push(bytes.len());
        }
        let mut id_of_byte = [TokenId(0); 256];
        for byte in 0..=255_u8 {
            let spelling = character_of(byte).to_string();
            id_of_byte[usize::from(byte)] = *id_of.get(spelling.as_str()).ok_or_else(|| {
                wrong(format!("expected a token for each byte, found none for {byte}"))
            })?;
        }
        let merges = read_merges(vocabulary, &id_of)?;
        let options = vocabulary.options;
        let whole_pieces = match options.ignore_merges {
            true => id_of.values().map(|&id| (piece_of(id, &bytes, &ends), id)).collect(),
            false => HashMap::new(),
        };
        Ok(Tokenizer { options, merges, whole_pieces, id_of_byte, bytes, ends })
    }

    /// Appends the tokens of `text` to `ids`.
    pub(super) fn encode_into(&self, text: &str, ids: &mut Vec<TokenId>) {
        #[cfg(test)]
        super::work::count_encoded(text.len());
        let mut scratch = Scratch::default();
        let mut piece_ids = Vec::new();
        let text = if self.options.nfc { normalised(text) } else { Cow::Borrowed(text) };
        for piece in pieces(&text) {
            if let Some(id) = self.whole_pieces.get(piece.as_bytes()) {
                ids.push(*id);
                continue;
            }
            piece_ids.clear();
            piece_ids.extend(piece.bytes().map(|byte| self.id_of_byte[usize::from(byte)]));
            self.merges.apply(&mut piece_ids, &mut scratch);
            ids.extend_from_slice(&piece_ids);
        }
    }

    /// The bytes that a token stands for; empty for control tokens and for ids without a token.
    pub(super) fn token_bytes(&self, id: TokenId) -> &[u8] {
        let index = id.0 as usize;
        match (self.ends.get(index), self.ends.get(index + 1)) {
            (Some(&start), Some(&end)) => &self.bytes[start..end],
            _ => &[],
        }
    }

    /// The number of ids, unused ones included.
    pub(super) fn token_count(&self) -> usize {
        self.ends.len() - 1
    }
}

/// Text in composed form (NFC), by the Unicode tables that `tokenizers` uses. Newer tables order a
/// few rare marks differently, but models were trained with these.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().map(|(character, _)| character).collect()),
    }
}

/// The bytes of a token.
fn piece_of(id: TokenId, bytes: &[u8], ends: &[usize]) -> Box<[u8]> {
    let index = id.0 as usize;
    bytes[ends[index]..ends[index + 1]].into()
}

fn wrong(what: String) -> TextError {
    TextError::Vocabulary(what)
}

fn ids_by_spelling(vocabulary: &Vocabulary) -> Result<HashMap<&str, TokenId>, TextError> {
    let mut id_of = HashMap::new();
    for (index, token) in vocabulary.tokens.iter().enumerate() {
        if token.kind != TokenKind::Normal {
            continue;
        }
        let id = u32::try_from(index).map_err(|_| wrong(format!("{index} is no token id")))?;
        if id_of.insert(token.text.as_str(), TokenId(id)).is_some() {
            return Err(wrong(format!("two tokens are spelled {}", shown(&token.text))));
        }
    }
    Ok(id_of)
}

fn read_merges(
    vocabulary: &Vocabulary,
    id_of: &HashMap<&str, TokenId>,
) -> Result<Merges, TextError> {
    let mut merges = Merges::default();
    let mut joined_text = String::new();
    for (left, right) in &vocabulary.merges {
        joined_text.clear();
        joined_text.push_str(left);
        joined_text.push_str(right);
        let find = |text: &str| {
            id_of.get(text).copied().ok_or_else(|| {
                let [left, right, text] = [left, right, text].map(|part| shown(&part));
                wrong(format!("merge {left} {right}: expected a token {text}, found none"))
            })
        };
        merges.add(find(left)?, find(right)?, find(&joined_text)?);
    }
    Ok(merges)
}
