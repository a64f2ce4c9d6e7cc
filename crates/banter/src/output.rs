//! The output of the commands: results go to stdout, messages for people to stderr.
//!
//! Everything here passes [`visible`], so nothing that others wrote controls a terminal. The macros
//! `println!` and `eprintln!` panic when nobody reads any more, so a lint forbids them in this
//! program. The chat has its own way to stdout, in `chat/screen.rs`.

use std::fmt;
use std::io::{self, Write};

use crate::visible::{visible, visible_json};

/// Why stdout has not taken a text.
#[derive(Debug)]
pub enum OutputError {
    /// Nobody reads it any more. The program ends quietly, as `banter list | head -1` expects.
    Unread,
    /// It could not be written: the disk is full, for example.
    Failed(io::Error),
}

impl fmt::Display for OutputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutputError::Unread => formatter.write_str("stdout: nobody reads it"),
            OutputError::Failed(_) => formatter.write_str("write to stdout"),
        }
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OutputError::Unread => None,
            OutputError::Failed(error) => Some(error),
        }
    }
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> OutputError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::Unread,
            _ => OutputError::Failed(error),
        }
    }
}

/// Writes a text to stdout at once.
pub fn print(text: &str) -> Result<(), OutputError> {
    put(&mut io::stdout().lock(), &visible(text))
}

/// Writes JSON and a line end to stdout at once.
pub fn print_json(json: &str) -> Result<(), OutputError> {
    put(&mut io::stdout().lock(), &format!("{}\n", visible_json(json)))
}

/// Writes a line to stderr. If nobody reads stderr, nobody can be told that either.
pub fn tell(line: &str) {
    let _ = put(&mut io::stderr().lock(), &format!("{}\n", visible(line)));
}

/// The same without a line end, for a question.
pub fn ask(question: &str) {
    let _ = put(&mut io::stderr().lock(), &visible(question));
}

fn put(stream: &mut impl Write, text: &str) -> Result<(), OutputError> {
    stream.write_all(text.as_bytes())?;
    Ok(stream.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k6_a_reader_that_is_gone_is_told_from_a_disk_that_is_full() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        drop(reader);
        let error = put(&mut writer, "text").expect_err("nobody reads");
        assert!(matches!(error, OutputError::Unread), "{error}");
        let mut full = std::fs::File::options().write(true).open("/dev/full").expect("it is there");
        let error = put(&mut full, "text").expect_err("it is full");
        assert!(matches!(&error, OutputError::Failed(_)), "{error}");
        let said = format!("{:#}", anyhow::Error::from(error));
        assert!(said.starts_with("write to stdout: No space left"), "{said}");
    }
}
