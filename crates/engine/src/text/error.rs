//! What can be wrong with a vocabulary, a template or a conversation.

use std::fmt::{self, Write};

/// Why a tokenizer could not be made, or text could not become tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The vocabulary contradicts itself; says where.
    #[error("vocabulary: {0}")]
    Vocabulary(String),
    /// `tokenizer.json` is not what Qwen2's is; says where.
    #[error("tokenizer: {0}")]
    TokenizerJson(String),
    /// The chat template is wrong or too costly.
    #[error("chat template: {0}")]
    Template(String),
    /// The chat template takes no such conversation; in its own words.
    #[error("the chat template refuses the conversation: {0}")]
    Refused(String),
    /// The newest message alone does not fit.
    #[error("prompt: expected at most {limit} tokens, found {tokens}")]
    TooLong {
        /// Tokens of the shortest prompt that could be made.
        tokens: usize,
        /// Tokens a prompt may have.
        limit: usize,
    },
}

/// The beginning of what was found; a hostile file may hold megabytes in one place.
pub(super) fn shown(found: &dyn fmt::Debug) -> String {
    struct Start(String);
    impl fmt::Write for Start {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend(text.chars().take(200_usize.saturating_sub(self.0.len())));
            if self.0.len() < 200 { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut start = Start(String::new());
    // An error only says that the beginning is full.
    let _ = write!(start, "{found:?}");
    start.0
}
