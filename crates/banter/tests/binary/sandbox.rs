//! What the server cannot do any more once it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use crate::https::{answers, write_certificate};
use crate::support::*;

/// Whether the system has Landlock.
fn has_landlock() -> bool {
    const ONLY_THE_VERSION: libc::c_ulong = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: asked for the version, the system reads no memory of ours.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, ONLY_THE_VERSION) };
    if version <= 0 {
        println!("not tested: this system has no Landlock");
    }
    version > 0
}

#[test]
fn k10_no_thread_of_a_server_has_all_rights() {
    if !has_landlock() {
        return;
    }
    let server = Server::start(&[]);
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "hello"}"#);
    read_answer(&mut socket);
    let folder = format!("/proc/{}/task", server.child.id());
    let threads = fs::read_dir(folder).expect("Linux").map(|thread| thread.expect("one").path());
    let status = threads.map(|thread| fs::read_to_string(thread.join("status")).expect("a status"));
    let status: Vec<String> = status.collect();
    assert!(status.len() > 4, "{status:?}");
    assert!(status.iter().all(|status| status.contains("NoNewPrivs:\t1")), "{status:?}");
    let server = Server::start(&["--no-sandbox"]);
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id()));
    assert!(status.expect("a status").contains("NoNewPrivs:\t0"));
}

/// Replaces a certificate by a link to one in another folder. Returns what the log says of it.
fn leads_outside(more: &[&str]) -> String {
    let (inside, outside) = (tempfile::tempdir(), tempfile::tempdir());
    let (inside, outside) = (inside.expect("a folder"), outside.expect("a folder"));
    let (used, key) = write_certificate(inside.path(), "used");
    let (other, other_key) = write_certificate(outside.path(), "other");
    let log = inside.path().join("log");
    let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let options = [
        "--no-store".to_owned(),
        "--tls-cert".to_owned(),
        text(&used),
        "--tls-key".to_owned(),
        text(&key),
        "--log-file".to_owned(),
        text(&log),
    ];
    let options: Vec<&str> =
        options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let server = Server::start(&options);
    for (link, target) in [(&key, &other_key), (&used, &other)] {
        let new = inside.path().join("new");
        symlink(target, &new).expect("a link");
        fs::rename(&new, link).expect("it is replaced");
    }
    let said = || fs::read_to_string(&log).expect("the log exists");
    wait_until(|| {
        said().contains("stays in use") || said().contains("renewed certificate is used")
    });
    assert_eq!(answers(&server, &other), said().contains("renewed certificate is used"));
    said()
}

#[test]
fn k10_a_link_to_another_folder_leads_nowhere() {
    if has_landlock() {
        let said = leads_outside(&[]);
        assert!(said.contains("Permission denied"), "{said}");
    }
    let said = leads_outside(&["--no-sandbox"]);
    assert!(said.contains("the renewed certificate is used from now on"), "{said}");
}

#[test]
fn a_folder_for_data_that_cannot_be_made_is_told_as_without_a_sandbox() {
    for switch in ["--yes", "--no-sandbox"] {
        let mut command = banter(&["serve", "--port", "0", "--data", "/nowhere/at/all", switch]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        assert!(!wait_for(&mut child).success());
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
        assert!(said.contains("/nowhere/at"), "{said}");
    }
}
