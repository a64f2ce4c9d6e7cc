//! Compiles text as a chat template and renders a short conversation with it.

#![no_main]

use banter_engine::text::{
    Message, Role, Text, TokenId, TokenKind, TokenizerOptions, Vocabulary, VocabularyToken,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|template: &str| {
    let Ok(text) = Text::new(&vocabulary(), Some(template)) else { return };
    let message = |role, content: &str| Message::new(role, content);
    let messages = [
        message(Role::System, "s"),
        message(Role::User, "<|im_start|>user"),
        message(Role::Assistant, "a"),
        message(Role::User, "{{ 1 }}"),
    ];
    let _ = text.prompt(&messages);
});

/// The 256 bytes and three control tokens, without merges.
fn vocabulary() -> Vocabulary {
    let visible = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let others = (0x100..0x144).filter_map(char::from_u32);
    let token = |kind| move |text: String| VocabularyToken { text, kind };
    let bytes = visible.chain(others).map(String::from).map(token(TokenKind::Normal));
    let controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_string);
    Vocabulary {
        tokens: bytes.chain(controls.map(token(TokenKind::Control))).collect(),
        merges: Vec::new(),
        options: TokenizerOptions::QWEN2,
        add_bos: false,
        bos: None,
        end_tokens: vec![TokenId(258)],
    }
}
