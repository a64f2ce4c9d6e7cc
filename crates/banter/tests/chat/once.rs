//! `banter chat "question"`.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use banter_remote::fakes::{FakeHub, TlsProxy};

use crate::servers::{Proxy, Scripted};
use crate::support::{Server, banter, wait_for};
use crate::terminal::Terminal;

fn chat(url: &str, arguments: &[&str]) -> Command {
    let mut command = banter(&["chat", "--url", url]);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("by itself"), text(stdout), text(stderr))
}

fn run_with_stdin(command: &mut Command, input: &str) -> (i32, String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("by itself"), text(stdout), text(stderr))
}

#[test]
fn an_answer_goes_to_stdout_as_it_is() {
    let server = Scripted::start();
    let cases = [
        (&["echo-chars 你好 **bold** world"][..], "你好 **bold** world\n"),
        (&["echo", "two", "words"], "two words\n"),
        (&["thinks so so | then"], "then\n"),
        (&["--max-tokens", "2", "tokens 5 0"], "word0 word1 \n"),
    ];
    for (arguments, expected) in cases {
        let (status, stdout, _) = run(&mut chat(&server.url(), arguments));
        assert_eq!((status, stdout.as_str()), (0, expected), "{arguments:?}");
    }
}

#[test]
fn statuses_and_messages_tell_what_happened() {
    let server = Scripted::start();
    let url = server.url();
    let long = "x".repeat(2 << 20);
    let id = "a".repeat(26);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["fail"], 1, "the script says so"),
        (&["busy"], 1, "too many answers are waiting"),
        (&["too-long"], 1, "4096"),
        (&["ends length a"], 0, "the answer was cut"),
        (&["--conversation", &id, "hello"], 1, "no such conversation"),
        (&["--temperature", "9", "hello"], 2, "--temperature (command line)"),
        (&["--nonsense", "hello"], 2, "--nonsense"),
        (&[], 2, "expected a question"),
        (&["--json"], 2, "expected a question"),
    ];
    for (arguments, expected, says) in cases {
        let (status, _, stderr) = run(&mut chat(&url, arguments));
        assert_eq!(status, *expected, "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
    let (status, _, stderr) = run_with_stdin(&mut chat(&url, &[]), &long);
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("expected at most 1048576 bytes"), "{stderr}");
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let (status, _, stderr) = run(&mut chat(&url, &["hello"]));
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains(&url) && stderr.contains("`banter serve`"), "{stderr}");
    assert!(stderr.contains("leave --url out"), "{stderr}");
}

#[test]
fn an_encrypted_server_is_reached_if_its_certificate_is_trusted() {
    let server = Scripted::start();
    let proxy = TlsProxy::start(server.address);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("certificate.pem");
    std::fs::write(&file, proxy.certificate()).expect("written");
    let mut command = chat(&proxy.url(), &["echo over TLS"]);
    let (status, stdout, stderr) = run(command.env("SSL_CERT_FILE", &file));
    assert_eq!((status, stdout.as_str()), (0, "over TLS\n"), "{stderr}");
    let mut command = chat(&proxy.url(), &["echo over TLS"]);
    let (status, stdout, stderr) = run(&mut command);
    assert_eq!((status, stdout.as_str()), (1, ""), "{stderr}");
}

#[test]
fn another_web_server_is_not_taken_for_a_banter() {
    let hub = FakeHub::start();
    let (status, _, stderr) = run(&mut chat(&hub.url(), &["hello"]));
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("no banter answers there"), "{stderr}");
}

#[test]
fn piped_text_is_the_question_or_follows_it() {
    let server = Scripted::start();
    let (status, stdout, _) = run_with_stdin(&mut chat(&server.url(), &[]), "echo piped\n");
    assert_eq!((status, stdout.as_str()), (0, "piped\n"));
    let (status, stdout, _) =
        run_with_stdin(&mut chat(&server.url(), &["echo summarise"]), "one\ntwo\n");
    assert_eq!((status, stdout.as_str()), (0, "summarise\n\none\ntwo\n"));
}

#[test]
fn events_are_printed_as_lines_of_json() {
    let server = Scripted::start();
    let (status, stdout, _) = run(&mut chat(&server.url(), &["--json", "echo \u{9b}2J\u{1b}"]));
    assert_eq!(status, 0);
    assert!(!stdout.contains('\u{9b}') && !stdout.contains('\u{1b}'), "{stdout:?}");
    let events: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!((types.first(), types.last()), (Some(&"accepted"), Some(&"finished")), "{types:?}");
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "delta")
        .fold(String::new(), |text, event| text + event["text"].as_str().expect("text"));
    assert_eq!(text, "\u{9b}2J\u{1b}");
}

#[test]
fn a_conversation_goes_on_with_its_system_message() {
    let server = Scripted::start();
    let arguments = ["--json", "--system", "Be brief.", "echo first"];
    let (_, stdout, _) = run(&mut chat(&server.url(), &arguments));
    let accepted: serde_json::Value =
        serde_json::from_str(stdout.lines().next().expect("a line")).expect("JSON");
    let id = accepted["conversation"].as_str().expect("an id");
    let (_, told, _) = run(&mut chat(&server.url(), &["--conversation", id, "history"]));
    let expected = serde_json::json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "echo first" },
        { "role": "assistant", "content": "first" },
        { "role": "user", "content": "history" },
    ]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&told).expect("JSON"), expected);
}

#[test]
fn ctrl_c_stops_the_answer_at_the_server_too() {
    let server = Scripted::start();
    let mut child =
        chat(&server.url(), &["slow 1000"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut first = [0; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("words come");
    assert_eq!(&first, b"word0 ");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(wait_for(&mut child).code(), Some(130));
    while server.counters.running.load(std::sync::atomic::Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn k6_a_closed_stdout_ends_it_quietly() {
    let server = Scripted::start();
    let mut child = chat(&server.url(), &["slow 1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!((wait_for(&mut child).code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn k3_an_answer_on_a_terminal_does_not_control_it() {
    let server = Scripted::start();
    let evil =
        "echo-chars \u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{1b}[31mred\u{8}\u{7f}\u{1b}P1\u{1b}\\ends";
    let mut command = chat(&server.url(), &[evil]);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let terminal = Terminal::start(command);
    terminal.shows("ends");
    let bytes = terminal.bytes();
    let written = String::from_utf8_lossy(&bytes);
    assert!(written.contains("␛]52;c;aGk=␇") && written.contains("␛[31mred␈␡"), "{written:?}");
    for code in ["\u{9b}", "\u{7}", "\u{8}", "\u{7f}", "\x1b]", "\x1b[31m", "\x1bP"] {
        assert!(!written.contains(code), "{code:?} in {written:?}");
    }
    assert_eq!(terminal.ends().0, 0);
}

#[test]
fn a_lost_connection_loses_and_doubles_nothing() {
    let server = Scripted::start();
    let proxy = Proxy::start(server.address);
    let mut child =
        chat(&proxy.url(), &["tokens 30 30"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut text = Vec::new();
    let mut buffer = [0; 64];
    let mut cuts = 0;
    loop {
        let length = stdout.read(&mut buffer).expect("it is read");
        if length == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..length]);
        if text.len() / 40 > cuts && cuts < 3 {
            cuts += 1;
            proxy.cut();
        }
    }
    let expected: String = (0..30).map(|word| format!("word{word} ")).collect();
    assert_eq!(String::from_utf8(text).expect("text"), expected + "\n");
    assert_eq!((wait_for(&mut child).code(), cuts), (Some(0), 3));
}

#[test]
fn a_question_is_asked_once_although_the_reply_was_lost() {
    let server = Scripted::start();
    let proxy = Proxy::start(server.address);
    let mut terminal = Terminal::start({
        let mut command = banter(&["chat", "--url", &proxy.url()]);
        command.env("TERM", "xterm");
        command
    });
    terminal.prompts();
    proxy.hold();
    terminal.types("echo only once\r");
    server.wait_for(|list| list["conversations"][0]["messages"] == 2);
    proxy.cut();
    terminal.shows("\nonly once");
    let screen = terminal.prompts();
    assert_eq!(screen.matches("\nonly once").count(), 1, "{screen}");
    let list = server.conversations();
    assert_eq!(list["conversations"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["conversations"][0]["messages"], 2);
}

#[test]
fn a_server_on_the_usual_port_is_joined() {
    let server = Server::start(&[]);
    let mut command = banter(&["chat", "--max-tokens", "3", "hello"]);
    // The port of the options is the usual one.
    let (status, stdout, stderr) = run(command.env("BANTER_PORT", server.port.to_string()));
    assert_eq!(status, 0, "{stderr}");
    assert!(!stdout.trim().is_empty(), "{stdout}");
    let computed = server.metric("banter_prompt_tokens_total{source=\"computed\"}");
    assert!(computed > 0.0, "the server has answered: {computed}");
}

#[test]
fn without_a_server_the_model_runs_in_this_process() {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = banter(&["chat", "--kv-memory", "64MiB", "--max-tokens", "3", "hello"]);
    command.env("XDG_DATA_HOME", home.path());
    let (status, stdout, stderr) = run(&mut command);
    assert_eq!(status, 0, "{stderr}");
    assert!(!stdout.trim().is_empty(), "{stdout}");
    assert!(!stderr.contains("ready") && !stdout.contains("ready"), "{stderr}");
    assert!(home.path().join("banter/data").is_dir(), "it is kept");
}
