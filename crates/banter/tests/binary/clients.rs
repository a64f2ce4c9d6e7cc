//! The packages that programs talk to servers with, against the real binary and the demo model:
//! `tools/clients`. `make setup` installs them.

use std::process::Command;

use crate::examples::{folder, python};
use crate::support::*;

/// Runs a program in `tools/clients`, which must succeed.
fn run(mut program: Command, server: &Server) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let output = program.current_dir(folder("tools/clients")).env("BANTER_URL", url).output();
    let output = output.expect("it starts");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
}

#[test]
fn python_packages() {
    let server = Server::start(&["--no-store"]);
    let mut python = python("openai");
    python.args(["-m", "unittest"]);
    run(python, &server);
}

#[test]
fn node_packages() {
    let server = Server::start(&["--no-store"]);
    let mut node = Command::new("node");
    node.args(["--test", "openai.test.mjs"]);
    run(node, &server);
}
