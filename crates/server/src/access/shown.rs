//! Keys that a client shows: each is a try, and wrong ones are counted.

use super::keys;
use super::{Access, Denial, KeyHash, Principal, RateKey, Scope, Sender};
use banter_store::SecretHash;
use tokio_util::sync::CancellationToken;

impl Access {
    /// Who shows a key after the handshake, and what is cancelled when the key lets in no more.
    /// Counts the try.
    pub(crate) fn admit_key(
        &self,
        rate_key: RateKey,
        key: &str,
        sender: &Sender,
    ) -> Result<(Principal, CancellationToken), Denial> {
        self.try_key(rate_key, key, sender)?;
        let hash = KeyHash::of(key);
        Ok(match self.made.find(hash) {
            Some(made) => (made.principal(hash), made.revoked.clone()),
            None => (Principal::of_key_hash(hash), CancellationToken::new()),
        })
    }

    /// As [`Access::admit_key`] for a visitor who is known by a secret.
    pub(crate) fn admit_visitor(
        &self,
        rate_key: RateKey,
        key: &str,
        (sender, secret): (&Sender, &str),
    ) -> Result<(Principal, CancellationToken), Denial> {
        self.try_key(rate_key, key, sender)?;
        let hash = KeyHash::of(key);
        // A key that is not for visitors has no business on another site's page.
        let made = self.made.for_visitors(SecretHash(hash.bytes())).ok_or(Denial::KeyNeeded)?;
        Ok((Principal::visitor(hash, secret), made.revoked()))
    }

    /// The scope that a key gives. Counts the try.
    pub(super) fn try_key(
        &self,
        rate_key: RateKey,
        key: &str,
        sender: &Sender,
    ) -> Result<Scope, Denial> {
        if self.tries.is_exhausted(rate_key) {
            return Err(Denial::TooManyTries);
        }
        let scope = if let Some(made) = self.made_key_of(key, sender) {
            made.scope
        } else if keys::is_one_of(&self.admin_keys, key) {
            Scope::Administer
        } else if keys::is_one_of(&self.keys, key) {
            Scope::Talk
        } else {
            self.tries.count_wrong(rate_key);
            return Err(Denial::KeyNeeded);
        };
        self.tries.count_right(rate_key);
        Ok(scope)
    }
}
