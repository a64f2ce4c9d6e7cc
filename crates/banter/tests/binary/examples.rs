//! The examples in `examples/` against the real binary. `make setup` installs what they need.

use std::path::PathBuf;
use std::process::Command;

use crate::support::*;
use crate::v1::kept;

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(name)
}

/// The Python of `make setup`, or another one that `BANTER_PYTHON` names. It has a package.
pub fn python(package: &str) -> Command {
    let installed = folder(".venv/bin/python");
    let named = std::env::var_os("BANTER_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or(if installed.exists() { installed } else { "python3".into() });
    let probe = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    let works = probe.is_ok_and(|probe| probe.status.success());
    assert!(works, "{}: no package {package}; `make setup` installs it", python.display());
    Command::new(python)
}

#[test]
fn resume_py_gets_the_whole_answer_over_two_sockets() {
    let script = folder("examples/resume.py");
    let lines = std::fs::read_to_string(&script).expect("the example").lines().count();
    assert!(lines <= 60, "{lines} lines");
    let server = Server::start(&["--no-store"]);
    let address = format!("http://127.0.0.1:{}", server.port);
    let output = python("websockets").arg(script).arg(&address).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (status, list) = server.ask("GET", "/api/conversations", "");
    assert_eq!(status, 200, "{list}");
    let conversation = &list["conversations"][0];
    let answer = kept(&server, conversation["id"].as_str().expect("an id")).remove(1);
    assert_eq!(answer["state"], "complete", "{answer}");
    let text = answer["text"].as_str().expect("text");
    let (streamed, rest) = said.split_once("\n(the whole answer)\n").expect("the whole answer");
    assert_eq!(streamed.replacen("\n(the socket is closed)\n", "", 1), text);
    // The title may have become a better one since then.
    let title = rest.strip_prefix(&format!("{text}\n(the conversations)\n"));
    assert!(title.is_some_and(|title| title.len() > 1 && title.ends_with('\n')), "{said}");
    assert!(said.contains("(the socket is closed)"), "{said}");
}
