//! The plain language on one socket.
//!
//! - `protocol`: which frames are sent in which order; a state machine without I/O.
//! - `outbound`: the frames that wait to be sent.
//!
//! The loop below reads and writes frames, and follows the answer that is being written.

mod outbound;
mod protocol;
#[cfg(test)]
mod tests;

use crate::access::Principal;
use crate::answers::{AnswerRequest, Answers, Follower, Update};
use crate::config::ServerConfig;
use crate::shares::{Reservation, SharedBudget};
use crate::socket::{Close, Incoming, Socket};
use banter_seam::{Failure, Prompt};
use protocol::{PlainProtocol, Reaction, ReadyMessage, WaitingLimits};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What the sockets of this language need.
pub(crate) struct Plain {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) answers: Answers,
    /// Memory for messages that wait for their answer, in bytes.
    pub(crate) queue_budget: SharedBudget,
    /// Permits for answers to pages opened from disk.
    file_page_permits: Arc<Semaphore>,
}

impl Plain {
    pub(crate) fn new(
        config: Arc<ServerConfig>,
        answers: Answers,
        queue_budget: SharedBudget,
    ) -> Plain {
        let file_page_permits = Arc::new(Semaphore::new(config.max_file_page_answers));
        Plain { config, answers, queue_budget, file_page_permits }
    }
}

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

/// Answers the messages of one socket until it has to be closed, and returns the reason. The answer
/// that runs then is stopped.
pub(crate) async fn serve(
    socket: &mut Socket,
    plain: Arc<Plain>,
    client: Client,
    going_away: CancellationToken,
) -> Close {
    PlainSocket::new(plain, client).run(socket, going_away).await
}

struct PlainSocket {
    plain: Arc<Plain>,
    client: Client,
    protocol: PlainProtocol<Reservation>,
    /// The answer that is being written.
    running: Option<Follower>,
}

impl PlainSocket {
    fn new(plain: Arc<Plain>, client: Client) -> PlainSocket {
        let limits = WaitingLimits {
            messages: plain.config.max_waiting_messages,
            refusals: plain.config.max_waiting_refusals,
        };
        PlainSocket { plain, client, protocol: PlainProtocol::new(limits), running: None }
    }

    /// Runs until the socket must be closed, and returns the reason.
    async fn run(&mut self, socket: &mut Socket, going_away: CancellationToken) -> Close {
        loop {
            if self.running.is_none()
                && let Some(message) = self.protocol.take_ready()
            {
                self.running = Some(self.answer(message));
            }
            // Frames first: a stop that has arrived is read before a delta that has arrived is
            // sent.
            let takes_text = socket.has_room(&self.protocol.outbound);
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
                        Incoming::Drained => {}
                        Incoming::Binary(_) => return Close::Unsupported,
                        Incoming::Closed(close) => return close,
                    }
                }
                update = next_of(&mut self.running), if takes_text => self.settle(update),
            }
        }
    }

    /// Starts the answer to a message. It stops when this socket follows it no longer.
    fn answer(&self, message: ReadyMessage<Reservation>) -> Follower {
        let mut request = message.ask.into_request(self.client.principal.asker());
        if let Prompt::Conversation(conversation) = &mut request.prompt {
            let messages = std::mem::take(&mut conversation.messages);
            conversation.messages = self.plain.config.conversation(messages);
        }
        let mut request = AnswerRequest::passing(request, message.memory);
        if self.client.page == PageKind::File {
            request.permits = Some(self.plain.file_page_permits.clone());
        }
        self.plain.answers.start(request)
    }

    fn read(&mut self, frame: &str) -> Option<Close> {
        let memory = self.plain.queue_budget.take(self.client.principal.share(), frame.len());
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
                if let Some(running) = &self.running {
                    running.answer().stop();
                }
            }
            Reaction::Overflow => return Some(Close::Policy("too many refused messages")),
        }
        None
    }

    fn settle(&mut self, update: Update) {
        match update {
            Update::Waiting(_) => {}
            Update::Begun(begun) => self.protocol.begun(begun.dropped_messages),
            Update::Thinking(piece) => self.protocol.thinking(piece.text),
            Update::Delta(piece) => self.protocol.delta(piece.text),
            // Nobody can ask for these in this language.
            Update::Logprobs(_) | Update::Call(_) | Update::Arguments(_) => {}
            Update::Ended(ended) => self.protocol.ended(&ended.finished.into()),
            Update::Overdue => self.protocol.refuse_waiting(&self.overdue().into()),
            Update::Halted => {
                self.running = None;
                self.protocol.halted();
            }
        }
    }

    /// What the messages are told that wait for an answer which does not halt.
    fn overdue(&self) -> Failure {
        let seconds = self.plain.config.queue_timeout.as_secs();
        Failure::Timeout { seconds, while_doing: Failure::IN_THE_QUEUE }
    }
}

/// What the running answer does next. Never ready when there is none.
async fn next_of(running: &mut Option<Follower>) -> Update {
    match running {
        Some(running) => running.next().await,
        None => std::future::pending().await,
    }
}
