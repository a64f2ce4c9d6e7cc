//! The binary as a child process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
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
        Server::spawn_with(command, Stdio::null())
    }

    pub fn spawn_with(mut command: Command, stderr: Stdio) -> Server {
        let mut child =
            command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut ready_line = String::new();
        BufReader::new(stdout).read_line(&mut ready_line).expect("the ready line is text");
        let port = ready_line
            .split_whitespace()
            .nth(1)
            .and_then(|url| url.rsplit(':').next())
            .and_then(|port| port.trim_end_matches('/').parse().ok())
            .unwrap_or_else(|| panic!("no port in the ready line {ready_line:?}"));
        Server { child, ready_line, port }
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
    Ok((status.expect("a status"), body.to_owned()))
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
        let starts = ["BANTER_", "HF_", "HUGGING_FACE_", "MODELSCOPE_"];
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

/// A file of random weights in this type, in a folder; its path.
pub fn small_model(folder: &Path, kind: &str) -> String {
    let path = folder.join("random.gguf").to_str().expect("a plain path").to_owned();
    let arguments = ["bench", "make-model", "--shape", "tiny", "--type", kind, "-o", &path];
    let (status, errors) = run_to_end(&mut banter(&arguments));
    assert_eq!(status, 0, "{errors}");
    path
}
