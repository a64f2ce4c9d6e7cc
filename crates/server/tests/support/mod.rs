//! A real server on a free port, and clients that talk to it.

#![allow(dead_code, reason = "each test program uses its own part")]

pub mod certificate;
pub mod checker;
pub mod event_stream;
pub mod http;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod reverse_proxy;
pub mod stubborn;
pub mod v1;

use banter_seam::Backend;
use banter_server::access::Sessions;
use banter_server::backend::{ScriptedBackend, ScriptedCounters};
use banter_server::models::Library;
use banter_server::{Server, ServerConfig, run};
use banter_store::{Place, Store, StoreConfig};
use futures_util::{SinkExt, StreamExt};
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything a passing test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct TestServer {
    pub address: SocketAddr,
    pub sessions: Arc<Sessions>,
    counters: Arc<ScriptedCounters>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl TestServer {
    /// A server with a scripted backend.
    pub async fn start(config: ServerConfig) -> TestServer {
        let server = Server::new(impatient(config));
        let backend = ScriptedBackend::default();
        let counters = backend.counters();
        server.slot().fill(backend);
        TestServer::serve(server, counters).await
    }

    /// A server with a scripted backend that keeps conversations in a folder.
    pub async fn start_in(folder: &Path, config: ServerConfig) -> TestServer {
        let store = Store::open(StoreConfig::new(Place::Folder(folder.into()))).expect("a store");
        let server = Server::new(impatient(config)).with_store(Arc::new(store));
        let backend = ScriptedBackend::default();
        let counters = backend.counters();
        server.slot().fill(backend);
        TestServer::serve(server, counters).await
    }

    /// A server in front of another backend.
    pub async fn start_with(config: ServerConfig, backend: impl Backend) -> TestServer {
        let server = Server::new(impatient(config));
        server.slot().fill(backend);
        TestServer::serve(server, Arc::default()).await
    }

    /// A server whose models can be pulled and switched between.
    pub async fn start_with_models(
        config: ServerConfig,
        library: Arc<dyn Library>,
        current: &str,
    ) -> TestServer {
        let server = Server::new(impatient(config));
        server.slot().fill(ScriptedBackend::named(current));
        let server = server.with_models(library, Some(current.to_owned()));
        TestServer::serve(server, Arc::default()).await
    }

    /// A server whose backend is still loading.
    pub async fn start_loading(config: ServerConfig, progress: f32) -> TestServer {
        let server = Server::new(impatient(config));
        server.slot().set_progress(progress);
        TestServer::serve(server, Arc::default()).await
    }

    /// A server with a scripted backend, whose connections hold little that is not read: the kernel
    /// would take megabytes.
    pub async fn start_narrow(config: ServerConfig) -> TestServer {
        let server = Server::new(impatient(config));
        let backend = ScriptedBackend::default();
        let counters = backend.counters();
        server.slot().fill(backend);
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_send_buffer_size(raw::NARROW_BYTES).expect("a size");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        TestServer::listen(socket.listen(64).expect("a listener"), server, counters)
    }

    async fn serve(server: Server, counters: Arc<ScriptedCounters>) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        TestServer::listen(listener, server, counters)
    }

    fn listen(
        listener: TcpListener,
        server: Server,
        counters: Arc<ScriptedCounters>,
    ) -> TestServer {
        let address = listener.local_addr().expect("an address");
        let sessions = server.sessions();
        let (shutdown, ended) = oneshot::channel();
        let ended = async { ended.await.unwrap_or(()) };
        let task = tokio::spawn(run(vec![listener], server, ended));
        TestServer { address, sessions, counters, shutdown, task }
    }

    /// Ends the server and waits for it.
    pub async fn end(self) {
        self.shutdown.send(()).expect("the server runs");
        self.task.await.expect("no panic").expect("no error");
    }

    /// Waits until no answer is being made any more.
    pub async fn is_idle(&self) {
        let idle = async {
            while self.running() > 0 {
                tokio::task::yield_now().await;
            }
        };
        patiently(idle).await;
    }

    /// Waits until this many answers are being made.
    pub async fn runs(&self, count: usize) {
        let runs = async {
            while self.running() < count {
                tokio::task::yield_now().await;
            }
        };
        patiently(runs).await;
    }

    /// The newest draft that the backend was given.
    pub fn draft(&self) -> Option<banter_seam::DraftRequest> {
        self.counters.draft.lock().expect("no panic").clone()
    }

    /// Answers being made.
    pub fn running(&self) -> usize {
        self.counters.running.load(Ordering::SeqCst)
    }

    /// Waits until the answers being made stand still although others are served.
    pub async fn stands_still(&self) {
        const ROUNDS: usize = 20;
        let mut client = self.client().await;
        let pieces = || self.counters.pieces.load(Ordering::SeqCst);
        let stands_still = async {
            loop {
                let before = pieces();
                for _ in 0..ROUNDS {
                    client.expect_works().await;
                }
                if pieces() - before == ROUNDS {
                    return;
                }
            }
        };
        patiently(stands_still).await;
    }

    /// The Host header of a client on this machine.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A plain-language client without an Origin.
    pub async fn client(&self) -> Client {
        self.client_with(&[]).await.expect("a handshake")
    }

    /// A client that sends further headers with its handshake.
    pub async fn client_with(&self, headers: &[(&'static str, &str)]) -> Result<Client, Error> {
        Ok(self.client_and_cookie(headers).await?.0)
    }

    /// The same, and the cookie that its browser keeps from the handshake, as it sends it back.
    pub async fn client_and_cookie(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<(Client, Option<String>), Error> {
        self.client_at("/ws", headers).await
    }

    /// The same on another path.
    pub async fn client_at(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Client, Option<String>), Error> {
        let mut request =
            format!("ws://{}{path}", self.address).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header value"));
        }
        let (stream, response) = patiently(connect_async(request)).await?;
        let cookie = response.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok());
        let pair = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        Ok((Client { stream }, pair))
    }
}

/// Test clients seldom answer a close; nobody waits for them long.
fn impatient(config: ServerConfig) -> ServerConfig {
    ServerConfig { close_timeout: Duration::from_millis(50), ..config }
}

/// A WebSocket client.
pub struct Client<Stream = MaybeTlsStream<TcpStream>> {
    pub stream: WebSocketStream<Stream>,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Client<Stream> {
    pub async fn send(&mut self, frame: impl Into<String>) {
        self.stream.send(Message::text(frame.into())).await.expect("an open socket");
    }

    pub async fn ask(&mut self, message: &str) {
        self.send(serde_json::json!({ "message": message }).to_string()).await;
    }

    /// The next text frame.
    pub async fn frame(&mut self) -> String {
        loop {
            match patiently(self.stream.next()).await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a text frame, found {other:?}"),
            }
        }
    }

    /// The frames of one answer, without the empty one at its end.
    pub async fn answer(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        loop {
            match self.frame().await {
                end if end.is_empty() => return frames,
                frame => frames.push(frame),
            }
        }
    }

    /// Whether the answer is the error with this code, and nothing else.
    pub async fn expect_error(&mut self, code: &str) -> serde_json::Value {
        let frames = self.answer().await;
        assert_eq!(frames.len(), 1, "{frames:?}");
        let error: serde_json::Value = serde_json::from_str(&frames[0]).expect("JSON");
        assert_eq!(error["error"]["code"], code, "{error}");
        error["error"].clone()
    }

    /// A message is answered as it should be: the socket is usable.
    pub async fn expect_works(&mut self) {
        self.ask("echo control").await;
        assert_eq!(self.answer().await, ["control"]);
    }

    /// Waits for the server's close and returns its code.
    pub async fn close_code(mut self) -> Option<CloseCode> {
        loop {
            match patiently(self.stream.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return None,
            }
        }
    }
}

/// The status of a refused handshake.
pub fn refused_status(result: Result<Client, Error>) -> u16 {
    match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("expected a refusal by HTTP, found {error}"),
        Ok(_) => panic!("expected a refusal, found a socket"),
    }
}

/// Fails instead of hanging.
pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Collects what is logged on this thread, which is where the server of a test runs too.
#[derive(Clone, Default)]
pub struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
}

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

impl Log {
    /// Starts collecting, until the thread ends with its test.
    ///
    /// One subscriber for the whole process, because one per thread would be asked only once
    /// which lines it wants, by whichever thread comes first.
    pub fn collect() -> Log {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let writer = || LOG.with_borrow(|log| log.clone().unwrap_or_default());
            tracing_subscriber::fmt().with_ansi(false).with_writer(writer).init();
        });
        let log = Log::default();
        LOG.set(Some(log.clone()));
        log
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().expect("no panic").clone()).expect("UTF-8")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Resident memory of this process, the clients in it included.
pub fn resident_bytes() -> usize {
    const PAGE_BYTES: usize = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * PAGE_BYTES
}
