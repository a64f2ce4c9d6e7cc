//! The byte-level spelling of vocabularies: a visible character stands for every byte.
//!
//! Source: the GPT-2 vocabulary; Qwen2's vocabulary uses the same characters.

/// The character that stands for `byte`.
pub(super) fn character_of(byte: u8) -> char {
    let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable {
        return char::from(byte);
    }
    // The other bytes, in order, take the characters that begin at U+0100.
    let before = match byte {
        0..=0x20 => u32::from(byte),
        0x7f..=0xa0 => u32::from(byte) - 0x7f + 33,
        _ => 67, // 0xad is the last of the 68.
    };
    char::from_u32(0x100 + before).expect("U+0100 to U+0143 are characters")
}

/// The byte that a character stands for, or `None` if it stands for no byte.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    let byte = match code {
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => code,
    };
    let byte = u8::try_from(byte).ok()?;
    (character_of(byte) == character).then_some(byte)
}

/// The bytes that a byte-level spelling stands for.
///
/// Errors: the first character that stands for no byte.
pub(super) fn bytes_of(spelling: &str) -> Result<Vec<u8>, char> {
    spelling.chars().map(|character| byte_of(character).ok_or(character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        let mut characters: Vec<char> = (0..=255).map(character_of).collect();
        for (byte, &character) in (0..=255).zip(&characters) {
            assert_eq!(byte_of(character), Some(byte));
        }
        characters.sort_unstable();
        characters.dedup();
        assert_eq!(characters.len(), 256);
    }

    #[test]
    fn known_spellings_hold() {
        assert_eq!(character_of(b' '), 'Ġ');
        assert_eq!(character_of(b'\n'), 'Ċ');
        assert_eq!(character_of(0xad), 'Ń');
        assert_eq!(bytes_of("Ġé"), Ok(vec![b' ', 0xe9]));
        assert_eq!(bytes_of("a b"), Err(' '));
    }
}
