//! A WebSocket to a server, in either language.

use std::time::Duration;

use banter_remote::server::{ServerClient, ServerResponse, SocketResponse, Upgraded};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use url::Url;

use crate::visible::visible_line;

/// The longest frame that is read: far longer than any that a server sends.
const MAX_FRAME_BYTES: usize = 64 << 20;
/// A banter server sends a ping every 20 s. After this time without a frame the socket is lost.
const SILENCE: Duration = Duration::from_secs(60);

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<Upgraded>,
    /// What the server calls itself.
    pub server: String,
}

/// Why there is no socket.
#[derive(Debug)]
pub enum OpenError {
    /// The server was not reached, or is full. It may be there later.
    Unreachable(String),
    /// The server is there and refuses.
    Refused(String),
    /// The server needs a key, or another one.
    Key(String),
}

/// What comes from a socket.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text frame.
    Text(String),
    /// The server has closed the socket with this code.
    Closed(u16),
    /// The connection is lost.
    Lost(String),
}

impl Socket {
    /// Opens a WebSocket at `url`; `subprotocol` names the language, if it is not the plain one.
    pub async fn open(
        client: &ServerClient,
        url: &Url,
        subprotocol: Option<&str>,
    ) -> Result<Socket, OpenError> {
        let key = generate_key();
        let mut headers = vec![("sec-websocket-key", key.clone())];
        headers.extend(subprotocol.map(|name| ("sec-websocket-protocol", name.to_owned())));
        let response = client.open_socket(url, &headers).await.map_err(OpenError::Unreachable)?;
        let (headers, connection) = match response {
            SocketResponse::Opened { headers, connection } => (headers, connection),
            SocketResponse::Refused(response) => return Err(refusal(&response)),
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
            return Err(OpenError::Refused("expected a WebSocket, found another server".into()));
        }
        if subprotocol.is_some() && header("sec-websocket-protocol") != subprotocol {
            let what =
                "it does not speak banter.v1; --plain talks to servers of the plain language";
            return Err(OpenError::Refused(what.to_owned()));
        }
        let server = header("server").unwrap_or_default().to_owned();
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let stream = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        Ok(Socket { stream, server })
    }

    /// Sends a text frame.
    ///
    /// Errors: the connection is lost; the text says how.
    pub async fn send(&mut self, text: String) -> Result<(), String> {
        self.stream.send(Message::text(text)).await.map_err(|error| reason(&error))
    }

    /// The next frame of a server that sends pings.
    pub async fn next(&mut self) -> Frame {
        loop {
            match timeout(SILENCE, self.read()).await {
                Ok(Some(frame)) => return frame,
                // A ping shows that the server lives.
                Ok(None) => {}
                Err(_) => {
                    return Frame::Lost(format!("nothing came for {} s", SILENCE.as_secs()));
                }
            }
        }
    }

    /// The next frame, whenever it comes. Nothing is lost if the future is dropped.
    pub async fn next_frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.read().await {
                return frame;
            }
        }
    }

    /// Reads a frame. Returns `None` for pings, which the library answers, and the like.
    async fn read(&mut self) -> Option<Frame> {
        Some(match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
            Some(Ok(Message::Close(close))) => {
                Frame::Closed(close.map_or(1005, |close| u16::from(close.code)))
            }
            Some(Ok(_)) => return None,
            Some(Err(error)) => Frame::Lost(reason(&error)),
            None => Frame::Lost("the connection was closed".to_owned()),
        })
    }

    /// Says goodbye, if the server takes it.
    pub async fn close(&mut self) {
        const GOODBYE: Duration = Duration::from_millis(300);
        // The process ends in any case.
        let _ = timeout(GOODBYE, self.stream.close(None)).await;
    }
}

fn refusal(response: &ServerResponse) -> OpenError {
    let message = error_of(&response.body);
    match response.status {
        401 | 429 => OpenError::Key(message.unwrap_or_else(|| "a key is needed".to_owned())),
        503 => OpenError::Unreachable(message.unwrap_or_else(|| "the server is full".to_owned())),
        status => {
            let message = message.map_or_else(String::new, |message| format!(": {message}"));
            OpenError::Refused(format!("expected a WebSocket, found status {status}{message}"))
        }
    }
}

/// The message of an error in a body, if it is one of banter's.
pub fn error_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body["error"]["message"].as_str().map(visible_line)
}

fn reason(error: &Error) -> String {
    visible_line(&error.to_string())
}
