//! The tokens that made recent answers.
//!
//! Sampled tokens are often not the ones its text would be cut into. A history that repeats an
//! answer unchanged is therefore given the answer's own tokens, so that what was computed for them
//! is found again.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use super::TokenId;

/// How much is kept, some 8 MiB; the answers that were not asked for longest go first.
const KEPT_BYTES: usize = 8 << 20;
/// What keeping an answer takes beside its text and its tokens; bounds the number of answers as well.
const BYTES_PER_ANSWER: usize = 256;

/// Remembers answers by their text, the newest of them.
#[derive(Debug, Default)]
pub struct Answers {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_hash: HashMap<u64, Answer>,
    /// Hashes in the order in which their answers came or were last found.
    order: VecDeque<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Answer {
    /// Compared as well, so that two texts with one hash are never confused.
    text: Box<str>,
    ids: Arc<[TokenId]>,
}

impl Answers {
    /// Remembers that `ids` made `text`; a newer answer of the same text replaces an older one. One
    /// too large to keep is not kept.
    pub fn remember(&self, text: &str, ids: &[TokenId]) {
        let answer = Answer { text: text.into(), ids: ids.into() };
        if text.is_empty() || ids.is_empty() || answer.bytes() > KEPT_BYTES {
            return;
        }
        let hash = self.hasher.hash_one(text);
        let mut kept = self.lock();
        kept.forget(hash);
        kept.bytes += answer.bytes();
        kept.order.push_back(hash);
        kept.by_hash.insert(hash, answer);
        while kept.bytes > KEPT_BYTES
            && let Some(&oldest) = kept.order.front()
        {
            kept.forget(oldest);
        }
    }

    /// The tokens that made `text`, if it is a remembered answer.
    pub fn find(&self, text: &str) -> Option<Arc<[TokenId]>> {
        let hash = self.hasher.hash_one(text);
        let mut kept = self.lock();
        let answer = kept.by_hash.get(&hash).filter(|answer| *answer.text == *text)?;
        let ids = answer.ids.clone();
        kept.order.retain(|&other| other != hash);
        kept.order.push_back(hash);
        Some(ids)
    }

    /// A panic elsewhere leaves the map whole: every change to it is complete or not begun.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ids) + BYTES_PER_ANSWER
    }
}

impl Kept {
    fn forget(&mut self, hash: u64) {
        if let Some(answer) = self.by_hash.remove(&hash) {
            self.bytes -= answer.bytes();
            self.order.retain(|&other| other != hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_not_asked_for_longest_go_first() {
        let answers = Answers::default();
        let ids = [TokenId(1); 1 << 18]; // A mebibyte each, so that seven are kept.
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            answers.remember(name, &ids);
        }
        assert!(answers.find("a").is_some(), "all seven are kept");
        answers.remember("h", &ids);
        assert!(answers.find("a").is_some(), "it was asked for");
        assert!(answers.find("b").is_none(), "it was the oldest");
        let kept = answers.lock();
        assert!(kept.bytes <= KEPT_BYTES);
        assert_eq!((kept.by_hash.len(), kept.order.len()), (7, 7));
    }

    #[test]
    fn a_newer_answer_replaces_an_older_one() {
        let answers = Answers::default();
        answers.remember("a", &[TokenId(1)]);
        answers.remember("a", &[TokenId(2), TokenId(3)]);
        assert_eq!(answers.find("a").as_deref(), Some(&[TokenId(2), TokenId(3)][..]));
        answers.remember("", &[TokenId(1)]);
        assert!(answers.find("").is_none());
    }
}
