//! The terminal: its modes, which are given back whatever happens, and its width.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use rustix::process::{Signal, getpid, getsid, kill_current_process_group};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::wrap::Dress;

/// How long a process may take to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);
/// What turns off the marks that terminals put around pasted text.
const PASTE_MARKS_OFF: &str = "\x1b[?2004l";
const PASTE_MARKS_ON: &str = "\x1b[?2004h";

/// The modes of a terminal as they were at the start. They are set again when this is dropped, also
/// by a panic.
#[derive(Clone)]
pub struct Modes {
    original: Termios,
}

impl Modes {
    /// The modes of the terminal at stdin; `None` if it is none.
    pub fn now() -> Option<Modes> {
        Some(Modes { original: tcgetattr(io::stdin()).ok()? })
    }

    /// Lets go of the terminal as long as the process is stopped, as Ctrl-Z asks for.
    ///
    /// A process that no shell watches could not be continued, so it goes on.
    pub async fn suspend(&self) {
        if getsid(None).is_ok_and(|session| session == getpid()) {
            return;
        }
        let Ok(now) = tcgetattr(io::stdin()) else { return };
        let Ok(mut continued) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) else { return };
        let is_raw = !is_same(&now, &self.original);
        self.restore();
        // The whole job stops, as a terminal stops it: a shell waits for its first process.
        let _ = kill_current_process_group(Signal::STOP);
        // Another thread may take the signal, and this one would run on for a moment. The limit
        // holds if the process does not stop.
        let _ = timeout(STOPPED_WITHIN, continued.recv()).await;
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &now);
        if is_raw && !now.local_modes.contains(LocalModes::ISIG) {
            let _ = io::stdout().write_all(PASTE_MARKS_ON.as_bytes());
            let _ = io::stdout().flush();
        }
    }

    /// Sets the modes of the start again.
    pub fn restore(&self) {
        // Nothing better can be done if the terminal is gone.
        let Ok(now) = tcgetattr(io::stdin()) else { return };
        if is_same(&now, &self.original) {
            return;
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.original);
        if !now.local_modes.contains(LocalModes::ISIG) {
            let _ = io::stdout().write_all(PASTE_MARKS_OFF.as_bytes());
            let _ = io::stdout().flush();
        }
    }

    /// While it lives, keys are not shown. Those that are pressed wait for the editor, and Ctrl-C
    /// is a signal.
    pub fn without_echo(&self) -> WithoutEcho<'_> {
        let mut quiet = self.original.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &quiet);
        WithoutEcho { modes: self }
    }
}

/// The modes of the start are set when it is dropped.
pub struct Restored(pub Modes);

impl Drop for Restored {
    fn drop(&mut self) {
        self.0.restore();
    }
}

/// See [`Modes::without_echo`].
pub struct WithoutEcho<'a> {
    modes: &'a Modes,
}

impl Drop for WithoutEcho<'_> {
    fn drop(&mut self) {
        self.modes.restore();
    }
}

fn is_same(one: &Termios, other: &Termios) -> bool {
    one.local_modes == other.local_modes
        && one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
}

/// How many columns the terminal has; 80 if it does not say.
pub fn width() -> usize {
    const USUAL: usize = 80;
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => USUAL,
    }
}

/// Which escape sequences stdout understands.
pub fn dress() -> Dress {
    let is_simple = match env::var("TERM") {
        Ok(name) => name.is_empty() || name == "dumb",
        Err(_) => true,
    };
    let wants_no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match (io::stdout().is_terminal() && !is_simple, wants_no_colour) {
        (false, _) => Dress::None,
        (true, true) => Dress::Uncoloured,
        (true, false) => Dress::Coloured,
    }
}
