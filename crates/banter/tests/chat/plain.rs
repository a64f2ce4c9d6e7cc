//! `banter chat --plain`, with a server of each kind.

use std::process::Stdio;

use crate::servers::{Endless, Scripted};
use crate::support::banter;
use crate::terminal::Terminal;

fn at_a_terminal(url: &str, more: &[&str]) -> Terminal {
    let mut command = banter(&["chat", "--plain", url]);
    command.args(more).env("TERM", "xterm").env("NO_COLOR", "1");
    Terminal::start(command)
}

#[test]
fn one_question_is_answered_by_a_server_of_each_kind() {
    let (ours, other) = (Scripted::start(), Endless::start());
    let cases = [
        (ours.plain_url(), "echo-chars 你好", "你好\n", "30"),
        (other.url(), "hello", "You said hello\n", "0.2"),
    ];
    for (url, question, expected, idle_end) in cases {
        let mut command = banter(&["chat", "--plain", &url, "--idle-end", idle_end, question]);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        let stdout = String::from_utf8(output.stdout).expect("text");
        assert_eq!((output.status.code(), stdout.as_str()), (Some(0), expected), "{url}");
    }
    let mut command = banter(&["chat", "--plain", &ours.plain_url(), "fail"]);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("the script says so"), "{stderr}");
}

#[test]
fn silence_does_not_end_an_answer_of_a_server_that_sends_ends() {
    let server = Scripted::start();
    let arguments = ["chat", "--plain", &server.plain_url(), "--idle-end", "0.1", "slow 3"];
    let output = banter(&arguments).stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(String::from_utf8(output.stdout).expect("text"), "word0 word1 word2 \n");
}

#[test]
fn the_client_keeps_the_history() {
    let server = Endless::start();
    let mut terminal = at_a_terminal(&server.url(), &["--idle-end", "0.2", "--system", "S"]);
    terminal.prompts();
    terminal.types("one\r");
    terminal.shows("You said one");
    terminal.prompts();
    terminal.types("two\r");
    terminal.shows("You said two");
    terminal.prompts();
    terminal.types("/new\r");
    terminal.shows("a new conversation");
    terminal.prompts();
    terminal.types("three\r");
    terminal.shows("You said three");
    terminal.prompts();
    terminal.types("\x04");
    assert_eq!(terminal.ends().0, 0);
    let asked = server.asked.lock().expect("no panic").clone();
    let system = serde_json::json!({ "role": "system", "content": "S" });
    let before = serde_json::json!([
        system,
        { "role": "user", "content": "one" },
        { "role": "assistant", "content": "You said one" },
    ]);
    assert_eq!(asked[1]["history"], before);
    assert_eq!(asked[2]["history"], serde_json::json!([system]));
    assert!(asked.iter().all(|request| request["stream"] == true));
}

#[test]
fn ctrl_c_stops_an_answer_and_the_next_one_is_whole() {
    let server = Scripted::start();
    let mut terminal = at_a_terminal(&server.plain_url(), &[]);
    terminal.prompts();
    terminal.types("slow 1000\r");
    terminal.shows("word1");
    terminal.types("\x03");
    terminal.shows("stopped");
    terminal.prompts();
    terminal.types("echo next\r");
    terminal.shows("\nnext");
    terminal.prompts();
    terminal.types("/quit\r");
    assert_eq!(terminal.ends().0, 0);
}
