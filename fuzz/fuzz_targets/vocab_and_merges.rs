//! Parses bytes as `vocab.json`, `merges.txt` and `tokenizer_config.json` with a zero byte between
//! them, makes a tokenizer of what they say, and encodes with it.

#![no_main]

use banter_engine::text::{Text, TokenId, parse_vocab_and_merges};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut files = bytes.splitn(3, |byte| *byte == 0);
    let mut next = || files.next().unwrap_or_default();
    let Ok(Some(mut vocabulary)) = parse_vocab_and_merges(next(), next(), next()) else { return };
    vocabulary.end_tokens = vec![TokenId(0)];
    if let Ok(text) = Text::new(&vocabulary, None) {
        for id in text.encode("a b, 12 <|im_end|> 你好\n") {
            let _ = text.token_bytes(id);
        }
    }
});
