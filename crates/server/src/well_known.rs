//! Files that the operator wants at the root, such as proofs that a domain is theirs.

/// A file at the root, as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellKnown {
    name: String,
    content: String,
}

/// Why a file is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WellKnownError {
    /// It would be at an odd or hidden path.
    #[error(
        "expected a file name of 1 to 128 letters, digits, '-', '_' and '.' that does not begin \
         with '.', found {0:?}; rename the file"
    )]
    Name(String),
    /// It is too long for a proof.
    #[error("expected at most {max} bytes, found {found}", max = WellKnown::MAX_BYTES)]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
}

impl WellKnown {
    /// Bytes of a file. Such files are short, and are kept in memory.
    pub const MAX_BYTES: usize = 64 << 10;
    const MAX_NAME_BYTES: usize = 128;

    /// A file at `/NAME`. What the server has there itself comes before it.
    ///
    /// Errors: its name or its length is wrong.
    pub fn new(name: &str, content: String) -> Result<WellKnown, WellKnownError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_long = name.len() > WellKnown::MAX_NAME_BYTES;
        if name.is_empty() || name.starts_with('.') || is_long || !name.bytes().all(is_plain) {
            return Err(WellKnownError::Name(name.into()));
        }
        if content.len() > WellKnown::MAX_BYTES {
            return Err(WellKnownError::TooLong { found: content.len() });
        }
        Ok(WellKnown { name: name.into(), content })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub fn content(&self) -> &str {
        &self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_is_taken() {
        let check = |name: &str| WellKnown::new(name, String::new()).err();
        for name in ["WW_verify_0a1b.txt", "a", "security.txt"] {
            assert_eq!(check(name), None, "{name}");
        }
        let long = "a".repeat(129);
        for name in ["", ".", "..", ".well-known", "a/b", "a b", "ä.txt", "a%2fb", "a\\b", &long] {
            assert_eq!(check(name), Some(WellKnownError::Name(name.into())), "{name}");
        }
    }

    #[test]
    fn a_long_file_is_refused_with_its_length() {
        let of = |bytes: usize| WellKnown::new("a.txt", "x".repeat(bytes)).err();
        assert_eq!(of(WellKnown::MAX_BYTES), None);
        let found = WellKnown::MAX_BYTES + 1;
        assert_eq!(of(found), Some(WellKnownError::TooLong { found }));
    }
}
