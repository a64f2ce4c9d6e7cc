//! Parses bytes as `tokenizer.json`, makes a tokenizer of what it says, and encodes with it.

#![no_main]

use banter_engine::text::{Text, TokenId, parse_tokenizer_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut vocabulary) = parse_tokenizer_json(bytes) else { return };
    vocabulary.end_tokens = vec![TokenId(0)];
    if let Ok(text) = Text::new(&vocabulary, None) {
        for id in text.encode("a b, 12 <|im_end|> 你好\n") {
            let _ = text.token_bytes(id);
        }
    }
});
