//! A smaller model of the same tokens, which guesses what the large one will say.
//!
//! Its keys and values are in pages of their own with the same block numbers: a lease says how many
//! of a sequence's tokens it has computed. It draws with each answer's own sampler, so that if both
//! models think alike they also draw alike.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Pulse;
use crate::model::Compute;

/// The smaller model.
pub struct DraftModel {
    compute: Box<dyn Compute>,
    is_broken: bool,
}

impl DraftModel {
    /// A model that has computed nothing yet.
    pub fn new(compute: impl Compute + 'static) -> DraftModel {
        DraftModel { compute: Box::new(compute), is_broken: false }
    }

    /// Shows signs of life in this pulse from now on.
    pub fn show_life(&mut self, pulse: &Pulse) {
        self.compute.show_life(pulse);
    }

    /// Whether it broke, and must not be asked any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Lets the model compute; none if it breaks. Answers then go on without it.
    pub fn unless_it_breaks<T>(
        &mut self,
        compute: impl FnOnce(&mut dyn Compute) -> T,
    ) -> Option<T> {
        let computed = catch_unwind(AssertUnwindSafe(|| compute(&mut *self.compute)));
        if computed.is_err() {
            tracing::error!("the draft model has broken down; answers go on without it");
            self.is_broken = true;
        }
        computed.ok()
    }
}
