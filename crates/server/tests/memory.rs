//! What sockets hold when they idle. Alone in its file, because it measures the whole process.

mod support;

use banter_server::ServerConfig;
use support::raw::{Raw, text};
use support::{TestServer, resident_bytes};

#[tokio::test]
async fn a_socket_that_carried_a_long_message_gives_its_memory_back() {
    const SOCKETS: usize = 64;
    const MESSAGE_BYTES: usize = 1_000_000;
    let server = TestServer::start(ServerConfig::default()).await;
    let long = text(&format!(r#"{{"message":"echo x","unused":"{}"}}"#, "a".repeat(MESSAGE_BYTES)));
    let mut sockets = Vec::new();
    let mut before = 0;
    for index in 0..=SOCKETS {
        let mut raw = Raw::websocket(server.address).await;
        raw.send(&long).await;
        while !raw.frame().await.expect("an open socket").1.is_empty() {}
        sockets.push(raw);
        if index == 0 {
            // One message is what the process always needs room for.
            before = resident_bytes();
        }
    }
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < SOCKETS * MESSAGE_BYTES / 4, "{growth} bytes are held");
    server.end().await;
}
