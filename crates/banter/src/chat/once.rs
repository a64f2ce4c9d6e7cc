//! One question, one answer: `banter chat "question"`.

use std::io;
use std::time::Duration;

use anyhow::{anyhow, bail};
use banter_protocol::Settable;
use banter_protocol::v1::client::{MessageText, SendMessage};
use banter_protocol::v1::{AnswerState, ClientEvent, ConversationId, Parameters, ServerEvent};
use banter_remote::server::ServerClient;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::link::{Link, News};
use super::screen::Screen;
use super::session::{Request, Shown};
use super::{INTERRUPTED, client_id, connect};
use crate::output;
use crate::visible::{visible_json, visible_line};

/// How long a lost server is waited for. Then the answer has failed.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A question, and how it is to be answered.
pub struct Question {
    /// The question.
    pub text: MessageText,
    /// The conversation that it belongs to; a new one if `None`.
    pub conversation: Option<ConversationId>,
    /// The system message of a new conversation.
    pub system: Option<String>,
    /// Sampling parameters.
    pub parameters: Parameters,
    /// What is printed.
    pub output: Output,
}

/// What is printed of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Its text.
    Text,
    /// The server's events.
    Events,
}

/// Asks, prints the answer as it comes, and returns the status to exit with.
///
/// Errors: there is no answer, or it failed. `io::ErrorKind::BrokenPipe` says that nobody reads it.
pub async fn ask(client: &ServerClient, question: Question) -> anyhow::Result<u8> {
    let interrupts = signal(SignalKind::interrupt())?;
    let (link, _) = connect(client).await?;
    let output = question.output;
    link.request(request(question));
    let mut asking = Asking {
        link,
        interrupts,
        screen: Screen::stdout(),
        output,
        stopping: false,
        deadline: None,
        lost: String::new(),
    };
    let status = asking.run().await;
    asking.link.close().await;
    status
}

fn request(question: Question) -> Request {
    let event = ClientEvent::Send(SendMessage {
        conversation: question.conversation,
        parent: Settable::Missing,
        text: question.text,
        client_id: client_id(),
        system: question.system,
        parameters: question.parameters,
    });
    Request { event, shown: Shown::default() }
}

struct Asking {
    link: Link,
    interrupts: Signal,
    screen: Screen,
    output: Output,
    stopping: bool,
    /// When waiting ends.
    deadline: Option<Instant>,
    /// How the socket was lost, if it was.
    lost: String,
}

impl Asking {
    async fn run(&mut self) -> anyhow::Result<u8> {
        loop {
            let far = Instant::now() + Duration::from_secs(3_600);
            tokio::select! {
                news = self.link.news() => {
                    if let Some(status) = self.hear(news)? {
                        return Ok(status);
                    }
                }
                _ = self.interrupts.recv() => {
                    if std::mem::replace(&mut self.stopping, true) {
                        self.end()?;
                        return Ok(INTERRUPTED);
                    }
                    self.deadline = Some(Instant::now() + STOP_WITHIN);
                    self.link.stop();
                }
                () = sleep_until(self.deadline.unwrap_or(far)), if self.deadline.is_some() => {
                    self.end()?;
                    if self.stopping {
                        return Ok(INTERRUPTED);
                    }
                    bail!("{}; the server did not come back", self.lost);
                }
            }
        }
    }

    /// Returns the status to exit with, if the answer is over.
    fn hear(&mut self, news: News) -> anyhow::Result<Option<u8>> {
        match news {
            News::Frame(frame, event) => {
                if self.output == Output::Events {
                    super::screen::put(&format!("{}\n", visible_json(&frame)))?;
                }
                event.map_or(Ok(None), |event| self.show(*event))
            }
            News::Lost(reason) => {
                self.lost = reason;
                if !self.stopping {
                    self.deadline = Some(Instant::now() + BACK_WITHIN);
                }
                Ok(None)
            }
            News::Back => {
                if !self.stopping {
                    self.deadline = None;
                }
                Ok(None)
            }
            News::TooLong { bytes, limit } => {
                bail!("the question is too long: expected at most {limit} bytes, found {bytes}")
            }
            News::Refused(reason) => {
                self.end()?;
                Err(anyhow!(reason))
            }
        }
    }

    fn show(&mut self, event: ServerEvent) -> anyhow::Result<Option<u8>> {
        let state = match event {
            ServerEvent::Delta(delta) => {
                if self.output == Output::Text {
                    self.screen.answer(&delta.text)?;
                }
                return Ok(None);
            }
            ServerEvent::Error(error) => bail!(visible_line(&error.message)),
            ServerEvent::Reset(_) => {
                self.end()?;
                bail!("the server has lost the answer; ask again")
            }
            ServerEvent::Finished(finished) => {
                self.end()?;
                if let Some(error) = &finished.finish.error {
                    bail!(visible_line(&error.message));
                }
                finished.state
            }
            _ => return Ok(None),
        };
        if self.stopping {
            return Ok(Some(INTERRUPTED));
        }
        match state {
            AnswerState::Complete => Ok(Some(0)),
            AnswerState::Length => {
                output::tell("banter: the answer was cut: it has as many tokens as it may have");
                Ok(Some(0))
            }
            AnswerState::Stopped => {
                bail!("somebody else stopped the answer; ask again for another one")
            }
            AnswerState::Interrupted => {
                bail!("the server stopped the answer; /continue in `banter chat` goes on with it")
            }
            _ => bail!("the answer failed; ask again"),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self.output {
            Output::Text => self.screen.end(),
            Output::Events => Ok(()),
        }
    }
}
