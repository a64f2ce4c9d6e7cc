//! Servers for the chat: a scripted banter, a proxy that cuts, and one that never ends an answer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use banter_server::backend::{ScriptedBackend, ScriptedCounters};
use banter_server::{Server, ServerConfig};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::{self, Message};

/// A banter whose answers are what the newest message says: see `ScriptedBackend`.
pub struct Scripted {
    pub address: SocketAddr,
    pub counters: Arc<ScriptedCounters>,
    end: Option<oneshot::Sender<()>>,
    /// Its threads serve.
    _runtime: Runtime,
}

impl Scripted {
    pub fn start() -> Scripted {
        Scripted::with(ServerConfig::default())
    }

    pub fn with(config: ServerConfig) -> Scripted {
        let runtime = Runtime::new().expect("threads");
        let backend = ScriptedBackend::default();
        let counters = backend.counters();
        let server = Server::new(config);
        server.slot().fill(backend);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (end, ended) = oneshot::channel();
        let ended = async { ended.await.unwrap_or(()) };
        runtime.spawn(banter_server::run(vec![listener], server, ended));
        Scripted { address, counters, end: Some(end), _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn plain_url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// The conversations that it has.
    pub fn conversations(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let host = self.address;
        write!(
            stream,
            "GET /api/conversations HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        let (_, body) = response.split_once("\r\n\r\n").expect("a response");
        serde_json::from_str(body).expect("JSON")
    }

    /// Waits until the conversations are as they should be.
    pub fn wait_for(&self, is_there: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        loop {
            let found = self.conversations();
            if is_there(&found) {
                return found;
            }
            thread::yield_now();
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        drop(self.end.take());
    }
}

/// A proxy in front of a server. It can cut every connection, and hold back what the server says.
pub struct Proxy {
    pub address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    is_holding: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let is_holding: Arc<AtomicBool> = Arc::default();
        let (kept, holding) = (streams.clone(), is_holding.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(server) else { continue };
                let copy = |stream: &TcpStream| stream.try_clone().expect("another handle");
                kept.lock().expect("no panic").extend([copy(&client), copy(&server)]);
                let (from, to) = (copy(&client), copy(&server));
                thread::spawn(move || pass(from, to, None));
                let holding = holding.clone();
                thread::spawn(move || pass(server, client, Some(holding)));
            }
        });
        Proxy { address, streams, is_holding }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing of what the server says arrives.
    pub fn hold(&self) {
        self.is_holding.store(true, Ordering::SeqCst);
    }

    /// Cuts every connection. New ones are passed on.
    pub fn cut(&self) {
        for stream in self.streams.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.is_holding.store(false, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, holding: Option<Arc<AtomicBool>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let is_held = holding.as_ref().is_some_and(|holding| holding.load(Ordering::SeqCst));
        if !is_held && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A server of the plain language that never sends an empty frame, and does not know stops. It
/// answers with two pieces, and keeps what it was asked.
pub struct Endless {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Endless {
    pub fn start() -> Endless {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
        let kept = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let kept = kept.clone();
                thread::spawn(move || answer_all(stream, &kept));
            }
        });
        Endless { address, asked }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }
}

fn answer_all(stream: TcpStream, kept: &Mutex<Vec<serde_json::Value>>) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let request: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let asked = request["message"].as_str().unwrap_or_default().to_owned();
        kept.lock().expect("no panic").push(request);
        for piece in ["You said ".to_owned(), asked] {
            if socket.send(Message::text(piece)).is_err() {
                return;
            }
        }
    }
}
