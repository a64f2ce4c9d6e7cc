//! Stdout and stderr that nobody reads, or that cannot be written.

use std::fs::File;
use std::io;
use std::process::Stdio;

use crate::models::World;
use crate::support::*;

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A file on a disk without room.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("it is there").into()
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").to_str().expect("a plain path").to_owned();
    (folder, data)
}

#[test]
fn k6_whatever_prints_ends_quietly_when_nobody_reads() {
    let (folder, data) = folder();
    let model = small_model(folder.path(), "q4_0");
    let made = folder.path().join("made.gguf").to_str().expect("a plain path").to_owned();
    let figures = folder.path().join("figures.csv").to_str().expect("a plain path").to_owned();
    assert_eq!(run_to_end(&mut banter(&["key", "add", "anna", "--data", &data])).0, 0);
    let bench = ["bench", "-m", &model, "-p", "1", "-n", "1", "-r", "1", "--streams", "1"];
    let accuracy = ["bench", "accuracy", "-m", &model, "--positions", "1"];
    let cases: [&[&str]; 13] = [
        &["list"],
        &["list", "--json"],
        &["key", "list", "--data", &data],
        &["key", "list", "--json", "--data", &data],
        &["doctor", "--data", &data, "--port", "1"],
        &["doctor", "--json", "--data", &data, "--port", "1"],
        &["--help"],
        &["--version"],
        &["serve", "--help"],
        &["bench", "make-model", "--shape", "tiny", "--type", "q4_0", "-o", &made],
        &[&bench[..], &["--csv", &figures]].concat(),
        &[&bench[..], &["--json"]].concat(),
        &accuracy,
    ];
    for arguments in cases {
        let mut command = banter(arguments);
        command.env("BANTER_MODELS_DIR", folder.path().join("models")).stdout(unread());
        let (status, said) = run_to_end(&mut command);
        assert_eq!((status, said.as_str()), (0, ""), "{arguments:?}");
    }
    let figures = std::fs::read_to_string(figures).expect("figures are kept all the same");
    assert!(figures.lines().count() > 2, "{figures}");
}

#[test]
fn k6_what_cannot_be_written_is_an_error() {
    let (_folder, data) = folder();
    for arguments in [&["list"][..], &["list", "--json"], &["doctor", "--data", &data]] {
        let mut command = banter(arguments);
        command.env("BANTER_MODELS_DIR", &data).stdout(full());
        let (status, said) = run_to_end(&mut command);
        assert_eq!(status, 1, "{arguments:?}: {said}");
        assert!(said.contains("write to stdout: No space left on device"), "{said}");
        assert!(said.contains("make room on that disk"), "{said}");
    }
}

#[test]
fn k6_a_key_that_nobody_has_seen_is_not_stored() {
    let (_folder, data) = folder();
    for stdout in [unread(), full()] {
        let mut command = banter(&["key", "add", "anna", "--data", &data]);
        let (status, said) = run_to_end(command.stdout(stdout));
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("the key anna was not made") && !said.contains("panicked"), "{said}");
        let list = banter(&["key", "list", "--json", "--data", &data]).output().expect("it runs");
        assert_eq!(String::from_utf8_lossy(&list.stdout).trim(), "[]");
    }
    let (status, said) = run_to_end(&mut banter(&["key", "add", "anna", "--data", &data]));
    assert_eq!(status, 0, "the name is free: {said}");
}

#[test]
fn k6_nobody_has_to_read_stderr() {
    let (_folder, data) = folder();
    let world = World::new();
    let model = "qwen2.5:0.5b";
    let cases: [(&[&str], i32); 8] = [
        (&["pull", model], 0),
        (&["pull", model], 0),
        (&["rm", model], 0),
        (&["rm", model], 1),
        (&["key", "add", "anna", "--data", &data], 0),
        (&["key", "revoke", "anna", "--data", &data], 0),
        (&["run", model], 2),
        (&["serve", "--port", "http"], 2),
    ];
    for (arguments, expected) in cases {
        let mut command = world.command(arguments);
        let status = command.stdout(Stdio::null()).stderr(unread()).status().expect("it runs");
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
    // The lines about keys and links come after the model is loaded.
    let command = banter(&["serve", "--port", "0", "--host", "0.0.0.0", "--no-store"]);
    let mut server = Server::spawn_with(command, unread());
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "hello", "max_tokens": 2}"#);
    assert!(!read_answer(&mut socket).is_empty(), "it goes on");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}
