//! Keys and sessions in the store, and whose they are. A browser stays signed in when the server
//! starts again, unless its key is gone.

use super::Access;
use super::cookie::SESSION_LIFETIME;
use super::keys::KeyHash;
use super::level::Scope;
use super::principal::Principal;
use super::sessions::{Grant, Sessions};
use banter_store::{SecretHash, Store, StoreError, now_ms};
use std::time::Duration;

impl Scope {
    /// The word for it in the store.
    fn name(self) -> &'static str {
        match self {
            Scope::Visit => "visit",
            Scope::Talk => "talk",
            Scope::Administer => "administer",
        }
    }

    fn from_name(name: &str) -> Option<Scope> {
        [Scope::Visit, Scope::Talk, Scope::Administer]
            .into_iter()
            .find(|scope| scope.name() == name)
    }
}

impl Access {
    /// Writes down which keys let in, and takes back the sessions that were open when the server
    /// ended. Sessions of keys that no longer let in are over.
    ///
    /// Errors: the store fails.
    pub(crate) async fn restore(&self, store: &Store) -> Result<(), StoreError> {
        self.made.look(store).await?;
        let scoped = [(&self.keys, Scope::Talk), (&self.admin_keys, Scope::Administer)];
        let keys =
            scoped.into_iter().flat_map(|(keys, scope)| keys.iter().map(move |key| (*key, scope)));
        let keys: Vec<(KeyHash, Scope)> = keys.collect();
        for known in store.keys().await? {
            let is_gone = !keys.iter().any(|(key, _)| key.bytes() == known.hash.0);
            if is_gone && known.revoked_ms.is_none() {
                store.revoke_key(known.hash).await?;
            }
        }
        for (key, scope) in &keys {
            let user = store.ensure_user(Principal::of_key_hash(*key).user()).await?;
            store.allow_key(user.id, SecretHash(key.bytes()), scope.name()).await?;
        }
        let keys: Vec<(KeyHash, Scope)> = keys.into_iter().chain(self.made.scopes()).collect();
        store.remove_ended_sessions().await?;
        store.remove_strangers().await?;
        for kept in store.sessions().await? {
            let principal = Principal::of_user(kept.kind, kept.anchor.0);
            let scope = Scope::from_name(&kept.session.scope).filter(|scope| {
                // What a key lets do may have changed; the operator has no key.
                let of_key = keys.iter().filter(|(key, _)| principal.is_of_key(*key));
                principal == Principal::OPERATOR
                    || of_key.map(|(_, scope)| *scope).max() >= Some(*scope)
            });
            match scope {
                Some(scope) => {
                    let left = time_until(kept.session.until_ms);
                    self.sessions.take_back(kept.hash.0, Grant { scope, principal }, left);
                }
                None => store.end_session(kept.hash).await?,
            }
        }
        Ok(())
    }

    /// Writes down a session that was just opened, so that it outlives the server.
    ///
    /// Errors: the store fails.
    pub(crate) async fn keep_session(&self, store: &Store, token: &str) -> Result<(), StoreError> {
        let Some(Grant { scope, principal }) = self.sessions.grant_of(token) else { return Ok(()) };
        let user = store.ensure_user(principal.user()).await?;
        let hash = SecretHash(Sessions::hash(token));
        let lasts_ms = u64::try_from(SESSION_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        store.add_session(user.id, hash, scope.name(), lasts_ms).await?;
        Ok(())
    }
}

fn time_until(until_ms: u64) -> Duration {
    Duration::from_millis(until_ms.saturating_sub(now_ms()))
}
