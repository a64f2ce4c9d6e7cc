//! The plain language as a state machine: frames and events in, frames out, no I/O.
//!
//! The promise it keeps: N messages, N empty frames, in order, whatever is refused, stopped or
//! dropped; and after the empty frame of an answer no other frame of that answer.

use super::outbound::Outbound;
use banter_protocol::Fault;
use banter_protocol::plain::{Ask, ClientMessage, Delivery, parse};
use std::collections::VecDeque;

/// Where a socket stands. `R` is what a waiting message holds on to: its share of memory.
pub(super) struct Conversation<R> {
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
    Answering {
        delivery: Delivery,
        /// The answer so far, when it is to be sent whole.
        whole: String,
    },
    /// The answer has ended for the client; the backend still has to halt.
    Halting,
}

enum Waiting<R> {
    Ask(Next<R>),
    /// Refused at once, but told in its turn.
    Refusal(Fault),
}

/// A message whose turn has come.
pub(super) struct Next<R> {
    pub(super) ask: Box<Ask>,
    /// Held until the backend has taken the message.
    pub(super) room: R,
}

/// What reading a frame asks of the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing but to go on.
    GoOn,
    /// Raise the stop of the running generation.
    StopGeneration,
    /// Close the socket: more refusals wait than any honest client causes.
    Overflow,
}

impl<R> Conversation<R> {
    pub(super) fn new(limits: WaitingLimits) -> Self {
        let outbound = Outbound::default();
        Conversation { phase: Phase::Idle, waiting: VecDeque::new(), limits, outbound }
    }

    /// Takes one text frame. `room` is `None` when memory for waiting messages is used up.
    pub(super) fn read(&mut self, frame: &str, room: Option<R>) -> Reaction {
        let waiting = match parse(frame) {
            Ok(ClientMessage::Stop) => return self.stop(),
            Ok(ClientMessage::Ask(ask)) => self.admit(ask, room),
            Err(fault) => Waiting::Refusal(fault),
        };
        self.waiting.push_back(waiting);
        self.tell_refusals();
        let refusals = self.waiting.len() - self.asks();
        if refusals > self.limits.refusals { Reaction::Overflow } else { Reaction::GoOn }
    }

    fn admit(&self, ask: Box<Ask>, room: Option<R>) -> Waiting<R> {
        let position = self.asks();
        // What can start at once does not wait.
        let free = matches!(self.phase, Phase::Idle) && self.waiting.is_empty();
        let refusal = |reason: &str| {
            Waiting::Refusal(Fault::Busy { reason: reason.into(), position, estimate_ms: None })
        };
        match room {
            None => refusal("the server holds as many waiting messages as it can"),
            Some(_) if !free && position >= self.limits.messages => {
                refusal("too many messages are waiting on this connection")
            }
            Some(room) => Waiting::Ask(Next { ask, room }),
        }
    }

    fn asks(&self) -> usize {
        self.waiting.iter().filter(|waiting| matches!(waiting, Waiting::Ask(_))).count()
    }

    /// Ends the running answer for the client, now, and drops what waits.
    fn stop(&mut self) -> Reaction {
        let was_answering = matches!(self.phase, Phase::Answering { .. });
        if was_answering {
            self.outbound.take_back_pieces();
            self.outbound.end();
            self.phase = Phase::Halting;
        }
        for waiting in self.waiting.drain(..) {
            if let Waiting::Refusal(fault) = waiting {
                self.outbound.error(fault.to_json());
            }
            self.outbound.end();
        }
        if was_answering { Reaction::StopGeneration } else { Reaction::GoOn }
    }

    /// The next message to answer, when its turn has come.
    pub(super) fn start_next(&mut self) -> Option<Next<R>> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.tell_refusals();
        match self.waiting.pop_front()? {
            Waiting::Refusal(_) => unreachable!("refusals in front were just told"),
            Waiting::Ask(next) => {
                let delivery = next.ask.delivery;
                self.phase = Phase::Answering { delivery, whole: String::new() };
                Some(next)
            }
        }
    }

    /// Tells the refusals whose turn has come.
    fn tell_refusals(&mut self) {
        if !matches!(self.phase, Phase::Idle) {
            return;
        }
        while let Some(Waiting::Refusal(_)) = self.waiting.front() {
            if let Some(Waiting::Refusal(fault)) = self.waiting.pop_front() {
                self.outbound.error(fault.to_json());
                self.outbound.end();
            }
        }
    }

    /// Takes a piece of the running answer; one that comes after its end is dropped.
    pub(super) fn delta(&mut self, piece: String) {
        match &mut self.phase {
            Phase::Answering { delivery: Delivery::Streamed, .. } => self.outbound.piece(piece),
            Phase::Answering { delivery: Delivery::Whole, whole } => whole.push_str(&piece),
            Phase::Idle | Phase::Halting => {}
        }
    }

    /// The running generation has halted, with a fault to tell or without.
    pub(super) fn finished(&mut self, fault: Option<&Fault>) {
        if let Phase::Answering { whole, .. } = std::mem::replace(&mut self.phase, Phase::Idle) {
            if fault.is_none() {
                self.outbound.whole(whole);
            }
            self.end_with(fault);
        }
        self.tell_refusals();
    }

    /// Ends the running answer for the client with a fault, before the generation has halted.
    pub(super) fn give_up(&mut self, fault: &Fault) {
        if matches!(self.phase, Phase::Answering { .. }) {
            self.phase = Phase::Halting;
            self.end_with(Some(fault));
        }
    }

    /// Tells everything that waits the same fault: the generation before it does not halt.
    pub(super) fn refuse_waiting(&mut self, fault: &Fault) {
        for waiting in self.waiting.drain(..) {
            let fault = match &waiting {
                Waiting::Ask(_) => fault,
                Waiting::Refusal(own) => own,
            };
            self.outbound.error(fault.to_json());
            self.outbound.end();
        }
    }

    fn end_with(&mut self, fault: Option<&Fault>) {
        if let Some(fault) = fault {
            self.outbound.error(fault.to_json());
        }
        self.outbound.end();
    }
}
