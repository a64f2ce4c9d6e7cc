//! The conversation: a prompt, an answer, and so on until the person leaves.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use banter_protocol::Settable;
use banter_protocol::v1::client::{Draft, EditMessage, MessageText, SendMessage};
use banter_protocol::v1::server::{Change, Changed, Context, Finished};
use banter_protocol::v1::{
    AnswerState, ClientEvent, ConversationId, MessageId, Parameters, ServerEvent,
};
use banter_remote::server::ServerClient;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::editor::{Editor, Typed};
use super::link::{Link, News};
use super::screen::{self, Screen};
use super::session::{Request, Shown};
use super::settings::ChatSettings;
use super::terminal::Modes;
use super::{INTERRUPTED, client_id, commands, connect};
use crate::home;
use crate::visible::visible_line;

/// How long a person pauses before what is typed is told to the server.
const DRAFT_AFTER: Duration = Duration::from_millis(300);
/// The statuses after signals, as shells use them.
const HUNG_UP: u8 = 129;
const TERMINATED: u8 = 143;

/// A conversation in a terminal.
pub(super) struct App {
    pub(super) client: ServerClient,
    pub(super) link: Link,
    pub(super) screen: Screen,
    pub(super) conversation: Option<ConversationId>,
    /// The conversations of the last list, by number.
    pub(super) listed: Vec<ConversationId>,
    /// Sampling parameters of every answer.
    pub(super) parameters: Parameters,
    /// The system message of the next new conversation.
    pub(super) system: Option<String>,
    /// The message that the next line replaces.
    pub(super) editing: Option<MessageId>,
    /// How many messages of the conversation the person knows that the model does not get.
    pub(super) left_out: usize,
    editor: Editor,
    /// What is being typed.
    drafts: watch::Receiver<String>,
    modes: Modes,
    signals: Signals,
    draft_due: Option<Instant>,
    is_drafted: bool,
    was_interrupted: bool,
}

/// What happens after something.
pub(super) enum After {
    /// The prompt, with a text that can be changed.
    Prompt(String),
    /// An answer.
    Answer,
    /// The end, with this status.
    Leave(u8),
}

/// The signals that a chat takes.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    suspend: Signal,
    window: Signal,
}

/// What a signal asks for.
enum Asked {
    Interrupt,
    Leave(u8),
    Suspend,
    Resize,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            suspend: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            window: signal(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Leave(TERMINATED),
            _ = self.hang_up.recv() => Asked::Leave(HUNG_UP),
            _ = self.suspend.recv() => Asked::Suspend,
            _ = self.window.recv() => Asked::Resize,
        }
    }
}

/// Talks until the person leaves. Returns the status to exit with.
///
/// Errors: there is no server, or it does not want this client.
pub async fn talk(
    client: ServerClient,
    settings: ChatSettings,
    modes: Option<Modes>,
) -> anyhow::Result<u8> {
    let modes = modes.context("expected a terminal at stdin, found none")?;
    let signals = Signals::new()?;
    let (link, welcome) = connect(&client).await?;
    let history = home::data_dir().map(|folder| folder.join("chat_history"));
    let (editor, drafts) = Editor::start(modes.clone(), history)?;
    let mut app = App {
        editor,
        drafts,
        client,
        link,
        screen: Screen::stdout(),
        conversation: None,
        listed: Vec::new(),
        parameters: settings.parameters,
        system: settings.system,
        editing: None,
        modes,
        signals,
        draft_due: None,
        is_drafted: false,
        was_interrupted: false,
        left_out: 0,
    };
    let model = welcome.model.map_or_else(String::new, |model| format!("{}; ", model.name));
    app.screen.note(&format!("{}/help lists the commands", visible_line(&model)))?;
    let status = app.run(settings.conversation).await;
    app.screen.end()?;
    app.link.close().await;
    status
}

impl App {
    async fn run(&mut self, conversation: Option<ConversationId>) -> anyhow::Result<u8> {
        let mut after = match conversation {
            Some(id) => self.open(id).await?,
            None => After::Prompt(String::new()),
        };
        loop {
            after = match after {
                After::Prompt(initial) => self.prompt(initial).await?,
                After::Answer => self.answer().await?,
                After::Leave(status) => return Ok(status),
            };
        }
    }

    /// Waits at the prompt.
    async fn prompt(&mut self, initial: String) -> anyhow::Result<After> {
        self.editor.prompt(initial);
        loop {
            let far = Instant::now() + DRAFT_AFTER;
            tokio::select! {
                typed = self.editor.typed() => return self.typed(typed).await,
                news = self.link.news() => self.hear_at_prompt(news)?,
                changed = self.drafts.changed() => {
                    changed.map_err(|_| anyhow!("the editor has ended; start `banter chat` again"))?;
                    self.draft_due = Some(far);
                }
                () = sleep_until(self.draft_due.unwrap_or(far)), if self.draft_due.is_some() => {
                    self.send_draft();
                }
                asked = self.signals.next() => match asked {
                    Asked::Interrupt => return leave_prompt(INTERRUPTED),
                    Asked::Leave(status) => return leave_prompt(status),
                    Asked::Suspend => self.modes.suspend().await,
                    // The editor sees it too.
                    Asked::Resize => self.screen.resize(),
                },
            }
        }
    }

    /// Tells the server what is being typed, if it is the beginning of a message.
    fn send_draft(&mut self) {
        self.draft_due = None;
        let text = self.drafts.borrow_and_update().clone();
        let is_message = !text.trim().is_empty() && !text.starts_with('/');
        // What replaces another message has other messages before it.
        let is_wanted = is_message && self.editing.is_none();
        if !is_wanted && !std::mem::replace(&mut self.is_drafted, false) {
            return;
        }
        self.is_drafted = is_wanted;
        self.link.draft(Draft {
            conversation: self.conversation,
            parent: Settable::Missing,
            text: if is_wanted { text } else { String::new() },
            system: self.system.clone().filter(|_| self.conversation.is_none()),
        });
    }

    fn hear_at_prompt(&mut self, news: News) -> anyhow::Result<()> {
        let text = match news {
            News::Lost(_) => "connecting again…".to_owned(),
            News::Back => "connected again".to_owned(),
            News::Refused(reason) => {
                screen::put("\n")?;
                bail!(reason);
            }
            News::Frame(_, Some(event)) => match *event {
                ServerEvent::Changed(changed) if self.was_deleted(&changed) => {
                    self.conversation = None;
                    "this conversation was deleted elsewhere; a new one begins".to_owned()
                }
                _ => return Ok(()),
            },
            News::Frame(_, None) | News::TooLong { .. } => return Ok(()),
        };
        self.editor.print_above(screen::note(&text));
        Ok(())
    }

    fn was_deleted(&self, changed: &Changed) -> bool {
        changed.change == Change::Deleted && Some(changed.conversation) == self.conversation
    }

    async fn typed(&mut self, typed: Typed) -> anyhow::Result<After> {
        self.draft_due = None;
        let again = Ok(After::Prompt(String::new()));
        let was_interrupted = std::mem::take(&mut self.was_interrupted);
        let line = match typed {
            Typed::Line(line) => line,
            Typed::Discarded => {
                self.editing = None;
                return again;
            }
            Typed::Interrupted if was_interrupted => return Ok(After::Leave(INTERRUPTED)),
            Typed::Interrupted => {
                self.was_interrupted = true;
                self.editing = None;
                self.screen.note("Ctrl-C again, or Ctrl-D, leaves")?;
                return again;
            }
            Typed::Ended => return Ok(After::Leave(0)),
            Typed::Failed(reason) => bail!("the terminal: {reason}"),
        };
        if line.trim().is_empty() {
            return again;
        }
        if line.starts_with('/') && !line.starts_with("//") {
            return match commands::parse(&line) {
                Ok(command) => self.command(command).await,
                Err(message) => {
                    self.screen.note(&visible_line(&message))?;
                    again
                }
            };
        }
        let text = if line.starts_with("//") { &line[1..] } else { &line };
        self.send(text.to_owned());
        Ok(After::Answer)
    }

    /// Sends a message, or another version of one.
    pub(super) fn send(&mut self, text: String) {
        let text = MessageText::new(text).expect("empty lines are not sent");
        let (client_id, parameters) = (client_id(), self.parameters.clone());
        let event = match (self.editing.take(), self.conversation) {
            (Some(message), Some(conversation)) => ClientEvent::Edit(EditMessage {
                conversation,
                message,
                text,
                client_id,
                parameters,
            }),
            (_, conversation) => ClientEvent::Send(SendMessage {
                conversation,
                parent: Settable::Missing,
                text,
                client_id,
                system: self.system.clone().filter(|_| conversation.is_none()),
                parameters,
            }),
        };
        // `send` ends the draft.
        self.is_drafted = false;
        self.link.request(Request { event, shown: Shown::default() });
    }

    /// Runs a command; Ctrl-C ends the waiting for it.
    async fn command(&mut self, command: commands::Command) -> anyhow::Result<After> {
        let modes = self.modes.clone();
        let _quiet = modes.without_echo();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let outcome = tokio::select! {
            outcome = self.act(command) => outcome,
            _ = interrupt.recv() => Err(anyhow!("not waited for; the server may still do it")),
        };
        match outcome {
            Ok(after) => Ok(after),
            Err(error) if super::is_broken_pipe(&error) => Err(error),
            Err(error) => {
                self.screen.note(&visible_line(&format!("{error:#}")))?;
                Ok(After::Prompt(String::new()))
            }
        }
    }

    /// Shows an answer as it comes, until it is over.
    async fn answer(&mut self) -> anyhow::Result<After> {
        let modes = self.modes.clone();
        let _quiet = modes.without_echo();
        let mut is_stopping = false;
        loop {
            tokio::select! {
                news = self.link.news() => {
                    if self.hear_answer(news)? {
                        return Ok(After::Prompt(String::new()));
                    }
                }
                asked = self.signals.next() => match asked {
                    Asked::Interrupt if is_stopping => return Ok(After::Leave(INTERRUPTED)),
                    Asked::Interrupt => {
                        is_stopping = true;
                        self.screen.status("stopping…")?;
                        self.link.stop();
                    }
                    Asked::Leave(status) => return Ok(After::Leave(status)),
                    Asked::Suspend => modes.suspend().await,
                    Asked::Resize => self.screen.resize(),
                },
            }
        }
    }

    /// Whether the answer is over.
    fn hear_answer(&mut self, news: News) -> anyhow::Result<bool> {
        match news {
            News::Frame(_, Some(event)) => return self.show(*event),
            News::Frame(_, None) => {}
            News::Lost(_) => self.screen.status("connecting again…")?,
            News::Back => self.screen.clear_status()?,
            News::TooLong { bytes, limit } => {
                let what = format!("too long: expected at most {limit} bytes, found {bytes}");
                self.screen.note(&what)?;
                return Ok(true);
            }
            News::Refused(reason) => {
                self.screen.end()?;
                bail!(reason);
            }
        }
        Ok(false)
    }

    fn show(&mut self, event: ServerEvent) -> anyhow::Result<bool> {
        match event {
            ServerEvent::Accepted(accepted) => self.conversation = Some(accepted.conversation),
            ServerEvent::Queued(queued) if queued.ahead > 0 => {
                self.screen.status(&format!("waiting behind {}", queued.ahead))?;
            }
            ServerEvent::Context(context) => self.tell_left_out(&context)?,
            ServerEvent::Thinking(delta) => self.screen.thinking(&delta.text)?,
            ServerEvent::Delta(delta) => self.screen.answer(&delta.text)?,
            ServerEvent::Finished(finished) => {
                self.screen.end()?;
                if let Some(receipt) = receipt(&finished) {
                    self.screen.note(&receipt)?;
                }
                return Ok(true);
            }
            ServerEvent::Error(error) => {
                self.screen.note(&visible_line(&error.message))?;
                return Ok(true);
            }
            ServerEvent::Reset(_) => {
                self.screen.note("the server has lost the end of this answer")?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    fn tell_left_out(&mut self, context: &Context) -> io::Result<()> {
        let count = context.left_out.len();
        if count <= std::mem::replace(&mut self.left_out, count) {
            return Ok(());
        }
        let what = "of this conversation no longer fit, and the model does not get them";
        self.screen.note(&format!("the first {count} messages {what}"))
    }
}

/// Leaves while a line is being typed.
fn leave_prompt(status: u8) -> anyhow::Result<After> {
    screen::put("\n")?;
    Ok(After::Leave(status))
}

/// What a person has to know about the end of an answer, if it is not the usual one.
fn receipt(finished: &Finished) -> Option<String> {
    if let Some(error) = &finished.finish.error {
        return Some(visible_line(&error.message));
    }
    match finished.state {
        AnswerState::Complete => None,
        AnswerState::Stopped => Some(match finished.finish.timings.halt_ms {
            Some(halt_ms) => format!("stopped; the computation halted within {halt_ms:.0} ms"),
            None => "stopped".to_owned(),
        }),
        AnswerState::Length => {
            Some("cut: it has as many tokens as it may have; /continue goes on".to_owned())
        }
        AnswerState::Interrupted => Some("interrupted; /continue goes on".to_owned()),
        _ => Some("the answer failed".to_owned()),
    }
}
