//! Errors of vocabularies, chat templates and conversations.

use std::fmt::{self, Write};

/// Why a tokenizer could not be made, or text could not become tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The vocabulary contradicts itself. The text says where.
    #[error("vocabulary: {0}")]
    Vocabulary(String),
    /// `tokenizer.json` differs from Qwen2's in a way that is not supported. The text says where.
    #[error("tokenizer: {0}")]
    TokenizerJson(String),
    /// The chat template is wrong or takes too much work, memory or output. The text says why.
    #[error("chat template: {0}")]
    Template(String),
    /// The chat template does not accept this conversation. The text is the template's own message.
    #[error("the chat template refuses the conversation: {0}")]
    Refused(String),
    /// The newest turn alone does not fit.
    #[error("prompt: expected at most {limit} tokens, found {tokens}")]
    TooLong {
        /// Number of tokens of the shortest possible prompt.
        tokens: usize,
        /// Most tokens that a prompt may have.
        limit: usize,
    },
}

/// The debug form of `found` for an error message, cut after about 200 bytes, because a hostile
/// file may hold megabytes in one place.
pub(super) fn shown(found: &dyn fmt::Debug) -> String {
    struct Start(String);
    impl fmt::Write for Start {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend(text.chars().take(200_usize.saturating_sub(self.0.len())));
            if self.0.len() < 200 { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut start = Start(String::new());
    // The only possible error is that the text is full.
    let _ = write!(start, "{found:?}");
    start.0
}
