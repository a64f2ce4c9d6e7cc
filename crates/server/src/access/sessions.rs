//! One-time codes of printed links, and the sessions that browsers get for them.

use super::Owner;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Name of the session cookie.
pub(crate) const COOKIE: &str = "banter_session";
const CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);
const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// At these limits the oldest goes.
const MAX_CODES: usize = 64;
const MAX_SESSIONS: usize = 4_096;

type Hash = [u8; 32];

/// What someone may do. The higher right includes the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Have conversations.
    Talk,
    /// Change the server for everybody.
    Administer,
}

/// What a session lets someone do, and whose conversations theirs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) right: Right,
    pub(super) owner: Owner,
}

/// Codes and sessions that are valid now. Only hashes are kept, so looking one up tells nothing
/// through its time.
#[derive(Default)]
pub struct Sessions {
    codes: Mutex<Expiring>,
    sessions: Mutex<Expiring>,
}

#[derive(Default)]
struct Expiring {
    until: HashMap<Hash, (Instant, Pass)>,
}

impl Sessions {
    /// Makes a code for a link that gives this right: valid for ten minutes, once.
    pub fn make_code(&self, right: Right) -> String {
        let code = random_token();
        let pass = Pass { right, owner: Owner::KEYLESS };
        lock(&self.codes).add(hash(&code), pass, CODE_LIFETIME, MAX_CODES);
        code
    }

    /// What a code gives, if it is valid; it is not afterwards.
    pub(super) fn redeem(&self, code: &str) -> Option<Pass> {
        still_valid(lock(&self.codes).until.remove(&hash(code)))
    }

    /// Opens a session and returns its token.
    pub(super) fn open(&self, pass: Pass) -> String {
        let token = random_token();
        lock(&self.sessions).add(hash(&token), pass, SESSION_LIFETIME, MAX_SESSIONS);
        token
    }

    /// What a session gives, if it is one.
    pub(super) fn pass_of(&self, token: &str) -> Option<Pass> {
        still_valid(lock(&self.sessions).until.get(&hash(token)).copied())
    }
}

impl Expiring {
    fn add(&mut self, hash: Hash, pass: Pass, lifetime: Duration, limit: usize) {
        let now = Instant::now();
        self.until.retain(|_, (until, _)| now < *until);
        if self.until.len() >= limit
            && let Some(oldest) = self.until.iter().min_by_key(|(_, (until, _))| *until)
        {
            let oldest = *oldest.0;
            self.until.remove(&oldest);
        }
        self.until.insert(hash, (now + lifetime, pass));
    }
}

fn still_valid(found: Option<(Instant, Pass)>) -> Option<Pass> {
    found.filter(|(until, _)| Instant::now() < *until).map(|(_, pass)| pass)
}

fn lock(expiring: &Mutex<Expiring>) -> std::sync::MutexGuard<'_, Expiring> {
    expiring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// 128 random bits as 26 characters that can be read aloud.
pub(super) fn random_token() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_code_is_valid_once_and_for_ten_minutes() {
        let sessions = Sessions::default();
        let code = sessions.make_code(Right::Administer);
        let pass = Pass { right: Right::Administer, owner: Owner::KEYLESS };
        assert_eq!(sessions.redeem(&code), Some(pass));
        assert_eq!(sessions.redeem(&code), None);
        let late = sessions.make_code(Right::Talk);
        tokio::time::advance(CODE_LIFETIME).await;
        assert_eq!(sessions.redeem(&late), None);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_the_oldest_session_goes() {
        let sessions = Sessions::default();
        let pass = Pass { right: Right::Talk, owner: Owner::KEYLESS };
        let first = sessions.open(pass);
        tokio::time::advance(Duration::from_secs(1)).await;
        let others: Vec<String> = (0..MAX_SESSIONS).map(|_| sessions.open(pass)).collect();
        assert_eq!(sessions.pass_of(&first), None);
        assert!(others.iter().all(|token| sessions.pass_of(token) == Some(pass)));
    }
}
