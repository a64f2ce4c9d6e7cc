//! The vocabulary as a model file states it, before it becomes a tokenizer.

/// The number of a token in the vocabulary, which is also its row in the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u32);

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A piece of text, made by merging.
    Normal,
    /// A special added token such as `<|im_end|>`: never text, never shown.
    Control,
    /// Another added token such as `<tool_call>`: shown, but only the template may write it.
    UserDefined,
    /// A row without a token; never sampled.
    Unused,
}

impl TokenKind {
    /// Whether an answer may contain such a token.
    pub fn is_sampled(self) -> bool {
        self != TokenKind::Unused
    }
}

/// One token of a [`Vocabulary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabularyToken {
    /// Byte-level spelling (`Ġhello`) of a normal token, the literal text of any other.
    pub text: String,
    /// What the token may be used for.
    pub kind: TokenKind,
}

/// How text is cut before merging; a file that names another way is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreTokenizerKind {
    /// Qwen2's pattern: contractions, words, single digits, punctuation, white space.
    Qwen2,
}

/// Everything a model file says about its tokens.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// Tokens by id.
    pub tokens: Vec<VocabularyToken>,
    /// Merges in order of rank, both sides in byte-level spelling.
    pub merges: Vec<(String, String)>,
    /// How text is cut before merging.
    pub pre_tokenizer: PreTokenizerKind,
    /// Whether a prompt starts with [`Vocabulary::bos`] even if the template does not write it.
    pub add_bos: bool,
    /// The token that begins a text, where the model has one.
    pub bos: Option<TokenId>,
    /// Tokens that end an answer.
    pub end_tokens: Vec<TokenId>,
}
