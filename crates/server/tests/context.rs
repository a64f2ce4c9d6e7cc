//! How a message fits in the model's context before it is sent.

mod support;

use banter_seam::{
    Backend, BackendInfo, Failure, Fit, GenerateRequest, Generation, Health, Message,
};
use banter_server::backend::ScriptedBackend;
use banter_server::{KeyHash, ServerConfig};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::raw::{Response, post, request};
use support::v1::V1Client;
use support::{TestServer, patiently};

/// The scripted backend counts a token for each byte, and says that this many fit.
const CONTEXT_TOKENS: u64 = 4_096;

fn path_of(accepted: &Value) -> String {
    let id = accepted["conversation"].as_str().expect("an id");
    format!("/api/conversations/{id}/context")
}

async fn fit(server: &TestServer, path: &str, body: Value) -> Value {
    let response = post(server.address, path, "", &body.to_string()).await;
    assert_eq!(response.status, 200, "{body}: {response:?}");
    response.json()
}

/// A reply without messages that are left out.
fn fits(prompt_tokens: usize) -> Value {
    json!({
        "left_out": [], "prompt_tokens": prompt_tokens, "context_tokens": CONTEXT_TOKENS,
    })
}

/// The next event `context`, without what it is about.
async fn context(client: &mut V1Client) -> Value {
    let mut event = client.event("context").await;
    for name in ["type", "conversation", "answer"] {
        event.as_object_mut().expect("an object").remove(name);
    }
    event
}

async fn answered(client: &mut V1Client, accepted: Value) -> Value {
    client.read(&accepted["answer"], &mut String::new()).await;
    accepted
}

/// A conversation with two exchanges.
async fn two_exchanges(client: &mut V1Client) -> [Value; 2] {
    let first = client.ask("echo one").await;
    let first = answered(client, first).await;
    let second = client.ask_in(&first["conversation"], "echo two").await;
    [first, answered(client, second).await]
}

fn is_error(response: &Response, status: u16, code: &str) {
    let found = (response.status, response.json()["error"]["code"].clone());
    assert_eq!(found, (status, json!(code)), "{response:?}");
}

#[tokio::test]
async fn a_message_is_counted_with_the_branch_that_it_will_end() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let [first, second] = two_exchanges(&mut client).await;
    let exchange = "echo one".len() + "one".len();
    struct Case {
        body: Value,
        prompt_tokens: usize,
    }
    let cases = [
        Case { body: json!({}), prompt_tokens: 2 * exchange },
        Case { body: json!({ "text": "" }), prompt_tokens: 2 * exchange },
        Case { body: json!({ "text": null }), prompt_tokens: 2 * exchange },
        Case { body: json!({ "text": "typed" }), prompt_tokens: 2 * exchange + 5 },
        Case {
            body: json!({ "parent": first["answer"], "text": "t" }),
            prompt_tokens: exchange + 1,
        },
        Case { body: json!({ "parent": first["answer"] }), prompt_tokens: exchange },
        Case { body: json!({ "parent": null, "text": "t" }), prompt_tokens: 1 },
        Case { body: json!({ "parent": null }), prompt_tokens: 0 },
    ];
    for Case { body, prompt_tokens } in cases {
        let found = fit(&server, &path_of(&second), body.clone()).await;
        assert_eq!(found, fits(prompt_tokens), "{body}");
    }
    server.end().await;
}

#[tokio::test]
async fn it_is_what_the_context_event_says_when_the_same_message_is_sent() {
    let config = ServerConfig { system_prompt: Some("in verse".into()), ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut client = server.v1().await;
    let [first, second] = two_exchanges(&mut client).await;
    let text = "dropped 3 and answered";
    let expected = fit(&server, &path_of(&second), json!({ "text": text })).await;
    let left_out = json!([first["message"], first["answer"], second["message"]]);
    assert_eq!(expected["left_out"], left_out);
    let accepted = client.ask_in(&first["conversation"], text).await;
    assert_eq!(context(&mut client).await, expected);
    answered(&mut client, accepted).await;
    // The first message of a new conversation.
    let body = json!({ "system": "in prose", "text": "echo new" });
    let expected = fit(&server, "/api/conversations/context", body.clone()).await;
    let mut send = body;
    send["type"] = json!("send");
    send["client_id"] = json!(client.client_id());
    client.send(send).await;
    assert_eq!(context(&mut client).await, expected);
    server.end().await;
}

#[tokio::test]
async fn a_conversation_that_does_not_exist_yet_is_counted_with_its_system_prompt() {
    let config = ServerConfig { system_prompt: Some("in verse".into()), ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    struct Case {
        body: Value,
        prompt_tokens: usize,
    }
    let cases = [
        Case { body: json!({}), prompt_tokens: "in verse".len() },
        Case { body: json!({ "system": null }), prompt_tokens: "in verse".len() },
        Case { body: json!({ "system": "" }), prompt_tokens: 0 },
        Case { body: json!({ "system": "kind", "text": "typed" }), prompt_tokens: 4 + 5 },
        Case { body: json!({ "parameters": { "seed": 1 }, "text": "t" }), prompt_tokens: 8 + 1 },
    ];
    for Case { body, prompt_tokens } in cases {
        let found = fit(&server, "/api/conversations/context", body.clone()).await;
        assert_eq!(found, fits(prompt_tokens), "{body}");
    }
    // Nothing was made of it.
    let list = support::raw::get(server.address, "/api/conversations", "").await;
    assert_eq!(list.json()["conversations"], json!([]));
    server.end().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_alone_leaves_out_everything_before_it() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let [first, second] = two_exchanges(&mut client).await;
    let found = fit(&server, &path_of(&first), json!({ "text": "too-long" })).await;
    let expected = json!({
        "left_out": [first["message"], first["answer"], second["message"], second["answer"]],
        "prompt_tokens": 5_000, "context_tokens": CONTEXT_TOKENS,
    });
    assert_eq!(found, expected);
    let found = fit(&server, "/api/conversations/context", json!({ "text": "too-long" })).await;
    assert_eq!(found, fits(5_000));
    server.end().await;
}

#[tokio::test]
async fn an_answer_that_is_being_written_counts_as_far_as_it_is_stored() {
    let server = TestServer::start(ServerConfig::default()).await;
    let mut client = server.v1().await;
    let accepted = client.ask("hang").await;
    client.event("context").await;
    let found = fit(&server, &path_of(&accepted), json!({ "text": "next" })).await;
    assert_eq!(found, fits("hang".len() + "next".len()));
    server.end().await;
}

#[tokio::test]
async fn a_place_that_is_not_there_or_holds_no_answer_is_refused() {
    let config = ServerConfig { keys: vec![KeyHash::of("of-bob")], ..ServerConfig::default() };
    let server = TestServer::start(config).await;
    let mut client = server.v1().await;
    let [first, second] = two_exchanges(&mut client).await;
    let path = path_of(&first);
    let elsewhere = client.ask("echo elsewhere").await;
    let elsewhere = answered(&mut client, elsewhere).await;
    let ask = async |path: &str, lines: &str, body: Value| {
        post(server.address, path, lines, &body.to_string()).await
    };
    let unknown = format!("/api/conversations/{}/context", "a".repeat(26));
    for path in ["/api/conversations/nonsense/context", &unknown] {
        is_error(&ask(path, "", json!({})).await, 404, "unknown_conversation");
    }
    let of_bob = "x-api-key: of-bob\r\n";
    is_error(&ask(&path, of_bob, json!({})).await, 404, "unknown_conversation");
    for parent in [json!("a".repeat(26)), elsewhere["answer"].clone()] {
        is_error(&ask(&path, "", json!({ "parent": parent })).await, 404, "unknown_message");
    }
    let question = json!({ "parent": second["message"] });
    is_error(&ask(&path, "", question).await, 400, "not_an_answer");
    for (path, body, field) in [
        (path.as_str(), json!({ "text": 5 }), "text"),
        (path.as_str(), json!({ "parent": "x" }), "parent"),
        ("/api/conversations/context", json!({ "parameters": { "top_p": 7 } }), "parameters.top_p"),
    ] {
        let wrong = ask(path, "", body).await;
        is_error(&wrong, 400, "invalid_parameter");
        assert_eq!(wrong.json()["error"]["field"], field);
    }
    is_error(&ask(&path, "", json!([])).await, 400, "bad_json");
    assert_eq!(request(server.address, "GET", &path, "").await.status, 405);
    server.end().await;
}

#[tokio::test]
async fn while_the_model_is_loading_nothing_can_be_counted() {
    let server = TestServer::start_loading(ServerConfig::default(), 0.5).await;
    let refused = post(server.address, "/api/conversations/context", "", "{}").await;
    is_error(&refused, 503, "loading");
    assert_eq!(refused.header("retry-after"), Some("2"));
    server.end().await;
}

/// How a backend counts.
enum Counts {
    /// Not at all.
    Never,
    /// The text "hold" for ever. The number of texts that are being counted so.
    Holding(Arc<AtomicUsize>),
}

/// A scripted backend that counts in another way.
struct Counting {
    scripted: ScriptedBackend,
    counts: Counts,
}

impl Backend for Counting {
    fn info(&self) -> &BackendInfo {
        self.scripted.info()
    }

    fn health(&self) -> Health {
        self.scripted.health()
    }

    fn counts_tokens(&self) -> bool {
        matches!(self.counts, Counts::Holding(_))
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        self.scripted.generate(request)
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        match &self.counts {
            Counts::Holding(held) if text == "hold" => {
                held.fetch_add(1, Ordering::SeqCst);
                Box::pin(std::future::pending())
            }
            Counts::Holding(_) => self.scripted.tokenize(text),
            Counts::Never => Box::pin(std::future::ready(Ok(None))),
        }
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        match self.counts {
            Counts::Holding(_) => self.scripted.fit(messages, max_tokens),
            Counts::Never => Box::pin(std::future::ready(Ok(None))),
        }
    }
}

#[tokio::test]
async fn an_engine_that_does_not_count_tokens_leaves_the_number_unknown() {
    let backend = Counting { scripted: ScriptedBackend::default(), counts: Counts::Never };
    let server = TestServer::start_with(ServerConfig::default(), backend).await;
    let mut client = server.v1().await;
    let [first, _] = two_exchanges(&mut client).await;
    let expected =
        json!({ "left_out": [], "prompt_tokens": null, "context_tokens": CONTEXT_TOKENS });
    for path in [&path_of(&first), "/api/conversations/context"] {
        assert_eq!(fit(&server, path, json!({ "text": "dropped 2 x" })).await, expected);
    }
    server.end().await;
}

#[tokio::test]
async fn the_permits_are_those_of_tokenize() {
    let config = ServerConfig {
        // One for each key.
        max_tokenizing: 4,
        body_timeout: Duration::from_secs(1),
        keys: vec![KeyHash::of("alice's key")],
        ..ServerConfig::default()
    };
    let held = Arc::new(AtomicUsize::new(0));
    let counts = Counts::Holding(held.clone());
    let backend = Counting { scripted: ScriptedBackend::default(), counts };
    let server = TestServer::start_with(config, backend).await;
    let of_alice = "X-API-Key: alice's key\r\n";
    let path = "/api/conversations/context";
    let holding = post(server.address, "/tokenize", of_alice, r#"{"text": "hold"}"#);
    let waiting = async {
        patiently(async {
            while held.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let refused = post(server.address, path, of_alice, "{}").await;
        is_error(&refused, 503, "busy");
        assert_eq!(fit(&server, path, json!({})).await, fits(0), "somebody else's permit");
    };
    tokio::select! {
        held = holding => panic!("it is counted for ever: {held:?}"),
        () = waiting => {}
    }
    server.end().await;
}
