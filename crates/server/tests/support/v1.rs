//! Clients of `banter.v1`.

use super::{Client, TestServer};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

/// A client that sends and reads events.
pub struct V1Client {
    pub socket: Client,
    count: usize,
}

impl TestServer {
    /// A client that has said hello.
    pub async fn v1(&self) -> V1Client {
        let mut client = self.v1_with(&[]).await.expect("a handshake");
        client.send(json!({ "type": "hello" })).await;
        client.event("welcome").await;
        client
    }

    /// A client that sends further headers, and has said nothing yet.
    pub async fn v1_with(&self, headers: &[(&'static str, &str)]) -> Result<V1Client, Error> {
        self.v1_at("/ws", headers).await
    }

    /// The same at another address, such as one with a query.
    pub async fn v1_at(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<V1Client, Error> {
        let mut all = vec![("sec-websocket-protocol", "banter.v1")];
        all.extend_from_slice(headers);
        let (socket, _) = self.client_at(path, &all).await?;
        Ok(V1Client { socket, count: 0 })
    }
}

impl V1Client {
    pub async fn send(&mut self, event: Value) {
        self.socket.send(event.to_string()).await;
    }

    /// The next event.
    pub async fn next(&mut self) -> Value {
        serde_json::from_str(&self.socket.frame().await).expect("JSON")
    }

    /// The next event of a type. Others are left out.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == name {
                return event;
            }
            assert!(event["type"] != "error", "{event}");
        }
    }

    /// The reply to the event with this tag.
    pub async fn reply(&mut self, tag: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["tag"] == tag {
                return event;
            }
        }
    }

    /// The error that comes next.
    pub async fn error(&mut self) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == "error" {
                return event;
            }
        }
    }

    /// A name for a request that no other has.
    pub fn client_id(&mut self) -> String {
        self.count += 1;
        format!("{:p}-{}", self, self.count)
    }

    /// Sends a message in a new conversation, and returns what was accepted.
    pub async fn ask(&mut self, text: &str) -> Value {
        let client_id = self.client_id();
        self.send(json!({ "type": "send", "text": text, "client_id": client_id })).await;
        self.event("accepted").await
    }

    /// Sends a message in a conversation, and returns what was accepted.
    pub async fn ask_in(&mut self, conversation: &Value, text: &str) -> Value {
        let client_id = self.client_id();
        let send = json!({
            "type": "send", "conversation": conversation, "text": text, "client_id": client_id,
        });
        self.send(send).await;
        self.event("accepted").await
    }

    /// Reads an answer from this text on to its end. Every delta has to go on exactly where the
    /// text ends.
    pub async fn read(&mut self, answer: &Value, text: &mut String) -> Value {
        loop {
            let event = self.next().await;
            if event["answer"] != *answer {
                continue;
            }
            match event["type"].as_str().expect("a type") {
                "delta" => {
                    assert_eq!(event["at"], text.len(), "{event}");
                    text.push_str(event["text"].as_str().expect("text"));
                }
                "finished" => {
                    assert_eq!(event["bytes"], text.len(), "{event}");
                    return event;
                }
                _ => {}
            }
        }
    }
}
