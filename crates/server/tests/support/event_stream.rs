//! Clients of `banter.v1` without a WebSocket.

use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An open stream, and requests beside it.
pub struct EventStream {
    address: SocketAddr,
    /// The lines of the head of each request.
    headers: String,
    stream: BufReader<TcpStream>,
    /// The stream's id.
    pub id: String,
    /// Signs of life that have come.
    pub signs_of_life: usize,
}

/// What comes on a stream.
#[derive(Debug)]
pub enum Said {
    Frame(Value),
    /// The session has ended, with this close code.
    Close(u64),
}

/// The connection is gone.
#[derive(Clone, Copy, Debug)]
pub struct Cut;

impl From<std::io::Error> for Cut {
    fn from(_: std::io::Error) -> Cut {
        Cut
    }
}

impl EventStream {
    /// Opens a stream. `headers` are further lines, each with its end.
    pub async fn open(address: SocketAddr, headers: &str) -> Result<EventStream, Cut> {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        // Of HTTP/1.0, so the body has no chunks and ends with the connection.
        let head = format!("GET /api/stream HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let status = line(&mut stream).await?;
        if status.is_empty() {
            return Err(Cut);
        }
        assert!(status.contains(" 200 "), "{status}");
        while !line(&mut stream).await?.is_empty() {}
        let (headers, id) = (headers.to_owned(), String::new());
        let mut opened = EventStream { address, headers, stream, id, signs_of_life: 0 };
        let (name, data) = opened.event().await?;
        assert_eq!(name, "open", "{data}");
        opened.id = data["stream"].as_str().expect("an id").to_owned();
        Ok(opened)
    }

    /// Sends a frame, and returns the status of the response.
    pub async fn post(&self, id: &str, frame: &str) -> Result<u16, Cut> {
        Ok(self.respond(id, frame).await?.0)
    }

    /// Sends a frame, and returns the status of the response and all of its text.
    async fn respond(&self, id: &str, frame: &str) -> Result<(u16, String), Cut> {
        let EventStream { address, headers, .. } = self;
        let mut stream = TcpStream::connect(address).await?;
        let length = frame.len();
        let head = format!(
            "POST /api/stream/{id} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Type: \
             application/json\r\nContent-Length: {length}\r\n\r\n{frame}"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(Cut)?, response))
    }

    /// Sends an event of the language.
    pub async fn send(&self, event: &Value) -> Result<(), Cut> {
        match self.respond(&self.id, &event.to_string()).await? {
            (204, _) => Ok(()),
            // The session has ended meanwhile.
            (404, _) => Err(Cut),
            // Only this direction was cut, so the server could say what it has missed, unless that
            // was cut too.
            (400, text) if text.contains("broken_body") || !text.ends_with('}') => Err(Cut),
            (_, text) => panic!("{text}"),
        }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Result<Said, Cut> {
        let (name, data) = self.event().await?;
        match name.as_str() {
            "" => Ok(Said::Frame(data)),
            "close" => Ok(Said::Close(data["code"].as_u64().expect("a code"))),
            name => panic!("{name}: {data}"),
        }
    }

    /// Reads one server-sent event: its name and its data.
    async fn event(&mut self) -> Result<(String, Value), Cut> {
        let (mut name, mut data) = (String::new(), None);
        loop {
            let line = line(&mut self.stream).await?;
            match line.split_once(':') {
                Some(("", _)) => self.signs_of_life += 1,
                Some(("event", value)) => name = value.trim_start().to_owned(),
                Some(("data", value)) => data = serde_json::from_str(value).ok(),
                Some(other) => panic!("{other:?}"),
                None if line.is_empty() => {
                    if let Some(data) = data.take() {
                        return Ok((name, data));
                    }
                }
                // A connection that was cut ends in the middle of a line.
                None => return Err(Cut),
            }
        }
    }
}

/// The next line. Errors: the connection is gone.
async fn line(stream: &mut BufReader<TcpStream>) -> Result<String, Cut> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let ended = line.strip_suffix('\n').ok_or(Cut)?;
    Ok(ended.strip_suffix('\r').unwrap_or(ended).to_owned())
}
