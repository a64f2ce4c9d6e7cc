//! Routes.

use super::support::raw::Response;
use super::*;
use std::collections::BTreeSet;

const BOB: &str = "X-Api-Key: of-bob\r\n";
/// Everybody else: another key, an administrator's, and the operator on this machine.
const OTHERS: [&str; 3] = [BOB, "X-Api-Key: of-root\r\n", ""];

/// What a route does with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Stream,
    Conversation,
    /// A message of a conversation.
    Message,
    Response,
    /// An answer by its number, for administrators alone.
    AnyAnswer,
    /// The id names nothing that belongs to somebody.
    Nobodys,
}

/// Each route with an id.
const ID_ROUTES: [(&str, &str, About); 13] = [
    ("post", "/api/stream/{id}", About::Stream),
    ("get", "/api/conversations/{id}", About::Conversation),
    ("patch", "/api/conversations/{id}", About::Conversation),
    ("delete", "/api/conversations/{id}", About::Conversation),
    ("get", "/api/conversations/{id}/export", About::Conversation),
    ("post", "/api/conversations/{id}/context", About::Conversation),
    ("delete", "/api/conversations/{id}/messages/{message}", About::Message),
    ("post", "/api/admin/answers/{id}/stop", About::AnyAnswer),
    ("get", "/v1/models/{name}", About::Nobodys),
    ("get", "/v1/responses/{id}", About::Response),
    ("delete", "/v1/responses/{id}", About::Response),
    ("get", "/v1/responses/{id}/input_items", About::Response),
    ("post", "/v1/responses/{id}/cancel", About::Response),
];

/// The ids in bodies.
const IDS_IN_BODIES: [(&str, &str, &str); 2] = [
    ("patch", "/api/conversations/{id}", "leaf"),
    ("post", "/api/conversations/{id}/context", "parent"),
];

/// The description of the routes.
async fn described(server: &TestServer) -> Value {
    raw::get(server.address, "/openapi.json", "").await.json()
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations").iter();
        operations.map(move |(method, operation)| (method, path, operation))
    })
}

/// The queries that change what a route does.
fn queries(path: &str) -> &'static [&'static str] {
    if path.ends_with("/export") {
        &["", "?format=json", "?format=markdown"]
    } else if path.ends_with("/messages/{message}") {
        &["", "?following=keep", "?following=delete"]
    } else if path.ends_with("/responses/{id}") {
        &["", "?stream=true", "?stream=true&starting_after=0"]
    } else {
        &[""]
    }
}

#[tokio::test]
async fn a10_every_route_with_an_id_has_a_row() {
    let server = start().await;
    let document = described(&server).await;
    let with_id: BTreeSet<(&str, &str)> = operations(&document)
        .filter(|(_, path, _)| path.contains('{'))
        .map(|(method, path, _)| (method.as_str(), path.as_str()))
        .collect();
    assert_eq!(with_id, ID_ROUTES.map(|(method, path, _)| (method, path)).into());
    let mut in_bodies = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let Some(name) = schema.as_str().and_then(|name| name.rsplit('/').next()) else { continue };
        for field in id_fields(&document["components"]["schemas"], name) {
            in_bodies.insert((method.clone(), path.clone(), field));
        }
    }
    let rows = IDS_IN_BODIES
        .map(|(method, path, field)| (method.to_owned(), path.to_owned(), field.to_owned()));
    assert_eq!(in_bodies, BTreeSet::from(rows));
    server.end().await;
}

/// Sends a request with the body of the description's example.
async fn request(
    server: &TestServer,
    (method, path, body): (&str, &str, &Value),
    lines: &str,
) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let lines = format!("{lines}Content-Type: application/json\r\n");
    raw::send(server.address, &method.to_uppercase(), path, &lines, &body).await
}

/// The same id in the form of one that nobody has.
fn of_nobody(id: &str) -> String {
    let (kind, rest) = id.rsplit_once('_').map_or(("", id), |(kind, rest)| (kind, rest));
    let nobodys = "a".repeat(rest.len());
    if kind.is_empty() { nobodys } else { format!("{kind}_{nobodys}") }
}

#[tokio::test]
async fn a10_no_route_does_anything_with_ids_of_somebody_else() {
    let server = start().await;
    let document = described(&server).await;
    let hers = Hers::new(&server).await;
    let own = Ids::made_by(&mut client(&server, "of-bob").await).await;
    let own = string(&own.conversation);
    let before = hers.seen(&server).await;
    for (method, path, about) in ID_ROUTES {
        // Each path with her ids, and which part of it is hers.
        let filled: Vec<(String, String)> = match about {
            About::Nobodys | About::AnyAnswer => continue,
            About::Stream => vec![(path.replace("{id}", &hers.stream.id), hers.stream.id.clone())],
            About::Conversation => {
                hers.conversations().into_iter().map(|id| (path.replace("{id}", &id), id)).collect()
            }
            About::Response => {
                hers.responses.iter().map(|id| (path.replace("{id}", id), id.clone())).collect()
            }
            About::Message => {
                let both = hers.conversations().into_iter().chain([own.clone()]);
                both.flat_map(|id| {
                    let of = path.replace("{id}", &id);
                    hers.messages().into_iter().map(move |id| (of.replace("{message}", &id), id))
                })
                .collect()
            }
        };
        let content = &document["paths"][path][method]["requestBody"]["content"];
        let body = &content["application/json"]["example"];
        for (filled, id) in filled {
            for query in queries(path) {
                for lines in OTHERS {
                    let asked = format!("{filled}{query}");
                    let refused = request(&server, (method, &asked, body), lines).await;
                    let case = format!("{method} {asked} {lines:?}: {refused:?}");
                    assert_eq!(refused.status, 404, "{case}");
                    let made_up = of_nobody(&id);
                    let asked = asked.replace(&id, &made_up);
                    let unknown = request(&server, (method, &asked, body), lines).await;
                    let said = |body: &str, id: &str| body.replace(id, "ID");
                    assert_eq!(unknown.status, 404, "{case}");
                    assert_eq!(said(&refused.body, &id), said(&unknown.body, &made_up), "{case}");
                }
            }
        }
    }
    assert_eq!(hers.seen(&server).await, before);
    server.end().await;
}

#[tokio::test]
async fn a10_ids_of_somebody_else_in_bodies_are_unknown() {
    let server = start().await;
    let hers = Hers::new(&server).await;
    let mut bob = client(&server, "of-bob").await;
    let own = Ids::made_by(&mut bob).await;
    let before = hers.seen(&server).await;
    for (method, path, field) in IDS_IN_BODIES {
        let path = path.replace("{id}", &string(&own.conversation));
        for id in hers.messages() {
            let body = json!({ field: id });
            let refused = request(&server, (method, &path, &body), BOB).await;
            assert_eq!(refused.status, 404, "{method} {path} {body}: {refused:?}");
            let body = json!({ field: NOBODY });
            let unknown = request(&server, (method, &path, &body), BOB).await;
            assert_eq!((refused.status, refused.body), (unknown.status, unknown.body));
        }
    }
    for id in &hers.responses {
        for lines in OTHERS {
            let asked = async |id: &str| {
                let body = json!({ "input": "history", "previous_response_id": id });
                let refused = request(&server, ("post", "/v1/responses", &body), lines).await;
                (refused.status, refused.json()["error"]["code"].clone())
            };
            let unknown = (400, json!("previous_response_not_found"));
            assert_eq!(asked(id).await, unknown, "{lines:?}");
            assert_eq!(asked(&of_nobody(id)).await, unknown, "{lines:?}");
        }
    }
    assert_eq!(hers.seen(&server).await, before);
    server.end().await;
}

#[tokio::test]
async fn a10_only_administrators_stop_answers_of_others_by_their_number() {
    let server = start().await;
    let hers = Hers::new(&server).await;
    let before = hers.seen(&server).await;
    // Whoever sits at the server is its operator, whatever key is shown.
    let afar = |lines: &str| format!("X-Forwarded-For: 203.0.113.5\r\n{lines}");
    let root = &afar("X-Api-Key: of-root\r\n");
    let running = raw::get(server.address, "/api/admin", root).await.json();
    let number = running["answers"][0]["id"].as_u64().expect("a number");
    let path = format!("/api/admin/answers/{number}/stop");
    for lines in [&afar(BOB), &afar(ALICE)] {
        let stop = request(&server, ("post", &path, &json!({})), lines).await;
        assert_eq!(stop.status, 403);
        assert_eq!(raw::get(server.address, "/api/admin", lines).await.status, 403);
    }
    assert_eq!(hers.seen(&server).await, before);
    assert_eq!(request(&server, ("post", &path, &json!({})), root).await.status, 204);
    server.end().await;
}

#[tokio::test]
async fn a10_no_route_tells_others_what_somebody_has() {
    /// They are sockets and streams.
    const STAY_OPEN: [&str; 4] = ["/ws", "/echo", "/api/stream", "/v1/responses"];
    let server = start().await;
    let document = described(&server).await;
    let hers = Hers::new(&server).await;
    let searched = format!("/api/conversations?q={SECRET}");
    let listed = operations(&document)
        .filter(|(method, path, _)| *method == "get" && !path.contains('{'))
        .map(|(_, path, _)| path.as_str())
        .filter(|path| !STAY_OPEN.contains(path))
        .chain([searched.as_str(), "/api/conversations?archived=true"]);
    let mut ids = hers.conversations();
    ids.extend(hers.messages());
    ids.extend(hers.responses.clone());
    ids.push(hers.stream.id.clone());
    for path in listed {
        for lines in OTHERS {
            let said = raw::get(server.address, path, lines).await.body;
            let told = ids.iter().find(|id| said.contains(id.as_str()));
            assert_eq!(told, None, "{path} {lines:?}");
            // A search repeats nothing either.
            assert!(!said.contains(SECRET), "{path} {lines:?}: {said}");
        }
    }
    server.end().await;
}
