//! The plain language as a state machine: frames and events go in, frames come out, no I/O.
//!
//! Its promise: N messages get N empty frames, in order, whatever is refused, stopped or dropped,
//! and no frame of an answer follows the empty frame of that answer.
//!
//! A stop is answered at once, before the backend has halted, so that nobody waits for the halt.
//! The phase `Halting` lasts from then until the backend has halted; the next message starts after
//! it.

use super::outbound::Outbound;
use banter_protocol::Fault;
use banter_protocol::plain::{
    AnswerEnd, Ask, ClientMessage, Delivery, Reports, fault_of_end, parse,
};
use banter_seam::{EndReason, Failure, FinishReason, Finished};
use std::collections::VecDeque;

/// The state of the plain language on one socket. `R` is what a waiting message holds: its memory.
pub(super) struct PlainProtocol<R> {
    phase: Phase,
    waiting: VecDeque<Waiting<R>>,
    limits: WaitingLimits,
    pub(super) outbound: Outbound,
}

/// How much may wait on one socket.
#[derive(Clone, Copy)]
pub(super) struct WaitingLimits {
    pub(super) messages: usize,
    pub(super) refusals: usize,
}

enum Phase {
    Idle,
    Answering(Answer),
    /// The answer has ended for the client, but the backend has not halted yet.
    Halting,
}

struct Answer {
    delivery: Delivery,
    reports: Reports,
    /// How many of the oldest messages were left out.
    dropped_messages: usize,
    /// The answer so far, and what the model thought before it, for a client that wants them whole.
    whole: String,
    whole_thinking: String,
}

/// How an answer ended.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    End {
        reason: EndReason,
        /// Tokens of the answer, if they are known.
        tokens: Option<usize>,
    },
    Fault(Fault),
}

impl Ending {
    /// The end of a message whose answer was not begun.
    const DROPPED: Ending = Ending::End { reason: EndReason::Stopped, tokens: Some(0) };
    /// The end of a stopped answer. Its tokens are known only when the computation has halted.
    const STOPPED: Ending = Ending::End { reason: EndReason::Stopped, tokens: None };
}

impl From<Finished> for Ending {
    fn from(finished: Finished) -> Ending {
        match finished.reason {
            FinishReason::Failed(failure) => Ending::Fault(failure.into()),
            FinishReason::Ended(reason) => {
                Ending::End { reason, tokens: finished.usage.completion_tokens }
            }
        }
    }
}

enum Waiting<R> {
    Ask(ReadyMessage<R>),
    /// The message was refused when it came, but is told after the answers before it.
    Refusal(Fault),
}

/// A message that can be answered now.
pub(super) struct ReadyMessage<R> {
    pub(super) ask: Box<Ask>,
    /// Reservation until the backend has taken the message.
    pub(super) memory: R,
}

/// What the caller has to do after a frame was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing.
    GoOn,
    /// Stop the running generation.
    StopGeneration,
    /// Close the socket: more refusals wait than any honest client causes.
    Overflow,
}

impl<R> PlainProtocol<R> {
    pub(super) fn new(limits: WaitingLimits) -> Self {
        let outbound = Outbound::default();
        PlainProtocol { phase: Phase::Idle, waiting: VecDeque::new(), limits, outbound }
    }

    /// Reads one text frame. `memory` is `None` if there is no memory for another waiting message.
    pub(super) fn read(&mut self, frame: &str, memory: Option<R>) -> Reaction {
        let waiting = match parse(frame) {
            Ok(ClientMessage::Stop { dropped }) => return self.stop(dropped),
            Ok(ClientMessage::Ask(ask)) => self.admit(ask, memory),
            Err(fault) => Waiting::Refusal(fault),
        };
        self.wait(waiting)
    }

    /// Refuses a message for which there was no memory when it came.
    pub(super) fn refuse_unread(&mut self) -> Reaction {
        let refusal =
            self.busy("there is no memory for a message of this length now; try again in a moment");
        self.wait(refusal)
    }

    fn wait(&mut self, waiting: Waiting<R>) -> Reaction {
        self.waiting.push_back(waiting);
        self.tell_refusals();
        let refusals = self.waiting.len() - self.asks();
        if refusals > self.limits.refusals { Reaction::Overflow } else { Reaction::GoOn }
    }

    fn admit(&self, ask: Box<Ask>, memory: Option<R>) -> Waiting<R> {
        // A message that can start at once does not wait.
        let free = matches!(self.phase, Phase::Idle) && self.waiting.is_empty();
        match memory {
            None => self
                .busy("there is no memory for another waiting message now; try again in a moment"),
            Some(_) if !free && self.asks() >= self.limits.messages => {
                self.busy("too many messages wait on this connection; wait for an answer first")
            }
            Some(memory) => Waiting::Ask(ReadyMessage { ask, memory }),
        }
    }

    fn busy(&self, reason: &str) -> Waiting<R> {
        let (reason, position) = (reason.to_owned(), self.asks());
        Waiting::Refusal(Failure::Busy { reason, position, estimate_ms: None }.into())
    }

    fn asks(&self) -> usize {
        self.waiting.iter().filter(|waiting| matches!(waiting, Waiting::Ask(_))).count()
    }

    /// Ends the running answer for the client at once. Then it drops the waiting messages, and last
    /// the message that came with the stop.
    fn stop(&mut self, dropped: Option<Reports>) -> Reaction {
        let mut reaction = Reaction::GoOn;
        if let Phase::Answering(answer) = &self.phase {
            let (reports, dropped_messages) = (answer.reports, answer.dropped_messages);
            self.outbound.take_back_deltas();
            self.end(reports, dropped_messages, &Ending::STOPPED);
            self.phase = Phase::Halting;
            reaction = Reaction::StopGeneration;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Refusal(fault) => self.refuse(&fault),
                Waiting::Ask(next) => self.end(next.ask.reports, 0, &Ending::DROPPED),
            }
        }
        if let Some(reports) = dropped {
            self.end(reports, 0, &Ending::DROPPED);
        }
        reaction
    }

    /// The next message, if it can be answered now.
    pub(super) fn take_ready(&mut self) -> Option<ReadyMessage<R>> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.tell_refusals();
        match self.waiting.pop_front()? {
            Waiting::Refusal(_) => unreachable!("refusals in front were just told"),
            Waiting::Ask(next) => {
                self.phase = Phase::Answering(Answer {
                    delivery: next.ask.delivery,
                    reports: next.ask.reports,
                    dropped_messages: 0,
                    whole: String::new(),
                    whole_thinking: String::new(),
                });
                Some(next)
            }
        }
    }

    /// Sends the refusals that have no answer before them.
    fn tell_refusals(&mut self) {
        if !matches!(self.phase, Phase::Idle) {
            return;
        }
        while let Some(Waiting::Refusal(_)) = self.waiting.front() {
            if let Some(Waiting::Refusal(fault)) = self.waiting.pop_front() {
                self.refuse(&fault);
            }
        }
    }

    /// The backend has taken the running message and has left out this many of the oldest messages.
    pub(super) fn begun(&mut self, dropped_messages: usize) {
        if let Phase::Answering(answer) = &mut self.phase {
            answer.dropped_messages = dropped_messages;
        }
    }

    /// Takes a delta of the running answer. A delta that comes after the end is dropped.
    pub(super) fn delta(&mut self, delta: String) {
        let Phase::Answering(answer) = &mut self.phase else { return };
        match answer.delivery {
            Delivery::Streamed => self.outbound.delta(delta, answer.reports),
            Delivery::Whole => answer.whole.push_str(&delta),
        }
    }

    /// Takes a delta of what the model thinks before it answers. Only clients that asked for it get
    /// it.
    pub(super) fn thinking(&mut self, delta: String) {
        let Phase::Answering(answer) = &mut self.phase else { return };
        match answer.delivery {
            _ if !answer.reports.thinking => {}
            Delivery::Streamed => self.outbound.thinking(delta),
            Delivery::Whole => answer.whole_thinking.push_str(&delta),
        }
    }

    /// The running answer has ended. The backend may not have halted yet.
    pub(super) fn ended(&mut self, ending: &Ending) {
        let phase = std::mem::replace(&mut self.phase, Phase::Halting);
        let Phase::Answering(answer) = phase else { return };
        if matches!(ending, Ending::End { .. }) {
            self.outbound.whole_thinking(answer.whole_thinking);
            self.outbound.whole(answer.whole, answer.reports);
        }
        self.end(answer.reports, answer.dropped_messages, ending);
    }

    /// The backend has halted after the end of the running answer.
    pub(super) fn halted(&mut self) {
        self.phase = Phase::Idle;
        self.tell_refusals();
    }

    /// Refuses all waiting messages with one fault, because the generation before them does not
    /// halt.
    pub(super) fn refuse_waiting(&mut self, fault: &Fault) {
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Ask(_) => self.refuse(fault),
                Waiting::Refusal(own) => self.refuse(&own),
            }
        }
    }

    /// Ends one answer. A client that did not ask for the report is still told if the answer only
    /// seems to be finished.
    fn end(&mut self, reports: Reports, dropped_messages: usize, ending: &Ending) {
        match *ending {
            Ending::Fault(ref fault) => return self.refuse(fault),
            Ending::End { reason, tokens } if reports.end => {
                let end = AnswerEnd { reason, tokens, dropped_messages };
                self.outbound.report(end.to_json());
            }
            Ending::End { reason, .. } => {
                if let Some(fault) = fault_of_end(reason) {
                    self.outbound.report(fault.to_json());
                }
            }
        }
        self.outbound.end();
    }

    /// Ends one answer with an error.
    fn refuse(&mut self, fault: &Fault) {
        self.outbound.report(fault.to_json());
        self.outbound.end();
    }
}
