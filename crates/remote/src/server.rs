//! Requests and WebSockets to a banter server, for the chat in a terminal.
//!
//! It knows nothing of their content: this module opens connections, with the certificates, the
//! proxies and the key that belong to the server.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, SERVER};
pub use reqwest::Upgraded;
use reqwest::{Client, Method, Response};
use tokio::time::timeout;
use url::Url;

use crate::address::Address;
use crate::client;

/// The longest body that is read: far longer than any conversation.
const MAX_BODY_BYTES: usize = 256 << 20;

/// A server, with the key and the time limits for it.
#[derive(Clone)]
pub struct ServerClient {
    client: Client,
    address: Address,
    authorization: Option<HeaderValue>,
    patience: Duration,
}

/// A request to a route of a server.
#[derive(Clone, Debug)]
pub struct ServerRequest<'a> {
    /// The method, in capitals.
    pub method: &'static str,
    /// The segments of the path below the server's address.
    pub path: &'a [&'a str],
    /// The parameters behind the path.
    pub query: &'a [(&'a str, &'a str)],
    /// The body, which is JSON.
    pub body: Option<String>,
}

/// What a server has answered.
#[derive(Debug)]
pub struct ServerResponse {
    /// The status.
    pub status: u16,
    /// What the server calls itself; empty if it says nothing.
    pub server: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What a server has answered to a request for a WebSocket.
#[derive(Debug)]
pub enum SocketResponse {
    /// It agrees.
    Opened {
        /// The headers of its answer.
        headers: HeaderMap,
        /// The connection, on which frames follow.
        connection: Upgraded,
    },
    /// It refuses.
    Refused(ServerResponse),
}

impl ServerClient {
    /// A client of the server at `address`. `trusted` are certificates in PEM form that the server
    /// may have beside those that this machine trusts. `patience` limits each request.
    ///
    /// Errors: the key has characters that cannot be sent, the certificates cannot be read, or no
    /// client can be made; the text says which.
    pub fn new(
        address: Address,
        key: Option<&str>,
        trusted: &[u8],
        patience: Duration,
    ) -> Result<ServerClient, String> {
        let client = client::for_engine(&address, trusted, patience)?;
        let bearer = |key: &str| HeaderValue::from_str(&format!("Bearer {key}"));
        let mut authorization = key
            .map(bearer)
            .transpose()
            .map_err(|_| "expected a key of plain characters, found others".to_owned())?;
        if let Some(authorization) = &mut authorization {
            authorization.set_sensitive(true);
        }
        Ok(ServerClient { client, address, authorization, patience })
    }

    /// The address of the server.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request and reads the whole response.
    ///
    /// Errors: no complete response came; the text says why.
    pub async fn ask(&self, request: ServerRequest<'_>) -> Result<ServerResponse, String> {
        let mut url = self.address.below(request.path.iter().copied());
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut builder = self.client.request(method, url);
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body);
        }
        let exchange = async { read(builder.send().await.map_err(told)?).await };
        timeout(self.patience, exchange).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Reads a response that comes in pieces, until `enough` says so of what has come. Returns
    /// whether that was within this time.
    ///
    /// Errors: another status than 200, or the connection ended; the text says which.
    pub async fn read_stream(
        &self,
        path: &[&str],
        within: Duration,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, String> {
        let mut builder = self.client.get(self.address.below(path.iter().copied()));
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let reading = async {
            let mut response = builder.send().await.map_err(told)?;
            if response.status().as_u16() != 200 {
                return Err(format!("status {}", response.status().as_u16()));
            }
            let mut read = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(told)? {
                read.extend_from_slice(&piece);
                if enough(&read) || read.len() > MAX_BODY_BYTES {
                    return Ok(true);
                }
            }
            Err(format!("the connection ended after {} bytes", read.len()))
        };
        timeout(within, reading).await.unwrap_or(Ok(false))
    }

    /// Asks for a WebSocket at `url`. The headers are those of the handshake beside the usual ones.
    ///
    /// Errors: no response came; the text says why.
    pub async fn open_socket(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
    ) -> Result<SocketResponse, String> {
        let mut builder = self.client.get(url.clone());
        builder = builder.header("connection", "Upgrade").header("upgrade", "websocket");
        builder = builder.header("sec-websocket-version", "13");
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let handshake = async {
            let response = builder.send().await.map_err(told)?;
            if response.status().as_u16() != 101 {
                return Ok(SocketResponse::Refused(read(response).await?));
            }
            let headers = response.headers().clone();
            let connection = response.upgrade().await.map_err(told)?;
            Ok(SocketResponse::Opened { headers, connection })
        };
        timeout(self.patience, handshake).await.unwrap_or_else(|_| Err(self.silent()))
    }

    fn silent(&self) -> String {
        format!("no answer within {} s", self.patience.as_secs())
    }
}

fn told(error: reqwest::Error) -> String {
    client::reason(&error)
}

async fn read(mut response: Response) -> Result<ServerResponse, String> {
    let status = response.status().as_u16();
    let server = response.headers().get(SERVER).and_then(|name| name.to_str().ok());
    let server = server.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(told)? {
        if body.len() + piece.len() > MAX_BODY_BYTES {
            return Err(format!("a response of more than {MAX_BODY_BYTES} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(ServerResponse { status, server, body })
}
