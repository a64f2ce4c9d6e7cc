//! The tokens that made recent answers.
//!
//! Sampled tokens are often not the ones its text would be cut into. A history that repeats an
//! answer unchanged is therefore given the answer's own tokens, so that what was computed for them
//! is found again.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use super::TokenId;

/// How many tokens of answers are kept, 4 MiB of them; the oldest answers go first.
const KEPT_TOKENS: usize = 1 << 20;

/// Remembers answers by their text, the newest of them.
#[derive(Debug, Default)]
pub struct Answers {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_hash: HashMap<u64, Answer>,
    /// Hashes in the order in which their answers came.
    order: VecDeque<u64>,
    tokens: usize,
}

#[derive(Debug)]
struct Answer {
    /// Compared as well, so that two texts with one hash are never confused.
    text: Box<str>,
    ids: Arc<[TokenId]>,
}

impl Answers {
    /// Remembers that `ids` made `text`; a newer answer of the same text replaces an older one.
    pub fn remember(&self, text: &str, ids: &[TokenId]) {
        if text.is_empty() || ids.is_empty() || ids.len() > KEPT_TOKENS {
            return;
        }
        let hash = self.hasher.hash_one(text);
        let mut kept = self.lock();
        kept.forget(hash);
        kept.tokens += ids.len();
        kept.order.push_back(hash);
        kept.by_hash.insert(hash, Answer { text: text.into(), ids: ids.into() });
        while kept.tokens > KEPT_TOKENS
            && let Some(&oldest) = kept.order.front()
        {
            kept.forget(oldest);
        }
    }

    /// The tokens that made `text`, if it is a remembered answer.
    pub fn find(&self, text: &str) -> Option<Arc<[TokenId]>> {
        let hash = self.hasher.hash_one(text);
        let kept = self.lock();
        let answer = kept.by_hash.get(&hash).filter(|answer| *answer.text == *text)?;
        Some(answer.ids.clone())
    }

    /// A panic elsewhere leaves the map whole: every change to it is complete or not begun.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, hash: u64) {
        if let Some(answer) = self.by_hash.remove(&hash) {
            self.tokens -= answer.ids.len();
            self.order.retain(|&other| other != hash);
        }
    }
}
