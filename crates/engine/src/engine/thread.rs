//! The loop of the engine's thread.
//!
//! ```text
//!  iterate: inbox ──► sync with the disk ──► take in requests ──► step
//!             ▲                                                    │
//!             └──────── a panic: end what it was for, rebuild ◄────┘
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::answer::NewAnswer;
use super::core::{Core, MaskJob, Output};
use super::draft_model::DraftModel;
use super::drafts::NewDraft;
use super::embedding::NewEmbedding;
use super::generation::FinishReason;
use super::inbox::InboxPermit;
use super::masks::MaskThread;
use super::status::{Status, StepTimes};
use crate::StopFlag;
use crate::model::{Compute, Forward, Plan, SpanOutcome};

/// What is sent to the thread.
#[derive(Debug)]
pub enum Arrival {
    /// Somebody asks for an answer.
    Answer(Box<NewAnswer>),
    /// Somebody asks for an embedding.
    Embedding(Box<NewEmbedding>),
    /// Somebody is typing.
    Draft(NewDraft),
    /// Wakes an idle thread, so that it forgets at once what it would forget before the next
    /// arrival.
    Forget(InboxPermit),
}

/// Tells the time; tests tell their own.
pub type Clock = Box<dyn Fn() -> Instant + Send>;

/// Everything the thread owns.
pub struct StepLoop<C> {
    pub core: Core,
    pub compute: C,
    pub draft_model: Option<DraftModel>,
    /// Finds which tokens may come next in structured answers.
    pub masks: MaskThread<MaskJob>,
    /// The standard library's, because that drops what is left in it together with the receiver:
    /// a sender whose request came while the thread ended is told so.
    pub inbox: Receiver<Arrival>,
    pub status: Arc<Status>,
    pub clock: Clock,
    /// Raised when all is to end.
    pub stop_all: StopFlag,
    /// What woke an idle thread, until it is taken in.
    pub first: Option<Arrival>,
    /// What the loop is in the middle of.
    pub phase: Phase,
    /// Steps that broke since the last one that did not.
    pub broken_steps: usize,
}

/// What the loop is in the middle of. It decides what ends if something breaks that is for no
/// sequence in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking into the inbox: what broke is not taken in.
    Arrivals,
    /// Copying blocks from or to the disk: none are kept there any more.
    Persistence,
    /// Taking a step: all running sequences end.
    Step,
}

/// What the loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another iteration.
    GoOn,
    /// The thread ends.
    End,
}

/// How long an idle thread waits for an arrival before it shows that it is alive.
const IDLE_BEAT: Duration = Duration::from_secs(1);

/// The same while saves are queued: more blocks are sent as the disk's thread drains them.
const SAVING_BEAT: Duration = Duration::from_millis(5);

/// How long the end of an engine waits for the disk.
const LONGEST_GOODBYE: Duration = Duration::from_secs(5);

/// After this many broken steps in a row the requests are not the cause.
const MAX_BROKEN_STEPS: usize = 3;

impl<C: Compute> StepLoop<C> {
    /// Steps until the inbox is closed, then stops all that is left.
    pub fn run(mut self) {
        while self.iterate() == Next::GoOn {}
    }

    /// Takes in what arrived and steps, or waits a little for an arrival. What panics meanwhile
    /// ends the answers it was for, and nothing else.
    pub fn iterate(&mut self) -> Next {
        let done = catch_unwind(AssertUnwindSafe(|| self.run_iteration()));
        done.unwrap_or_else(|_| self.recover())
    }

    fn run_iteration(&mut self) -> Next {
        self.status.pulse().beat((self.clock)());
        // Before the inbox is looked at: a request that comes after that raises this flag.
        let draft_stop = self.stop_all.below();
        self.status.inbox().set_draft_stop(draft_stop.clone());
        self.core.set_draft_stop(draft_stop);
        if self.take_arrivals() == Next::End {
            self.core.end_all(&FinishReason::Stopped, (self.clock)());
            self.core.take_forgets();
            self.save_the_rest();
            return Next::End;
        }
        if self.core.is_idle() {
            return Next::GoOn;
        }
        self.begin(Phase::Step);
        self.step();
        self.give_up_or_go_on()
    }

    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.core.work_for_nobody();
    }

    /// Ends what broke, and rebuilds the bookkeeping for the others.
    fn recover(&mut self) -> Next {
        let now = (self.clock)();
        let is_for_one = self.core.is_for_one();
        self.core.end_broken(now, self.phase);
        match self.phase {
            Phase::Step if !is_for_one => self.broken_steps += 1,
            Phase::Persistence if !is_for_one => {
                tracing::error!("keeping conversations on disk has broken down; it ends");
                self.core.disconnect_disk();
            }
            Phase::Arrivals | Phase::Persistence | Phase::Step => {}
        }
        self.core.leave_step();
        self.core.end_masks(self.masks.end());
        self.give_up_or_go_on()
    }

    fn give_up_or_go_on(&mut self) -> Next {
        if self.broken_steps < MAX_BROKEN_STEPS {
            return Next::GoOn;
        }
        tracing::error!(self.broken_steps, "the engine gives up");
        let reason = FinishReason::Failed("the engine has broken down".to_owned());
        self.core.end_all(&reason, (self.clock)());
        Next::End
    }

    fn take_arrivals(&mut self) -> Next {
        self.begin(Phase::Arrivals);
        if self.core.is_idle() && self.first.is_none() {
            let beat = if self.core.is_saving() { SAVING_BEAT } else { IDLE_BEAT };
            match self.inbox.recv_timeout(beat) {
                Ok(arrival) => self.first = Some(arrival),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Next::End,
            }
        }
        // Before anybody is taken in, so that a request finds what the disk has said meanwhile.
        self.begin(Phase::Persistence);
        self.core.sync_disk(&mut self.compute);
        self.begin(Phase::Arrivals);
        if let Some(arrival) = self.first.take() {
            self.take_in(arrival);
        }
        loop {
            match self.inbox.try_recv() {
                Ok(arrival) => self.take_in(arrival),
                Err(end) => {
                    self.core.end_arrivals();
                    return match end {
                        TryRecvError::Empty => Next::GoOn,
                        TryRecvError::Disconnected => Next::End,
                    };
                }
            }
        }
    }

    /// Saves what was computed last, so that it is there after the next start, unless that takes
    /// too long.
    fn save_the_rest(&mut self) {
        self.begin(Phase::Persistence);
        let begun = (self.clock)();
        while self.core.is_saving()
            && (self.clock)().saturating_duration_since(begun) < LONGEST_GOODBYE
        {
            self.core.sync_disk(&mut self.compute);
            self.core.wait_for_disk();
        }
    }

    fn take_in(&mut self, arrival: Arrival) {
        self.core.take_forgets();
        match arrival {
            Arrival::Answer(new) => self.core.submit(*new, (self.clock)()),
            Arrival::Embedding(new) => self.core.submit_embedding(*new),
            Arrival::Draft(new) => self.core.put_draft(new),
            Arrival::Forget(permit) => drop(permit),
        }
    }

    fn step(&mut self) {
        let began = (self.clock)();
        self.core.begin_step(began, self.draft_model.as_mut(), &*self.clock);
        self.masks.begin(self.core.begin_masks());
        let spans = self.core.spans();
        if spans.is_empty() {
            drop(spans);
            if self.core.waits_for_disk() {
                self.core.wait_for_disk();
            }
            return;
        }
        let plan = Plan { spans: &spans };
        let planned = (self.clock)();
        let computed = catch_unwind(AssertUnwindSafe(|| self.compute.forward(&plan)));
        drop(spans);
        // The forward pass alone: what planning and masks take must not look like the cost of rows.
        let took = (self.clock)().saturating_duration_since(planned);
        self.core.end_masks(self.masks.end());
        let now = (self.clock)();
        let Ok(forward) = computed else {
            self.broken_steps += 1;
            self.core.fail_step(now);
            return;
        };
        self.broken_steps = 0;
        if forward.spans.iter().all(|outcome| *outcome == SpanOutcome::Done) {
            self.core.measure_step(took);
        }
        self.take_all(forward, now);
        self.status.add_step(StepTimes {
            planning: planned.saturating_duration_since(began),
            computing: now.saturating_duration_since(planned),
            delivering: (self.clock)().saturating_duration_since(now),
        });
    }

    fn take_all(&mut self, forward: Forward, now: Instant) {
        for (index, outcome) in forward.spans.into_iter().enumerate() {
            let taken = catch_unwind(AssertUnwindSafe(|| {
                let output = match self.core.wants_hidden(index) {
                    true => self.compute.hidden(index).map(Output::Hidden),
                    false => self.compute.logits(index).map(Output::Logits),
                };
                self.core.take(index, outcome, output, now);
            }));
            if taken.is_err() {
                self.core.end_broken(now, Phase::Step);
            }
        }
        self.core.work_for_nobody();
    }
}
