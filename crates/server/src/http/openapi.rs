//! `GET /openapi.json`: every route in the words of the OpenAPI specification, version 3.1.
//!
//! Source: <https://spec.openapis.org/oas/v3.1.1.html>.

use crate::access::AccessLevel;
use banter_protocol::{HTTP_SCHEMA, V1_SCHEMA};
use serde_json::{Map, Value, json};

/// What is said about a route.
#[derive(Clone, Copy)]
pub(super) struct Described {
    method: &'static str,
    path: &'static str,
    /// A sentence.
    about: &'static str,
    /// A body that it takes, as an example.
    pub(super) example: Option<&'static str>,
    /// The type of the body, if it is one of ours.
    takes: Option<&'static str>,
    /// The type of the answer's body, if it is one of ours.
    gives: Option<&'static str>,
}

const fn get(path: &'static str, about: &'static str) -> Described {
    let (example, takes, gives) = (None, None, None);
    Described { method: "GET", path, about, example, takes, gives }
}

const fn post(path: &'static str, example: &'static str, about: &'static str) -> Described {
    Described { method: "POST", example: Some(example), ..get(path, about) }
}

const fn delete(path: &'static str, about: &'static str) -> Described {
    Described { method: "DELETE", ..get(path, about) }
}

impl Described {
    const fn takes(self, name: &'static str) -> Described {
        Described { takes: Some(name), ..self }
    }

    const fn gives(self, name: &'static str) -> Described {
        Described { gives: Some(name), ..self }
    }

    /// Whether it is about this route.
    pub(super) fn is_about(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

/// What is said about each row of the table of routes.
pub(super) const DESCRIBED: &[Described] = &[
    get("/openapi.json", "This document"),
    get("/ws", "A WebSocket for conversations, in the language that its subprotocol names"),
    #[cfg(any(test, feature = "scripted"))]
    get("/echo", "A WebSocket that says what it hears, in test builds alone"),
    get("/embed", "The conversation of a visitor, for a frame in a page of another site"),
    get("/api/stream", "The events of banter.v1 for clients that no WebSocket reaches"),
    post("/api/stream/{id}", r#"{"type": "ping"}"#, "Sends an event of banter.v1 beside a stream"),
    get("/health", "Whether the server lives").gives("Status"),
    get("/ready", "Whether the server can answer now").gives("Status"),
    get("/metrics", "Numbers for Prometheus"),
    post("/tokenize", r#"{"text": "hello"}"#, "The tokens of a text or a conversation")
        .takes("TokenizeRequest"),
    post("/detokenize", r#"{"ids": [104]}"#, "The text of tokens")
        .takes("DetokenizeRequest")
        .gives("DetokenizedText"),
    post(
        "/apply-template",
        r#"{"messages": [{"role": "user", "content": "hello"}]}"#,
        "The prompt that a request of /v1/chat/completions would have",
    )
    .gives("WrittenPrompt"),
    get("/api/info", "The model, the limits and the defaults").gives("Info"),
    post("/api/session", r#"{"key": "a key"}"#, "Signs in").takes("SessionRequest"),
    delete("/api/session", "Signs out"),
    post("/api/session/link", "{}", "A link that signs in one more device").gives("DeviceLink"),
    get("/api/conversations", "A page of the list of conversations, or a search in them")
        .gives("ConversationList"),
    post("/api/conversations", r#"{"title": "A new one"}"#, "Begins a conversation")
        .takes("NewConversation")
        .gives("Conversation"),
    get("/api/conversations/export", "All conversations as a file"),
    post("/api/conversations/import", "[]", "Takes over the conversations of a file")
        .gives("ImportReport"),
    post(
        "/api/conversations/context",
        r#"{"text": "hello"}"#,
        "How the first message of a new conversation fits the context",
    )
    .takes("NewContextRequest")
    .gives("ContextFit"),
    get("/api/conversations/{id}/export", "A conversation as a file"),
    post(
        "/api/conversations/{id}/context",
        r#"{"text": "hello"}"#,
        "How a message of a conversation fits the context",
    )
    .takes("ContextRequest")
    .gives("ContextFit"),
    get("/api/conversations/{id}", "A conversation with all its messages")
        .gives("ConversationTree"),
    Described {
        method: "PATCH",
        ..post("/api/conversations/{id}", r#"{"pinned": true}"#, "Changes a conversation")
    }
    .takes("ConversationPatch")
    .gives("Conversation"),
    delete("/api/conversations/{id}", "Deletes a conversation"),
    delete("/api/conversations/{id}/messages/{message}", "Deletes a message"),
    get("/api/models", "The models of this server").gives("ModelList"),
    post("/api/models/pull", r#"{"name": "qwen2.5:7b"}"#, "Begins to download a model")
        .takes("PullOrder")
        .gives("PullReport"),
    post("/api/models/stop", "{}", "Stops the download"),
    post("/api/models/switch", r#"{"name": "qwen2.5:7b"}"#, "Lets another model answer")
        .takes("SwitchOrder")
        .gives("SwitchReport"),
    get("/api/admin", "What the server does now, for administrators").gives("ServerView"),
    post("/api/admin/answers/{id}/stop", "{}", "Stops an answer, for administrators"),
    get("/v1/models", "OpenAI's interface: the models that a request may name"),
    get("/v1/models/{*name}", "OpenAI's interface: one of them"),
    post(
        "/v1/chat/completions",
        r#"{"messages": [{"role": "user", "content": "hello"}]}"#,
        "OpenAI's interface: the answer to a conversation, as a whole or as events",
    ),
    post(
        "/v1/completions",
        r#"{"prompt": "hello"}"#,
        "OpenAI's interface: a text is gone on with, as a whole or as events",
    ),
    post("/v1/embeddings", r#"{"input": "hello"}"#, "OpenAI's interface: texts become vectors"),
    post(
        "/v1/responses",
        r#"{"input": "hello"}"#,
        "OpenAI's interface: a response, as a whole or as events",
    ),
    get("/v1/responses", "OpenAI's interface: a WebSocket that makes responses"),
    get("/v1/responses/{id}", "OpenAI's interface: a response that is kept"),
    delete("/v1/responses/{id}", "OpenAI's interface: erases a response"),
    get("/v1/responses/{id}/input_items", "OpenAI's interface: what a response answers"),
    post(
        "/v1/responses/{id}/cancel",
        "{}",
        "OpenAI's interface: stops a response that is made in the background",
    ),
    post(
        "/v1/messages",
        r#"{"model": "scripted", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}"#,
        "Anthropic's interface: the answer to a conversation, as a whole or as events",
    ),
    post(
        "/v1/messages/count_tokens",
        r#"{"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}"#,
        "Anthropic's interface: the tokens of a conversation",
    ),
    post(
        "/api/chat",
        r#"{"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}"#,
        "Ollama's interface: the answer to a conversation, as a whole or in lines",
    ),
    post(
        "/api/generate",
        r#"{"model": "scripted", "prompt": "hello"}"#,
        "Ollama's interface: the answer to a text, as a whole or in lines",
    ),
    post(
        "/api/embed",
        r#"{"model": "scripted", "input": "hello"}"#,
        "Ollama's interface: texts become vectors",
    ),
    post(
        "/api/embeddings",
        r#"{"model": "scripted", "prompt": "hello"}"#,
        "Ollama's interface: a text becomes a vector",
    ),
    get("/api/tags", "Ollama's interface: the models that a request may name"),
    get("/api/ps", "Ollama's interface: the model that is loaded"),
    post("/api/show", r#"{"model": "scripted"}"#, "Ollama's interface: what is known of a model"),
    get("/api/version", "Ollama's interface: the version of it"),
];

/// The document about routes, each with its method, its path and who may use it.
pub(super) fn document<'a>(routes: impl Iterator<Item = (&'a str, &'a str, AccessLevel)>) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, level) in routes {
        let described = DESCRIBED.iter().find(|described| described.is_about(method, path));
        let Some(described) = described else { continue };
        let path = described.path.replace("{*", "{");
        let of_path = paths.entry(path.clone()).or_insert_with(|| json!({}));
        of_path[described.method.to_lowercase()] = operation(described, level, &path);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "banter",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Conversation with the Qwen family",
            "description": "docs/API.md lists the fields of the interfaces that others have \
                defined: which are taken, and which are refused. docs/PROTOCOL.md describes the \
                routes of this server's own and what is said on /ws.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key of the server. From the same machine none is needed.",
            }},
        },
    })
}

fn operation(described: &Described, level: AccessLevel, path: &str) -> Value {
    let is_socket = path == "/ws" || described.about.contains("WebSocket");
    let mut given = json!({"description": "It is done."});
    if let Some(name) = described.gives {
        given["content"] = json!({"application/json": {"schema": reference(name)}});
    }
    let (status, given) = match is_socket {
        true => ("101", json!({"description": "The connection is a WebSocket."})),
        false => ("2XX", given),
    };
    let mut operation = json!({
        "summary": described.about,
        "operationId": name_of(described),
        "responses": {
            status: given,
            "4XX": {"description": "The request is wrong, or not allowed; the body says why."},
            "5XX": {"description": "It cannot be done now; the body says why."},
        },
    });
    let parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(example) = described.example {
        let schema = described.takes.map_or_else(|| json!({}), reference);
        let example: Value = serde_json::from_str(example).unwrap_or_default();
        let content = json!({"application/json": {"schema": schema, "example": example}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    if !matches!(level, AccessLevel::Public | AccessLevel::Probe) {
        operation["security"] = json!([{"key": []}]);
    }
    operation
}

/// A name that no other operation has: `post_v1_chat_completions`.
fn name_of(described: &Described) -> String {
    let words = described.path.split(|c: char| !c.is_ascii_alphanumeric());
    let method = described.method.to_lowercase();
    let words: Vec<&str> =
        std::iter::once(method.as_str()).chain(words.filter(|word| !word.is_empty())).collect();
    words.join("_")
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Our own types.
fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    for text in [HTTP_SCHEMA, V1_SCHEMA] {
        let moved = text.replace("#/$defs/", "#/components/schemas/");
        let mut schema: Value = serde_json::from_str(&moved).unwrap_or_default();
        if let Value::Object(definitions) = schema["$defs"].take() {
            schemas.extend(definitions);
        }
    }
    schemas
}
