//! Why a model could not be pulled.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hub::{NameError, Sha256Sum};
use crate::size::show_bytes;

/// Why a model could not be pulled. Every message says what to do, or what is kept.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The text is not the name of a model.
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
    #[error("{0} (environment) is set, so nothing is fetched; unset it to pull")]
    Offline(&'static str),
    /// There is no connection, or it broke again and again.
    #[error("{host}{}: {reason}; {kept}{}", through(.proxy), hint_at_network(*.kept, .proxy))]
    Unreachable {
        /// The host that was asked: the hub, or another host where it keeps its files.
        host: String,
        /// The proxy that was used, with the variable that sets it.
        proxy: Option<String>,
        /// What happened at the last try.
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
        /// The login that was used.
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
        /// How long the hub asks to wait.
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
    #[error("{what}: {host} sent an unexpected answer: {found}; {kept}")]
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
    /// A redirect that must not be followed.
    #[error("{host} sent {reason}, which is not followed")]
    Redirect {
        /// Who was asked.
        host: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// A web page or something else came instead of the file.
    #[error("{what}: expected a file of a model, found {found} at {host}{}", meant(.name))]
    NotAModel {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What came instead.
        found: &'static str,
        /// The name that may have been meant.
        name: Option<String>,
    },
    /// A file without a checksum has changed between two pieces.
    #[error(
        "{what} has changed at {host} during the download; what was downloaded has been removed, so pull again"
    )]
    Changed {
        /// The file.
        what: String,
        /// Who was asked.
        host: String,
    },
    /// The downloaded bytes are not those that were published.
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
    /// A file of an installed model is not what was pulled any more.
    #[error(
        "{model}: {file} has changed since it was pulled: expected sha256 {expected}, found \
         {found}; pull it again with `banter pull {model}`"
    )]
    FileChanged {
        /// The name of the model.
        model: String,
        /// The file.
        file: String,
        /// What was pulled.
        expected: Sha256Sum,
        /// What is there.
        found: Sha256Sum,
    },
    /// The disk has too little space; this was found before the download.
    #[error(
        "{}: expected {} of free disk space for the download, found {}; free some, or name another \
         folder with --models-dir",
        folder.display(),
        show_bytes(*needed_bytes),
        show_bytes(*free_bytes)
    )]
    DiskTooSmall {
        /// The folder for the model.
        folder: PathBuf,
        /// What is still to be downloaded.
        needed_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// All models together would take more than they may.
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
    /// The disk failed or became full during the download.
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
    #[error("another process is already pulling {0}; wait until it is done, or end it")]
    Busy(String),
    /// The file system has no locks, and a file names a process of another machine that pulls this
    /// model.
    #[error(
        "{}: this file system has no locks, and {holder} seems to be pulling this model; wait \
         until it is done, or remove the file if that process has ended",
        path.display()
    )]
    HeldElsewhere {
        /// The file.
        path: PathBuf,
        /// The process that the file names.
        holder: String,
    },
    /// Somebody stopped the download.
    #[error("stopped; what was downloaded is kept, so pull again to continue")]
    Stopped,
    /// https cannot be used: this machine has no certificates, or a proxy setting cannot be read.
    #[error(
        "https cannot be used: {0}; install the package ca-certificates, or name a file of \
         certificates with SSL_CERT_FILE"
    )]
    Client(String),
}

/// The login of a refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// None: banter has no login for this host.
    Impossible,
    /// None: a token would be read from this variable.
    Missing(&'static str),
    /// A token, which came from this variable or file.
    Token(String),
}

/// What is kept of a download that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing was downloaded.
    Nothing,
    /// This many bytes; the next pull continues with them.
    Bytes(u64),
}

impl std::fmt::Display for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kept::Nothing | Kept::Bytes(0) => formatter.write_str("nothing was downloaded"),
            Kept::Bytes(bytes) => {
                write!(formatter, "{} are kept, so pull again to continue", show_bytes(*bytes))
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

    /// The same error, together with the earlier one of another hub that could not be reached.
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
                format!("{what}: {host} sent an unexpected answer: {found}")
            }
            other => other.to_string(),
        }
    }

    /// Whether another try may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            PullError::Unreachable { .. }
            | PullError::BadAnswer { .. }
            | PullError::TooManyRequests { .. } => true,
            PullError::Status { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }

    /// The same error, for a download that keeps this many bytes.
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

/// A hint for people without a proxy who got nothing at all. Others have a working network.
fn hint_at_network(kept: Kept, proxy: &Option<String>) -> &'static str {
    match (kept, proxy) {
        (Kept::Nothing, None) => " (HTTPS_PROXY sets a proxy, HF_ENDPOINT a mirror)",
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
        Login::Impossible => "this address needs a login, and banter has none for it".to_owned(),
        Login::Missing(variable) => {
            format!("it does not exist, or needs a token; if you have one, set {variable}")
        }
        Login::Token(from) if status == UNAUTHORIZED => format!(
            "it does not exist, or the token of {from} is not valid any more; log in again, or \
             remove the token"
        ),
        Login::Token(from) => format!(
            "the token of {from} does not give access; accept the terms on the model's page, or use \
             another token"
        ),
    }
}

fn hint_at(there: &[String]) -> String {
    const SHOWN: usize = 12;
    match there {
        [] => String::new(),
        some => {
            let more = if some.len() > SHOWN { ", …" } else { "" };
            format!("; found there: {}{more}", some[..some.len().min(SHOWN)].join(", "))
        }
    }
}

fn too_many(host: &str, retry_after: &Option<Duration>) -> String {
    let time = retry_after.map_or_else(String::new, |time| format!(" {} s", time.as_secs()));
    format!("{host} asks to wait{time}: too many requests")
}
