//! Servers that speak the plain language: JSON in, bare text out, and an empty frame at the end.
//!
//! Some of them never send the empty frame. There an answer ends when nothing has come for a while
//! after its first piece. A server that has sent one empty frame is believed to send one always,
//! and so is every banter. The client keeps the history, because such a server keeps nothing.

use std::time::Duration;

use anyhow::{anyhow, bail};
use banter_remote::Address;
use banter_remote::server::ServerClient;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::commands::{self, Command};
use super::editor::{Editor, Typed};
use super::screen::Screen;
use super::settings::ChatSettings;
use super::socket::{Frame, OpenError, Socket};
use super::terminal::Modes;
use super::{INTERRUPTED, PATIENCE};
use crate::home;
use crate::visible::visible_line;

/// How long a stopped answer may take to end. Then the socket is closed, which stops it too.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A server of the plain language, and the conversation with it.
pub struct PlainServer {
    client: ServerClient,
    url: Url,
    parameters: Map<String, Value>,
    history: Vec<Value>,
    idle_end: Duration,
    socket: Option<Socket>,
    sends_ends: bool,
    answer: String,
    last_piece: Option<Instant>,
}

/// What comes of an answer.
enum Piece {
    Text(String),
    End,
    /// The server says that there is no answer, or no more of it.
    Error(String),
}

impl PlainServer {
    /// A conversation that has not begun.
    ///
    /// Errors: the key cannot be sent.
    pub fn new(
        address: &Address,
        settings: &ChatSettings,
        idle_end: Duration,
    ) -> anyhow::Result<PlainServer> {
        let client = ServerClient::new(
            address.clone(),
            settings.key.as_deref(),
            &settings.trusted,
            PATIENCE,
        );
        // Through text, numbers keep their shortest form.
        let parameters = serde_json::from_str(&serde_json::to_string(&settings.parameters)?)?;
        let system = settings.system.iter();
        Ok(PlainServer {
            client: client.map_err(|reason| anyhow!(reason))?,
            url: address.url().clone(),
            parameters,
            history: system.map(|text| json!({ "role": "system", "content": text })).collect(),
            idle_end,
            socket: None,
            sends_ends: false,
            answer: String::new(),
            last_piece: None,
        })
    }

    /// Forgets the conversation, but not the system message.
    fn begin_anew(&mut self) {
        self.history.retain(|entry| entry["role"] == "system");
    }

    async fn open(&mut self) -> anyhow::Result<&mut Socket> {
        if self.socket.is_none() {
            let socket = Socket::open(&self.client, &self.url, None).await;
            let socket = socket.map_err(|error| match error {
                OpenError::Key(reason) => anyhow!("{reason}; set BANTER_KEY to the server's key"),
                OpenError::Unreachable(reason) | OpenError::Refused(reason) => {
                    anyhow!("--plain {}: {reason}", self.url)
                }
            })?;
            self.sends_ends |= socket.server.starts_with("banter");
            self.socket = Some(socket);
        }
        Ok(self.socket.as_mut().expect("it was just opened"))
    }

    /// Asks. A socket that was closed since the last answer is opened again.
    async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let mut request = self.parameters.clone();
        request.insert("message".to_owned(), json!(text));
        request.insert("history".to_owned(), json!(self.history));
        request.insert("stream".to_owned(), json!(true));
        let frame = Value::Object(request).to_string();
        self.answer.clear();
        self.last_piece = None;
        if self.open().await?.send(frame.clone()).await.is_err() {
            self.socket = None;
            self.open().await?.send(frame).await.map_err(|reason| anyhow!(reason))?;
        }
        self.history.push(json!({ "role": "user", "content": text }));
        Ok(())
    }

    /// Text that came after the answer was believed to be over. It belongs to that answer.
    async fn late(&mut self) -> String {
        let mut late = String::new();
        while let Some(socket) = &mut self.socket {
            match socket.next_frame().now_or_never() {
                Some(Frame::Text(text)) if text.is_empty() => self.sends_ends = true,
                Some(Frame::Text(text)) => late.push_str(&text),
                Some(Frame::Closed(_) | Frame::Lost(_)) => self.socket = None,
                None => break,
            }
        }
        let last = self.history.last_mut().filter(|entry| entry["role"] == "assistant");
        if let Some(Value::String(content)) = last.and_then(|entry| entry.get_mut("content")) {
            content.push_str(&late);
        }
        late
    }

    /// What comes next of the answer. Nothing is lost if the future is dropped.
    ///
    /// Errors: the connection is lost.
    async fn next(&mut self) -> anyhow::Result<Piece> {
        let idle_end = self.last_piece.filter(|_| !self.sends_ends).map(|at| at + self.idle_end);
        let far = Instant::now() + self.idle_end;
        let Some(socket) = &mut self.socket else {
            bail!("the connection is lost; send the message again")
        };
        let frame = tokio::select! {
            frame = socket.next_frame() => frame,
            () = sleep_until(idle_end.unwrap_or(far)), if idle_end.is_some() => {
                return Ok(Piece::End);
            }
        };
        match frame {
            Frame::Text(text) if text.is_empty() => {
                self.sends_ends = true;
                Ok(Piece::End)
            }
            Frame::Text(text) => {
                self.last_piece = Some(Instant::now());
                if let Some(message) = error_frame(&text) {
                    return Ok(Piece::Error(message));
                }
                self.answer.push_str(&text);
                Ok(Piece::Text(text))
            }
            Frame::Closed(code) => {
                self.socket = None;
                bail!("the server closed the socket with {code}; the answer is not complete")
            }
            Frame::Lost(reason) => {
                self.socket = None;
                bail!("{reason}; the answer is not complete")
            }
        }
    }

    /// The answer is over.
    fn remember(&mut self) {
        if self.answer.is_empty() {
            // What was not answered is not part of the conversation.
            self.history.pop();
        } else {
            let answer = std::mem::take(&mut self.answer);
            self.history.push(json!({ "role": "assistant", "content": answer }));
        }
    }

    /// Stops the answer, in whatever way the server knows.
    async fn stop(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let stop = json!({ "stop": true }).to_string();
        let halted = async {
            socket.send(stop).await.ok()?;
            loop {
                match socket.next_frame().await {
                    Frame::Text(text) if text.is_empty() => return Some(()),
                    Frame::Text(_) => {}
                    Frame::Closed(_) | Frame::Lost(_) => return None,
                }
            }
        };
        let halted = tokio::time::timeout(STOP_WITHIN, halted).await.ok().flatten();
        match halted {
            Some(()) => self.sends_ends = true,
            None => self.socket = None,
        }
    }

    async fn close(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.close().await;
        }
    }
}

/// The message of an error frame.
fn error_frame(text: &str) -> Option<String> {
    let frame: Map<String, Value> = serde_json::from_str(text).ok()?;
    let error = frame.get("error").filter(|_| frame.len() == 1)?;
    error["message"].as_str().map(visible_line)
}

/// How an answer has ended.
enum Ended {
    Whole,
    Stopped,
    Failed(String),
}

/// Prints one answer as it comes.
async fn answer(server: &mut PlainServer, screen: &mut Screen) -> anyhow::Result<Ended> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut error = None;
    loop {
        let piece = tokio::select! {
            piece = server.next() => piece,
            _ = interrupts.recv() => {
                screen.end()?;
                server.stop().await;
                server.remember();
                return Ok(Ended::Stopped);
            }
        };
        match piece {
            Ok(Piece::Text(text)) => screen.answer(&text)?,
            Ok(Piece::Error(message)) => error = Some(message),
            Ok(Piece::End) => break,
            Err(lost) => {
                screen.end()?;
                server.remember();
                return Ok(Ended::Failed(format!("{lost:#}")));
            }
        }
    }
    screen.end()?;
    server.remember();
    Ok(error.map_or(Ended::Whole, Ended::Failed))
}

/// Asks one question, and returns the status to exit with.
pub async fn ask(mut server: PlainServer, question: &str) -> anyhow::Result<u8> {
    let mut screen = Screen::stdout();
    server.send(question).await?;
    let ended = answer(&mut server, &mut screen).await;
    server.close().await;
    match ended? {
        Ended::Whole => Ok(0),
        Ended::Stopped => Ok(INTERRUPTED),
        Ended::Failed(reason) => bail!(reason),
    }
}

/// Talks until the person leaves. Returns the status to exit with.
pub async fn talk(mut server: PlainServer, modes: Option<Modes>) -> anyhow::Result<u8> {
    let modes = modes.ok_or_else(|| anyhow!("expected a terminal at stdin, found none"))?;
    let history = home::data_dir().map(|folder| folder.join("chat_history"));
    let (mut editor, _) = Editor::start(modes.clone(), history)?;
    let mut screen = Screen::stdout();
    server.open().await?;
    let status = converse(&mut server, &mut editor, &mut screen, &modes).await;
    server.close().await;
    status
}

async fn converse(
    server: &mut PlainServer,
    editor: &mut Editor,
    screen: &mut Screen,
    modes: &Modes,
) -> anyhow::Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut was_interrupted = false;
    loop {
        editor.prompt(String::new());
        let typed = tokio::select! {
            typed = editor.typed() => typed,
            _ = terminate.recv() => Typed::Ended,
        };
        let line = match typed {
            Typed::Line(line) => line,
            Typed::Discarded => continue,
            Typed::Interrupted if was_interrupted => return Ok(INTERRUPTED),
            Typed::Interrupted => {
                was_interrupted = true;
                screen.note("Ctrl-C again, or Ctrl-D, leaves")?;
                continue;
            }
            Typed::Ended => return Ok(0),
            Typed::Failed(reason) => bail!("the terminal: {reason}"),
        };
        was_interrupted = false;
        if line.starts_with('/') && !line.starts_with("//") {
            match commands::parse(&line) {
                Ok(Command::Quit) => return Ok(0),
                Ok(Command::New) => {
                    server.begin_anew();
                    screen.note("a new conversation")?;
                }
                Ok(_) => screen.note("with --plain there are /new and /quit only")?,
                Err(message) => screen.note(&visible_line(&message))?,
            }
        } else if !line.trim().is_empty() {
            let _quiet = modes.without_echo();
            exchange(server, screen, line.strip_prefix('/').unwrap_or(&line)).await?;
        }
    }
}

/// Sends a message and shows the answer, or the error.
async fn exchange(server: &mut PlainServer, screen: &mut Screen, text: &str) -> anyhow::Result<()> {
    let late = server.late().await;
    if !late.is_empty() {
        screen.note("(more of the answer before; a longer --idle-end waits for it)")?;
        screen.answer(&late)?;
        screen.end()?;
    }
    if let Err(error) = server.send(text).await {
        return Ok(screen.note(&visible_line(&format!("{error:#}")))?);
    }
    match answer(server, screen).await? {
        Ended::Whole => {}
        Ended::Stopped => screen.note("stopped")?,
        Ended::Failed(reason) => screen.note(&visible_line(&reason))?,
    }
    Ok(())
}
