//! UTF-8 that comes in parts.

/// Bytes of the longest character.
const LONGEST_CHARACTER: usize = 4;

/// Follows a text whose parts end anywhere, also inside of a character.
#[derive(Default)]
pub(super) struct Utf8 {
    /// The first bytes of a character that is not complete yet.
    begun: [u8; LONGEST_CHARACTER],
    begun_bytes: usize,
}

impl Utf8 {
    /// Whether the text can still be UTF-8 with these bytes at its end.
    pub(super) fn goes_on_with(&mut self, mut part: &[u8]) -> bool {
        while self.begun_bytes > 0 {
            let Some((&byte, rest)) = part.split_first() else { return true };
            part = rest;
            self.begun[self.begun_bytes] = byte;
            match std::str::from_utf8(&self.begun[..self.begun_bytes + 1]) {
                Ok(_) => self.begun_bytes = 0,
                Err(error) if error.error_len().is_none() => self.begun_bytes += 1,
                Err(_) => return false,
            }
        }
        let Err(error) = std::str::from_utf8(part) else { return true };
        let begun = &part[error.valid_up_to()..];
        if error.error_len().is_some() {
            return false;
        }
        self.begun[..begun.len()].copy_from_slice(begun);
        self.begun_bytes = begun.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The byte at which a text in these parts is found not to be UTF-8.
    fn first_bad(parts: impl IntoIterator<Item = Vec<u8>>) -> Option<usize> {
        let mut text = Utf8::default();
        let mut end = 0;
        for part in parts {
            end += part.len();
            if !text.goes_on_with(&part) {
                return Some(end);
            }
        }
        None
    }

    fn in_single_bytes(text: &[u8]) -> Option<usize> {
        first_bad(text.iter().map(|byte| vec![*byte]))
    }

    #[test]
    fn a_bad_byte_is_found_when_it_comes() {
        // A byte that begins nothing, one that ends nothing, a character that is cut short, one
        // written too long, half of a pair of UTF-16, and one beyond Unicode.
        let bad: [(&[u8], usize); 6] = [
            (b"a\xff", 2),
            (b"a\x80", 2),
            (b"\xe4\xbda", 3),
            (b"\xc0\x80", 1),
            (b"\xed\xa0\x80", 2),
            (b"\xf4\x90\x80\x80", 2),
        ];
        for (text, end) in bad {
            assert_eq!(in_single_bytes(text), Some(end), "{text:x?}");
        }
    }

    proptest! {
        #[test]
        fn parts_end_anywhere(text: String, at in prop::collection::vec(0usize..64, 0..6)) {
            let mut parts = vec![];
            let mut left = text.as_bytes();
            for at in at {
                let (part, rest) = left.split_at(at.min(left.len()));
                parts.push(part.to_vec());
                left = rest;
            }
            parts.push(left.to_vec());
            prop_assert_eq!(first_bad(parts), None);
            prop_assert_eq!(in_single_bytes(text.as_bytes()), None);
        }

        #[test]
        fn any_bytes_are_judged_as_by_the_standard_library(bytes: Vec<u8>) {
            let is_bad = |end: &usize| {
                let text = std::str::from_utf8(&bytes[..*end]);
                text.is_err_and(|error| error.error_len().is_some())
            };
            let expected = (1..=bytes.len()).find(is_bad);
            prop_assert_eq!(in_single_bytes(&bytes), expected);
        }
    }
}
