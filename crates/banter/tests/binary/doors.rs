//! Servers that other machines can reach: the warnings of their start, and their keys.

use std::net::{SocketAddr, TcpStream};

use crate::support::*;

#[test]
fn doors_that_were_opened_are_told_at_every_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("server.log");
    let path_text = path.to_str().expect("a plain path");
    for (switch, told) in [
        ("--insecure", "--insecure: everyone who can reach this server can use it"),
        ("--allow-file-pages", "--allow-file-pages: pages opened from disk can use this server"),
    ] {
        let start = |arguments: &[&str]| {
            drop(std::fs::remove_file(&path));
            drop(Server::start(arguments));
            std::fs::read_to_string(&path).expect("the log exists")
        };
        assert!(start(&["--log-file", path_text, switch]).contains(told), "{switch}");
        assert!(!start(&["--log-file", path_text]).contains(switch), "without {switch}");
    }
}

/// The key that a start has made and printed.
fn made_key(server: &Server) -> String {
    let key = || {
        let said = server.said();
        let line = said.lines().find_map(|line| line.strip_prefix("key    ").map(str::to_owned));
        line.and_then(|line| line.split_whitespace().next().map(str::to_owned))
    };
    // It is printed after the ready line.
    wait_until(|| key().is_some());
    key().expect("a key")
}

/// Headers that show that a request comes from elsewhere.
const FROM_ELSEWHERE: [&str; 5] = [
    "X-Forwarded-For: 203.0.113.5",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 203.0.113.5",
    "Forwarded: for=203.0.113.5",
    "Via: 1.1 somewhere",
];

#[test]
fn a6_a_server_that_others_can_reach_makes_a_key_and_wants_it() {
    for reachable in [["--host", "0.0.0.0"], ["--public-url", "https://chat.example.com/"]] {
        let server = Server::start(&[&["--no-store"], &reachable[..]].concat());
        let key = made_key(&server);
        assert!(key.len() >= 26, "{key}");
        let status = |lines: &str, path: &str| server.request_with("GET", path, lines, "").0;
        let mut cases = FROM_ELSEWHERE.map(|line| format!("{line}\r\n")).to_vec();
        if reachable[0] == "--public-url" {
            cases.push(String::new());
        }
        for lines in &cases[..] {
            for path in ["/api/info", "/api/admin", "/v1/models", "/api/conversations", "/metrics"]
            {
                let with = |key: &str| status(&format!("{lines}x-api-key: {key}\r\n"), path);
                let is_reached_by_name = lines.is_empty();
                let without = if is_reached_by_name { 200 } else { 401 };
                assert_eq!(status(lines, path), without, "{reachable:?} {lines:?} {path}");
                assert_eq!(with(&key), 200, "{reachable:?} {lines:?} {path}");
            }
        }
        // A wrong key is no better than none.
        let wrong = format!("X-Forwarded-For: 203.0.113.5\r\nx-api-key: {key}x\r\n");
        assert_eq!(status(&wrong, "/api/info"), 401);
        assert_ne!(made_key(&Server::start(&[&["--no-store"], &reachable[..]].concat())), key);
    }
}

#[test]
fn a6_a_key_that_is_given_is_not_made_and_only_insecure_does_without_one() {
    let from_elsewhere = "X-Forwarded-For: 203.0.113.5\r\n";
    let all = ["--no-store", "--host", "0.0.0.0"];
    let server = Server::start(&[&all[..], &["--key", "long-enough-key"]].concat());
    assert_eq!(server.request_with("GET", "/api/info", from_elsewhere, "").0, 401);
    wait_until(|| server.said().contains("open   "));
    assert!(!server.said().contains("key    "), "{}", server.said());

    let server = Server::start(&[&all[..], &["--insecure"]].concat());
    assert_eq!(server.request_with("GET", "/api/info", from_elsewhere, "").0, 200);
    wait_until(|| server.said().contains("insecure: everyone"));
    assert!(!server.said().contains("key    "), "{}", server.said());

    // For the network of the house, encrypted.
    let server = Server::start(&["--no-store", "--lan"]);
    assert!(made_key(&server).len() >= 26);
    assert!(server.ready_line.contains(" https://"), "{}", server.ready_line);
}

#[test]
fn a6_by_default_no_other_address_of_the_machine_answers() {
    let server = Server::start(&["--no-store"]);
    assert_eq!(server.ask("GET", "/api/info", "").0, 200);
    let interfaces = if_addrs::get_if_addrs().expect("the addresses of this machine");
    let others: Vec<_> = interfaces.iter().filter(|one| !one.is_loopback()).collect();
    for other in &others {
        let address = SocketAddr::new(other.ip(), server.port);
        // Those of IPv6 that are for one link only cannot be connected to without its number.
        assert!(TcpStream::connect(address).is_err(), "{address} answers");
    }
    // 127.0.0.2 leads to this machine, and is none of the addresses that it listens on.
    assert!(TcpStream::connect(("127.0.0.2", server.port)).is_err());
    println!("{} other addresses of this machine do not answer", others.len());
}
