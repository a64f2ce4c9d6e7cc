//! https, with the certificates of files and with one that is made at the start.

use crate::support::*;
use banter_remote::Address;
use banter_remote::server::{ServerClient, ServerRequest};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

/// Whether the server answers a client that trusts the certificate of a file.
pub fn answers(server: &Server, certificate: &Path) -> bool {
    let address = format!("https://localhost:{}", server.port);
    let address = Address::parse(&address).expect("an address");
    let trusted = fs::read(certificate).expect("it is there");
    let client = ServerClient::new(address, None, &trusted, WITHIN).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let request = ServerRequest { method: "GET", path: &["health"], query: &[], body: None };
    let answer = runtime.expect("a runtime").block_on(client.ask(request));
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Writes a certificate and its key into one file each.
pub fn write_certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    fs::write(&files.0, made.cert.pem()).expect("a folder that can be written");
    fs::write(&files.1, made.signing_key.serialize_pem()).expect("a folder that can be written");
    files
}

#[test]
fn a_certificate_is_made_once_and_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let options = ["--tls-self-signed", "--data", data.to_str().expect("a plain path")];
    let certificate = data.join("tls/certificate.pem");
    let first = {
        let server = Server::start(&options);
        assert!(server.ready_line.starts_with("ready https://localhost:"), "{}", server.ready_line);
        assert!(answers(&server, &certificate));
        // Without https there is only the way to it.
        let (status, text) = server.ask("GET", "/health", "");
        assert_eq!((status, text.is_null()), (307, true));
        fs::read(&certificate).expect("it is kept")
    };
    let server = Server::start(&options);
    assert!(answers(&server, &certificate));
    assert_eq!(fs::read(&certificate).expect("it is kept"), first);
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (used, key) = write_certificate(folder.path(), "used");
    let (renewed, renewed_key) = write_certificate(folder.path(), "renewed");
    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let server =
        Server::start(&["--no-store", "--tls-cert", &path(&used), "--tls-key", &path(&key)]);
    assert!(answers(&server, &used));
    assert!(!answers(&server, &renewed), "another one is not trusted");
    fs::copy(&renewed_key, &key).expect("it can be written");
    fs::copy(&renewed, &used).expect("it can be written");
    let begin = Instant::now();
    while !answers(&server, &renewed) {
        assert!(begin.elapsed() < WITHIN, "it takes too long");
        std::thread::yield_now();
    }
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (certificate, key) = write_certificate(folder.path(), "one");
    let (_, other_key) = write_certificate(folder.path(), "other");
    let missing = folder.path().join("missing.pem");
    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let cases: [(Vec<String>, &str); 6] = [
        (vec!["--tls-cert".into(), path(&missing)], "missing.pem"),
        (vec!["--tls-cert".into(), path(&certificate)], "expected a private key"),
        (vec!["--tls-cert".into(), path(&key)], "expected certificates"),
        (
            vec!["--tls-cert".into(), path(&certificate), "--tls-key".into(), path(&other_key)],
            "expected a certificate and its own key",
        ),
        (vec!["--tls-key".into(), path(&key)], "expected --tls-cert together with it"),
        (
            vec!["--tls-self-signed".into(), "--tls-cert".into(), path(&certificate)],
            "leave one of the two out",
        ),
    ];
    for (options, expected) in cases {
        let mut command = banter(&["serve", "--port", "0", "--no-store"]);
        let mut child = command.args(&options).stderr(Stdio::piped()).spawn().expect("it starts");
        assert!(!wait_for(&mut child).success(), "{options:?}");
        let mut text = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("text");
        assert!(text.contains(expected), "{options:?}: {text}");
    }
}
