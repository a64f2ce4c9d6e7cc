//! Who gets blocks next, and who gives them up.
//!
//! ```text
//!           admit                    finish
//!  waiting ───────► running ───────────────► (its blocks stay findable)
//!                    │    ▲
//!            preempt │    │ admit, before all that wait
//!                    ▼    │
//!                  preempted
//! ```

use std::collections::HashMap;

use super::{Running, Scheduler, Sequence, SequenceId};
use crate::faults::{self, Fault};
use crate::kv_cache::{Lease, LeasedPath, blocks_for};
use crate::origin::Tenant;

/// Answer tokens that an admission reserves blocks for, so that a sequence just admitted is not
/// the first to be preempted.
const RESERVED_ANSWER_TOKENS: usize = 64;

impl Scheduler {
    /// Gives blocks to waiting sequences, in their order, while there are enough. Adds them to
    /// `admitted`, preempted ones too. What the cache keeps of their tokens they need not compute.
    pub fn admit(&mut self, admitted: &mut Vec<SequenceId>) {
        while self.running.len() < self.limits.max_sequences {
            let ready = |index: &usize| self.waiting[*index].fetched.is_none();
            let next = self.order_of_waiting().into_iter().find(ready);
            let Some(first) = self.preempted.front().or(next.map(|next| &self.waiting[next]))
            else {
                return;
            };
            let reserved = (first.tokens.len() + RESERVED_ANSWER_TOKENS).min(first.longest);
            let reserved = blocks_for(reserved);
            let path = match self.next_up.take() {
                Some((id, path)) if id == first.id => path,
                _ => LeasedPath::new(first.origin, first.shared_tokens),
            };
            let (_, path) = self.next_up.insert((first.id, path));
            // Only counted, not leased: a sequence that waits must not work the cache in every
            // step.
            let leased = self.cache.leased_by_others(path, &first.tokens);
            if reserved.saturating_sub(leased) > self.cache.available_blocks() {
                return;
            }
            let preempted = self.preempted.pop_front();
            let sequence = match (preempted, next) {
                (Some(preempted), _) => preempted,
                (None, Some(next)) => self.waiting.remove(next),
                (None, None) => unreachable!("somebody was found to wait"),
            };
            admitted.push(sequence.id);
            self.at_work = Some(sequence.id);
            self.begin(sequence, reserved);
            self.at_work = None;
        }
    }

    /// Lets a sequence run for which there are enough blocks.
    fn begin(&mut self, mut sequence: Sequence, blocks: usize) {
        let mut lease = Lease::new(sequence.origin, sequence.shared_tokens);
        let computed = self.cache.adopt(&mut lease, &sequence.tokens, 0);
        faults::pass(Fault::Admit);
        sequence.cached_tokens.get_or_insert(computed);
        let grown = self.cache.grow(&mut lease, blocks);
        self.running.push(Running { sequence, lease, computed, tried: Vec::new() });
        grown.expect("the blocks were counted");
    }

    /// Indices of `waiting` in order of admission: a request comes after those whose tenants have
    /// fewer requests running, preempted or ahead in the queue; ties go to the earliest.
    ///
    /// Admitting the first changes nothing for the others, so a place that somebody was told never
    /// gets worse.
    pub(super) fn order_of_waiting(&self) -> Vec<usize> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut ahead: HashMap<Tenant, usize> = HashMap::new();
        let ran = self.running.iter().map(|running| &running.sequence).chain(&self.preempted);
        ran.for_each(|sequence| *ahead.entry(sequence.origin.tenant).or_default() += 1);
        let key = |(index, sequence): (usize, &Sequence)| {
            let of_tenant = ahead.entry(sequence.origin.tenant).or_default();
            *of_tenant += 1;
            (*of_tenant, index)
        };
        let mut order: Vec<(usize, usize)> = self.waiting.iter().enumerate().map(key).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, index)| index).collect()
    }

    /// Gives every running sequence what others have computed of its next tokens meanwhile, and
    /// blocks for the rest.
    ///
    /// When blocks run out, the youngest sequences are preempted.
    pub fn make_room(&mut self) {
        self.catch_up();
        self.grow_or_preempt();
        self.at_work = None;
    }

    fn catch_up(&mut self) {
        for Running { sequence, lease, computed, .. } in &mut self.running {
            self.at_work = Some(sequence.id);
            faults::pass(Fault::CatchUp);
            let before = *computed;
            *computed = self.cache.adopt(lease, &sequence.tokens, before);
            if let Some(cached) = &mut sequence.cached_tokens
                && *cached == before
            {
                *cached = *computed;
            }
        }
    }

    /// Makes sure that every running sequence has blocks for all its tokens, the oldest first.
    fn grow_or_preempt(&mut self) {
        let mut index = 0;
        while index < self.running.len() {
            let running = &mut self.running[index];
            self.at_work = Some(running.sequence.id);
            let needed = blocks_for(running.sequence.tokens.len());
            if self.cache.grow(&mut running.lease, needed).is_ok() {
                index += 1;
                continue;
            }
            // A sequence that only waits for blocks from disk gives its blocks up before any that
            // runs.
            let fetching = self.waiting.iter().rfind(|sequence| sequence.fetched.is_some());
            if let Some(id) = fetching.map(|sequence| sequence.id) {
                self.end_fetch(id);
                continue;
            }
            assert!(self.running.len() > 1, "a sequence that was admitted fits alone");
            let youngest = self.running.pop().expect("the list is not empty");
            self.at_work = Some(youngest.sequence.id);
            faults::pass(Fault::Preempt);
            self.preempted.push_front(youngest.release(&mut self.cache).sequence);
        }
    }
}
