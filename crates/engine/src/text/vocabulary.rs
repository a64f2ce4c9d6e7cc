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

/// How text becomes tokens, where files differ. Common to all is the pre-tokenizer with Qwen2's pattern:
/// contractions, words, single digits, punctuation, white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Whether characters are composed (NFC) before anything else.
    pub nfc: bool,
    /// Whether a piece that is spelled as a token becomes that token, whatever the merges say.
    pub ignore_merges: bool,
}

impl TokenizerOptions {
    /// As Qwen2's own files have it.
    pub const QWEN2: TokenizerOptions = TokenizerOptions { nfc: true, ignore_merges: false };
}

/// Everything a model file says about its tokens.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// Tokens by id.
    pub tokens: Vec<VocabularyToken>,
    /// Merges in order of rank, both sides in byte-level spelling.
    pub merges: Vec<(String, String)>,
    /// How text becomes tokens.
    pub options: TokenizerOptions,
    /// Whether a prompt starts with [`Vocabulary::bos`] even if the template does not write it.
    pub add_bos: bool,
    /// The token that begins a text, where the model has one.
    pub bos: Option<TokenId>,
    /// Tokens that end an answer.
    pub end_tokens: Vec<TokenId>,
}
