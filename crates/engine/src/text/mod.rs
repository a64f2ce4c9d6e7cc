//! Text to tokens and back: tokenizer, chat template, streaming decoder, stop strings.

mod message;
mod vocabulary;

pub use message::{Message, Role};
pub use vocabulary::{PreTokenizerKind, TokenId, TokenKind, Vocabulary, VocabularyToken};
