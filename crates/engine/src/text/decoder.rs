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
                self.shown.push_str(REPLACEMENT);
                shown_bytes += invalid.len();
            }
        }
        self.held.drain(..shown_bytes);
        &self.shown
    }

    /// What [`TextDecoder::finish`] would return.
    pub fn held_back(&self) -> &'static str {
        if self.held.is_empty() { "" } else { REPLACEMENT }
    }

    /// Whether every byte that was taken has been shown.
    pub(super) fn is_between_characters(&self) -> bool {
        self.held.is_empty()
    }

    /// Ends the stream. Returns U+FFFD if bytes of an incomplete character were held back, and an
    /// empty text otherwise.
    pub fn finish(&mut self) -> &'static str {
        let held_back = self.held_back();
        self.held.clear();
        held_back
    }
}

/// U+FFFD, which is shown in place of bytes that are no character.
const REPLACEMENT: &str = "\u{fffd}";

/// Whether `bytes` are the start of a character that more bytes could complete.
fn begins_a_character(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}
