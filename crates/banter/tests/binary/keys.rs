//! `banter key`, beside a server that runs.

use crate::support::*;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Runs `banter key`, which must succeed. Returns the text that it prints.
fn key(folder: &str, arguments: &[&str]) -> String {
    let output = banter(&["key"]).args(arguments).args(["--data", folder]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_key_is_made_used_listed_and_revoked_while_the_server_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    // Before the server runs, and while it does.
    key(data, &["add", "early", "--scope", "admin"]);
    let server = Server::start(&["--data", data]);
    let made = key(data, &["add", "anna", "--requests-per-minute", "60", "--days", "2"]);
    assert_eq!(made.len(), 26, "{made}");
    let listed = key(data, &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let names: Vec<_> = (0..2).map(|index| listed[index]["name"].as_str()).collect();
    assert_eq!(names, [Some("anna"), Some("early")]);
    assert!(!listed.to_string().contains(&made), "the key itself is not kept");
    let ask = |more: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        let request = format!(
            "GET /v1/models HTTP/1.1\r\nHost: localhost:{}\r\nX-API-Key: {made}\r\n{more}\
             Connection: close\r\n\r\n",
            server.port
        );
        stream.write_all(request.as_bytes()).expect("an open connection");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        response
    };
    // From this machine nobody needs a key, and a key that is known is told its limits.
    let is_known = || ask("").contains("x-ratelimit-limit-requests: 60");
    wait_until(is_known);
    let from_afar = "X-Forwarded-For: 203.0.113.5\r\n";
    assert!(ask(from_afar).starts_with("HTTP/1.1 200"));
    key(data, &["revoke", "anna"]);
    wait_until(|| !is_known());
    assert!(ask(from_afar).starts_with("HTTP/1.1 401"));
    assert!(key(data, &["list"]).contains("anna                 chat   revoked"));
}

#[test]
fn what_is_wrong_with_a_key_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    key(data, &["add", "anna"]);
    let cases: [(&[&str], &str); 11] = [
        (&["add", "anna"], "expected a name that no key has"),
        (&["add", "a b"], "NAME: expected 1 to 64 letters"),
        (&["add", "wiki", "--scope", "embed"], "expected at least one --origin"),
        (&["add", "wiki", "--origin", "wiki.example"], "--origin:"),
        (&["add", "wiki", "--scope", "all"], "chat, admin, embed"),
        (&["add", "wiki", "--system", "Be brief."], "--system: expected --scope embed"),
        (&["add", "wiki", "--scope", "embed", "--system", " "], "--system: expected a text"),
        (&["add", "wiki", "--system-file", "/nowhere"], "/nowhere: expected a file with a"),
        (
            &["add", "wiki", "--system-file", "/dev/zero"],
            "--system-file: /dev/zero: expected a file",
        ),
        (&["add", "wiki", "--system-file", "/proc"], "found: a folder"),
        (&["revoke", "ben"], "expected the name of a key"),
    ];
    for (arguments, words) in cases {
        let output = banter(&["key"]).args(arguments).args(["--data", data]).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
}
