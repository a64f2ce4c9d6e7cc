//! Keeps the tokens of recent answers.
//!
//! A model often samples other tokens than the tokenizer would cut the same text into. When a
//! history repeats an answer unchanged, the prompt uses the answer's own tokens, so that the keys
//! and values that were computed for them are found again.
//!
//! An answer is found by tenant, conversation and text, so an answer in one conversation changes no
//! token of another. All tenants share the memory. When it is full, the tenant that uses the most
//! of it loses its oldest answer, so a tenant with many answers does not push out those of others.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use super::TokenId;
use crate::origin::{ConversationId, Origin, Tenant};

/// Size of the memory in bytes, for all tenants together.
pub(crate) const KEPT_BYTES: usize = 8 << 20;
/// Bytes that an answer takes in addition to its text and tokens. They also limit the number of
/// answers.
const BYTES_PER_ANSWER: usize = 256;

/// Remembers the newest answers of each tenant by their text.
#[derive(Debug, Default)]
pub struct RememberedAnswers {
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tenants: HashMap<Tenant, OfTenant>,
    /// The sum over all tenants.
    bytes: usize,
}

#[derive(Debug, Default)]
struct OfTenant {
    by_hash: HashMap<u64, RememberedAnswer>,
    /// Hashes of the answers, in the order in which they were added or last found.
    order: VecDeque<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct RememberedAnswer {
    /// Conversation and text are compared too, so two answers with the same hash are never
    /// confused.
    conversation: Option<ConversationId>,
    text: Box<str>,
    ids: Arc<[TokenId]>,
}

impl RememberedAnswers {
    /// Remembers that `ids` are the tokens of `text`. The answer replaces an earlier one with the
    /// same text. An empty answer, or one larger than the whole memory, is not kept.
    pub fn remember(&self, origin: Origin, text: &str, ids: &[TokenId]) {
        let conversation = origin.conversation;
        let answer = RememberedAnswer { conversation, text: text.into(), ids: ids.into() };
        if text.is_empty() || ids.is_empty() || answer.bytes() > KEPT_BYTES {
            return;
        }
        let hash = self.hash(origin, text);
        let mut kept = self.lock();
        kept.forget_one(origin.tenant, hash);
        kept.bytes += answer.bytes();
        kept.tenants.entry(origin.tenant).or_default().put(hash, answer);
        kept.make_room();
    }

    /// The tokens of `text`, if it is a remembered answer of this conversation.
    pub fn find(&self, origin: Origin, text: &str) -> Option<Arc<[TokenId]>> {
        let hash = self.hash(origin, text);
        let mut kept = self.lock();
        let of_tenant = kept.tenants.get_mut(&origin.tenant)?;
        let answer = of_tenant.by_hash.get(&hash)?;
        if answer.conversation != origin.conversation || *answer.text != *text {
            return None;
        }
        let ids = answer.ids.clone();
        of_tenant.order.retain(|&other| other != hash);
        of_tenant.order.push_back(hash);
        Some(ids)
    }

    /// Forgets the answers of a conversation, or of a whole tenant.
    pub fn forget(&self, meant: &Origin) {
        let mut kept = self.lock();
        let Some(of_tenant) = kept.tenants.get(&meant.tenant) else { return };
        let of_answer = |answer: &RememberedAnswer| Origin {
            tenant: meant.tenant,
            conversation: answer.conversation,
        };
        let found = of_tenant.by_hash.iter().filter(|(_, it)| of_answer(it).is_within(meant));
        let hashes: Vec<u64> = found.map(|(&hash, _)| hash).collect();
        for hash in hashes {
            kept.forget_one(meant.tenant, hash);
        }
    }

    fn hash(&self, origin: Origin, text: &str) -> u64 {
        self.hasher.hash_one((origin.conversation, text))
    }

    /// The memory, even if another thread panicked while it held the lock: every change to the map
    /// is then complete or not begun.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl RememberedAnswer {
    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ids) + BYTES_PER_ANSWER
    }
}

impl Kept {
    /// Removes answers until the rest fits: each time the oldest of the tenant with the most bytes.
    fn make_room(&mut self) {
        while self.bytes > KEPT_BYTES {
            let largest = self.tenants.iter().max_by_key(|(_, of_tenant)| of_tenant.bytes);
            let (&tenant, of_tenant) = largest.expect("bytes are somebody's");
            let oldest = *of_tenant.order.front().expect("a tenant without answers is not listed");
            self.forget_one(tenant, oldest);
        }
    }

    fn forget_one(&mut self, tenant: Tenant, hash: u64) {
        let Some(of_tenant) = self.tenants.get_mut(&tenant) else { return };
        let Some(answer) = of_tenant.by_hash.remove(&hash) else { return };
        of_tenant.order.retain(|&other| other != hash);
        of_tenant.bytes -= answer.bytes();
        self.bytes -= answer.bytes();
        if of_tenant.by_hash.is_empty() {
            self.tenants.remove(&tenant);
        }
    }
}

impl OfTenant {
    fn put(&mut self, hash: u64, answer: RememberedAnswer) {
        self.bytes += answer.bytes();
        self.order.push_back(hash);
        self.by_hash.insert(hash, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mebibyte of tokens: the memory holds seven such answers.
    static LARGE: [TokenId; 1 << 18] = [TokenId(1); 1 << 18];

    fn of(tenant: u64) -> Origin {
        Tenant(tenant).into()
    }

    fn within(tenant: u64, conversation: u64) -> Origin {
        Origin { tenant: Tenant(tenant), conversation: Some(ConversationId(conversation)) }
    }

    #[test]
    fn the_answers_not_asked_for_longest_go_first() {
        let answers = RememberedAnswers::default();
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            answers.remember(of(0), name, &LARGE);
        }
        assert!(answers.find(of(0), "a").is_some(), "all seven are kept");
        answers.remember(of(0), "h", &LARGE);
        assert!(answers.find(of(0), "a").is_some(), "it was asked for");
        assert!(answers.find(of(0), "b").is_none(), "it was the oldest");
        let kept = answers.lock();
        assert!(kept.bytes <= KEPT_BYTES);
        let of_tenant = &kept.tenants[&Tenant(0)];
        assert_eq!((of_tenant.by_hash.len(), of_tenant.order.len()), (7, 7));
        assert_eq!(of_tenant.bytes, kept.bytes);
    }

    #[test]
    fn a_newer_answer_replaces_an_older_one() {
        let answers = RememberedAnswers::default();
        answers.remember(of(0), "a", &[TokenId(1)]);
        answers.remember(of(0), "a", &[TokenId(2), TokenId(3)]);
        assert_eq!(answers.find(of(0), "a").as_deref(), Some(&[TokenId(2), TokenId(3)][..]));
        answers.remember(of(0), "", &[TokenId(1)]);
        assert!(answers.find(of(0), "").is_none());
    }

    #[test]
    fn an_answer_is_found_by_its_tenant_and_in_its_conversation_only() {
        let answers = RememberedAnswers::default();
        answers.remember(within(1, 7), "a", &[TokenId(1)]);
        for other in [of(1), within(1, 8), within(2, 7), of(2)] {
            assert!(answers.find(other, "a").is_none(), "{other:?}");
        }
        answers.remember(within(1, 8), "a", &[TokenId(2)]);
        assert_eq!(answers.find(within(1, 7), "a").as_deref(), Some(&[TokenId(1)][..]));
    }

    #[test]
    fn a_tenant_with_many_answers_takes_no_room_from_one_with_few() {
        let answers = RememberedAnswers::default();
        answers.remember(of(1), "first of all", &[TokenId(1)]);
        for index in 0..100 {
            answers.remember(of(2), &index.to_string(), &LARGE);
        }
        assert!(answers.find(of(1), "first of all").is_some());
        assert!(answers.find(of(2), "99").is_some(), "the newest of the other is kept too");
        assert!(answers.lock().bytes <= KEPT_BYTES);
    }

    #[test]
    fn a_forgotten_conversation_or_tenant_leaves_nothing_and_others_stay() {
        let answers = RememberedAnswers::default();
        let all = [within(1, 7), within(1, 8), of(1), within(2, 7)];
        for origin in all {
            answers.remember(origin, "a", &[TokenId(1)]);
        }
        let found = |expected: [bool; 4]| {
            assert_eq!(all.map(|origin| answers.find(origin, "a").is_some()), expected);
        };
        answers.forget(&within(1, 7));
        found([false, true, true, true]);
        answers.forget(&of(1));
        found([false, false, false, true]);
        answers.forget(&of(2));
        let kept = answers.lock();
        assert_eq!((kept.bytes, kept.tenants.len()), (0, 0));
    }
}
