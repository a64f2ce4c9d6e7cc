//! The interfaces of OpenAI, Ollama and Anthropic in front of an engine that somebody else runs.

mod support;

use banter_remote::Address;
use banter_remote::engine::{EnginePatience, EngineSettings, Kind, RemoteEngine};
use banter_remote::fakes::{EngineTrick, FakeEngine};
use banter_server::ServerConfig;
use banter_server::backend::{HealthChecks, RemoteBackend};
use serde_json::{Value, json};
use support::TestServer;
use support::raw::post;

async fn server_in_front_of(fake: &FakeEngine) -> TestServer {
    let settings = EngineSettings {
        address: Address::parse_base(&fake.url()).expect("an address"),
        key: None,
        kind: None,
        model: None,
        patience: EnginePatience::default(),
    };
    let engine = RemoteEngine::find(&settings).await.expect("the engine is found");
    let backend = RemoteBackend::new(engine, HealthChecks::default(), 16);
    TestServer::start_with(ServerConfig::default(), backend).await
}

fn event(choice: &Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [choice] }))
}

/// An answer that thinks, says something and calls two functions.
fn calls() -> EngineTrick {
    let call = |index: u64, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        let calls = json!([{"index": index, "id": format!("c{index}"), "function": function}]);
        event(&json!({"delta": {"tool_calls": calls}}))
    };
    EngineTrick::stream([
        event(&json!({"delta": {"reasoning_content": "hm"}})),
        EngineTrick::piece("I look."),
        call(0, "weather", r#"{"city":"#),
        call(0, "", r#""Lund"}"#),
        call(1, "time", ""),
        event(&json!({"delta": {}, "finish_reason": "tool_calls"})) + "data: [DONE]\n\n",
    ])
}

const NAMES: [&str; 2] = ["weather", "time"];

fn functions() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function =
        |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    NAMES.into_iter().map(function).collect()
}

#[tokio::test]
async fn calls_and_thoughts_come_through_in_every_interface() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let messages = json!([{"role": "user", "content": "x"}]);
    let schema = json!({"type": "object"});
    let flat = |name: &str| json!({"type": "function", "name": name, "parameters": schema});
    let of_anthropic = |name: &str| json!({"name": name, "input_schema": schema});
    let flat: Value = NAMES.into_iter().map(flat).collect();
    let of_anthropic: Value = NAMES.into_iter().map(of_anthropic).collect();
    let requests = [
        ("/v1/chat/completions", json!({"messages": messages, "tools": functions()})),
        ("/v1/responses", json!({"input": "x", "tools": flat, "store": false})),
        (
            "/v1/messages",
            json!({"messages": messages, "max_tokens": 50, "model": "Fake-1B", "tools": of_anthropic}),
        ),
        ("/api/chat", json!({"messages": messages, "model": "Fake-1B", "tools": functions()})),
    ];
    for (route, mut request) in requests {
        for stream in [false, true] {
            request["stream"] = json!(stream);
            fake.play([calls()]);
            let response = post(server.address, route, "", &request.to_string()).await;
            assert_eq!(response.status, 200, "{route}: {}", response.body);
            let said = response.body;
            for part in ["hm", "I look.", "weather", "Lund", "time"] {
                // Arguments in pieces have their quotes escaped.
                assert!(said.contains(part), "{route} stream={stream}: {part} in {said}");
            }
        }
    }
    let sent = fake.take_requests().into_iter();
    let sent = sent.filter(|request| request.line.ends_with("/chat/completions"));
    let sent: Vec<Value> = sent.map(|request| request.body).collect();
    assert_eq!(sent.len(), 8);
    for body in sent {
        assert_eq!(body["tools"][1]["function"]["name"], "time", "{body}");
    }
}

#[tokio::test]
async fn a_whole_answer_has_its_calls() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    fake.play([calls()]);
    let request = json!({"messages": [{"role": "user", "content": "x"}], "tools": functions()});
    let response = post(server.address, "/v1/chat/completions", "", &request.to_string()).await;
    let choice = &response.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let message = &choice["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!("I look."), &json!("hm"))
    );
    let calls = json!([
        {"id": "c0", "type": "function", "function": {"name": "weather", "arguments": r#"{"city":"Lund"}"#}},
        {"id": "c1", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]);
    assert_eq!(message["tool_calls"], calls);
}

#[tokio::test]
async fn log_probabilities_texts_and_vectors_come_through() {
    let fake = FakeEngine::start(Kind::Vllm);
    let server = server_in_front_of(&fake).await;
    let content = json!([{"token": "hi", "logprob": -0.5, "top_logprobs": []}]);
    let piece = event(&json!({"delta": {"content": "hi"}, "logprobs": {"content": content}}));
    let end = event(&json!({"delta": {}, "finish_reason": "stop"}));
    fake.play([EngineTrick::stream([piece, end])]);
    let request = json!({"messages": [{"role": "user", "content": "x"}], "logprobs": true});
    let chat = post(server.address, "/v1/chat/completions", "", &request.to_string()).await.json();
    assert_eq!(chat["choices"][0]["logprobs"]["content"][0]["logprob"], -0.5, "{chat}");
    let request = json!({"prompt": "one two", "max_tokens": 9});
    let text = post(server.address, "/v1/completions", "", &request.to_string()).await.json();
    assert_eq!(text["choices"][0]["text"], "one two", "{text}");
    let request = json!({"input": ["four", "seven77"]});
    let made = post(server.address, "/v1/embeddings", "", &request.to_string()).await.json();
    assert_eq!(made["usage"]["prompt_tokens"], 11, "{made}");
    let first = &made["data"][0]["embedding"];
    assert!((first[0].as_f64().expect("a number") - 0.6).abs() < 1e-6, "{made}");
    let request = json!({"model": "Fake-1B", "input": "four"});
    let made = post(server.address, "/api/embed", "", &request.to_string()).await.json();
    assert!((made["embeddings"][0][1].as_f64().expect("a number") - 0.8).abs() < 1e-6, "{made}");
}

#[tokio::test]
async fn what_the_engine_refuses_is_the_clients_to_mend() {
    let fake = FakeEngine::start(Kind::OpenAi);
    let server = server_in_front_of(&fake).await;
    let messages = json!([{"role": "user", "content": "x"}]);
    let unsupported = r#"{"error":{"message":"Unsupported parameter: 'seed'","param":"seed"}}"#;
    let long = r#"{"error":{"message":"This model's maximum context length is 40 tokens, however you requested 90 tokens"}}"#;
    let parser = r#"{"error":{"message":"automatic choice requires a parser"}}"#;
    let cases = [
        (unsupported, json!({"messages": messages, "seed": 7}), "seed"),
        (long, json!({"messages": messages, "max_tokens": 5}), "messages"),
        (parser, json!({"messages": messages, "tools": functions()}), "request"),
        // Kinds of engines differ.
        (
            "",
            json!({"messages": messages, "chat_template_kwargs": {"a": 1}}),
            "chat_template_kwargs",
        ),
        ("", json!({"messages": messages, "top_k": 3}), "top_k"),
    ];
    for (words, request, param) in cases {
        if !words.is_empty() {
            fake.play(vec![EngineTrick::Status(400, "", words); 3]);
        }
        let response = post(server.address, "/v1/chat/completions", "", &request.to_string()).await;
        assert_eq!(response.status, 400, "{request}: {}", response.body);
        let error = &response.json()["error"];
        assert_eq!(error["param"], param, "{error}");
        fake.take_tricks();
    }
}
