//! Whose conversations someone's are.

use super::keys::KeyHash;

/// Whoever has the same key has the same conversations: of what was computed for others, nothing is
/// used, because its speed would tell what they had asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// Everyone who needs no key.
    pub const KEYLESS: Owner = Owner(0);

    /// Whoever has this key.
    pub(super) fn of_key(key: &str) -> Owner {
        Owner(KeyHash::of(key).number())
    }

    /// A name for browsers, which keep it: long enough to tell apart the people of one browser, and too
    /// short to help anyone who guesses keys.
    pub(crate) fn short_name(self) -> String {
        const NAMED_BITS: u64 = 0xff_ffff;
        format!("{:06x}", self.0 & NAMED_BITS)
    }

    /// A number of its own, as far as 64 bits of a hash can tell.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}
