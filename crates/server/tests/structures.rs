//! Structures that are made to cost much, over HTTP: they are refused by the name of their field,
//! and an answer of somebody else goes on meanwhile. The engine's `hostile_structures.rs` has a
//! longer list of them, with what each costs.

mod support;

use banter_engine::engine::{Engine, EngineConfig};
use banter_engine::model_file::ModelSource;
use banter_server::ServerConfig;
use banter_server::backend::EngineBackend;
use serde_json::{Value, json};
use std::cell::Cell;
use support::raw::{self, get, post};
use support::{Client, TestServer};

async fn server() -> TestServer {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../banter/assets/banter-demo.gguf");
    let config = EngineConfig::new(ModelSource::Path(path.into()));
    let engine = Engine::open(config, &mut |_| {}).expect("the demo model");
    TestServer::start_with(ServerConfig::default(), EngineBackend::new(engine, false)).await
}

/// A route, the field of its requests that has a schema, and a request with one.
struct Route {
    path: &'static str,
    field: &'static str,
    request: fn(&str, &Value) -> Value,
}

const ROUTES: [Route; 4] = [
    Route {
        path: "/v1/chat/completions",
        field: "response_format",
        request: |model, schema| {
            let format =
                json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
            json!({"model": model, "messages": messages(), "response_format": format})
        },
    },
    Route {
        path: "/v1/responses",
        field: "text.format",
        request: |model, schema| {
            let format = json!({"type": "json_schema", "name": "n", "schema": schema});
            json!({"model": model, "input": "hi", "text": {"format": format}})
        },
    },
    Route {
        path: "/v1/messages",
        field: "output_config.format",
        request: |model, schema| {
            let format = json!({"type": "json_schema", "schema": schema});
            json!({
                "model": model, "max_tokens": 9, "messages": messages(),
                "output_config": {"format": format},
            })
        },
    },
    Route {
        path: "/api/chat",
        field: "format",
        request: |model, schema| json!({"model": model, "messages": messages(), "format": schema}),
    },
];

fn messages() -> Value {
    json!([{"role": "user", "content": "hi"}])
}

fn hostile_schemas() -> Vec<Value> {
    let properties = (0..501).map(|index| (index.to_string(), json!({}))).collect();
    let either =
        |least: usize| json!({"anyOf": [{"minLength": least}, {"maxLength": least + 100}]});
    vec![
        json!({"type": "string", "pattern": ".*".repeat(10_000)}),
        json!({"type": "string", "pattern": "("}),
        json!({"type": "string", "description": "x".repeat(70_000)}),
        json!({"type": "integer", "multipleOf": 1_000_003}),
        json!({"$ref": "#"}),
        json!({"allOf": (0..30).map(either).collect::<Vec<_>>()}),
        json!({"properties": Value::Object(properties)}),
    ]
}

/// Checks that a request is refused by the name of the field, in the words of the route.
fn check_refused(route: &Route, response: &raw::Response) {
    assert_eq!(response.status, 400, "{}: {response:?}", route.path);
    let body = response.json();
    let error = &body["error"];
    let message = error["message"].as_str().or(error.as_str()).unwrap_or_default();
    let expected = format!("{}: expected a schema that can be used, found ", route.field);
    assert!(message.starts_with(&expected), "{}: {body}", route.path);
    let param = error["param"].as_str();
    assert!(param.is_none_or(|param| param == route.field), "{}: {body}", route.path);
}

async fn answer(client: &mut Client) -> String {
    let request = json!({"message": "tell me a story", "seed": 7, "max_tokens": 60});
    client.send(request.to_string()).await;
    client.answer().await.concat()
}

#[tokio::test]
async fn r11_hostile_schemas_are_refused_by_name_while_somebody_elses_answer_goes_on() {
    let server = server().await;
    let models = get(server.address, "/v1/models", "").await.json();
    let model = models["data"][0]["id"].as_str().expect("a name");
    let mut client = server.client().await;
    let expected = answer(&mut client).await;
    let requests: Vec<(&Route, String)> = ROUTES
        .iter()
        .flat_map(|route| {
            let body = move |schema: Value| (route, (route.request)(model, &schema).to_string());
            hostile_schemas().into_iter().map(body)
        })
        .collect();
    let has_answered = Cell::new(false);
    let refusing = async {
        let mut refused = 0;
        // Each at least once, and as long as the answer is written.
        for (route, body) in requests.iter().cycle() {
            check_refused(route, &post(server.address, route.path, "", body).await);
            refused += 1;
            if refused >= requests.len() && has_answered.get() {
                break;
            }
        }
    };
    let answering = async {
        let text = answer(&mut client).await;
        has_answered.set(true);
        text
    };
    let ((), text) = tokio::join!(refusing, answering);
    assert_eq!(text, expected, "nobody's answer changes");
    server.end().await;
}

#[tokio::test]
async fn r11_a_schema_at_the_limits_is_kept_to() {
    let server = server().await;
    let schema = json!({
        "type": "object", "required": ["a", "b"], "additionalProperties": false,
        "properties": {
            "a": {"type": "integer", "multipleOf": 2_000, "minimum": 1, "maximum": 9_000},
            "b": {"enum": (0..500).map(|index| format!("word {index}")).collect::<Vec<_>>()},
        },
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let body = json!({"messages": messages(), "response_format": format, "seed": 1});
    let response = post(server.address, "/v1/chat/completions", "", &body.to_string()).await;
    assert_eq!(response.status, 200, "{response:?}");
    let body = response.json();
    let text = body["choices"][0]["message"]["content"].as_str().expect("a text");
    let value: Value = serde_json::from_str(text).expect(text);
    assert_eq!(value["a"].as_u64().map(|number| number % 2_000), Some(0), "{text}");
    assert!(value["b"].as_str().is_some_and(|word| word.starts_with("word ")), "{text}");
    server.end().await;
}
