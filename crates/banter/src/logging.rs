//! The log: to stderr, and also to a file if one is named.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogOptions};
use crate::visible::visible_json;

/// Starts logging for the whole process.
///
/// Errors: the filter cannot be read, or the file cannot be opened for appending.
pub fn start(options: &LogOptions) -> anyhow::Result<()> {
    let colour = std::io::stderr().is_terminal();
    let stderr = lines(options, std::io::stderr, colour, false)?;
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
    let file = Mutex::new(LogFile::open(path)?);
    Ok(Some(lines(options, file, false, true)?))
}

/// The layer that writes lines. Those for people may have colours, and the part of the program that
/// each comes from.
fn lines<S, W>(
    options: &LogOptions,
    writer: W,
    has_colour: bool,
    has_target: bool,
) -> anyhow::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        // If the writer is closed, an error about that could not be written to it either.
        .log_internal_errors(false);
    let filter = filter(options)?;
    Ok(match options.format {
        LogFormat::Text => {
            let layer = layer.with_writer(writer).with_ansi(has_colour).with_target(has_target);
            layer.with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let layer = layer.with_writer(Harmless(writer)).json().flatten_event(true);
            layer.with_span_list(false).with_filter(filter).boxed()
        }
    })
}

/// Writes lines of JSON without characters that a terminal obeys or takes as line ends. The library
/// escapes only those that JSON forbids.
struct Harmless<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Harmless<W> {
    type Writer = Harmless<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Harmless(self.0.make_writer())
    }
}

impl<W: Write> Write for Harmless<W> {
    /// Takes a whole line, as the library writes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(visible_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
        // Without this flag, a pipe that nobody reads would keep the start waiting.
        let no_wait = OFlags::NONBLOCK.bits().cast_signed();
        options.create(true).append(true).mode(0o600).custom_flags(no_wait);
        let cannot = || format!("--log-file {}: it cannot be opened for writing", path.display());
        let file = options.open(path).with_context(cannot)?;
        // From here on a line waits for its place, and none is lost.
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
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
