//! The bookkeeping of one step: which rows belong to which span, and which spans were stopped.

use std::time::Instant;

use banter_kernels::{Attend, BLOCK_TOKENS};

use super::plan::{Plan, Span, SpanOutcome, Wanted};
use super::scratch::Buffer;
use crate::text::TokenId;

/// The rows of a plan while they are computed.
///
/// A step allocates these few short lists and nothing else. They borrow the plan, so they cannot be
/// kept from step to step.
pub(super) struct Step<'a> {
    plan: &'a Plan<'a>,
    /// Where the rows of each span of the plan attend.
    spans: Vec<Attend<'a>>,
    /// The spans still running, in order of their rows.
    running: Vec<usize>,
    /// Where the rows of each span in `running` attend.
    attends: Vec<Attend<'a>>,
    /// Positions of the rows still running.
    positions: Vec<u32>,
    /// The outcome of each span of the plan so far.
    outcomes: Vec<SpanOutcome>,
    /// When each layer began, so far.
    layer_starts: Vec<Instant>,
}

/// Rows of a span of the plan of which something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WantedRows {
    pub span: usize,
    pub first_row: usize,
    pub rows: usize,
}

impl<'a> Step<'a> {
    /// All rows of `plan`; `blocks` are the blocks of all its spans, one span after another.
    ///
    /// Panics if a span has no rows, or no blocks for them.
    pub fn new(plan: &'a Plan<'a>, mut blocks: &'a [u32]) -> Step<'a> {
        let spans = plan.spans.iter().map(|span| {
            let (own, rest) = blocks.split_at(span.blocks.len());
            blocks = rest;
            let (first_position, rows) = (span.first_position, span.tokens.len());
            assert!(
                rows > 0 && span.wanted.sampled() <= rows,
                "a span has rows, and more than are sampled"
            );
            assert!(own.len() * BLOCK_TOKENS >= first_position + rows, "blocks for every row");
            Attend { blocks: own, first_position, rows }
        });
        let spans: Vec<_> = spans.collect();
        let mut step = Step {
            plan,
            running: (0..spans.len()).collect(),
            attends: Vec::with_capacity(spans.len()),
            positions: Vec::with_capacity(plan.rows()),
            outcomes: vec![SpanOutcome::Done; spans.len()],
            layer_starts: Vec::new(),
            spans,
        };
        step.list_rows();
        step
    }

    /// Positions of the rows still running.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Where the rows still running attend.
    pub fn attends(&self) -> &[Attend<'a>] {
        &self.attends
    }

    /// Tokens of the rows still running, in order.
    pub fn tokens(&self) -> impl Iterator<Item = TokenId> {
        self.running.iter().flat_map(|span| self.plan.spans[*span].tokens.iter().copied())
    }

    /// The rows of each span still running that yield logits, its last ones; spans without any are
    /// left out.
    pub fn sampled_rows(&self) -> impl Iterator<Item = WantedRows> {
        self.last_rows(|span| span.wanted.sampled())
    }

    /// The rows of each span still running of which the input of the head is wanted, all of them;
    /// other spans are left out.
    pub fn hidden_rows(&self) -> impl Iterator<Item = WantedRows> {
        self.last_rows(|span| match span.wanted {
            Wanted::Hidden => span.tokens.len(),
            Wanted::Nothing | Wanted::Logits { .. } => 0,
        })
    }

    /// The last rows of each span still running, as many as `count` says.
    fn last_rows(&self, count: impl Fn(&Span<'a>) -> usize) -> impl Iterator<Item = WantedRows> {
        let mut end = 0;
        let last_rows = self.running.iter().map(move |&span| {
            end += self.spans[span].rows;
            let rows = count(&self.plan.spans[span]);
            WantedRows { span, first_row: end - rows, rows }
        });
        last_rows.filter(|wanted| wanted.rows > 0)
    }

    /// Notes that another layer begins, and removes the spans that were stopped, as
    /// [`Step::remove_stopped`].
    ///
    /// The time is taken first. A layer then counts as begun after a stop only if the flag was
    /// raised too late to be seen.
    pub fn begin_layer(&mut self, x: &mut Buffer) {
        let now = Instant::now();
        self.remove_stopped(x);
        self.layer_starts.push(now);
    }

    /// Whether a span of the plan was not stopped.
    pub fn is_running(&self, span: usize) -> bool {
        self.running.contains(&span)
    }

    /// The span still running, if there is just one: nobody else needs what is being computed.
    pub fn lone_span(&self) -> Option<&Span<'a>> {
        match self.running.as_slice() {
            [span] => Some(&self.plan.spans[*span]),
            _ => None,
        }
    }

    /// Removes the spans that were stopped, and their rows from `x`, where the others move
    /// together.
    pub fn remove_stopped(&mut self, x: &mut Buffer) {
        let Step { plan, running, outcomes, layer_starts, .. } = self;
        let (mut from, mut to) = (0, 0);
        running.retain(|&span| {
            let rows = plan.spans[span].tokens.len();
            let first = from;
            from += rows;
            let Some(raised_at) = plan.spans[span].stop.raised_at() else {
                x.move_rows(first, to, rows);
                to += rows;
                return true;
            };
            let layers_run = layer_starts.len();
            let layers_after_stop = layer_starts.iter().filter(|start| **start > raised_at).count();
            outcomes[span] = SpanOutcome::Stopped { layers_run, layers_after_stop };
            false
        });
        if to < from {
            self.list_rows();
        }
    }

    /// The outcome of each span.
    pub fn into_outcomes(self) -> Vec<SpanOutcome> {
        self.outcomes
    }

    fn list_rows(&mut self) {
        self.attends.clear();
        self.attends.extend(self.running.iter().map(|&span| self.spans[span]));
        self.positions.clear();
        for attend in &self.attends {
            let positions = attend.first_position..attend.first_position + attend.rows;
            self.positions.extend(positions.map(|position| {
                u32::try_from(position).expect("contexts are far below 2³² tokens")
            }));
        }
    }
}
