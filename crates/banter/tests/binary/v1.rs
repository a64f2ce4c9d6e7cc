//! Clients of `banter.v1` and what they have seen, for tests that end the server under them.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::support::{Server, WITHIN, request};

/// A client that has said hello.
pub struct V1 {
    socket: WebSocket<TcpStream>,
    /// The last event.
    pub last: Option<Value>,
    /// The code with which the server has closed the socket.
    pub closed: Option<CloseCode>,
}

/// The server, or the socket, is gone.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// An answer as one client has seen it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request that was accepted.
    pub request: Value,
    pub conversation: String,
    pub message: Value,
    pub answer: String,
    pub text: String,
    /// The state that `finished` has told.
    pub state: Option<String>,
}

impl V1 {
    pub fn connect(port: u16) -> Result<V1, Gone> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|_| Gone)?;
        stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
        let address = format!("ws://127.0.0.1:{port}/ws");
        let mut request = address.into_client_request().expect("a request");
        let subprotocol = "banter.v1".parse().expect("a header value");
        request.headers_mut().insert("sec-websocket-protocol", subprotocol);
        let (socket, _) = tungstenite::client(request, stream).map_err(|_| Gone)?;
        let mut client = V1 { socket, last: None, closed: None };
        client.send(&json!({ "type": "hello" }))?;
        client.event("welcome")?;
        Ok(client)
    }

    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    pub fn send(&mut self, event: &Value) -> Result<(), Gone> {
        if self.socket.send(Message::text(event.to_string())).is_ok() {
            return Ok(());
        }
        // What the server has said before it went.
        while self.next().is_ok() {}
        Err(Gone)
    }

    /// The next event, which must not be an error.
    pub fn next(&mut self) -> Result<Value, Gone> {
        let event = self.any()?;
        assert!(event["type"] != "error", "{event}");
        Ok(event)
    }

    /// The next event, whatever it is.
    pub fn any(&mut self) -> Result<Value, Gone> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let event: Value = serde_json::from_str(&text).expect("JSON");
                    self.last = Some(event.clone());
                    return Ok(event);
                }
                Ok(Message::Close(frame)) => {
                    self.closed = frame.map(|frame| frame.code);
                    return Err(Gone);
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    panic!("nothing comes any more");
                }
                Err(_) => return Err(Gone),
            }
        }
    }

    pub fn event(&mut self, name: &str) -> Result<Value, Gone> {
        loop {
            let event = self.next()?;
            if event["type"] == name {
                return Ok(event);
            }
        }
    }

    /// Sends a request for an answer, and returns what was accepted.
    pub fn ask(&mut self, request: &Value) -> Result<Seen, Gone> {
        self.send(request)?;
        let accepted = self.event("accepted")?;
        let id = |name: &str| accepted[name].as_str().expect("an id").to_owned();
        Ok(Seen {
            request: request.clone(),
            conversation: id("conversation"),
            message: accepted["message"].clone(),
            answer: id("answer"),
            text: String::new(),
            state: None,
        })
    }

    /// Reads on in an answer, up to its end. If the socket is lost, the text that was read stays.
    pub fn read(&mut self, seen: &mut Seen) -> Result<(), Gone> {
        while seen.state.is_none() {
            let event = self.next()?;
            seen.take(&event);
        }
        Ok(())
    }
}

impl Seen {
    /// Takes an event, which has to go on exactly where the text ends.
    pub fn take(&mut self, event: &Value) {
        if event["answer"] != self.answer {
            return;
        }
        match event["type"].as_str().expect("a type") {
            "delta" => {
                assert_eq!(event["at"], self.text.len(), "{event}");
                self.text.push_str(event["text"].as_str().expect("text"));
            }
            "finished" => {
                assert_eq!(event["bytes"], self.text.len(), "{event}");
                self.state = event["state"].as_str().map(str::to_owned);
            }
            _ => {}
        }
    }
}

/// The messages of a conversation as the server has kept them.
pub fn kept(server: &Server, conversation: &str) -> Vec<Value> {
    let (status, body) = server.ask("GET", &format!("/api/conversations/{conversation}"), "");
    assert_eq!(status, 200, "{conversation}: {body}");
    body["messages"].as_array().expect("a list").clone()
}

/// Deletes a conversation.
pub fn delete(port: u16, conversation: &str) {
    let path = format!("/api/conversations/{conversation}");
    let (status, body) = request(port, "DELETE", &path, "", "").expect("the server listens");
    assert_eq!(status, 204, "{body}");
}

/// Random numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub fn time(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.below(most_ms - least_ms + 1))
    }
}

/// A number that is set from outside for a longer run.
pub fn number_from(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{variable}: {number:?}")),
        Err(_) => usual,
    }
}
