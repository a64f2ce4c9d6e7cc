//! The vocabulary as a model file describes it; a tokenizer is made from it.

/// The number of a token in the vocabulary, from 0; also its row in the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u32);

/// The use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A piece of text, made by merging.
    Normal,
    /// A special added token such as `<|im_end|>`. It has no text and is never shown.
    Control,
    /// An added token such as `<tool_call>` that is shown as text. In a prompt, only the template
    /// may write it.
    UserDefined,
    /// A row of the embedding without a token. It is never sampled.
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
    /// The byte-level spelling (`Ġhello`) of a normal token; the literal of any other.
    pub text: String,
    /// The use of the token.
    pub kind: TokenKind,
}

/// The settings of a tokenizer that differ between model files.
///
/// The pre-tokenizer is the same for all: Qwen2's pattern of contractions, words, single digits,
/// punctuation and white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Whether characters are composed (NFC) before text is cut.
    pub nfc: bool,
    /// Whether a piece that equals a token becomes that token without merging.
    pub ignore_merges: bool,
}

impl TokenizerOptions {
    /// The settings in Qwen2's own files.
    pub const QWEN2: TokenizerOptions = TokenizerOptions { nfc: true, ignore_merges: false };
}

/// Everything a model file says about its tokens.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// Tokens by id.
    pub tokens: Vec<VocabularyToken>,
    /// Merges in order of rank: the left and the right part, in byte-level spelling.
    pub merges: Vec<(String, String)>,
    /// Settings of the tokenizer.
    pub options: TokenizerOptions,
    /// Whether a prompt starts with [`Vocabulary::bos`] even if the template does not write it.
    pub add_bos: bool,
    /// The token that begins a text (BOS), if the model has one.
    pub bos: Option<TokenId>,
    /// Tokens that end an answer.
    pub end_tokens: Vec<TokenId>,
}
