//! Tests of all text code together, with a small vocabulary.

mod conversations;
mod decoding;
mod fitting;
mod injection;
mod proportion;
mod remembering;
mod templates;
mod tokenizer_files;

use super::byte_level::character_of;
use super::{
    Message, Role, Text, TokenId, TokenKind, TokenizerOptions, Vocabulary, VocabularyToken,
};
use crate::origin::{ConversationId, Origin, Tenant};

const END_OF_TEXT: TokenId = TokenId(259);
const START: TokenId = TokenId(260);
const END: TokenId = TokenId(261);
const TOOL_CALL: TokenId = TokenId(262);

/// A vocabulary of every byte, three merged tokens, Qwen's control tokens and one added token that
/// is not special.
fn vocabulary() -> Vocabulary {
    let normal = (0..=255).map(|byte| character_of(byte).to_string());
    let merged = ["he", "ll", "hell"].map(str::to_owned);
    let token = |text: String, kind| VocabularyToken { text, kind };
    let mut tokens: Vec<_> =
        normal.chain(merged).map(|text| token(text, TokenKind::Normal)).collect();
    for control in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
        tokens.push(token(control.to_owned(), TokenKind::Control));
    }
    tokens.push(token("<tool_call>".to_owned(), TokenKind::UserDefined));
    let merges = [("h", "e"), ("l", "l"), ("he", "ll")];
    Vocabulary {
        tokens,
        merges: merges.map(|(left, right)| (left.to_owned(), right.to_owned())).to_vec(),
        options: TokenizerOptions::QWEN2,
        add_bos: false,
        bos: None,
        end_tokens: vec![END],
    }
}

fn chatml() -> Text {
    Text::new(&vocabulary(), None).expect("a whole vocabulary")
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

/// The text that tokens spell; control tokens give their literals.
fn spelled(text: &Text, ids: &[TokenId]) -> String {
    let vocabulary = vocabulary();
    let mut bytes = Vec::new();
    for &id in ids {
        match vocabulary.tokens[id.0 as usize].kind {
            TokenKind::Normal => bytes.extend_from_slice(text.token_bytes(id)),
            _ => bytes.extend_from_slice(vocabulary.tokens[id.0 as usize].text.as_bytes()),
        }
    }
    String::from_utf8(bytes).expect("prompts are text")
}
