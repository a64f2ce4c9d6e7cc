//! The binary as a child process.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Longest wait for anything; a test that reaches it has failed.
pub const WITHIN: Duration = Duration::from_secs(60);

/// A running `banter serve` on a port of its own, ended when dropped.
pub struct Server {
    pub child: Child,
    pub ready_line: String,
    pub port: u16,
    /// Its log and the messages of panics. `None` if the test reads stderr itself.
    stderr: Option<File>,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        let mut command = banter(&["serve", "--port", "0"]);
        if !arguments.contains(&"--kv-memory") {
            command.args(["--kv-memory", "64MiB"]);
        }
        command.args(arguments);
        Server::spawn(command)
    }

    pub fn spawn(command: Command) -> Server {
        Server::try_spawn(command).unwrap_or_else(|failed| panic!("no start: {failed:?}"))
    }

    /// Errors: it ended before it was ready.
    pub fn try_spawn(mut command: Command) -> Result<Server, FailedStart> {
        let stderr = tempfile::tempfile().expect("a temporary file");
        let of_child = stderr.try_clone().expect("a descriptor is free");
        let mut child =
            command.stdout(Stdio::piped()).stderr(of_child).spawn().expect("the binary starts");
        let ready_line = first_line(&mut child);
        if ready_line.is_empty() {
            return Err(FailedStart { status: wait_for(&mut child), said: text_of(&stderr) });
        }
        let port = port_of(&child, &ready_line);
        Ok(Server { child, ready_line, port, stderr: Some(stderr) })
    }

    pub fn spawn_with(mut command: Command, stderr: Stdio) -> Server {
        let mut child =
            command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the binary starts");
        let ready_line = first_line(&mut child);
        let port = port_of(&child, &ready_line);
        Server { child, ready_line, port, stderr: None }
    }

    /// Everything that the server has written to stderr. Fails if the test reads stderr itself.
    pub fn said(&self) -> String {
        text_of(self.stderr.as_ref().expect("the test has not taken stderr"))
    }

    pub fn connect(&self) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
        let address = format!("ws://127.0.0.1:{}/ws", self.port);
        tungstenite::client(address, stream).expect("the handshake succeeds").0
    }

    /// One HTTP request from this machine: its status and its JSON, if it has one.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let (status, body) = self.request(method, path, body);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// A number of `/metrics`, by its name and labels.
    pub fn metric(&self, series: &str) -> f64 {
        let (status, text) = self.request("GET", "/metrics", "");
        assert_eq!(status, 200, "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let number = line.and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no {series} in {text}"))
    }

    fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.request_with(method, path, "", body)
    }

    /// The same with further header lines, each with its line end.
    pub fn request_with(&self, method: &str, path: &str, lines: &str, body: &str) -> (u16, String) {
        request(self.port, method, path, lines, body).expect("the server listens")
    }

    pub fn signal(&self, signal: libc::c_int) {
        let id = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: `kill` only takes numbers; the process is our own child, not yet waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0, "the signal is delivered");
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }
}

/// A server that ended before it was ready, and what it wrote to stderr.
#[derive(Debug)]
pub struct FailedStart {
    pub status: ExitStatus,
    pub said: String,
}

/// The first line of a child's stdout; empty if it ends without one.
fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the ready line is text");
    line
}

/// The port that the ready line names. The address of a proxy may have none; then it is the port
/// that the child listens on.
fn port_of(child: &Child, ready_line: &str) -> u16 {
    let port = ready_line.split_whitespace().nth(1).and_then(|url| url.rsplit(':').next());
    let port = port.and_then(|port| port.trim_end_matches('/').parse().ok());
    let listens = || tcp_sockets(child.id()).into_iter().find(|socket| socket.listens);
    let port = port.or_else(|| Some(listens()?.port));
    port.unwrap_or_else(|| panic!("no port in the ready line {ready_line:?}"))
}

/// The text of a file to which a child still writes.
fn text_of(file: &File) -> String {
    let length = file.metadata().expect("a file").len();
    let mut bytes = vec![0; usize::try_from(length).expect("a short log")];
    // The child writes where the offset is that both share, so that must not move.
    file.read_exact_at(&mut bytes, 0).expect("a file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Memory that a server may keep of what was done to it.
const MOST_KEPT_BYTES: u64 = 16 << 20;

/// A server as it is before it is attacked. Whatever is done to it, it has to be the same
/// afterwards:
/// ```ignore
/// let alive = Alive::of(&server);
/// // The attack, with all its sockets closed at the end.
/// alive.assert_still(&server);
/// ```
pub struct Alive {
    process: u32,
    resident_bytes: u64,
    descriptors: usize,
    answer: String,
}

impl Alive {
    /// Only for a server to which nobody else is connected.
    pub fn of(server: &Server) -> Alive {
        let process = server.child.id();
        // The first answers allocate what stays, as pools and stacks.
        let answer = control_answer(server);
        assert_eq!(control_answer(server), answer, "a greedy answer is always the same");
        wait_until(|| sockets_of_clients(server) == 0);
        Alive {
            process,
            resident_bytes: resident_bytes(process),
            descriptors: descriptors(process).len(),
            answer,
        }
    }

    /// Fails unless the same process is ready, gives the same answer to the control question, and
    /// has given back memory and descriptors, and no thread of it has panicked.
    pub fn assert_still(&self, server: &Server) {
        assert_eq!(server.child.id(), self.process, "another process");
        wait_until(|| sockets_of_clients(server) == 0);
        let (status, ready) = server.ask("GET", "/ready", "");
        assert_eq!(status, 200, "{ready}");
        assert_eq!(control_answer(server), self.answer, "another answer than before");
        let said = server.said();
        assert!(!said.contains("panicked"), "{said}");
        let most_bytes = self.resident_bytes + MOST_KEPT_BYTES;
        wait_to_see(
            || resident_bytes(self.process),
            |bytes| *bytes <= most_bytes,
            &format!("resident bytes, at most {most_bytes}"),
        );
        let most = self.descriptors;
        wait_to_see(
            || descriptors(self.process),
            |open| open.len() <= most,
            &format!("open descriptors, at most {most}"),
        );
    }
}

/// The answer to a fixed question at temperature 0.
pub fn control_answer(server: &Server) -> String {
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "Who are you?", "temperature": 0, "max_tokens": 8}"#);
    let answer = read_answer(&mut socket).concat();
    assert!(!answer.is_empty() && !answer.contains("error"), "{answer}");
    answer
}

/// The target of each descriptor of a process. Fails if the process has ended.
pub fn descriptors(process: u32) -> Vec<String> {
    let folder = format!("/proc/{process}/fd");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let leads_to = |entry: io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
    entries.filter_map(leads_to).map(|path| path.to_string_lossy().into_owned()).collect()
}

/// How many connections the server has on its port that are not closed.
fn sockets_of_clients(server: &Server) -> usize {
    let sockets = tcp_sockets(server.child.id());
    sockets.iter().filter(|socket| socket.port == server.port && !socket.listens).count()
}

struct TcpSocket {
    /// Its port on this side.
    port: u16,
    listens: bool,
}

/// The open sockets of a process, as Linux lists them.
fn tcp_sockets(process: u32) -> Vec<TcpSocket> {
    const LISTENS: &str = "0A";
    let open = descriptors(process);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    let socket = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = words[..] else { return None };
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        let is_its_own = open.iter().any(|file| *file == format!("socket:[{inode}]"));
        is_its_own.then_some(TcpSocket { port, listens: state == LISTENS })
    };
    lines.filter_map(socket).collect()
}

/// Memory of a process that is not on disk only.
pub fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// The status of a process that ends by itself. One that does not is ended, so that it holds up
/// no test, and its status tells.
pub fn wait_for(child: &mut Child) -> ExitStatus {
    let id = libc::pid_t::try_from(child.id()).expect("a process id");
    let (tell, ended) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(WITHIN) == Err(RecvTimeoutError::Timeout) {
            // SAFETY: `kill` only takes numbers; the process is our own child.
            unsafe { libc::kill(id, libc::SIGKILL) };
        }
    });
    let status = child.wait().expect("a child can be waited for");
    drop(tell);
    watch.join().expect("the watch ends");
    status
}

/// Asks until something is so.
pub fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WITHIN, "it takes too long");
        std::thread::yield_now();
    }
}

/// Looks until what is seen is right. A failure says what was seen last.
fn wait_to_see<T: std::fmt::Debug>(
    see: impl Fn() -> T,
    is_right: impl Fn(&T) -> bool,
    expected: &str,
) {
    let begun = Instant::now();
    loop {
        let seen = see();
        if is_right(&seen) {
            return;
        }
        assert!(begun.elapsed() < WITHIN, "{expected}: found {seen:?}");
        std::thread::yield_now();
    }
}

/// One HTTP request to this machine, with these header lines: its status and its body.
///
/// Errors: nobody listens there.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    lines: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let response = response_to(port, method, path, lines, body)?;
    Ok((response.status, response.body))
}

/// The response to a request.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }
}

/// The same with the head of the response.
///
/// Errors: nobody listens there.
pub fn response_to(
    port: u16,
    method: &str,
    path: &str,
    lines: &str,
    body: &str,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{lines}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.expect("a status");
    Ok(Response { status, head: head.to_owned(), body: body.to_owned() })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn banter(arguments: &[&str]) -> Command {
    let mut command = without_settings(Command::new(env!("CARGO_BIN_EXE_banter")));
    command.args(arguments);
    command
}

/// The settings of the person running the tests must not matter.
pub fn without_settings(mut command: Command) -> Command {
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let starts = ["BANTER_", "HF_", "HUGGING_FACE_", "MODELSCOPE_", "OTEL_"];
        if starts.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    // The thread of a test has the test's name.
    let test = std::thread::current().name().unwrap_or("main").replace("::", "-");
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("data").join(test);
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("XDG_DATA_HOME", data);
    // A process inherits which signals are ignored, and `nohup` ignores this one.
    let hang_up = || {
        // SAFETY: it takes numbers and installs no handler.
        let before = unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
        if before == libc::SIG_ERR { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: `signal` may be called between fork and exec, and nothing else is done there.
    unsafe { command.pre_exec(hang_up) };
    command
}

pub fn send(socket: &mut WebSocket<TcpStream>, text: &str) {
    socket.send(Message::text(text)).expect("the message is sent");
}

/// Reads frames up to and including the empty one; returns the pieces before it.
pub fn read_answer(socket: &mut WebSocket<TcpStream>) -> Vec<String> {
    let mut pieces = Vec::new();
    loop {
        match socket.read().expect("a frame arrives in time") {
            Message::Text(text) if text.is_empty() => return pieces,
            Message::Text(text) => pieces.push(text.to_string()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected frame {other:?}"),
        }
    }
}

pub fn run_to_end(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("the binary runs");
    let status = output.status.code().expect("it ends by itself");
    (status, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A file of a small model's random weights in this type, in a folder; its path.
pub fn small_model(folder: &Path, kind: &str) -> String {
    random_model(folder, "tiny", kind)
}

/// A file of random weights in this shape and type, in a folder; its path.
pub fn random_model(folder: &Path, shape: &str, kind: &str) -> String {
    let path = folder.join("random.gguf").to_str().expect("a plain path").to_owned();
    let arguments = ["bench", "make-model", "--shape", shape, "--type", kind, "-o", &path];
    let (status, errors) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 0, "{errors}");
    path
}
