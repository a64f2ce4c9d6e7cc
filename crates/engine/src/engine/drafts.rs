//! Messages that are still being typed: computed while nobody waits for an answer.
//!
//! A draft is the beginning of a conversation that someone may ask for soon. A step computes some
//! of its tokens, and only the cache remembers them. A request that begins with them finds them
//! there. A draft that nobody sends has cost only time that nobody needed.
//!
//! Limits: [`DRAFTS_PER_TENANT`], then a new draft replaces the tenant's oldest; [`MAX_DRAFTS`] of
//! all tenants, then it replaces the oldest that is computed, or else the oldest.

use std::collections::VecDeque;
use std::ops::Range;

use super::inbox::InboxPermit;
use crate::origin::{Origin, Tenant};
use crate::text::TokenId;

/// Drafts of a tenant that are kept at once.
pub const DRAFTS_PER_TENANT: usize = 4;

/// Drafts that are kept at once, computed ones included.
pub const MAX_DRAFTS: usize = 64;

/// A draft on its way to the engine's thread.
#[derive(Debug)]
pub struct NewDraft {
    pub origin: Origin,
    /// A newer draft replaces the tenant's older one of the same key.
    pub key: u64,
    pub shared_tokens: usize,
    /// The conversation's first tokens, those that later typing cannot change.
    pub tokens: Vec<TokenId>,
    /// Dropped when the draft arrives.
    pub permit: InboxPermit,
}

/// A draft that is kept.
#[derive(Clone, Debug)]
pub struct Draft {
    pub origin: Origin,
    pub key: u64,
    pub shared_tokens: usize,
    pub tokens: Vec<TokenId>,
    /// Tokens that are computed, here or before.
    done: usize,
    /// Positions that were computed for drafts: ranges in order, of which none touch.
    computed: Vec<Range<usize>>,
}

/// Tokens of drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DraftTokens {
    /// Computed for drafts.
    pub computed: usize,
    /// Of these, found by a request.
    pub used: usize,
    /// Of these, given up.
    pub wasted: usize,
}

/// All drafts, the oldest first.
#[derive(Debug, Default)]
pub struct Drafts(VecDeque<Draft>);

impl Drafts {
    /// Takes in a draft in place of an older one. Says how many tokens were computed in vain for
    /// drafts that are given up.
    pub fn put(&mut self, new: NewDraft) -> usize {
        drop(new.permit);
        let same = |draft: &Draft| draft.tenant() == new.origin.tenant && draft.key == new.key;
        let mut draft = Draft {
            origin: new.origin,
            key: new.key,
            shared_tokens: new.shared_tokens,
            tokens: new.tokens,
            done: 0,
            computed: Vec::new(),
        };
        let mut wasted = 0;
        if let Some(index) = self.0.iter().position(same) {
            let older = self.0.remove(index).expect("the index was just found");
            let common = common_beginning(&older.tokens, &draft.tokens);
            draft.computed = older.computed;
            wasted += draft.forget_behind(common);
        }
        let is_of_tenant = |draft: &Draft| draft.tenant() == new.origin.tenant;
        if self.0.iter().filter(|draft| is_of_tenant(draft)).count() == DRAFTS_PER_TENANT {
            let index = self.0.iter().position(is_of_tenant);
            let oldest = index.and_then(|index| self.0.remove(index)).expect("there are some");
            wasted += oldest.computed_tokens();
        } else if self.0.len() == MAX_DRAFTS {
            let computed = self.0.iter().position(Draft::is_computed).unwrap_or(0);
            wasted += self.0.remove(computed).map_or(0, |oldest| oldest.computed_tokens());
        }
        self.0.push_back(draft);
        wasted
    }

    /// The draft to go on with: the oldest that is not computed to its end.
    pub fn next(&self) -> Option<&Draft> {
        self.0.iter().find(|draft| !draft.is_computed())
    }

    /// The next draft is computed up to `done` tokens. A step has just computed those from `first`
    /// on.
    pub fn computed(&mut self, first: usize, done: usize) {
        if let Some(draft) = self.0.iter_mut().find(|draft| !draft.is_computed()) {
            draft.done = done;
            draft.forget_behind(first);
            match draft.computed.last_mut() {
                Some(last) if last.end == first => last.end = done,
                _ => draft.computed.push(first..done),
            }
        }
    }

    /// Nothing more of the next draft will be computed.
    pub fn give_up(&mut self) {
        if let Some(draft) = self.0.iter_mut().find(|draft| !draft.is_computed()) {
            draft.done = draft.tokens.len();
        }
    }

    /// Removes the drafts that a request begins with. Says how many of the tokens computed for them
    /// it finds, and how many were computed in vain.
    pub fn serve(&mut self, tenant: Tenant, prompt: &[TokenId]) -> DraftTokens {
        let mut tokens = DraftTokens::default();
        self.0.retain_mut(|draft| {
            let common = common_beginning(&draft.tokens, prompt);
            // Drafts of other conversations may begin with the same system prompt.
            if draft.tenant() != tenant || common <= draft.tokens.len() / 2 {
                return true;
            }
            tokens.wasted += draft.forget_behind(common);
            tokens.used += draft.computed_tokens();
            false
        });
        tokens
    }

    /// Forgets the drafts of a conversation, or of a whole tenant. Says how many tokens were
    /// computed in vain for them.
    pub fn forget(&mut self, meant: &Origin) -> usize {
        let mut wasted = 0;
        self.0.retain(|draft| {
            let stays = !draft.origin.is_within(meant);
            wasted += if stays { 0 } else { draft.computed_tokens() };
            stays
        });
        wasted
    }
}

impl Draft {
    fn tenant(&self) -> Tenant {
        self.origin.tenant
    }

    fn is_computed(&self) -> bool {
        self.done >= self.tokens.len()
    }

    /// How many tokens were computed for drafts.
    fn computed_tokens(&self) -> usize {
        self.computed.iter().map(Range::len).sum()
    }

    /// Forgets positions from `end` on, and says how many had been computed for drafts.
    fn forget_behind(&mut self, end: usize) -> usize {
        let before = self.computed_tokens();
        self.computed.iter_mut().for_each(|range| range.end = range.end.min(end));
        self.computed.retain(|range| !range.is_empty());
        before - self.computed_tokens()
    }
}

/// How many first tokens two sequences have in common.
pub fn common_beginning(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::inbox::Inbox;
    use super::*;

    fn new(tenant: u64, key: u64, text: &str) -> NewDraft {
        let inbox = Arc::new(Inbox::new(1));
        NewDraft {
            origin: Tenant(tenant).into(),
            key,
            shared_tokens: 0,
            tokens: tokens(text),
            permit: inbox.side_message().expect("there is room"),
        }
    }

    fn tokens(text: &str) -> Vec<TokenId> {
        text.bytes().map(|byte| TokenId(byte.into())).collect()
    }

    /// Tokens that a request finds, and those computed in vain.
    fn served(drafts: &mut Drafts, tenant: u64, prompt: &str) -> (usize, usize) {
        let served = drafts.serve(Tenant(tenant), &tokens(prompt));
        (served.used, served.wasted)
    }

    fn next_key(drafts: &Drafts) -> Option<u64> {
        drafts.next().map(|draft| draft.key)
    }

    #[test]
    fn a_newer_draft_takes_the_place_of_the_older_and_keeps_what_it_computed() {
        let mut drafts = Drafts::default();
        assert_eq!(drafts.put(new(1, 1, "hello wor")), 0);
        drafts.computed(2, 9);
        assert_eq!(drafts.put(new(1, 1, "hello you")), 3, "of seven tokens, three fit no more");
        assert_eq!(served(&mut drafts, 1, "hello you there"), (4, 0));
        assert!(drafts.next().is_none());
    }

    #[test]
    fn drafts_wait_in_order_and_have_a_limit_for_each_tenant() {
        let mut drafts = Drafts::default();
        for key in 0..=DRAFTS_PER_TENANT as u64 {
            drafts.put(new(1, key, "abc"));
        }
        drafts.put(new(2, 0, "abc"));
        assert_eq!(next_key(&drafts), Some(1), "the oldest had to go");
        drafts.computed(0, 3);
        assert_eq!(next_key(&drafts), Some(2));
        drafts.give_up();
        assert_eq!(next_key(&drafts), Some(3));
        assert_eq!(drafts.put(new(1, 9, "x")), 3, "what was computed of the oldest was in vain");
    }

    #[test]
    fn all_tenants_together_have_a_limit_and_what_is_computed_goes_first() {
        let mut drafts = Drafts::default();
        for tenant in 0..MAX_DRAFTS as u64 {
            assert_eq!(drafts.put(new(tenant, 0, "abc")), 0);
        }
        drafts.computed(0, 3);
        drafts.computed(1, 3);
        assert_eq!(drafts.put(new(1_000, 0, "abc")), 3, "the first, which is computed");
        assert_eq!(drafts.put(new(1_001, 0, "abc")), 2, "and the second");
        assert_eq!(drafts.put(new(1_002, 0, "abc")), 0, "and then the oldest of all");
        assert_eq!(drafts.next().map(Draft::tenant), Some(Tenant(3)));
        for tenant in 2_000..3_000 {
            drafts.put(new(tenant, 0, "abc"));
        }
        assert_eq!(drafts.0.len(), MAX_DRAFTS);
    }

    #[test]
    fn what_was_found_between_two_computed_pieces_is_not_counted() {
        let mut drafts = Drafts::default();
        drafts.put(new(1, 1, "0123456789"));
        drafts.computed(0, 3);
        drafts.computed(5, 8);
        drafts.computed(8, 9);
        drafts.computed(9, 10);
        assert_eq!(served(&mut drafts, 1, "01234567"), (6, 2));
    }

    #[test]
    fn a_conversation_that_begins_otherwise_leaves_a_draft_alone() {
        let mut drafts = Drafts::default();
        drafts.put(new(1, 1, "system: one"));
        drafts.computed(0, 11);
        assert_eq!(served(&mut drafts, 2, "system: one and more"), (0, 0), "another's");
        assert_eq!(served(&mut drafts, 1, "sys"), (0, 0));
        assert_eq!(served(&mut drafts, 1, "system: onto"), (10, 1));
    }
}
