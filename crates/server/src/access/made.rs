//! Keys that the operator has made by command: which of them let in now, and the rights of each.

use super::keys::KeyHash;
use super::level::Scope;
use super::origin::Origin;
use super::principal::Principal;
use super::request::Sender;
use super::token::random_token;
use crate::quotas::Quotas;
use banter_seam::ShareId;
use banter_store::{KeyUsage, MadeKey, SecretHash, Store, StoreError, now_ms};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A key that was revoked loses its sockets after this time at the latest.
const LOOK: Duration = Duration::from_millis(500);
/// What was done with keys is told to the store this often.
const TELL: Duration = Duration::from_secs(5);

/// The keys that let in now.
#[derive(Default)]
pub(crate) struct MadeKeys {
    by_hash: RwLock<HashMap<[u8; 32], Arc<Made>>>,
    quotas: Quotas,
}

/// A key that lets in.
pub(crate) struct Made {
    name: String,
    pub(super) scope: Scope,
    /// The pages that may use it; none: any client.
    origins: Vec<Origin>,
    until_ms: Option<u64>,
    /// The system prompt of its visitors.
    system: Option<String>,
    /// Cancelled when it does not let in any more.
    pub(super) revoked: CancellationToken,
}

/// Each scope that a key can be made with, and its meaning for people.
pub const SCOPES: [(&str, &str); 3] = [
    ("chat", "conversations and the interfaces for programs"),
    ("admin", "the same, pulling models and switching between them, and what the server does now"),
    ("embed", "conversations of the visitors of other sites' pages"),
];

impl Made {
    fn of(key: &MadeKey) -> Option<Made> {
        let scope = match key.terms.scope.as_str() {
            "chat" => Scope::Talk,
            "admin" => Scope::Administer,
            "embed" => Scope::Visit,
            _ => return None,
        };
        let origins = key.terms.origins.iter().map(|origin| Origin::parse(origin));
        Some(Made {
            name: key.name.clone(),
            scope,
            origins: origins.collect::<Result<_, _>>().ok()?,
            until_ms: key.terms.until_ms,
            system: key.terms.system.clone(),
            revoked: CancellationToken::new(),
        })
    }

    /// Whether a page or a program may use it.
    pub(super) fn is_for(&self, sender: &Sender) -> bool {
        match sender {
            _ if self.origins.is_empty() => true,
            Sender::Page(origin) => self.origins.iter().any(|allowed| allowed.is(origin)),
            // `/embed`, which only pages of these origins can frame.
            Sender::OwnPage => self.scope == Scope::Visit,
            Sender::Program => false,
        }
    }

    /// The pages that may use it.
    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The system prompt of its visitors. They are never told it.
    pub(crate) fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Who comes with it.
    pub(super) fn principal(&self, hash: KeyHash) -> Principal {
        match self.scope {
            // Whoever has it is not the owner of what others say with it.
            Scope::Visit => Principal::visitor(hash, &random_token()),
            Scope::Talk | Scope::Administer => Principal::of_key_hash(hash),
        }
    }

    /// Cancelled when it does not let in any more.
    pub(crate) fn revoked(&self) -> CancellationToken {
        self.revoked.clone()
    }

    fn has_ended(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until_ms| until_ms <= now_ms)
    }

    fn is_like(&self, other: &Made) -> bool {
        let of = |made: &Made| (made.scope, made.until_ms);
        of(self) == of(other) && self.origins == other.origins && self.system == other.system
    }
}

impl MadeKeys {
    /// The key with this hash, if it lets in.
    pub(super) fn find(&self, hash: KeyHash) -> Option<Arc<Made>> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        by_hash.get(&hash.bytes()).filter(|made| !made.has_ended(now_ms())).cloned()
    }

    /// The key with this hash, if it lets in visitors.
    pub(crate) fn for_visitors(&self, hash: SecretHash) -> Option<Arc<Made>> {
        self.find(KeyHash::from_bytes(hash.0)).filter(|made| made.scope == Scope::Visit)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_hash.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether the page of an origin may use any of the keys.
    pub(super) fn names_origin(&self, origin: &str) -> bool {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        by_hash.values().any(|made| made.origins.iter().any(|allowed| allowed.is(origin)))
    }

    /// The keys that let in, each with what it lets do.
    pub(super) fn scopes(&self) -> Vec<(KeyHash, Scope)> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        by_hash.iter().map(|(hash, made)| (KeyHash::from_bytes(*hash), made.scope)).collect()
    }

    /// What the keys may ask for.
    pub(crate) fn quotas(&self) -> Quotas {
        self.quotas.clone()
    }

    /// What was done with each key since the server has begun, by its name.
    pub(crate) fn usage(&self) -> Vec<(String, KeyUsage)> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let usage = by_hash.iter().filter_map(|(hash, made)| {
            let share = ShareId(KeyHash::from_bytes(*hash).number());
            Some((made.name.clone(), self.quotas.of(share)?.usage()))
        });
        let mut usage: Vec<(String, KeyUsage)> = usage.collect();
        usage.sort_by(|(one, _), (other, _)| one.cmp(other));
        usage
    }

    /// The name of a key, if it was made by command.
    pub(crate) fn name_of(&self, share: ShareId) -> Option<String> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let of_share =
            by_hash.iter().find(|(hash, _)| ShareId(KeyHash::from_bytes(**hash).number()) == share);
        of_share.map(|(_, made)| made.name.clone())
    }

    /// Takes the keys as the store has them now. Returns the hashes of those that let in no more,
    /// or do something else than before.
    ///
    /// Errors: the store fails.
    pub(crate) async fn look(&self, store: &Store) -> Result<Vec<KeyHash>, StoreError> {
        let keys = store.made_keys().await?;
        if self.some_go(&keys) {
            // With their quotas goes what was not told yet.
            self.tell_usage(store).await;
        }
        Ok(self.set(&keys, now_ms()))
    }

    /// Whether a key that lets in now does not any more.
    fn some_go(&self, keys: &[MadeKey]) -> bool {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let now_ms = now_ms();
        let has_ended = |key: &MadeKey| key.terms.until_ms.is_some_and(|until| until <= now_ms);
        let stay = keys.iter().filter(|key| key.revoked_ms.is_none() && !has_ended(key));
        stay.filter(|key| by_hash.contains_key(&key.hash.0)).count() < by_hash.len()
    }

    fn set(&self, keys: &[MadeKey], now_ms: u64) -> Vec<KeyHash> {
        let valid = || {
            let valid = keys.iter().filter(|key| key.revoked_ms.is_none());
            valid
                .filter_map(|key| Some((key, Made::of(key)?)))
                .filter(|(_, made)| !made.has_ended(now_ms))
        };
        let mut by_hash = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *by_hash);
        let mut ended = Vec::new();
        for (key, made) in valid() {
            let known = before.remove(&key.hash.0);
            let (same, changed) = match known {
                Some(known) if known.is_like(&made) => (Some(known), None),
                known => (None, known),
            };
            // Who holds a socket or a session of a key that changes has to come in again.
            if let Some(changed) = changed {
                changed.revoked.cancel();
                ended.push(KeyHash::from_bytes(key.hash.0));
            }
            by_hash.insert(key.hash.0, same.unwrap_or_else(|| Arc::new(made)));
        }
        before.values().for_each(|gone| gone.revoked.cancel());
        let share = |key: &MadeKey| ShareId(KeyHash::from_bytes(key.hash.0).number());
        self.quotas.set(valid().map(|(key, _)| (share(key), &key.terms)));
        ended.extend(before.into_keys().map(KeyHash::from_bytes));
        ended
    }

    /// Tells the store what was done with the keys since the last call.
    pub(crate) async fn tell_usage(&self, store: &Store) {
        let hashes: HashMap<ShareId, [u8; 32]> = {
            let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
            by_hash
                .keys()
                .map(|hash| (ShareId(KeyHash::from_bytes(*hash).number()), *hash))
                .collect()
        };
        let used = self.quotas.take_untold().into_iter();
        let used =
            used.filter_map(|(share, usage)| Some((SecretHash(*hashes.get(&share)?), usage)));
        let used: Vec<(SecretHash, KeyUsage)> = used.collect();
        if used.is_empty() {
            return;
        }
        if let Err(error) = store.count_key_usage(used).await {
            warn!(%error, "what was done with keys is not counted");
        }
    }
}

/// Looks again and again, until the server ends. `revoked` is told which keys let in no more, or do
/// something else than before.
pub(crate) async fn keep_looking(
    made: &MadeKeys,
    store: &Store,
    revoked: impl Fn(&[KeyHash]),
    ending: CancellationToken,
) {
    let mut told = tokio::time::Instant::now();
    while !ending.is_cancelled() {
        match made.look(store).await {
            Ok(gone) => revoked(&gone),
            Err(StoreError::Closed) => return,
            Err(error) => warn!(%error, "the keys cannot be read"),
        }
        if told.elapsed() >= TELL {
            made.tell_usage(store).await;
            told = tokio::time::Instant::now();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = ending.cancelled() => {}
        }
    }
}
