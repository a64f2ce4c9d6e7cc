//! https, with the certificates of files and with one that is made at the start.

use crate::support::*;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Asks for `/health` with trust in the certificate of a file. Errors: no such connection.
fn health(server: &Server, certificate: &Path) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("usable");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(("127.0.0.1", server.port))?;
    stream.set_read_timeout(Some(WITHIN))?;
    let mut stream = StreamOwned::new(client, stream);
    let port = server.port;
    write!(stream, "GET /health HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

fn answers(server: &Server, certificate: &Path) -> bool {
    health(server, certificate).is_ok_and(|response| response.starts_with("HTTP/1.1 200"))
}

/// Writes a certificate and its key into one file each.
fn write_certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
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
