//! Clients that say what they like, byte by byte.

use super::patiently;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
pub const FINAL: u8 = 0x80;

/// The buffers of a connection whose client and server are to feel soon that the other does not
/// read. With much smaller ones the kernel waits for timers.
pub const NARROW_BYTES: u32 = 32 * 1024;

/// A handshake as a client on this machine sends it, with further lines.
pub fn handshake(address: SocketAddr, lines: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// A masked frame. The mask is zero, so that a test reads what it sends.
pub fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first_byte, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The header of a masked frame that claims a length.
pub fn header(first_byte: u8, payload_bytes: u64) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match payload_bytes {
        0..126 => bytes.push(0x80 | payload_bytes as u8),
        126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((payload_bytes as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(payload_bytes.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

pub fn text(payload: &str) -> Vec<u8> {
    frame(FINAL | TEXT, payload.as_bytes())
}

/// A connection.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Raw {
        Raw { stream: patiently(TcpStream::connect(address)).await.expect("a connection") }
    }

    /// A connection that has completed a handshake.
    pub async fn websocket(address: SocketAddr) -> Raw {
        Raw::connect(address).await.upgraded(address, "").await
    }

    /// The same with further header lines, each with its line end.
    pub async fn websocket_with(address: SocketAddr, lines: &str) -> Raw {
        Raw::connect(address).await.upgraded(address, lines).await
    }

    /// The same, with room for little that has not been read; none if the server is full.
    pub async fn narrow_websocket(address: SocketAddr) -> Option<Raw> {
        let mut raw = Raw::narrow(address).await;
        raw.send(handshake(address, "").as_bytes()).await;
        raw.head().await.starts_with("HTTP/1.1 101 ").then_some(raw)
    }

    /// The same with further header lines, on a server that has room.
    pub async fn narrow_websocket_with(address: SocketAddr, lines: &str) -> Raw {
        Raw::narrow(address).await.upgraded(address, lines).await
    }

    async fn narrow(address: SocketAddr) -> Raw {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("a size");
        Raw { stream: patiently(socket.connect(address)).await.expect("a connection") }
    }

    async fn upgraded(self, address: SocketAddr, lines: &str) -> Raw {
        let mut raw = self;
        raw.send(handshake(address, lines).as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        patiently(self.stream.write_all(bytes)).await.expect("an open connection");
    }

    /// A response's head.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match patiently(self.stream.read_u8()).await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).expect("a head is ASCII")
    }

    /// The next frame: its first byte and payload. `None` at the end of the connection.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        patiently(async {
            let first = self.stream.read_u8().await.ok()?;
            let length = match self.stream.read_u8().await.ok()? {
                126 => usize::from(self.stream.read_u16().await.ok()?),
                127 => usize::try_from(self.stream.read_u64().await.ok()?).ok()?,
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some((first, payload))
        })
        .await
    }

    /// The text of one answer, whatever frames it comes in.
    pub async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        loop {
            match self.frame().await {
                Some((_, payload)) if payload.is_empty() => break,
                Some((_, payload)) => answer.extend(payload),
                None => panic!("expected an answer, found the end of the connection"),
            }
        }
        String::from_utf8(answer).expect("UTF-8")
    }

    /// Reads until the close frame and returns its code; `None` if the connection ends without one.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.frame().await?;
            if first == FINAL | CLOSE {
                return payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
            }
        }
    }

    /// Everything until the end of the connection.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = patiently(self.stream.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// An HTTP response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// The head in lower case.
    pub head: String,
    head_as_sent: String,
    pub body: String,
}

impl Response {
    /// Reads a whole response.
    pub fn parse(bytes: &[u8]) -> Response {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 4..]));
        let head = String::from_utf8_lossy(head);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("expected a response, found {head:?}"));
        let (head, head_as_sent) = (head.to_ascii_lowercase(), head.into_owned());
        let is_chunked = head.contains("\r\ntransfer-encoding: chunked");
        let body = if is_chunked { unchunked(body) } else { body.to_vec() };
        let body = String::from_utf8_lossy(&body).into_owned();
        Response { status, head, head_as_sent, body }
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        let body = &self.body;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body:?}"))
    }

    /// The value of a header as it was sent.
    pub fn header_as_sent(&self, name: &str) -> Option<&str> {
        self.head_as_sent.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The value of a header in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let start = format!("\r\n{name}: ");
        let (_, rest) = self.head.split_once(&start)?;
        Some(rest.split("\r\n").next().unwrap_or(rest))
    }
}

/// The bytes of chunks, each of which has its length in front of it.
fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let length = str::from_utf8(&chunks[..end]).expect("a length is ASCII");
        let length = usize::from_str_radix(length, 16).expect("a length in hexadecimal");
        let begin = end + "\r\n".len();
        bytes.extend_from_slice(&chunks[begin..begin + length]);
        chunks = &chunks[begin + length + "\r\n".len()..];
    }
    bytes
}

/// A request with a JSON body, by any method.
pub async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Response {
    send(address, method, path, "Content-Type: application/json\r\n", body).await
}

/// A request without a body; `lines` are further header lines, each with its line end. The Host is
/// added unless they name one.
pub async fn get(address: SocketAddr, path: &str, lines: &str) -> Response {
    send(address, "GET", path, lines, "").await
}

/// The same, with the bytes of the body.
pub async fn get_bytes(address: SocketAddr, path: &str, lines: &str) -> (Response, Vec<u8>) {
    let bytes = exchange(address, "GET", path, lines, "").await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (Response::parse(&bytes[..end]), bytes[end..].to_vec())
}

/// What a client on another machine sends, with a key.
pub fn from_afar(key: &str, more: &str) -> String {
    format!("X-Forwarded-For: 203.0.113.5\r\nAuthorization: Bearer {key}\r\n{more}")
}

/// A request with a JSON body.
pub async fn post(address: SocketAddr, path: &str, lines: &str, body: &str) -> Response {
    let lines = format!("{lines}Content-Type: application/json\r\n");
    send(address, "POST", path, &lines, body).await
}

pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    lines: &str,
    body: &str,
) -> Response {
    Response::parse(&exchange(address, method, path, lines, body).await)
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    lines: &str,
    body: &str,
) -> Vec<u8> {
    let host = if lines.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let request =
        format!("{method} {path} HTTP/1.1\r\n{host}{lines}{length}Connection: close\r\n\r\n{body}");
    let mut raw = Raw::connect(address).await;
    raw.send(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = patiently(raw.stream.read_to_end(&mut response)).await;
    response
}
