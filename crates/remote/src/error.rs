//! What can go wrong on the way to a model.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hub::{NameError, Sha256Sum};
use crate::size::show_bytes;

/// Why a model could not be pulled. Every message says what to do, or what is kept.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An environment variable is wrong.
    #[error("{variable} (environment): {expected}, found {found:?}")]
    Setting {
        /// Its name.
        variable: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The environment says that nothing may be fetched.
    #[error("{0} (environment) is set: nothing is fetched; unset it to pull")]
    Offline(&'static str),
    /// No connection, or one that broke again and again.
    #[error("{host}{}: {reason}; {kept}{}", through(.proxy), hint_at_network(*.kept, .proxy))]
    Unreachable {
        /// Who was asked: not always the hub, which may keep its files elsewhere.
        host: String,
        /// The proxy that stands between, with the variable that names it.
        proxy: Option<String>,
        /// What happened, the last time.
        reason: String,
        /// What is kept.
        kept: Kept,
    },
    /// 401 or 403.
    #[error("{what}: {host} answered {status}: {}", advice_on_tokens(.login, *.status))]
    NotAllowed {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// The status.
        status: u16,
        /// Who asked.
        login: Login,
    },
    /// 404, or a file that is not in the list.
    #[error("{what}: not found at {host}{}", hint_at(.there))]
    NotFound {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What is there instead.
        there: Vec<String>,
    },
    /// 429 with a long wait, or again and again.
    #[error("{}; {kept}", too_many(.host, .retry_after))]
    TooManyRequests {
        /// Who was asked.
        host: String,
        /// How long, as it says.
        retry_after: Option<Duration>,
        /// What is kept.
        kept: Kept,
    },
    /// Any other status.
    #[error("{what}: {host} answered {status}; {kept}")]
    Status {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// The status.
        status: u16,
        /// What is kept.
        kept: Kept,
    },
    /// An answer that cannot be understood.
    #[error("{what}: {host} answered something else than was expected: {found}; {kept}")]
    BadAnswer {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What is wrong with it.
        found: String,
        /// What is kept.
        kept: Kept,
    },
    /// A redirect that leads where a hub must not lead.
    #[error("{host} led elsewhere: {reason}, which is not followed")]
    Redirect {
        /// Who was asked.
        host: String,
        /// Where it led.
        reason: &'static str,
    },
    /// A page for people, or a stand-in for a file, came in place of the file.
    #[error("{what}: expected a file of a model, found {found} at {host}{}", meant(.name))]
    NotAModel {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What came.
        found: &'static str,
        /// The name that was meant, perhaps.
        name: Option<String>,
    },
    /// A file without a checksum became another one between two pieces.
    #[error(
        "{what} was changed at {host} while it was downloaded; what was downloaded has been removed, pull again"
    )]
    Changed {
        /// The file.
        what: String,
        /// Who was asked.
        host: String,
    },
    /// The bytes are not those that were published.
    #[error(
        "{file}: expected sha256 {expected}, found {found}; what was downloaded has been removed. \
         Pull again, or from another hub or mirror"
    )]
    WrongChecksum {
        /// The file.
        file: String,
        /// What the hub says.
        expected: Sha256Sum,
        /// What was downloaded.
        found: Sha256Sum,
    },
    /// There is too little room, found before the download.
    #[error(
        "{}: expected {} free for the download, found {}; free some, or name another folder with \
         --models-dir",
        folder.display(),
        show_bytes(*needed_bytes),
        show_bytes(*free_bytes)
    )]
    DiskTooSmall {
        /// Where it would go.
        folder: PathBuf,
        /// What is still to be downloaded.
        needed_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// The models together would take more than they may.
    #[error(
        "expected at most {} for all models (--max-models-disk), found {} with this one; remove \
         one with `banter rm NAME`",
        show_bytes(*limit_bytes),
        show_bytes(*needed_bytes)
    )]
    OverLimit {
        /// What they may take.
        limit_bytes: u64,
        /// What they would take.
        needed_bytes: u64,
    },
    /// The disk failed or filled up on the way.
    #[error("{}: {error}; what was downloaded has been removed", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The folder of models cannot be read or written.
    #[error("{}: {error}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process pulls the same model.
    #[error("{0} is being pulled already, by another process; wait for it or end it")]
    Busy(String),
    /// Where there are no locks, a file names who pulls; that one is not of this machine.
    #[error(
        "{}: this file system has no locks, and {holder} seems to pull this model; wait for it, or \
         remove the file if it has ended",
        path.display()
    )]
    HeldElsewhere {
        /// The file.
        path: PathBuf,
        /// What it names.
        holder: String,
    },
    /// Someone asked for the end.
    #[error("stopped; what was downloaded is kept, pull again to continue")]
    Stopped,
    /// The certificates of this machine, or a proxy of the environment.
    #[error(
        "https cannot be used: {0}; install the package ca-certificates, or name a file of \
         certificates with SSL_CERT_FILE"
    )]
    Client(String),
}

/// Who asked, when the answer was no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody: this place has no logins that banter knows of.
    Impossible,
    /// Nobody: a token would be taken from this variable.
    Missing(&'static str),
    /// The owner of a token, which came from this variable or file.
    Token(String),
}

/// What is left of a download that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// There was nothing yet.
    Nothing,
    /// So many bytes, from which the next pull goes on.
    Bytes(u64),
}

impl std::fmt::Display for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kept::Nothing | Kept::Bytes(0) => formatter.write_str("nothing was downloaded"),
            Kept::Bytes(bytes) => {
                write!(formatter, "{} are kept, pull again to continue", show_bytes(*bytes))
            }
        }
    }
}

impl PullError {
    pub(crate) fn folder(path: &Path) -> impl FnOnce(io::Error) -> PullError + '_ {
        move |error| PullError::Folder { path: path.to_owned(), error }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> PullError + '_ {
        move |error| PullError::Write { path: path.to_owned(), error }
    }

    /// The same error where another place could not be reached before.
    pub(crate) fn after(mut self, earlier: Option<PullError>) -> PullError {
        let later = self.cause();
        if let (
            PullError::Unreachable { host, reason, proxy, .. },
            Some(PullError::Unreachable { host: first, reason: why, proxy: way, .. }),
        ) = (&mut self, earlier)
        {
            *reason = format!("{why}; {later}");
            *host = first;
            *proxy = way;
        }
        self
    }

    /// What went wrong, without what is kept and what to do.
    pub(crate) fn cause(&self) -> String {
        match self {
            PullError::Unreachable { host, reason, proxy, .. } => {
                format!("{host}{}: {reason}", through(proxy))
            }
            PullError::TooManyRequests { host, retry_after, .. } => too_many(host, retry_after),
            PullError::Status { what, host, status, .. } => {
                format!("{what}: {host} answered {status}")
            }
            PullError::BadAnswer { what, host, found, .. } => {
                format!("{what}: {host} answered something else than was expected: {found}")
            }
            other => other.to_string(),
        }
    }

    /// Whether the next try may bring what this one did not.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            PullError::Unreachable { .. }
            | PullError::BadAnswer { .. }
            | PullError::TooManyRequests { .. } => true,
            PullError::Status { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }

    /// The same error of a download that keeps what it has.
    pub(crate) fn keeping(mut self, bytes: u64) -> PullError {
        match &mut self {
            PullError::Unreachable { kept, .. }
            | PullError::TooManyRequests { kept, .. }
            | PullError::Status { kept, .. }
            | PullError::BadAnswer { kept, .. } => *kept = Kept::Bytes(bytes),
            _ => {}
        }
        self
    }
}

/// Whoever got something has a network, and whoever named a proxy knows how.
fn hint_at_network(kept: Kept, proxy: &Option<String>) -> &'static str {
    match (kept, proxy) {
        (Kept::Nothing, None) => " (a proxy is named by HTTPS_PROXY, a mirror by HF_ENDPOINT)",
        _ => "",
    }
}

fn through(proxy: &Option<String>) -> String {
    proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

fn meant(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!("; did you mean `banter pull {name}`?"))
}

fn advice_on_tokens(login: &Login, status: u16) -> String {
    const UNAUTHORIZED: u16 = 401;
    match login {
        Login::Impossible => "this address asks for a login that banter does not have".to_owned(),
        Login::Missing(variable) => {
            format!("it does not exist, or asks for a token; set {variable} if it is yours")
        }
        Login::Token(from) if status == UNAUTHORIZED => format!(
            "it does not exist, or the token of {from} is no longer valid; log in again, or \
             remove it"
        ),
        Login::Token(from) => format!(
            "the token of {from} does not open it; accept its terms on its page, or use another \
             token"
        ),
    }
}

fn hint_at(there: &[String]) -> String {
    const SHOWN: usize = 12;
    match there {
        [] => String::new(),
        some => {
            let more = if some.len() > SHOWN { ", …" } else { "" };
            format!("; there is {}{more}", some[..some.len().min(SHOWN)].join(", "))
        }
    }
}

fn too_many(host: &str, retry_after: &Option<Duration>) -> String {
    let time = retry_after.map_or_else(String::new, |time| format!(" {} s", time.as_secs()));
    format!("{host} asks to wait{time}: too many requests")
}
