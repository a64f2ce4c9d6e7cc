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

use super::{Purpose, Running, Scheduler, Sequence, SequenceId};
use crate::faults::{self, Fault};
use crate::kv_cache::{Lease, LeasedPath, OutOfBlocks, blocks_for};
use crate::origin::Tenant;

/// Answer tokens that an admission reserves blocks for, so that a sequence just admitted is not
/// the first to be preempted.
const RESERVED_ANSWER_TOKENS: usize = 64;

/// Embeddings that run at once, beside the answers.
pub(super) const EMBEDDINGS_AT_ONCE: usize = 8;

impl Scheduler {
    /// Gives blocks to waiting sequences, in their order, while there are enough. Adds them to
    /// `admitted`, preempted ones too. What the cache keeps of their tokens they need not compute.
    ///
    /// Embeddings come after answers, and not while an answer waits for blocks.
    pub fn admit(&mut self, admitted: &mut Vec<SequenceId>) {
        if self.admit_of(Purpose::Answer, self.limits.max_sequences, admitted).is_ok() {
            // What they lack, they wait for.
            let _ = self.admit_of(Purpose::Embedding, EMBEDDINGS_AT_ONCE, admitted);
        }
    }

    /// The same for the sequences of one purpose, of which `most` may run.
    ///
    /// Errors: the next one waits for blocks.
    fn admit_of(
        &mut self,
        purpose: Purpose,
        most: usize,
        admitted: &mut Vec<SequenceId>,
    ) -> Result<(), OutOfBlocks> {
        while self.running_count(purpose) < most {
            let ready = |index: &usize| self.waiting[*index].fetched.is_none();
            let next = self.order_of_waiting(purpose).into_iter().find(ready);
            let preempted = self.preempted.iter().position(|ran| ran.purpose == purpose);
            let first = match (preempted, next) {
                (Some(preempted), _) => &self.preempted[preempted],
                (None, Some(next)) => &self.waiting[next],
                (None, None) => return Ok(()),
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
            let leased = match purpose {
                Purpose::Answer => self.cache.leased_by_others(path, &first.tokens),
                Purpose::Embedding => 0,
            };
            if reserved.saturating_sub(leased) > self.cache.available_blocks() {
                return Err(OutOfBlocks);
            }
            let sequence = match (preempted, next) {
                (Some(preempted), _) => self.preempted.remove(preempted),
                (None, next) => next.map(|next| self.waiting.remove(next)),
            };
            let sequence = sequence.expect("somebody was found to wait");
            admitted.push(sequence.id);
            self.at_work = Some(sequence.id);
            self.begin(sequence, reserved);
            self.at_work = None;
        }
        Ok(())
    }

    /// Lets a sequence run for which there are enough blocks.
    fn begin(&mut self, mut sequence: Sequence, blocks: usize) {
        let mut lease = Lease::new(sequence.origin, sequence.shared_tokens);
        let computed = match sequence.purpose {
            Purpose::Answer => self.cache.adopt(&mut lease, &sequence.tokens, 0),
            Purpose::Embedding => 0,
        };
        faults::pass(Fault::Admit);
        sequence.cached_tokens.get_or_insert(computed);
        let grown = self.cache.grow(&mut lease, blocks);
        self.running.push(Running { sequence, lease, computed, tried: Vec::new() });
        grown.expect("the blocks were counted");
    }

    /// Indices of those in `waiting` that have a purpose, in order of admission: a request comes
    /// after those whose tenants have fewer requests of this purpose running, preempted or ahead in
    /// the queue; ties go to the earliest.
    ///
    /// Admitting the first changes nothing for the others, so a place that somebody was told never
    /// gets worse.
    pub(super) fn order_of_waiting(&self, purpose: Purpose) -> Vec<usize> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut ahead: HashMap<Tenant, usize> = HashMap::new();
        let is_of_purpose = |sequence: &&Sequence| sequence.purpose == purpose;
        let ran = self.running.iter().map(|running| &running.sequence).chain(&self.preempted);
        ran.filter(is_of_purpose)
            .for_each(|sequence| *ahead.entry(sequence.origin.tenant).or_default() += 1);
        let key = |(index, sequence): (usize, &Sequence)| {
            let of_tenant = ahead.entry(sequence.origin.tenant).or_default();
            *of_tenant += 1;
            (*of_tenant, index)
        };
        let waiting = self.waiting.iter().enumerate();
        let waiting = waiting.filter(|(_, sequence)| is_of_purpose(sequence));
        let mut order: Vec<(usize, usize)> = waiting.map(key).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, index)| index).collect()
    }

    /// Gives every running sequence what others have computed of its next tokens meanwhile, and
    /// blocks for the rest.
    ///
    /// When blocks run out, the youngest sequences are preempted, embeddings before answers.
    pub fn make_room(&mut self) {
        self.catch_up();
        self.grow_or_preempt();
        self.at_work = None;
    }

    fn catch_up(&mut self) {
        for Running { sequence, lease, computed, .. } in &mut self.running {
            if sequence.purpose == Purpose::Embedding {
                continue;
            }
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
            let embedding = |running: &Running| running.sequence.purpose == Purpose::Embedding;
            let given_up = self.running.iter().rposition(embedding);
            let given_up = given_up.unwrap_or(self.running.len() - 1);
            // Those behind it move up.
            index -= usize::from(given_up < index);
            let youngest = self.running.remove(given_up);
            self.at_work = Some(youngest.sequence.id);
            faults::pass(Fault::Preempt);
            self.preempted.push_front(youngest.release(&mut self.cache).sequence);
        }
    }
}
