//! What is shown: answers, and notes about them.
//!
//! Everything that others have written passes [`visible`] here, or is passed through it by the
//! caller, before it is printed.

use std::io::{self, IsTerminal, Write};

use super::markdown::Markdown;
use super::terminal;
use super::wrap::{Dress, Look, Wrapper};
use crate::visible::visible;

const DIM: Look = Look { bold: false, italic: false, underline: false, dim: true, code: false };

/// Stdout, and what is on its current line.
pub struct Screen {
    form: Form,
    part: Part,
    status: Option<Status>,
}

/// How answers are written.
enum Form {
    /// As they come, because no terminal reads them.
    Text { at_line_start: bool },
    /// In lines of the terminal's width, with marks as looks.
    Terminal(Box<Markdown>),
}

/// What is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Thinking,
    Answer,
}

/// A line below the text that will be removed.
struct Status {
    /// Where the text goes on, if it goes on in its line.
    column: usize,
}

impl Screen {
    /// Stdout as it is.
    pub fn stdout() -> Screen {
        let form = match io::stdout().is_terminal() {
            true => Form::Terminal(Box::new(Markdown::new(terminal::width(), terminal::dress()))),
            false => Form::Text { at_line_start: true },
        };
        Screen { form, part: Part::Nothing, status: None }
    }

    /// Writes more of an answer.
    ///
    /// Errors: stdout cannot be written; with `BrokenPipe` nobody reads it any more. So it is with
    /// every function here.
    pub fn answer(&mut self, text: &str) -> io::Result<()> {
        self.begin(Part::Answer)?;
        let text = visible(text);
        match &mut self.form {
            Form::Text { at_line_start } => {
                *at_line_start = text.ends_with('\n');
                put(&text)
            }
            Form::Terminal(markdown) => {
                markdown.push(&text);
                put(&markdown.take())
            }
        }
    }

    /// Writes more of what a model thinks. Only a person at a terminal sees it.
    pub fn thinking(&mut self, text: &str) -> io::Result<()> {
        let Form::Terminal(_) = &self.form else { return Ok(()) };
        self.begin(Part::Thinking)?;
        let Form::Terminal(markdown) = &mut self.form else { return Ok(()) };
        push_lines(markdown.wrapper(), &visible(text));
        put(&markdown.take())
    }

    /// Ends the answer, so that the next text begins a line.
    pub fn end(&mut self) -> io::Result<()> {
        self.clear_status()?;
        self.part = Part::Nothing;
        match &mut self.form {
            Form::Text { at_line_start } => {
                if !std::mem::replace(at_line_start, true) {
                    put("\n")?;
                }
                Ok(())
            }
            Form::Terminal(markdown) => {
                markdown.finish();
                if markdown.wrapper().column() > 0 {
                    markdown.wrapper().newline();
                }
                let rest = markdown.take();
                let width = terminal::width();
                **markdown = Markdown::new(width, terminal::dress());
                put(&rest)
            }
        }
    }

    /// Writes a line of ours, less bright. What is in it of others has to be harmless already.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        self.end()?;
        put(&note(text))
    }

    /// Writes text of ours in the usual brightness.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.end()?;
        put(&wrapped(text, Look::default()))
    }

    /// Shows a line below the text, until [`Screen::clear_status`].
    pub fn status(&mut self, text: &str) -> io::Result<()> {
        self.clear_status()?;
        let Form::Terminal(markdown) = &mut self.form else { return Ok(()) };
        let wrapper = markdown.wrapper();
        let (column, width, dress) = (wrapper.column(), wrapper.width(), wrapper.dress());
        let before = if column > 0 { "\n" } else { "" };
        if dress == Dress::None {
            wrapper.moved_to_empty_line();
            return put(&format!("{before}{text}\n"));
        }
        let mut line = Wrapper::new(width, dress);
        let room = width.saturating_sub(1);
        text.chars().take(room).for_each(|character| line.push(character, DIM));
        line.finish();
        self.status = Some(Status { column });
        put(&format!("{before}{}", line.take()))
    }

    /// Removes the line below the text.
    pub fn clear_status(&mut self) -> io::Result<()> {
        let Some(Status { column }) = self.status.take() else { return Ok(()) };
        let Form::Terminal(markdown) = &mut self.form else { return Ok(()) };
        let is_full = column >= markdown.wrapper().width();
        if column == 0 || is_full {
            // Behind a full line the cursor has no place of its own.
            markdown.wrapper().moved_to_empty_line();
            return put("\r\x1b[2K");
        }
        put(&format!("\r\x1b[2K\x1b[A\x1b[{}G", column + 1))
    }

    /// The terminal has another width.
    pub fn resize(&mut self) {
        let had_status = self.status.take().is_some();
        if let Form::Terminal(markdown) = &mut self.form {
            if had_status {
                markdown.wrapper().newline();
            }
            markdown.wrapper().resize(terminal::width());
        }
    }

    fn begin(&mut self, part: Part) -> io::Result<()> {
        self.clear_status()?;
        if self.part == part {
            return Ok(());
        }
        if self.part != Part::Nothing {
            self.end()?;
        }
        self.part = part;
        Ok(())
    }
}

/// A line of ours as text for the terminal.
pub fn note(text: &str) -> String {
    wrapped(text, DIM)
}

fn wrapped(text: &str, look: Look) -> String {
    let mut wrapper = Wrapper::new(terminal::width(), terminal::dress());
    for line in text.lines() {
        line.chars().for_each(|character| wrapper.push(character, look));
        wrapper.newline();
    }
    wrapper.take()
}

fn push_lines(wrapper: &mut Wrapper, text: &str) {
    for character in text.chars() {
        match character {
            '\n' => wrapper.newline(),
            other => wrapper.push(other, DIM),
        }
    }
}

/// Writes to stdout at once.
pub fn put(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
