//! The binary in a terminal of our own, whose screen can be looked at.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use rustix::pty::OpenptFlags;
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::support::{WITHIN, wait_for};

/// A terminal with a process in it.
pub struct Terminal {
    child: Child,
    ours: File,
    seen: Arc<Seen>,
    modes_before: Termios,
}

struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    screen: vt100::Parser,
    bytes: Vec<u8>,
    is_over: bool,
}

impl Terminal {
    /// Starts a command in a terminal of 24 lines and 80 columns.
    pub fn start(command: Command) -> Terminal {
        Terminal::of_size(command, 24, 80)
    }

    pub fn of_size(mut command: Command, rows: u16, columns: u16) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).expect("a terminal can be made");
        rustix::pty::grantpt(&ours).and_then(|()| rustix::pty::unlockpt(&ours)).expect("opened");
        let name = rustix::pty::ptsname(&ours, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("text");
        let theirs = File::options().read(true).write(true).open(name).expect("the other side");
        tcsetwinsize(&theirs, size(rows, columns)).expect("a size can be set");
        let modes_before = tcgetattr(&theirs).expect("it has modes");
        let side = || Stdio::from(theirs.try_clone().expect("another handle"));
        command.stdin(side()).stdout(side()).stderr(side());
        let own_terminal = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        };
        // SAFETY: both are system calls, which may be made between fork and exec.
        unsafe { command.pre_exec(own_terminal) };
        let child = command.spawn().expect("it starts");
        drop((command, theirs));
        let ours = File::from(ours);
        let screen = vt100::Parser::new(nonzero(rows), nonzero(columns), 1_000);
        let state = State { screen, bytes: Vec::new(), is_over: false };
        let seen = Arc::new(Seen { state: Mutex::new(state), changed: Condvar::new() });
        let (kept, mut reader) = (seen.clone(), ours.try_clone().expect("another handle"));
        std::thread::spawn(move || kept.read_all(&mut reader));
        Terminal { child, ours, seen, modes_before }
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until the screen is as it should be, and returns its text.
    pub fn wait_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let is_there = |state: &State| is_there(&state.screen.screen().contents());
        self.wait_until(is_there, what).screen.screen().contents()
    }

    fn wait_until(&self, is_so: impl Fn(&State) -> bool, what: &str) -> MutexGuard<'_, State> {
        let end = Instant::now() + WITHIN;
        let mut state = self.seen.state.lock().expect("no panic");
        while !is_so(&state) {
            let left = end.saturating_duration_since(Instant::now());
            let text = state.screen.screen().contents();
            assert!(!left.is_zero() && !state.is_over, "no {what} on the screen:\n{text}");
            state = self.seen.changed.wait_timeout(state, left).expect("no panic").0;
        }
        state
    }

    /// Waits until the screen has a text.
    pub fn shows(&self, text: &str) -> String {
        self.wait_for(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits for an empty prompt, at which keys are awaited, after the other text of the screen.
    pub fn prompts(&self) -> String {
        self.wait_for("prompt", |screen| screen.trim_end_matches('\n').lines().last() == Some("> "))
    }

    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.seen
            .state
            .lock()
            .expect("no panic")
            .screen
            .screen_mut()
            .set_size(nonzero(rows), nonzero(columns));
        tcsetwinsize(&self.ours, size(rows, columns)).expect("a size can be set");
    }

    /// Everything that was written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.state.lock().expect("no panic").bytes.clone()
    }

    pub fn child(&self) -> u32 {
        self.child.id()
    }

    /// Whether the modes are those that the terminal had before the command.
    pub fn has_its_modes(&self) -> bool {
        let now = tcgetattr(&self.ours).expect("it has modes");
        let before = &self.modes_before;
        (now.local_modes, now.input_modes, now.output_modes, now.control_modes)
            == (before.local_modes, before.input_modes, before.output_modes, before.control_modes)
    }

    /// Waits for the end, and returns the status and the last screen.
    pub fn ends(mut self) -> (i32, String) {
        let status = wait_for(&mut self.child).code().expect("it ends by itself");
        drop(self.wait_until(|state| state.is_over, "the end"));
        assert!(self.has_its_modes(), "the modes are not restored");
        let state = self.seen.state.lock().expect("no panic");
        let text = state.screen.screen().contents();
        assert!(!state.screen.screen().bracketed_paste(), "paste marks are still on");
        (status, text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn read_all(&self, reader: &mut File) {
        let mut buffer = [0; 4096];
        loop {
            // A terminal whose other side is gone is an error here, and the end.
            let length = reader.read(&mut buffer).unwrap_or(0);
            let mut state = self.state.lock().expect("no panic");
            state.screen.process(&buffer[..length]);
            state.bytes.extend_from_slice(&buffer[..length]);
            state.is_over = length == 0;
            self.changed.notify_all();
            if length == 0 {
                return;
            }
        }
    }
}

fn nonzero(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a screen has some")
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
