//! What can be wrong with a vocabulary, a template or a conversation.

/// Why a tokenizer could not be made, or text could not become tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The vocabulary contradicts itself; says where.
    #[error("vocabulary: {0}")]
    Vocabulary(String),
    /// `tokenizer.json` is not what Qwen2's is; says where.
    #[error("tokenizer.json: {0}")]
    TokenizerJson(String),
    /// The chat template is wrong or too costly.
    #[error("chat template: {0}")]
    Template(String),
    /// The newest message alone does not fit.
    #[error("prompt: expected at most {limit} tokens, found {tokens}")]
    TooLong {
        /// Tokens of the shortest prompt that could be made.
        tokens: usize,
        /// Tokens a prompt may have.
        limit: usize,
    },
}
