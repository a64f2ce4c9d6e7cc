//! Tokens to text as they come, in whole characters.

use super::{Text, TokenId};

/// Turns a stream of tokens into text that never ends inside a character.
///
/// Bytes that begin a character are held back until it is complete. Bytes that can never become
/// one are shown as U+FFFD, as [`String::from_utf8_lossy`] does.
#[derive(Debug, Default)]
pub struct TextDecoder {
    /// Bytes not yet shown: after a call, at most the first three of a character.
    held: Vec<u8>,
    shown: String,
}

impl TextDecoder {
    /// Takes the next token; returns the characters it completed, which may be none.
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

    /// Whether all that was taken is shown.
    pub(super) fn is_between_characters(&self) -> bool {
        self.held.is_empty()
    }

    /// Ends the stream; returns what was held back, as U+FFFD since it will never be complete.
    pub fn finish(&mut self) -> &str {
        self.shown.clear();
        if !self.held.is_empty() {
            self.held.clear();
            self.shown.push(char::REPLACEMENT_CHARACTER);
        }
        &self.shown
    }
}

/// Whether more bytes could complete these to a character.
fn begins_a_character(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}
