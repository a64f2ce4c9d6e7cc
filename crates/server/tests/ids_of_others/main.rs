//! What somebody can do with the ids of somebody else: nothing, and it is not told from ids that
//! nobody has. The events and the routes come from their descriptions, so a new one with an id
//! fails here until it has a row.

mod events;
mod routes;
#[path = "../support/mod.rs"]
mod support;

use banter_server::{KeyHash, ServerConfig};
use serde_json::{Value, json};
use support::event_stream::EventStream;
use support::raw;
use support::v1::V1Client;
use support::{TestServer, patiently};

const SECRET: &str = "plum";
const NOBODY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

const ALICE: &str = "X-Api-Key: of-alice\r\n";

async fn start() -> TestServer {
    let config = ServerConfig {
        keys: vec![KeyHash::of("of-alice"), KeyHash::of("of-bob")],
        admin_keys: vec![KeyHash::of("of-root")],
        ..ServerConfig::default()
    };
    TestServer::start(config).await
}

async fn client(server: &TestServer, key: &str) -> V1Client {
    let mut client = server.v1_with(&[("x-api-key", key)]).await.expect("a handshake");
    client.send(json!({ "type": "hello" })).await;
    client.event("welcome").await;
    client
}

/// One conversation with a finished answer.
struct Ids {
    conversation: Value,
    message: Value,
    answer: Value,
}

impl Ids {
    async fn made_by(client: &mut V1Client) -> Ids {
        let accepted = client.ask(&format!("echo {SECRET}")).await;
        client.read(&accepted["answer"], &mut String::new()).await;
        Ids::of(&accepted)
    }

    fn of(accepted: &Value) -> Ids {
        let [conversation, message, answer] =
            ["conversation", "message", "answer"].map(|field| accepted[field].clone());
        Ids { conversation, message, answer }
    }
}

/// All that Alice has on the server.
struct Hers {
    _client: V1Client,
    stream: EventStream,
    /// The answer of the second one is being written.
    conversations: [Ids; 2],
    /// The second one is being made.
    responses: [String; 2],
}

impl Hers {
    async fn new(server: &TestServer) -> Hers {
        let mut client = client(server, "of-alice").await;
        let finished = Ids::made_by(&mut client).await;
        let running = Ids::of(&client.ask("hang").await);
        let stream = EventStream::open(server.address, ALICE).await.expect("a stream");
        let respond = async |body: Value| {
            let made = raw::post(server.address, "/v1/responses", ALICE, &body.to_string()).await;
            made.json()["id"].as_str().expect("an id").to_owned()
        };
        let done = respond(json!({ "input": format!("echo {SECRET}") })).await;
        let making = respond(json!({ "input": "hang", "background": true })).await;
        server.runs(2).await;
        let (conversations, responses) = ([finished, running], [done, making]);
        Hers { _client: client, stream, conversations, responses }
    }

    fn conversations(&self) -> Vec<String> {
        self.conversations.iter().map(|ids| string(&ids.conversation)).collect()
    }

    fn messages(&self) -> Vec<String> {
        self.conversations.iter().flat_map(|ids| [&ids.message, &ids.answer].map(string)).collect()
    }

    /// What she sees of all that, to compare it later.
    async fn seen(&self, server: &TestServer) -> Vec<String> {
        let conversations = self.conversations().into_iter();
        let paths = conversations
            .map(|id| format!("/api/conversations/{id}"))
            .chain(self.responses.iter().map(|id| format!("/v1/responses/{id}")))
            .chain(["/api/conversations".to_owned()]);
        let mut seen = vec![format!("{} answers", server.running())];
        for path in paths {
            let response = raw::get(server.address, &path, ALICE).await;
            assert_eq!(response.status, 200, "{path}: {response:?}");
            seen.push(response.body);
        }
        let ping = patiently(self.stream.post(&self.stream.id, r#"{"type": "ping"}"#)).await;
        seen.push(format!("{ping:?}"));
        seen
    }
}

fn string(id: &Value) -> String {
    id.as_str().expect("an id").to_owned()
}

/// The fields of a schema that hold an id. A schema that is one of several has the fields of all.
fn id_fields(schemas: &Value, name: &str) -> Vec<String> {
    let is_id = |schema: &Value| {
        let schema = schema.to_string();
        ["ConversationId", "MessageId"].iter().any(|id| schema.contains(&format!("/{id}\"")))
    };
    let mut fields = Vec::new();
    let mut left = vec![&schemas[name]];
    while let Some(schema) = left.pop() {
        for alternatives in ["anyOf", "oneOf", "allOf"] {
            left.extend(schema[alternatives].as_array().into_iter().flatten());
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        fields.extend(properties.filter(|(_, field)| is_id(field)).map(|(field, _)| field.clone()));
    }
    fields
}
