//! Keys, and where a request can have one.

use super::level::AccessLevel;
use super::request::RequestView;
use super::token::random_token;
use axum::http::{Uri, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The hash of a key. The server keeps nothing else of it.
///
/// ```
/// use banter_server::KeyHash;
/// let hashes = [KeyHash::of("one"), KeyHash::of("other")];
/// ```
///
/// Two of them cannot be compared by `==`, because the time of that would tell how much of them is
/// equal:
///
/// ```compile_fail
/// use banter_server::KeyHash;
/// let is_same = KeyHash::of("one") == KeyHash::of("other");
/// ```
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hashes a key.
    pub fn of(key: &str) -> KeyHash {
        KeyHash(Sha256::digest(key.as_bytes()).into())
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> KeyHash {
        KeyHash(bytes)
    }

    /// The hash itself.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// The first 64 bits.
    pub(super) fn number(self) -> u64 {
        let (first, _) = self.0.split_first_chunk().expect("a hash is longer");
        u64::from_le_bytes(*first)
    }
}

/// Whether a key is one of ours. It takes the same time wherever the two differ.
pub(super) fn is_one_of(keys: &[KeyHash], presented: &str) -> bool {
    let presented = KeyHash::of(presented);
    let matches = keys.iter().map(|key| key.0.ct_eq(&presented.0));
    matches.fold(Choice::from(0), |any, this| any | this).into()
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("KeyHash(…)")
    }
}

/// Makes a key for a server that was given none: 128 random bits as 26 characters.
pub fn make_key() -> String {
    random_token()
}

/// The keys of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    Nothing,
    Key(String),
    /// More than one, equal or not. Each of them would be a guess, and nobody needs two.
    Several,
}

/// The key of a request, in any of the headers or the query where it may be.
pub(super) fn presented(view: &RequestView<'_>, level: AccessLevel) -> Presented {
    let bearer = view.headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().to_owned())
    });
    let named = view.headers.get_all("x-api-key").iter();
    let named = named.filter_map(|value| Some(value.to_str().ok()?.to_owned()));
    // Browsers cannot set headers for a WebSocket. On other routes a key in the address would only
    // get into logs and histories.
    let of_address = in_query(view.uri).filter(|_| level == AccessLevel::Socket);
    let mut keys = bearer.chain(named).chain(of_address);
    match (keys.next(), keys.next()) {
        (None, _) => Presented::Nothing,
        (Some(key), None) => Presented::Key(key),
        (Some(_), Some(_)) => Presented::Several,
    }
}

/// The keys in the query of an address.
pub(super) fn in_query(uri: &Uri) -> impl Iterator<Item = String> {
    let pairs = uri.query().unwrap_or("").split('&');
    pairs.filter_map(|pair| percent_decoded(pair.strip_prefix("key=")?))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let high = digit(rest.next()?)?;
                let low = digit(rest.next()?)?;
                u8::try_from(high * 16 + low).expect("two hexadecimal digits")
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_an_address_is_decoded() {
        assert_eq!(percent_decoded("a%2Bb+c%E4%BD%A0"), Some("a+b c你".into()));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_key_matches_only_itself_and_is_never_shown() {
        let keys = [KeyHash::of("open sesame"), KeyHash::of("friend")];
        assert!(is_one_of(&keys, "open sesame") && is_one_of(&keys, "friend"));
        assert!(!is_one_of(&keys, "open sesam") && !is_one_of(&keys, ""));
        assert!(!is_one_of(&[], ""));
        assert_eq!(format!("{:?}", keys[0]), "KeyHash(…)");
    }
}
