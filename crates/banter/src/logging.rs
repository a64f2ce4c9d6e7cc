//! The log: to stderr, and to a file when asked.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogOptions;

/// Starts logging for the whole process.
///
/// Errors: the filter is not understood, or the file cannot be opened for appending.
pub fn start(options: &LogOptions) -> anyhow::Result<()> {
    // What libraries log may hold what people write: frames, headers.
    let ours = filter_fn(|metadata| metadata.target().starts_with("banter"));
    let filter = || EnvFilter::try_new(&options.filter).context("--log");
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A closed stderr is no reason to write to it that writing failed.
        .log_internal_errors(false)
        .with_filter(filter()?);
    let file = match &options.file {
        Some(path) => Some(
            tracing_subscriber::fmt::layer()
                .with_writer(Mutex::new(open(path)?))
                .with_ansi(false)
                .log_internal_errors(false)
                .with_filter(filter()?),
        ),
        None => None,
    };
    let layers = tracing_subscriber::registry().with(ours).with(stderr).with(file);
    layers.try_init().context("start logging")
}

/// A log may name addresses of visitors, so only its owner reads it.
fn open(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("--log-file {}: cannot be opened for writing", path.display()))
}
