//! The plain language on one socket.
//!
//! - `protocol`: which frames are sent in which order; a state machine without I/O.
//! - `outbound`: the frames that wait to be sent.
//! - `running`: the answer that is being written.
//!
//! The loop below reads, writes, waits and watches the clock.

mod outbound;
mod protocol;
mod running;
#[cfg(test)]
mod tests;

use crate::access::Principal;
use crate::shared::Shared;
use crate::shares::Reservation;
use crate::socket::{Close, Incoming, Socket};
use protocol::{PlainProtocol, Reaction, WaitingLimits};
use running::{Outcome, Running};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The client of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) page: PageKind,
    /// Who the client is.
    pub(crate) principal: Principal,
}

/// What kind of page a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// Our page, a page of an allowed origin, or a program.
    Ordinary,
    /// A page opened from disk. Any website can pretend to be one.
    File,
}

/// Answers the messages of one socket until it closes. The answer that runs then is stopped.
pub(crate) async fn serve(
    mut socket: Socket,
    shared: Arc<Shared>,
    client: Client,
    going_away: CancellationToken,
) {
    let close = PlainSocket::new(shared, client).run(&mut socket, going_away).await;
    socket.close(close).await;
}

struct PlainSocket {
    shared: Arc<Shared>,
    client: Client,
    protocol: PlainProtocol<Reservation>,
    running: Option<Running>,
}

impl PlainSocket {
    fn new(shared: Arc<Shared>, client: Client) -> PlainSocket {
        let limits = WaitingLimits {
            messages: shared.config.max_waiting_messages,
            refusals: shared.config.max_waiting_refusals,
        };
        PlainSocket { shared, client, protocol: PlainProtocol::new(limits), running: None }
    }

    /// Runs until the socket must be closed, and returns the reason.
    async fn run(&mut self, socket: &mut Socket, going_away: CancellationToken) -> Close {
        loop {
            if self.running.is_none()
                && let Some(next) = self.protocol.take_ready()
            {
                self.running = Some(Running::start(&self.shared, self.client, next));
            }
            // Frames first: a stop that has arrived is read before a delta that has arrived is
            // sent.
            let takes_events = socket.has_room(&self.protocol.outbound);
            let deadline = self.running.as_ref().map(Running::deadline);
            tokio::select! {
                biased;
                () = going_away.cancelled() => return Close::GoingAway,
                incoming = socket.exchange(&mut self.protocol.outbound) => {
                    match incoming {
                        Incoming::Text(frame) => {
                            if let Some(close) = self.read(&frame) {
                                return close;
                            }
                        }
                        Incoming::Refused => {
                            if let Some(close) = self.refuse_unread() {
                                return close;
                            }
                        }
                        Incoming::Drained => {
                            if let Some(running) = &mut self.running {
                                running.go_on();
                            }
                        }
                        Incoming::Closed(close) => return close,
                    }
                }
                outcome = outcome_of(&mut self.running), if takes_events => self.settle(outcome),
                () = at(deadline), if takes_events => self.give_up(),
            }
        }
    }

    fn read(&mut self, frame: &str) -> Option<Close> {
        let memory = self.shared.queue_budget.take(self.client.principal.share(), frame.len());
        let reaction = self.protocol.read(frame, memory);
        self.react(reaction)
    }

    /// A message came for which there was no memory.
    fn refuse_unread(&mut self) -> Option<Close> {
        let reaction = self.protocol.refuse_unread();
        self.react(reaction)
    }

    fn react(&mut self, reaction: Reaction) -> Option<Close> {
        match reaction {
            Reaction::GoOn => {}
            Reaction::StopGeneration => {
                if let Some(running) = &mut self.running {
                    running.stop();
                }
            }
            Reaction::Overflow => return Some(Close::Policy("too many refused messages")),
        }
        None
    }

    fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Begun { dropped_messages } => self.protocol.begun(dropped_messages),
            Outcome::Progress => {}
            Outcome::Delta(delta) => self.protocol.delta(delta),
            Outcome::Thinking(delta) => self.protocol.thinking(delta),
            Outcome::Finished(ending) => {
                self.running = None;
                self.protocol.finished(&ending);
            }
        }
    }

    /// The running generation has made no progress for too long: tells the client, and asks the
    /// generation to halt. If it was asked before and has not halted, the waiting messages are
    /// refused too.
    fn give_up(&mut self) {
        let Some(running) = &mut self.running else { return };
        let fault = running.timeout().into();
        if running.is_stopped() {
            self.protocol.refuse_waiting(&fault);
        } else {
            self.protocol.give_up(&fault);
        }
        running.stop();
    }
}

/// The next outcome of the running generation. Never ready when there is none.
async fn outcome_of(running: &mut Option<Running>) -> Outcome {
    match running {
        Some(running) => running.next_outcome().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
