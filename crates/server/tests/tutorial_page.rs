//! One tab of the published tutorial page, while the server refuses it or comes back.
//!
//! After a failed handshake the page's `error` event sets a timer of 3 s and its `close` event one
//! of 2 s, and both connect: every failure becomes two tries. What holds it back is the browser: at
//! most 255 sockets per host at a time. In 45 s that makes about 1,000 handshakes.
//!
//! Alone in its file, because it measures the memory of the whole process.

mod support;

use banter_server::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::raw::{Raw, handshake};
use support::{Log, PATIENCE, TestServer, resident_bytes};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The page's timers, 45 s compressed to less than one.
const AFTER_CLOSE: Duration = Duration::from_millis(20);
const AFTER_ERROR: Duration = Duration::from_millis(30);
const SOCKETS_OF_A_BROWSER: usize = 255;
const HANDSHAKES: usize = 1_000;
const MAX_GROWTH_BYTES: usize = 16 * 1024 * 1024;
const MAX_LINES: usize = 20;

/// One open page.
struct Tab {
    address: SocketAddr,
    sockets: Semaphore,
    handshakes: AtomicUsize,
}

/// What a handshake came to.
enum Tried {
    Opened(Raw),
    Refused,
}

impl Tab {
    fn new(address: SocketAddr) -> Arc<Tab> {
        let sockets = Semaphore::new(SOCKETS_OF_A_BROWSER);
        Arc::new(Tab { address, sockets, handshakes: AtomicUsize::new(0) })
    }

    async fn connect(&self) -> Tried {
        let _socket = self.sockets.acquire().await.expect("never closed");
        self.handshakes.fetch_add(1, Ordering::SeqCst);
        let mut raw = Raw::connect(self.address).await;
        raw.send(handshake(self.address, "Origin: null\r\n").as_bytes()).await;
        let head = raw.head().await;
        if head.starts_with("HTTP/1.1 101 ") { Tried::Opened(raw) } else { Tried::Refused }
    }

    /// Lets the timers of the page run until so many handshakes were made; returns what is open.
    async fn run(self: Arc<Tab>, handshakes: usize) -> Vec<Raw> {
        let mut timers = JoinSet::new();
        let mut open = Vec::new();
        let try_after = |timers: &mut JoinSet<Tried>, pause: Duration| {
            let tab = self.clone();
            timers.spawn(async move {
                tokio::time::sleep(pause).await;
                tab.connect().await
            });
        };
        try_after(&mut timers, Duration::ZERO);
        let mut planned = 1;
        while let Some(tried) = timers.join_next().await {
            match tried.expect("no panic") {
                Tried::Opened(raw) => open.push(raw),
                Tried::Refused => {
                    for pause in [AFTER_CLOSE, AFTER_ERROR] {
                        if planned < handshakes {
                            planned += 1;
                            try_after(&mut timers, pause);
                        }
                    }
                }
            }
        }
        open
    }
}

#[tokio::test]
async fn a_tab_of_the_tutorial_page_cannot_hurt() {
    let log = Log::collect();
    let refusing = TestServer::start(ServerConfig::default()).await;
    // Whatever is allocated once is allocated now.
    refusing.client().await.expect_works().await;
    let before = resident_bytes();

    let tab = Tab::new(refusing.address);
    let storm = tokio::spawn(tab.clone().run(HANDSHAKES));
    let mut control = refusing.client().await;
    let mut answered = 0;
    while !storm.is_finished() {
        control.expect_works().await;
        answered += 1;
    }
    assert!(storm.await.expect("no panic").is_empty(), "a refused page has no socket");
    assert_eq!(tab.handshakes.load(Ordering::SeqCst), HANDSHAKES);
    assert!(answered > 10, "the control client was answered {answered} times");
    refusing.client().await.expect_works().await;
    let text = log.text();
    assert!(text.contains("--allow-file-pages"), "the refusal names the switch:\n{text}");

    // The server is started again, with the switch: every timer that is still set opens a socket.
    let config = ServerConfig { allow_file_pages: true, ..ServerConfig::default() };
    let admitting = TestServer::start(config).await;
    let tab = Tab::new(admitting.address);
    let mut open = Vec::new();
    for _ in 0..SOCKETS_OF_A_BROWSER {
        open.extend(tokio::time::timeout(PATIENCE, tab.clone().run(1)).await.expect("in time"));
    }
    assert_eq!(open.len(), SOCKETS_OF_A_BROWSER);
    admitting.client().await.expect_works().await;

    let growth = resident_bytes().saturating_sub(before);
    assert!(growth <= MAX_GROWTH_BYTES, "memory has grown by {growth} bytes");
    drop((open, control));
    refusing.end().await;
    admitting.end().await;
    let text = log.text();
    // The answers of the control client have a line each, and rightly so.
    let lines = text.lines().filter(|line| !line.contains("generation{")).count();
    assert!(lines <= MAX_LINES, "{lines} lines:\n{text}");
}
