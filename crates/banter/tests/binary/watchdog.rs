//! An engine whose thread stands still.

use std::fs;
use std::io;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use crate::support::*;

/// A thread of a child that stands still, while all others go on. It goes on when this is dropped.
struct Halted(libc::pid_t);

impl Halted {
    fn halt(thread: libc::pid_t) -> Halted {
        let call = |request, what: &str| {
            let (address, data) =
                (ptr::null_mut::<libc::c_void>(), ptr::null_mut::<libc::c_void>());
            // SAFETY: these two requests take no addresses.
            let done = unsafe { libc::ptrace(request, thread, address, data) };
            assert_eq!(done, 0, "{what}: {}", io::Error::last_os_error());
        };
        call(libc::PTRACE_SEIZE, "seize");
        call(libc::PTRACE_INTERRUPT, "interrupt");
        let mut status = 0;
        // SAFETY: it writes a number into `status`.
        let waited = unsafe { libc::waitpid(thread, &mut status, libc::__WALL) };
        assert_eq!(waited, thread, "{}", io::Error::last_os_error());
        Halted(thread)
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: this request takes no addresses.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, none, none) };
    }
}

/// The thread of a process by its name.
fn thread(process: u32, name: &str) -> libc::pid_t {
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(&folder).expect("Linux").map(|entry| entry.expect("one").path());
    let is_named =
        |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let path = threads.into_iter().find(|path| is_named(path));
    let path = path.unwrap_or_else(|| panic!("no thread {name} in {folder}"));
    path.file_name().and_then(|id| id.to_str()?.parse().ok()).expect("a number")
}

#[test]
fn c8_an_engine_that_stands_still_is_noticed_within_ten_seconds_and_may_go_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let server = Server::start(&["--log-file", log.to_str().expect("a plain path")]);
    let mut socket = server.connect();
    send(&mut socket, r#"{"message": "Count from 1 to 40.", "temperature": 0, "max_tokens": 200}"#);
    // The first frame shows that the engine computes.
    socket.read().expect("a frame arrives in time");
    let halted = Halted::halt(thread(server.child.id(), "engine"));
    let begun = Instant::now();
    while server.ask("GET", "/ready", "").0 == 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not noticed");
        std::thread::yield_now();
    }
    assert_eq!(server.ask("GET", "/ready", "").1["status"], "stalled");
    assert_eq!(server.ask("GET", "/health", "").0, 200, "the process lives");
    assert_eq!(server.metric("banter_ready"), 0.0);
    let written = || fs::read_to_string(&log).expect("the log exists");
    wait_until(|| written().contains("the engine stands still"));
    wait_until(|| written().contains(" engine: state "));
    drop(halted);
    wait_until(|| server.ask("GET", "/ready", "").0 == 200);
    assert!(!read_answer(&mut socket).is_empty(), "the answer goes on");
    wait_until(|| written().contains("the engine moves again"));
}
