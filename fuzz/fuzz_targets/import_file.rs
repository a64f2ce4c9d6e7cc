//! Reads bytes as a file of conversations.

#![no_main]

use banter_store::exchange::{ImportLimits, import};
use libfuzzer_sys::fuzz_target;

/// Bytes that the copies of a thought may have.
const ANSWER_BYTES: usize = 64;

fuzz_target!(|file: &[u8]| {
    let limits = ImportLimits {
        conversation_values: 1000,
        answer_bytes: ANSWER_BYTES,
        ..ImportLimits::default()
    };
    let Ok(imported) = import(file, &limits) else { return };
    assert!(imported.left_out.len() <= imported.left_out_count);
    let mut text_bytes = 0;
    for conversation in imported.conversations {
        assert!(conversation.leaf.is_none_or(|leaf| leaf < conversation.messages.len()));
        for (index, message) in conversation.messages.iter().enumerate() {
            assert!(message.parent.is_none_or(|parent| parent < index));
            text_bytes += message.text.len() + message.thinking.len();
        }
    }
    // Two line breaks are put between parts that had four bytes between them.
    assert!(text_bytes <= file.len() + ANSWER_BYTES);
});
