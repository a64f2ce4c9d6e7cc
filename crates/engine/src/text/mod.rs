//! Text to tokens and back: tokenizer, chat template, streaming decoder, stop strings.

mod vocabulary;

pub use vocabulary::{PreTokenizerKind, TokenId, TokenKind, Vocabulary, VocabularyToken};
