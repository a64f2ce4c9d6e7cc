//! A client of `banter.v1` that loses its sockets, or the streams in place of them, again and again
//! and always comes back.

use super::checker::Checker;
use super::event_stream::{Cut, EventStream, Said};
use super::random::Random;
use super::{PATIENCE, patiently};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A client that comes back.
pub struct Stubborn {
    /// Where it connects, usually to a proxy.
    pub address: SocketAddr,
    pub checker: Checker,
    random: Random,
    socket: Option<Line>,
    /// It connects without WebSockets.
    by_stream: bool,
    /// Sockets that were closed with 1013, because the server was full.
    pub refused: usize,
}

/// What carries the events.
enum Line {
    Socket(WebSocketStream<TcpStream>),
    Stream(EventStream),
}

/// The socket is gone.
#[derive(Clone, Copy, Debug)]
pub struct Lost;

/// What was asked, and where it is.
#[derive(Clone, Debug)]
pub struct Asked {
    pub text: String,
    pub conversation: Value,
    pub message: Value,
    pub answer: Value,
}

impl Stubborn {
    pub fn new(address: SocketAddr, seed: u64) -> Stubborn {
        Stubborn {
            address,
            checker: Checker::new(format!("seed {seed}")),
            random: Random::new(seed),
            socket: None,
            by_stream: false,
            refused: 0,
        }
    }

    /// A client that no WebSocket reaches.
    pub fn by_stream(address: SocketAddr, seed: u64) -> Stubborn {
        Stubborn { by_stream: true, ..Stubborn::new(address, seed) }
    }

    /// Random numbers for what is asked.
    pub fn random(&mut self) -> Random {
        Random::new(self.random.number())
    }

    /// Asks, in a conversation or in a new one, and reads the answer to its end, over as many
    /// sockets as that takes.
    pub async fn ask(&mut self, conversation: Option<&Value>, text: &str) -> Asked {
        let client_id = format!("{:016x}", self.random.number());
        let mut send = json!({ "type": "send", "text": text, "client_id": client_id });
        if let Some(conversation) = conversation {
            send["conversation"] = conversation.clone();
        }
        let asked = self.accepted(send).await;
        self.read(&asked.conversation, &asked.answer).await;
        asked
    }

    /// Sends a request until it is accepted, always with the same `client_id`.
    pub async fn accepted(&mut self, request: Value) -> Asked {
        let accepted = loop {
            if let Ok(accepted) = self.try_accepted(&request).await {
                break accepted;
            }
            self.lose();
        };
        if accepted["duplicate"] == true {
            self.follow_a_repeated(&accepted).await;
        }
        Asked {
            text: request["text"].as_str().unwrap_or_default().to_owned(),
            conversation: accepted["conversation"].clone(),
            message: accepted["message"].clone(),
            answer: accepted["answer"].clone(),
        }
    }

    async fn try_accepted(&mut self, request: &Value) -> Result<Value, Lost> {
        self.connect().await?;
        self.send(request).await?;
        loop {
            let event = self.next().await?;
            if event["type"] == "accepted" && event["client_id"] == request["client_id"] {
                return Ok(event);
            }
        }
    }

    /// After a repeated request a client gets the text with `resume` or `open`, here or on its next
    /// socket.
    async fn follow_a_repeated(&mut self, accepted: &Value) {
        let (conversation, answer) = (&accepted["conversation"], &accepted["answer"]);
        if self.random.once_in(2) || self.follow(conversation, answer).await.is_err() {
            self.lose();
        }
    }

    /// Reads an answer to its end, over as many sockets as that takes.
    pub async fn read(&mut self, conversation: &Value, answer: &Value) {
        while self.checker.finished(answer).is_none() {
            if self.try_read(conversation, answer).await.is_err() {
                self.lose();
            }
        }
    }

    async fn try_read(&mut self, conversation: &Value, answer: &Value) -> Result<(), Lost> {
        if self.socket.is_none() {
            self.connect().await?;
            self.follow(conversation, answer).await?;
        }
        while self.checker.finished(answer).is_none() {
            self.next().await?;
        }
        Ok(())
    }

    /// Follows an answer on this socket, by `resume` or by `open`.
    pub async fn follow(&mut self, conversation: &Value, answer: &Value) -> Result<(), Lost> {
        if self.random.once_in(3) {
            self.checker.counts.opens += 1;
            return self.send(&json!({ "type": "open", "conversation": conversation })).await;
        }
        self.resume(answer).await
    }

    /// Follows an answer from where the client stands, or from further back.
    pub async fn resume(&mut self, answer: &Value) -> Result<(), Lost> {
        let mut at = self.checker.position(answer);
        if self.random.once_in(5) {
            let text = self.checker.text(answer);
            at = text.floor_char_boundary(self.random.below(at + 1));
        }
        self.checker.resumes(answer, at);
        self.send(&json!({ "type": "resume", "answer": answer, "at": at })).await
    }

    /// A socket that was greeted.
    pub async fn connect(&mut self) -> Result<(), Lost> {
        if self.socket.is_some() {
            return Ok(());
        }
        let (address, by_stream) = (self.address, self.by_stream);
        let connecting = async {
            match by_stream {
                true => Ok(Line::Stream(EventStream::open(address, "").await?)),
                false => Ok(Line::Socket(open_socket(address).await?)),
            }
        };
        // Many clients at once may have to wait for long.
        let connected: Result<Line, Lost> =
            tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| Lost)?;
        self.socket = Some(connected?);
        self.checker.begin_socket();
        self.send(&json!({ "type": "hello" })).await?;
        loop {
            if self.next().await?["type"] == "welcome" {
                return Ok(());
            }
        }
    }

    /// Gives the socket up without a word.
    pub fn lose(&mut self) {
        self.socket = None;
    }

    /// Gives the socket up so that the server's side is reset.
    pub fn reset(&mut self) {
        if let Some(Line::Socket(socket)) = self.socket.take() {
            socket.get_ref().set_zero_linger().expect("a socket");
        }
    }

    pub async fn send(&mut self, event: &Value) -> Result<(), Lost> {
        match self.socket.as_mut().ok_or(Lost)? {
            Line::Socket(socket) => {
                patiently(socket.send(Message::text(event.to_string()))).await.map_err(lost)
            }
            Line::Stream(stream) => Ok(patiently(stream.send(event)).await?),
        }
    }

    /// The next event, which the checker has taken.
    pub async fn next(&mut self) -> Result<Value, Lost> {
        let event = match self.socket.as_mut().ok_or(Lost)? {
            Line::Socket(_) => self.next_of_socket().await?,
            Line::Stream(stream) => match patiently(stream.next()).await? {
                Said::Frame(event) => event,
                Said::Close(_) => return Err(Lost),
            },
        };
        assert!(event["type"] != "error", "{event}");
        self.checker.take(&event);
        Ok(event)
    }

    async fn next_of_socket(&mut self) -> Result<Value, Lost> {
        loop {
            let Some(Line::Socket(socket)) = &mut self.socket else { return Err(Lost) };
            let Ok(message) = tokio::time::timeout(PATIENCE, socket.next()).await else {
                panic!("nothing comes any more; {:?}", self.checker.counts);
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| frame.code);
                    self.refused += usize::from(code == Some(CloseCode::Again));
                    return Err(Lost);
                }
                Some(Ok(other)) => panic!("unexpected frame {other:?}"),
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(Lost),
            }
        }
    }
}

async fn open_socket(address: SocketAddr) -> Result<WebSocketStream<TcpStream>, Lost> {
    let mut request = format!("ws://{address}/ws").into_client_request().expect("a request");
    let subprotocol = "banter.v1".parse().expect("a header value");
    request.headers_mut().insert("sec-websocket-protocol", subprotocol);
    let stream = TcpStream::connect(address).await.map_err(|_| Lost)?;
    let (socket, _) = client_async(request, stream).await.map_err(lost)?;
    Ok(socket)
}

impl From<Cut> for Lost {
    fn from(_: Cut) -> Lost {
        Lost
    }
}

/// A connection that was cut ends in the middle, but the server breaks no rule of WebSockets.
fn lost(error: Error) -> Lost {
    match error {
        Error::Io(_)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(
            ProtocolError::HandshakeIncomplete
            | ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::SendAfterClosing,
        ) => Lost,
        other => panic!("{other}"),
    }
}
