//! Every route and every file against hosts that are not ours: a website can let its own name lead
//! to this machine, and what it asks for then is of its own origin.

use super::watched::{Asked, Watched};
use super::*;
use crate::http::assets;

/// Hosts that can be read and are not this server's, though some of them lead here.
const FOREIGN: [&str; 25] = [
    "attacker.example",
    "attacker.example:7860",
    "localhost.attacker.example:7860",
    "127.0.0.1.attacker.example:7860",
    "localhost.evil",
    "xlocalhost:7860",
    "chat.example.evil",
    "chat.example:7860",
    "chat.example.",
    // Every address of this machine: browsers leave out where a page is from.
    "0.0.0.0",
    "0.0.0.0:7860",
    "[::]",
    "[::]:7860",
    "[0:0:0:0:0:0:0:0]:7860",
    // Other forms of 127.0.0.1.
    "[::ffff:127.0.0.1]:7860",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]:7860",
    "2130706433:7860",
    "0x7f.0.0.1:7860",
    "0x7f000001",
    "0177.0.0.1:7860",
    "127.1:7860",
    "0:7860",
    // Addresses that were not connected to.
    "198.51.100.1:7860",
    "[2001:db8::1]:7860",
];

/// Hosts that cannot be read.
const UNREADABLE: [&[u8]; 14] = [
    b"",
    b" ",
    b"\xff",
    b"\xff\xfe:7860",
    b"chat.example\xc3\xa9",
    "lоcalhost:7860".as_bytes(),
    b"a b",
    b"user@localhost:7860",
    b"localhost:",
    b"localhost:99999",
    b"localhost:7860/",
    b"[::1",
    b"[::1]7860",
    b"localhost, attacker.example",
];

/// Paths of every row and of every file, with the methods of each.
fn everything() -> Vec<(Method, String, AccessLevel)> {
    let rows = ROUTES.iter().map(|row| (row.method.clone(), row.path.to_owned(), row.level));
    let files = assets::names().map(|name| (Method::GET, format!("/{name}"), AccessLevel::Public));
    let others = ["/", "/admin", "/nothing", "/api/nothing"];
    let others = others.into_iter().map(|path| (Method::GET, path.to_owned(), AccessLevel::Public));
    assert!(assets::names().count() > 0, "the page has files");
    rows.chain(files).chain(others).collect()
}

/// The same request from everyone who could be let in: on this machine, and with each key.
fn senders(method: &Method, path: &str) -> [Ask; 4] {
    let ask = || ask(method, path);
    let below_the_base_path = Ask { path: format!("/talk{}", ask().path), ..ask().locally() };
    [
        ask().locally(),
        ask().with("x-api-key", KEY),
        ask().locally().with("authorization", format!("Bearer {ADMIN_KEY}")),
        below_the_base_path,
    ]
}

fn watched() -> (Routes, Asked) {
    let backend = Watched::default();
    let asked = backend.asked();
    (routes_in_front_of(filled(backend), config()), asked)
}

#[tokio::test]
async fn a2_no_row_and_no_file_answers_a_host_that_is_not_ours() {
    let (routes, asked) = watched();
    for (method, path, level) in everything() {
        for sender in senders(&method, &path) {
            for host in FOREIGN {
                let expected = if level == AccessLevel::Probe { 200 } else { 421 };
                let status = sender.clone().to(host).status(&routes).await;
                assert_eq!(status, expected, "{method} {} {host}", sender.path);
            }
            for host in UNREADABLE {
                let expected = if level == AccessLevel::Probe { 200 } else { 400 };
                let status = sender.clone().to(host).status(&routes).await;
                let host = String::from_utf8_lossy(host);
                assert_eq!(status, expected, "{method} {} {host:?}", sender.path);
            }
        }
    }
    assert_eq!(asked.times(), 0, "nothing was done for any of them");
}

#[tokio::test]
async fn a2_every_row_and_file_needs_one_host_and_no_target_names_another() {
    let (routes, asked) = watched();
    for (method, path, level) in everything() {
        let expected = if level == AccessLevel::Probe { 200 } else { 400 };
        let here = || ask(&method, &path).locally();
        let elsewhere = Ask { path: format!("http://attacker.example{}", here().path), ..here() };
        let odd = [
            ("two hosts", here().with("host", "attacker.example")),
            ("the same twice", here().with("host", "localhost:7860")),
            ("no host", Ask { headers: Vec::new(), ..here() }),
            ("another in the target", elsewhere),
        ];
        for (what, ask) in odd {
            assert_eq!(ask.status(&routes).await, expected, "{method} {path}: {what}");
        }
    }
    assert_eq!(asked.times(), 0, "nothing was done for any of them");
}

#[tokio::test]
async fn a2_other_methods_and_questions_of_browsers_are_refused_too() {
    let (routes, _) = watched();
    for (_, path, level) in everything() {
        for method in [Method::OPTIONS, Method::HEAD, Method::PUT] {
            let status = ask(&method, &path).locally().to("attacker.example").status(&routes).await;
            let is_probe = level == AccessLevel::Probe && method != Method::OPTIONS;
            assert_eq!(status == 421, !is_probe, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn a2_who_opens_the_address_of_listening_is_told_which_one_to_open() {
    let routes = routes(config());
    let opened = || ask(&Method::GET, "/").locally().to("0.0.0.0:7860");
    let program = text(opened().answer(&routes).await).await;
    assert!(program.contains("use localhost") && program.contains("--public-url"), "{program}");
    let person = text(opened().with("accept", "text/html").answer(&routes).await).await;
    assert!(person.contains("http://localhost"), "{person}");
}

#[tokio::test]
async fn a2_names_of_this_machine_are_let_in_with_any_port() {
    let routes = routes(config());
    let hosts = ["localhost", "localhost:9000", "LOCALHOST:80", "localhost.", "127.0.0.1:8080"];
    for host in hosts.into_iter().chain(["127.1.2.3", "[::1]", "[::1]:9000"]) {
        for path in ["/", "/chat.html", "/api/info"] {
            let here = ask(&Method::GET, path).locally().to(host);
            assert_eq!(here.status(&routes).await, 200, "{host} {path}");
        }
    }
}
