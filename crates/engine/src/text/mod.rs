//! Text to tokens and back.
//!
//! Reading order:
//! - `vocabulary`: the description of a model's tokens; `tokenizer_json`, `vocab_files`: the files
//!   of a folder that it is read from.
//! - `byte_level`, `pre_tokenizer`, `merges`, `tokenizer`: text to tokens.
//! - `message`, `template`, `scaffold`, `remembered`, `prompt`: a conversation to tokens; [`Text`]
//!   joins all parts.
//! - `trial`: a test of a chat template before it is used.
//! - `decoder`, `stop_strings`: the tokens of an answer to text, one at a time.

mod byte_level;
mod decoder;
mod error;
mod merges;
mod message;
mod pre_tokenizer;
mod prompt;
mod remembered;
mod scaffold;
mod stop_strings;
mod template;
mod tokenizer;
mod tokenizer_json;
mod trial;
mod vocab_files;
mod vocabulary;
#[cfg(test)]
mod work;

pub use decoder::TextDecoder;
pub use error::TextError;
pub use message::{Message, Role, TemplateExtras, ToolCall};
pub use pre_tokenizer::typed_for_good;
pub use prompt::{Conversation, Prompt, Text};
pub(crate) use remembered::KEPT_BYTES as KEPT_ANSWER_BYTES;
pub use stop_strings::{StopOutcome, StopStrings};
pub(crate) use template::CHATML;
pub(crate) use tokenizer_json::FILE_BYTES as TOKENIZER_JSON_BYTES;
pub use tokenizer_json::parse_tokenizer_json;
pub use vocab_files::parse_vocab_and_merges;
pub use vocabulary::{TokenId, TokenKind, TokenizerOptions, Vocabulary, VocabularyToken};

#[cfg(test)]
mod tests;
