//! Drafts that wait until they are turned into tokens.
//!
//! One after another is, on a thread outside the async ones. A draft that is not worth waiting for
//! is dropped, because the next keystroke brings a newer one.

use super::on_the_way::Origin;
use banter_seam::DraftRequest;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Drafts of all clients that wait at once. At the limit, a new one is dropped.
const MOST: usize = 16;
/// Drafts of one share that wait at once. At the limit, a new one takes the place of the oldest.
const MOST_OF_SHARE: usize = 4;

/// The drafts that wait.
#[derive(Default)]
pub(super) struct WaitingDrafts(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    drafts: VecDeque<DraftRequest>,
    /// Somebody takes them.
    is_taken: bool,
}

impl WaitingDrafts {
    /// Lets a draft wait, in the place of an older one of the same tenant and key. Says whether the
    /// caller must see to it that somebody takes it.
    pub(super) fn put(&self, draft: DraftRequest) -> bool {
        let mut waiting = self.lock();
        let (tenant, share, key) = (draft.asker.tenant, draft.asker.share, draft.key);
        waiting.drafts.retain(|older| (older.asker.tenant, older.key) != (tenant, key));
        let is_of_share = |older: &DraftRequest| older.asker.share == share;
        if waiting.drafts.iter().filter(|older| is_of_share(older)).count() >= MOST_OF_SHARE {
            let oldest = waiting.drafts.iter().position(is_of_share);
            oldest.and_then(|oldest| waiting.drafts.remove(oldest));
        }
        if waiting.drafts.len() >= MOST {
            return false;
        }
        waiting.drafts.push_back(draft);
        !std::mem::replace(&mut waiting.is_taken, true)
    }

    /// The next draft, and what `begin` makes of it before anybody can forget drafts again. After
    /// `None`, nobody takes them any more.
    pub(super) fn take<T>(
        &self,
        begin: impl FnOnce(&DraftRequest) -> T,
    ) -> Option<(DraftRequest, T)> {
        let mut waiting = self.lock();
        let next = waiting.drafts.pop_front();
        waiting.is_taken = next.is_some();
        next.map(|draft| {
            let begun = begin(&draft);
            (draft, begun)
        })
    }

    /// Drops the drafts of a conversation, or of a whole tenant.
    pub(super) fn forget(&self, meant: &Origin) {
        self.lock().drafts.retain(|draft| !origin_of(draft).is_within(meant));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose draft it is.
pub(super) fn origin_of(draft: &DraftRequest) -> Origin {
    Origin { tenant: draft.asker.tenant, conversation: draft.conversation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_seam::{Asker, ConversationNumber, Message, ShareId, Tenant};

    fn draft(share: u64, key: u64, text: &str) -> DraftRequest {
        DraftRequest {
            messages: vec![Message::user(text)],
            max_tokens: 100,
            asker: Asker { tenant: Tenant(share), share: ShareId(share) },
            conversation: Some(ConversationNumber(key)),
            key,
        }
    }

    fn texts(waiting: &WaitingDrafts) -> Vec<String> {
        let take = || waiting.take(|_| ()).map(|(mut draft, ())| draft.messages.remove(0).content);
        std::iter::from_fn(take).collect()
    }

    #[test]
    fn a_newer_draft_takes_the_place_of_the_older_one_of_its_key() {
        let waiting = WaitingDrafts::default();
        assert!(waiting.put(draft(1, 1, "a")), "somebody must begin to take them");
        assert!(!waiting.put(draft(1, 2, "b")), "somebody does");
        assert!(!waiting.put(draft(1, 1, "ab")));
        assert!(!waiting.put(draft(2, 1, "c")), "another's with the same key");
        assert_eq!(texts(&waiting), ["b", "ab", "c"]);
        assert!(waiting.put(draft(1, 1, "abc")), "nobody takes them any more");
    }

    #[test]
    fn one_share_has_few_and_all_together_have_a_limit() {
        let waiting = WaitingDrafts::default();
        for key in 0..5 {
            waiting.put(draft(1, key, &key.to_string()));
        }
        assert_eq!(texts(&waiting), ["1", "2", "3", "4"], "the oldest had to go");
        for share in 0..20 {
            waiting.put(draft(share, 0, &share.to_string()));
        }
        assert_eq!(texts(&waiting).len(), MOST);
    }

    #[test]
    fn forgotten_conversations_and_tenants_have_no_drafts() {
        let waiting = WaitingDrafts::default();
        let put_all = || {
            for (share, key) in [(1, 1), (1, 2), (2, 1)] {
                waiting.put(draft(share, key, &format!("{share} {key}")));
            }
        };
        put_all();
        waiting.forget(&origin_of(&draft(1, 1, "")));
        assert_eq!(texts(&waiting), ["1 2", "2 1"]);
        put_all();
        waiting.forget(&Origin { tenant: Tenant(1), conversation: None });
        assert_eq!(texts(&waiting), ["2 1"]);
    }
}
