//! `banter serve`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::*;

#[test]
fn the_embedded_model_answers() {
    let server = Server::start(&[]);
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "你好", "temperature": 0}"#);
    let answer = read_answer(&mut socket);
    assert!(answer.len() > 1, "words come one by one: {answer:?}");
    let text = answer.concat();
    assert!(!text.contains("<|") && !text.contains('\u{fffd}'), "{text}");
}

#[test]
fn a_conversation_is_found_again_after_a_restart_and_metrics_tell() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = home.path().join("kv");
    let folder = folder.to_str().expect("the path is text");
    let prompt =
        "You are banter, a small model that talks about itself, about numbers and about code.";
    let arguments = ["--kv-disk", folder, "--kv-disk-size", "64MiB", "--system-prompt", prompt];
    let question = r#"{"message": "What is 17 times 23?", "temperature": 0, "max_tokens": 40}"#;
    let answer = |server: &Server| {
        let mut socket = server.connect();
        send(&mut socket, question);
        read_answer(&mut socket).concat()
    };
    let mut server = Server::start(&arguments);
    let first = answer(&server);
    assert_eq!(server.metric("banter_prompt_tokens_total{source=\"reused\"}"), 0.0);
    let computed = server.metric("banter_prompt_tokens_total{source=\"computed\"}");
    assert!(computed > 20.0, "{computed}");
    assert_eq!(answer(&server), first);
    let reused = server.metric("banter_prompt_tokens_total{source=\"reused\"}");
    assert!(
        reused + 16.0 >= computed,
        "{reused} of {computed}: the last block holds an answer too"
    );
    assert!(server.metric("banter_steps_total") > 2.0);
    assert!(server.metric("banter_time_between_deltas_seconds_count") > 0.0);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start(&arguments);
    while server.metric("banter_cache_blocks{state=\"disk\"}") == 0.0 {
        std::thread::yield_now();
    }
    assert_eq!(answer(&server), first);
    assert!(server.metric("banter_fetched_blocks_total") > 1.0);
    assert!(server.metric("banter_prompt_tokens_total{source=\"reused\"}") >= 16.0);
}

#[test]
fn a_draft_model_guesses_and_changes_no_word() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/banter-demo.gguf");
    let question = r#"{"message": "How do I read a file in Python?", "seed": 7, "max_tokens": 80}"#;
    let answer = |arguments: &[&str]| {
        let server = Server::start(&[&["--model", demo], arguments].concat());
        let mut socket = server.connect();
        send(&mut socket, question);
        let text = read_answer(&mut socket).concat();
        (text, server.metric("banter_guesses_total{outcome=\"held\"}"))
    };
    let (plain, held) = answer(&["--no-speculation"]);
    assert_eq!(held, 0.0);
    // It draws as the model itself does, so every guess that is tried holds.
    let (guessed, _) = answer(&["--draft-model", demo]);
    assert_eq!(guessed, plain);
    assert_eq!(answer(&[]).0, plain);

    let arguments = ["serve", "--port", "0", "--draft-model", "qwen2.5:0.5b"];
    let (status, message) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 2);
    assert!(
        message.contains("--draft-model (command line): qwen2.5:0.5b is not here yet"),
        "{message}"
    );
}

#[test]
fn a_disk_size_without_a_disk_is_refused() {
    let (status, message) = run_to_end(&mut banter(&["serve", "--kv-disk-size", "1GiB"]));
    assert_eq!(status, 2);
    assert!(
        message.contains("--kv-disk-size (command line): expected --kv-disk together with it"),
        "{message}"
    );
}

#[test]
fn a_system_prompt_that_leaves_no_room_is_refused_with_the_numbers() {
    let prompt = "word ".repeat(3_000);
    let arguments = ["serve", "--port", "0", "--system-prompt", &prompt];
    let (status, message) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 2);
    assert!(
        message.contains("--system-prompt (command line): system prompt: expected at most"),
        "{message}"
    );
}

#[test]
fn a_low_limit_of_descriptors_is_raised() {
    let binary = env!("CARGO_BIN_EXE_banter");
    let mut command = without_settings(Command::new("sh"));
    command.args(["-c", "ulimit -Sn 40 && exec \"$0\" serve --port 0 --kv-memory 64MiB", binary]);
    let server = Server::spawn(command);
    let mut sockets: Vec<_> = (0..80).map(|_| server.connect()).collect();
    let last = sockets.last_mut().expect("there are sockets");
    send(last, r#"{"message": "hello", "max_tokens": 2}"#);
    assert!(!read_answer(last).is_empty());
}

#[test]
fn the_ready_line_has_its_form() {
    let server = Server::start(&[]);
    let words: Vec<&str> = server.ready_line.split_whitespace().collect();
    assert_eq!(words[0], "ready");
    assert_eq!(words[1], format!("http://localhost:{}", server.port));
    for (word, start) in words[2..5].iter().zip(["model=", "weights=", "cache="]) {
        assert!(word.starts_with(start) && word.len() > start.len(), "{word}");
    }
    assert_eq!((words[5], words[7], words.len()), ("in", "s", 8));
}

#[test]
fn a_signal_ends_the_server_in_the_middle_of_an_answer() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut server = Server::start(&[]);
        let mut socket = server.connect();
        send(&mut socket, r#"{"message": "Tell me a long story", "temperature": 0}"#);
        assert!(matches!(socket.read(), Ok(Message::Text(_))), "the answer has begun");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "signal {signal}");
    }
}

#[test]
fn a_closed_terminal_ends_the_server_with_a_goodbye() {
    let mut server = Server::start(&[]);
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "hello", "max_tokens": 2}"#);
    read_answer(&mut socket);
    server.signal(libc::SIGHUP);
    let goodbye = loop {
        match socket.read().expect("a frame") {
            Message::Close(frame) => break frame.expect("a code").code,
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected frame {other:?}"),
        }
    };
    assert_eq!(u16::from(goodbye), 1001);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_that_is_to_ignore_hangups_goes_on() {
    let binary = env!("CARGO_BIN_EXE_banter");
    let mut command = without_settings(Command::new("sh"));
    let start = "trap '' HUP && exec \"$0\" serve --port 0 --kv-memory 64MiB";
    command.args(["-c", start, binary]);
    let mut server = Server::spawn(command);
    server.signal(libc::SIGHUP);
    assert_eq!(server.ask("GET", "/health", "").0, 200);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_fails_a_start_is_not_told_as_an_end() {
    let arguments = ["serve", "--port", "0", "--ctx", "1000000"];
    let (status, message) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 2);
    assert!(!message.contains("shutting down"), "{message}");
}

#[test]
fn a_server_on_all_addresses_is_reached_by_each_of_them_with_the_key() {
    let key = "long-enough-key";
    let server = Server::start(&["--host", "0.0.0.0", "--key", key]);
    let status = |lines: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
        let request = format!("GET /api/info HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        response.split(' ').nth(1).map(str::to_owned)
    };
    // What was connected to is 127.0.0.1: another address is another machine's, or a trick.
    let port = server.port;
    let with_key = format!("x-api-key: {key}\r\n");
    assert_eq!(status(&format!("Host: 127.0.0.1:{port}\r\n")).as_deref(), Some("200"));
    for other in ["192.0.2.7", "evil.example"] {
        let lines = format!("Host: {other}:{port}\r\n{with_key}");
        assert_eq!(status(&lines).as_deref(), Some("421"), "{other}");
    }
    assert!(server.ready_line.contains(&format!(" http://localhost:{port} ")));
}

#[test]
fn wrong_values_exit_with_2_and_name_option_and_source() {
    let (status, message) = run_to_end(&mut banter(&["serve", "--port", "http"]));
    assert_eq!(status, 2);
    assert!(message.contains("--port (command line)"), "{message}");

    let (status, message) = run_to_end(banter(&["serve"]).env("BANTER_CTX", "many"));
    assert_eq!(status, 2);
    assert!(message.contains("BANTER_CTX (environment)"), "{message}");

    let (status, message) = run_to_end(&mut banter(&["serve", "--config", "/nonexistent.toml"]));
    assert_eq!(status, 2);
    assert!(message.contains("/nonexistent.toml"), "{message}");

    let (status, _) = run_to_end(&mut banter(&["serve", "--no-such-option"]));
    assert_eq!(status, 2);
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let arguments = ["serve", "--port", "0", "--model", "/nonexistent/model.gguf"];
    let (status, message) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 1);
    assert!(message.contains("/nonexistent/model.gguf"), "{message}");
}

#[test]
fn a_context_beyond_the_trained_one_is_refused_with_the_numbers() {
    let arguments = ["serve", "--port", "0", "--ctx", "1000000"];
    let (status, message) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 2);
    assert!(message.contains("--ctx (command line)"), "{message}");
    assert!(message.contains("1000000") && message.contains("of training"), "{message}");
}

#[test]
fn a_cache_smaller_than_the_context_still_answers() {
    let server = Server::start(&["--kv-memory", "1MiB"]);
    let mut socket = server.connect();
    for message in [r#"{"message": "hi"}"#, r#"{"message": "hi", "max_tokens": 1000000}"#] {
        send(&mut socket, message);
        let answer = read_answer(&mut socket).concat();
        assert!(!answer.is_empty() && !answer.contains("error"), "{answer}");
    }
}

#[test]
fn an_address_to_listen_on_is_an_address_to_be_found_at() {
    let key = "long-enough-key";
    let server = Server::start(&["--host", "127.0.0.2", "--key", key]);
    let address = format!("127.0.0.2:{}", server.port);
    assert!(server.ready_line.contains(&format!(" http://{address} ")), "{}", server.ready_line);
    let stream = TcpStream::connect(&address).expect("the server listens");
    stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
    let url = format!("ws://{address}/ws?key={key}");
    let (mut socket, _) = tungstenite::client(url, stream).expect("the handshake succeeds");
    send(&mut socket, r#"{"message": "hello", "max_tokens": 2}"#);
    assert!(!read_answer(&mut socket).is_empty());
}

#[test]
fn a_second_server_on_the_same_port_is_told_who_is_there() {
    let server = Server::start(&[]);
    let port = server.port.to_string();
    let (status, message) = run_to_end(&mut banter(&["serve", "--port", &port]));
    assert_eq!(status, 1);
    assert!(message.contains(&format!("port {port} is taken")), "{message}");
    assert!(message.contains("another banter") && message.contains("--port"), "{message}");
}

#[test]
fn the_log_says_that_pairs_are_slow_where_no_instruction_multiplies_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = small_model(folder.path(), "bf16");
    let log = folder.path().join("server.log");
    let log_text = log.to_str().expect("a plain path");
    let told = |arguments: &[&str]| {
        let always = ["--model", &model, "--isa", "scalar", "--log-file", log_text];
        drop(Server::start(&[&always, arguments].concat()));
        let lines = std::fs::read_to_string(&log).expect("the log exists");
        std::fs::remove_file(&log).expect("it is a file");
        lines.contains("bf16-dot")
    };
    assert!(told(&["--quant", "bf16-dot"]));
    assert!(!told(&[]));
}

#[test]
fn a_bench_model_of_random_weights_is_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("random.gguf");
    let path = path.to_str().expect("a plain path");
    let arguments = ["bench", "make-model", "--shape", "tiny", "--type", "q4_0", "-o", path];
    let output = banter(&arguments).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("Q4_0") && table.contains("F32"), "{table}");

    let server = Server::start(&["--model", path]);
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "hello", "max_tokens": 8, "seed": 1}"#);
    let first = read_answer(&mut socket).concat();
    send(&mut socket, r#"{"message": "hello", "max_tokens": 8, "seed": 1}"#);
    assert_eq!(read_answer(&mut socket).concat(), first, "same seed, same answer");
}
