//! Turns an answer's tokens into text, one token at a time and in whole characters.

use super::{Text, TokenId};

/// Turns a stream of tokens into text that never ends inside a character.
///
/// The first bytes of a character are held back until the character is complete. Bytes that can
/// never become a character are shown as U+FFFD, as in [`String::from_utf8_lossy`].
#[derive(Debug, Default)]
pub struct TextDecoder {
    /// Bytes not yet shown: between calls, at most the first three of one character.
    held: Vec<u8>,
    shown: String,
}

impl TextDecoder {
    /// Takes the next token and returns the characters that it completed; the text may be empty.
    pub fn push(&mut self, text: &Text, id: TokenId) -> &str {
        self.held.extend_from_slice(text.token_bytes(id));
        self.shown.clear();
        let mut shown_bytes = 0;
        for chunk in self.held.utf8_chunks() {
            self.shown.push_str(chunk.valid());
            shown_bytes += chunk.valid().len();
            let invalid = chunk.invalid();
            let is_last = shown_bytes + invalid.len() == self.held.len();
            if is_last && begins_a_character(invalid) {
                break;
            }
            if !invalid.is_empty() {
                self.shown.push(char::REPLACEMENT_CHARACTER);
                shown_bytes += invalid.len();
            }
        }
        self.held.drain(..shown_bytes);
        &self.shown
    }

    /// Whether every byte that was taken has been shown.
    pub(super) fn is_between_characters(&self) -> bool {
        self.held.is_empty()
    }

    /// Ends the stream. Returns U+FFFD if bytes of an incomplete character were held back, and an
    /// empty text otherwise.
    pub fn finish(&mut self) -> &str {
        self.shown.clear();
        if !self.held.is_empty() {
            self.held.clear();
            self.shown.push(char::REPLACEMENT_CHARACTER);
        }
        &self.shown
    }
}

/// Whether `bytes` are the start of a character that more bytes could complete.
fn begins_a_character(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}
