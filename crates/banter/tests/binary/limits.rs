//! Little of what a system gives: descriptors, stacks, address space, folders; and connections that
//! say nothing.
//!
//! `BANTER_SILENT` says how many connections say nothing:
//! ```sh
//! BANTER_SILENT=5000 cargo test --profile long-test -p banter --test binary w12_ -- --nocapture
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;
use crate::v1::{V1, number_from};

/// `banter` as a shell starts it after this line.
fn after(line: &str, arguments: &[&str]) -> Command {
    let mut command = without_settings(Command::new("sh"));
    let script = format!("{line} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_banter")]).args(arguments);
    command
}

const SERVE: [&str; 5] = ["serve", "--port", "0", "--kv-memory", "64MiB"];

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
    stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
    stream
}

/// Reads up to the end that the server makes. Fails if anything comes before it.
fn expect_end(mut stream: TcpStream) {
    match stream.read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("expected the end of the connection, found {other:?}"),
    }
}

#[test]
fn w12_connections_that_say_nothing_are_closed() {
    let count = number_from("BANTER_SILENT", 500);
    let room = (2 * count).max(1_000).to_string();
    let enough = ["--max-connections", &room, "--max-connections-per-address", &room];
    // With the defaults newcomers take the places of the silent; with enough places the time of a
    // head ends them.
    for limits in [&[][..], &enough] {
        let server = Server::start(&[&["--no-store"], limits].concat());
        let alive = Alive::of(&server);
        let silent: Vec<TcpStream> = (0..count).map(|_| connect(&server)).collect();
        assert_eq!(server.ask("GET", "/health", "").0, 200, "others are served meanwhile");
        silent.into_iter().for_each(expect_end);
        alive.assert_still(&server);
    }
}

/// A connection that is kept open for further requests.
struct Kept(TcpStream);

impl Kept {
    fn get(&mut self, path: &str) -> Value {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.write_all(request.as_bytes()).expect("an open connection");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("a response");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text").to_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{path}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok()).expect("a length");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }
}

/// Processor time that a process has taken.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let (_, after_name) = stat.rsplit_once(')').expect("a name in brackets");
    // `utime` and `stime` are the fields 14 and 15 of the whole line.
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>());
    let ticks: u32 = ticks.map(|ticks| ticks.expect("a number")).sum();
    // SAFETY: it takes a number and returns one.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs(ticks.into()) / u32::try_from(per_second).expect("ticks per second")
}

/// Checks that a connection is not accepted, and that the server does not use up the processor by
/// trying to.
fn expect_rest(server: &Server, mut waiting: &TcpStream) {
    const LOOKS: Duration = Duration::from_secs(2);
    let (begun, before) = (Instant::now(), processor_time(server.child.id()));
    waiting.set_read_timeout(Some(LOOKS)).expect("a timeout can be set");
    waiting
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("the system takes it");
    let found = waiting.read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(found, Err(ErrorKind::WouldBlock), "it is accepted");
    let taken = processor_time(server.child.id()) - before;
    assert!(taken < begun.elapsed() / 20, "{taken:?} of {:?}", begun.elapsed());
}

#[test]
fn r2_a_server_without_free_descriptors_still_stores_rests_and_recovers() {
    const DESCRIPTORS: usize = 64;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    // Silent connections stay for as long as the test looks.
    let more = ["--header-timeout", "60", "--data", data];
    let server =
        Server::spawn(after(&format!("ulimit -n {DESCRIPTORS}"), &[&SERVE, &more[..]].concat()));
    let alive = Alive::of(&server);
    for cycle in 0..3 {
        let mut writer = V1::connect(server.port).expect("the server listens");
        let mut reader = Kept(connect(&server));
        reader.get("/health");
        let held: Vec<TcpStream> = (0..2 * DESCRIPTORS).map(|_| connect(&server)).collect();
        wait_until(|| descriptors(server.child.id()).len() >= DESCRIPTORS);

        let request = json!({
            "type": "send", "client_id": format!("cycle {cycle}"),
            "text": format!("xylophon{cycle}"), "parameters": { "max_tokens": 8 },
        });
        let mut seen = writer.ask(&request).expect("it is accepted");
        writer.read(&mut seen).expect("it is answered");
        let kept = reader.get(&format!("/api/conversations/{}", seen.conversation));
        let texts: Vec<&Value> =
            kept["messages"].as_array().expect("a list").iter().map(|m| &m["text"]).collect();
        assert_eq!(texts, [&request["text"], &json!(seen.text)]);
        let found = reader.get(&format!("/api/conversations?q=xylophon{cycle}"));
        assert_eq!(found["hits"][0]["conversation"]["id"], *seen.conversation, "{found}");

        expect_rest(&server, held.last().expect("many"));
        drop(held);
        assert_eq!(server.ask("GET", "/health", "").0, 200, "it accepts again");
    }
    assert!(server.said().contains("cannot accept a connection"), "{}", server.said());
    alive.assert_still(&server);
}

#[test]
fn k8_few_descriptors_are_enough_or_the_message_names_the_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for limit in [64, 40, 30, 25, 20, 18, 16, 14, 12, 10, 8, 6] {
        let data = folder.path().join(limit.to_string());
        let more = ["--data", data.to_str().expect("a plain path")];
        let command = after(&format!("ulimit -n {limit}"), &[&SERVE, &more[..]].concat());
        match Server::try_spawn(command) {
            Ok(server) => {
                control_answer(&server);
                assert!(server.said().contains("raise `ulimit -Hn`"), "{}", server.said());
            }
            Err(FailedStart { status, said }) => {
                assert_eq!(status.code(), Some(1), "{limit} descriptors: {said}");
                assert!(said.contains("raise the limit with `ulimit -n`"), "{limit}: {said}");
                assert!(limit < 40, "{limit} descriptors are enough: {said}");
            }
        }
    }
}

/// With too little address space for a thread or for a few bytes, Rust's runtime ends the process.
/// That has to be told, too, and nothing may hang.
#[test]
fn k8_little_address_space_is_enough_or_the_message_says_so() {
    const MUCH_KIB: u32 = 4_000_000;
    for limit in [60_000, 100_000, 150_000, 200_000, 300_000, 450_000, 600_000, MUCH_KIB] {
        let line = format!("ulimit -v {limit}");
        match Server::try_spawn(after(&line, &[&SERVE, &["--no-store"][..]].concat())) {
            Ok(server) => drop(control_answer(&server)),
            Err(FailedStart { status, said }) => {
                assert!(limit < MUCH_KIB && !status.success(), "{limit} KiB: {said}");
                let causes = ["memory", "allocate", "thread", "Resource temporarily unavailable"];
                assert!(causes.iter().any(|cause| said.contains(cause)), "{limit} KiB: {said:?}");
            }
        }
    }
}

/// Starts a server in a folder that nobody can write to, and asks it.
fn expect_an_answer(mut command: Command, data: &Path) {
    command.args(SERVE).args(["--data", data.to_str().expect("a plain path")]);
    let server = Server::spawn(command);
    let mut client = V1::connect(server.port).expect("the server listens");
    let request = json!({
        "type": "send", "client_id": "one", "text": "hello", "parameters": { "max_tokens": 4 },
    });
    let mut seen = client.ask(&request).expect("it is accepted");
    client.read(&mut seen).expect("it is answered");
    let (status, export) = server.request_with("GET", "/api/conversations/export", "", "");
    assert!(status == 200 && export.contains("hello"), "{export}");
    assert!(!server.said().contains("WARN"), "{}", server.said());
}

#[test]
fn k8_a_small_stack_no_temporary_folder_and_a_folder_that_is_read_only_are_enough() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    expect_an_answer(after("ulimit -s 256", &[]), &folder.path().join("stack"));
    let mut command = banter(&[]);
    // Nobody can write to `/proc`, not even root.
    command.env("TMPDIR", "/nonexistent").env_remove("HOME").current_dir("/proc");
    expect_an_answer(command, &folder.path().join("folders"));
}

#[test]
fn k8_a_user_without_a_name_can_run_it() {
    const NOBODY_S_NUMBER: u32 = 54_321;
    // SAFETY: it only returns a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("not tested: only root can run a program as another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let number = Some(NOBODY_S_NUMBER);
    std::os::unix::fs::chown(folder.path(), number, number).expect("root may");
    let mut command = banter(&[]);
    command.uid(NOBODY_S_NUMBER).gid(NOBODY_S_NUMBER).env_remove("HOME");
    expect_an_answer(command, &folder.path().join("data"));
}
