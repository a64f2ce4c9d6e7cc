//! Reads text as a message with files in front.

#![no_main]

use banter_store::attached::{Parts, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &str| {
    let Parts { files, typed } = parts(message);
    let mut end = 0;
    for file in files {
        assert!(end < file.name.start && file.name.end < file.text.start);
        assert!(message.is_char_boundary(file.name.end));
        end = file.text.end;
        assert!(message[end..].starts_with("\n```"));
    }
    assert!(end <= typed.start && typed.end == message.len());
    let _ = &message[typed];
});
