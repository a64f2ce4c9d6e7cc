//! One-time codes of printed links, and the sessions that browsers get for a code or a key.

use super::cookie::SESSION_LIFETIME;
use super::level::Scope;
use super::principal::Principal;
use super::token::random_token;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a one-time code is good.
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// At this limit the oldest code is dropped.
const MAX_CODES: usize = 64;

type Hash = [u8; 32];

/// What a session gives: a scope, and whose conversations they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) scope: Scope,
    pub(super) principal: Principal,
}

/// How many sessions there may be at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    /// Sessions in all. At the limit the key with the most sessions loses its oldest.
    pub(crate) total: usize,
    /// Sessions of one key. At the limit it loses its oldest.
    pub(crate) per_key: usize,
}

/// Codes and sessions that are valid now. Only hashes are kept, so the time of a lookup tells
/// nothing about the secret.
pub struct Sessions {
    limits: SessionLimits,
    codes: Mutex<HashMap<Hash, Entry>>,
    sessions: Mutex<HashMap<Hash, Entry>>,
}

struct Entry {
    until: Instant,
    grant: Grant,
    /// Cancelled when the entry ends before its time.
    ended: CancellationToken,
}

impl Sessions {
    pub(crate) fn new(limits: SessionLimits) -> Sessions {
        Sessions { limits, codes: Mutex::default(), sessions: Mutex::default() }
    }

    /// Makes a code for a link that gives this scope. It is valid once, and for ten minutes.
    pub fn make_code(&self, scope: Scope) -> String {
        self.make_code_for(Grant { scope, principal: Principal::OPERATOR })
    }

    /// Makes a code that gives this.
    pub(super) fn make_code_for(&self, grant: Grant) -> String {
        let code = random_token();
        let mut codes = lock(&self.codes);
        forget_expired(&mut codes);
        if codes.len() >= MAX_CODES {
            end_oldest(&mut codes, |_| true);
        }
        codes.insert(hash(&code), Entry::new(grant, CODE_LIFETIME));
        code
    }

    /// What a valid code gives. The code is not valid afterwards.
    pub(super) fn redeem(&self, code: &str) -> Option<Grant> {
        let entry = lock(&self.codes).remove(&hash(code))?;
        entry.is_valid().then_some(entry.grant)
    }

    /// Opens a session and returns its token.
    ///
    /// A key can open any number of sessions; beyond the limits it ends older ones of the same key
    /// first.
    pub(super) fn open(&self, grant: Grant) -> String {
        let token = random_token();
        let mut sessions = lock(&self.sessions);
        forget_expired(&mut sessions);
        let counts = counts(&sessions);
        if counts.get(&grant.principal).is_some_and(|count| *count >= self.limits.per_key) {
            end_oldest(&mut sessions, |entry| entry.grant.principal == grant.principal);
        } else if sessions.len() >= self.limits.total
            && let Some((principal, _)) = counts.into_iter().max_by_key(|(_, count)| *count)
        {
            end_oldest(&mut sessions, |entry| entry.grant.principal == principal);
        }
        sessions.insert(hash(&token), Entry::new(grant, SESSION_LIFETIME));
        token
    }

    /// Takes back a session that was open before the server was started again.
    pub(super) fn take_back(&self, hash: Hash, grant: Grant, left: Duration) {
        lock(&self.sessions).insert(hash, Entry::new(grant, left.min(SESSION_LIFETIME)));
    }

    /// The hash by which a token is known.
    pub(super) fn hash(token: &str) -> Hash {
        hash(token)
    }

    /// Ends a session, and the sockets that were opened with it.
    pub(super) fn end(&self, token: &str) {
        if let Some(entry) = lock(&self.sessions).remove(&hash(token)) {
            entry.ended.cancel();
        }
    }

    /// Ends all sessions of a principal, and the sockets that were opened with them. Codes that it
    /// has made open no more.
    pub(super) fn end_all_of(&self, principal: Principal) {
        lock(&self.codes).retain(|_, entry| entry.grant.principal != principal);
        lock(&self.sessions).retain(|_, entry| {
            let stays = entry.grant.principal != principal;
            if !stays {
                entry.ended.cancel();
            }
            stays
        });
    }

    /// What a valid session gives.
    pub(super) fn grant_of(&self, token: &str) -> Option<Grant> {
        let sessions = lock(&self.sessions);
        sessions.get(&hash(token)).filter(|entry| entry.is_valid()).map(|entry| entry.grant)
    }

    /// Cancelled when a valid session ends before its time.
    pub(super) fn end_of(&self, token: &str) -> Option<CancellationToken> {
        let sessions = lock(&self.sessions);
        sessions.get(&hash(token)).filter(|entry| entry.is_valid()).map(|entry| entry.ended.clone())
    }
}

impl Entry {
    fn new(grant: Grant, lifetime: Duration) -> Entry {
        Entry { until: Instant::now() + lifetime, grant, ended: CancellationToken::new() }
    }

    fn is_valid(&self) -> bool {
        Instant::now() < self.until
    }
}

fn forget_expired(entries: &mut HashMap<Hash, Entry>) {
    entries.retain(|_, entry| entry.is_valid());
}

fn counts(entries: &HashMap<Hash, Entry>) -> HashMap<Principal, usize> {
    let mut counts = HashMap::new();
    for entry in entries.values() {
        *counts.entry(entry.grant.principal).or_insert(0) += 1;
    }
    counts
}

fn end_oldest(entries: &mut HashMap<Hash, Entry>, may_go: impl Fn(&Entry) -> bool) {
    let candidates = entries.iter().filter(|(_, entry)| may_go(entry));
    let oldest = candidates.min_by_key(|(_, entry)| entry.until).map(|(hash, _)| *hash);
    if let Some(entry) = oldest.and_then(|hash| entries.remove(&hash)) {
        entry.ended.cancel();
    }
}

fn lock(entries: &Mutex<HashMap<Hash, Entry>>) -> MutexGuard<'_, HashMap<Hash, Entry>> {
    entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits { total: 6, per_key: 3 };

    fn sessions() -> Sessions {
        Sessions::new(LIMITS)
    }

    fn grant_of(key: &str) -> Grant {
        Grant { scope: Scope::Talk, principal: Principal::of_key(key) }
    }

    /// Sessions of one key, a second after each other.
    async fn open(sessions: &Sessions, key: &str, count: usize) -> Vec<String> {
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(sessions.open(grant_of(key)));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        tokens
    }

    fn valid(sessions: &Sessions, tokens: &[String]) -> Vec<bool> {
        tokens.iter().map(|token| sessions.grant_of(token).is_some()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_is_valid_once_and_for_ten_minutes() {
        let sessions = sessions();
        let code = sessions.make_code(Scope::Administer);
        let grant = Grant { scope: Scope::Administer, principal: Principal::OPERATOR };
        assert_eq!(sessions.redeem(&code), Some(grant));
        assert_eq!(sessions.redeem(&code), None);
        let late = sessions.make_code(Scope::Talk);
        tokio::time::advance(CODE_LIFETIME).await;
        assert_eq!(sessions.redeem(&late), None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_opens_many_sessions_ends_only_those_of_the_same_key() {
        let sessions = sessions();
        let others = open(&sessions, "friend", 2).await;
        let of_hog = open(&sessions, "hog", 5).await;
        assert_eq!(valid(&sessions, &of_hog), [false, false, true, true, true]);
        assert_eq!(valid(&sessions, &others), [true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_the_oldest_goes_of_the_key_that_has_most() {
        let sessions = sessions();
        let first = open(&sessions, "first", 2).await;
        let most = open(&sessions, "most", 3).await;
        let newest = open(&sessions, "third", 2).await;
        assert_eq!(valid(&sessions, &first), [true, true]);
        assert_eq!(valid(&sessions, &most), [false, true, true]);
        assert_eq!(valid(&sessions, &newest), [true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_session_ends_what_was_begun_with_it() {
        let sessions = sessions();
        let tokens = open(&sessions, "key", 4).await;
        assert!(sessions.end_of(&tokens[0]).is_none(), "it made room for the fourth");
        let ended = sessions.end_of(&tokens[1]).expect("it is valid");
        assert!(!ended.is_cancelled());
        sessions.end(&tokens[1]);
        assert!(ended.is_cancelled());
        assert_eq!(valid(&sessions, &tokens), [false, false, true, true]);
        tokio::time::advance(SESSION_LIFETIME).await;
        assert_eq!(valid(&sessions, &tokens), [false; 4]);
    }
}
