//! The log: to stderr, and also to a file if one is named.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterFn, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogOptions;

/// Starts logging for the whole process.
///
/// Errors: the filter cannot be read, or the file cannot be opened for appending.
pub fn start(options: &LogOptions) -> anyhow::Result<()> {
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // If stderr is closed, an error about that could not be written to it either.
        .log_internal_errors(false)
        .with_filter(filter(options)?);
    let layers = tracing_subscriber::registry().with(ours()).with(stderr);
    layers.with(to_file(options)?).try_init().context("start logging")
}

/// The same without stderr, for a program that talks with a person there.
pub fn start_quietly(options: &LogOptions) -> anyhow::Result<()> {
    let layers = tracing_subscriber::registry().with(ours());
    layers.with(to_file(options)?).try_init().context("start logging")
}

/// Lines of libraries may contain what people write, as frames or headers, so only ours are logged.
fn ours() -> FilterFn {
    filter_fn(|metadata| metadata.target().starts_with("banter"))
}

fn filter(options: &LogOptions) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&options.filter).context("--log")
}

/// The layer of the log file, if one is named.
fn to_file<S>(options: &LogOptions) -> anyhow::Result<Option<impl Layer<S>>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(path) = &options.file else { return Ok(None) };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(Mutex::new(LogFile::open(path)?))
        .with_ansi(false)
        .log_internal_errors(false)
        .with_filter(filter(options)?);
    Ok(Some(layer))
}

/// The log file. When it cannot be written any more, stderr gets one line about it, and the server
/// goes on.
struct LogFile {
    path: PathBuf,
    file: File,
    has_failed: bool,
}

impl LogFile {
    /// Opens the file so that only its owner can read it, because a log may contain addresses of
    /// clients.
    fn open(path: &Path) -> anyhow::Result<LogFile> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(true).mode(0o600).open(path);
        let file = opened.with_context(|| {
            format!("--log-file {}: the file cannot be opened for writing", path.display())
        })?;
        Ok(LogFile { path: path.to_owned(), file, has_failed: false })
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(line)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            let path = self.path.display();
            let warning =
                format!("banter: --log-file {path}: {error}; the file gets no more lines");
            // If stderr is closed, nobody can be told.
            let _ = writeln!(io::stderr(), "{warning}");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_does_not_stop_the_log() {
        let mut log = LogFile::open(Path::new("/dev/full")).expect("it opens");
        for _ in 0..2 {
            assert_eq!(log.write(b"a line\n").expect("it goes on"), 7);
            assert!(log.has_failed);
        }
    }
}
