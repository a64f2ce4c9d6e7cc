//! Correct bookkeeping after a panic: a change may have been left in the middle.

use super::{Running, Scheduler, Sequence, SequenceId};
use crate::kv_cache::Lease;

impl Scheduler {
    /// Removes a sequence that a panic may have left in the middle of a change, wherever it is, if
    /// it is anywhere. [`Scheduler::rebuild`] must follow.
    pub fn write_off(&mut self, id: SequenceId) {
        for sequence in self.waiting.extract_if(.., |sequence| sequence.id == id) {
            sequence.fetched.into_iter().for_each(Lease::write_off);
        }
        self.preempted.retain(|sequence: &Sequence| sequence.id != id);
        for running in self.running.extract_if(.., |running| running.sequence.id == id) {
            running.lease.write_off();
        }
    }

    /// Leaves a step that was planned and will not be settled.
    pub fn leave_step(&mut self) {
        self.running.iter_mut().for_each(|running| running.tried.clear());
    }

    /// Rebuilds what is known of blocks from the leases of all sequences.
    ///
    /// If even the leases contradict each other, all running sequences are preempted without their
    /// blocks, and compute everything anew.
    pub fn rebuild(&mut self) {
        self.at_work = None;
        self.next_up = None;
        let (running, waiting) = (&self.running, &self.waiting);
        let fetched = waiting.iter().filter_map(|sequence| sequence.fetched.as_ref());
        let leases: Vec<&Lease> =
            running.iter().map(|running| &running.lease).chain(fetched).collect();
        if self.cache.are_consistent(&leases) {
            self.cache.rebuild(&leases);
            return;
        }
        for sequence in &mut self.waiting {
            sequence.fetched.take().into_iter().for_each(Lease::write_off);
        }
        for Running { sequence, lease, .. } in self.running.drain(..).rev() {
            lease.write_off();
            self.preempted.push_front(sequence);
        }
        self.cache.rebuild(&[]);
    }
}
