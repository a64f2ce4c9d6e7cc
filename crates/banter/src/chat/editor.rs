//! The line that is typed, on a thread of its own: the editor waits for keys, and nothing else
//! should.
//!
//! Enter sends. Alt-Enter, or a backslash at the end, begins another line, and so do the line ends
//! of pasted text. Ctrl-R searches what was sent before.

use std::borrow::Cow;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;

use anyhow::Context;
use rustyline::completion::Completer;
use rustyline::config::{BellStyle, CompletionType};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Event, EventContext, EventHandler, ExternalPrinter,
    Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::commands;
use super::screen::put;
use super::terminal::Modes;

/// How many lines the history keeps.
const HISTORY_LINES: usize = 1_000;
const PROMPT: &str = "> ";
/// Stands between a backslash and the line end that Enter has made of it, so that backslashes at
/// the end of pasted lines stay. It is a character without a width (WORD JOINER).
const JOINT: char = '\u{2060}';

/// An action of the person at the prompt.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// A text was sent.
    Line(String),
    /// Ctrl-C, while nothing was typed.
    Interrupted,
    /// Ctrl-C, which has thrown away what was typed.
    Discarded,
    /// Ctrl-D, or the terminal is gone.
    Ended,
    /// The terminal cannot be read; the text says why.
    Failed(String),
}

/// The editor.
pub struct Editor {
    prompts: blocking::Sender<String>,
    typed: mpsc::Receiver<Typed>,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
}

impl Editor {
    /// Starts the thread. The history is kept in this file, which only its owner may read. The
    /// second value holds the text that is being typed.
    ///
    /// Errors: the terminal cannot be used.
    pub fn start(
        modes: Modes,
        history: Option<PathBuf>,
    ) -> anyhow::Result<(Editor, watch::Receiver<String>)> {
        let (prompts, asked) = blocking::channel();
        let (tell, typed) = mpsc::channel(1);
        let (draft, drafts) = watch::channel(String::new());
        let mut line = line_editor(draft, modes).context("use the terminal")?;
        // A simple terminal has none. Then lines about the connection may stand behind the prompt.
        let printer = line.create_external_printer().ok();
        let printer = printer.map(|printer| Box::new(printer) as Box<dyn ExternalPrinter + Send>);
        let history = history.filter(|path| make_folder_of(path));
        if let Some(path) = &history {
            // There is none at first, and a damaged one is not worth an error.
            let _ = line.load_history(path);
        }
        let reader = Reader { line, history };
        std::thread::Builder::new()
            .name("editor".to_owned())
            .spawn(move || reader.run(&asked, &tell))
            .context("start the thread that reads keys")?;
        Ok((Editor { prompts, typed, printer }, drafts))
    }

    /// Asks for the next line, which begins with `initial`.
    pub fn prompt(&self, initial: String) {
        // If the thread has ended, the next `typed` says so.
        let _ = self.prompts.send(initial);
    }

    /// The next action at the prompt. Nothing is lost if the future is dropped.
    pub async fn typed(&mut self) -> Typed {
        let failed = || Typed::Failed("the editor has ended".to_owned());
        self.typed.recv().await.unwrap_or_else(failed)
    }

    /// Prints lines above the prompt.
    pub fn print_above(&mut self, text: String) {
        let printed = match &mut self.printer {
            Some(printer) => printer.print(text).is_ok(),
            None => put(&text).is_ok(),
        };
        // If the terminal is gone, the editor notices.
        let _ = printed;
    }
}

/// Whether the folder of a file is there, or could be made.
fn make_folder_of(path: &Path) -> bool {
    let Some(folder) = path.parent() else { return false };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).is_ok()
}

type LineEditor = rustyline::Editor<Assistant, FileHistory>;

fn line_editor(draft: watch::Sender<String>, modes: Modes) -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        .build();
    let mut line = LineEditor::with_config(config)?;
    line.set_helper(Some(Assistant { draft }));
    line.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    let enter = EventHandler::Conditional(Box::new(Enter));
    line.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::NONE), enter);
    let suspend =
        EventHandler::Conditional(Box::new(Suspend { modes, runtime: Handle::current() }));
    line.bind_sequence(KeyEvent::ctrl('Z'), suspend);
    Ok(line)
}

/// The thread.
struct Reader {
    line: LineEditor,
    history: Option<PathBuf>,
}

impl Reader {
    fn run(mut self, asked: &blocking::Receiver<String>, tell: &mpsc::Sender<Typed>) {
        while let Ok(initial) = asked.recv() {
            let typed = self.read(&initial);
            if tell.blocking_send(typed).is_err() {
                return;
            }
        }
    }

    fn read(&mut self, initial: &str) -> Typed {
        self.tell_draft(initial);
        let read = self.line.readline_with_initial(PROMPT, (initial, ""));
        let before = self.tell_draft("");
        match read {
            Ok(line) => {
                let line = joined(&line);
                self.remember(&line);
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) if before.is_empty() => Typed::Interrupted,
            Err(ReadlineError::Interrupted) => Typed::Discarded,
            Err(ReadlineError::Eof) => Typed::Ended,
            Err(error) => Typed::Failed(error.to_string()),
        }
    }

    /// Returns the draft before.
    fn tell_draft(&self, text: &str) -> String {
        let assistant = self.line.helper().expect("it has one");
        assistant.draft.send_replace(text.to_owned())
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || !self.line.add_history_entry(line).unwrap_or(false) {
            return;
        }
        if let Some(path) = &self.history {
            // A history that cannot be written must not end a conversation.
            let _ = self.line.append_history(path);
        }
    }
}

/// The text that is meant, without the backslashes that have begun a line.
fn joined(typed: &str) -> String {
    typed.replace(&format!("\\{JOINT}\n"), "\n").replace(JOINT, "")
}

/// Hears what is typed, and completes commands.
struct Assistant {
    draft: watch::Sender<String>,
}

impl Helper for Assistant {}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Borrowed(hint)
    }
}

impl Validator for Assistant {}

impl Hinter for Assistant {
    type Hint = String;

    /// The editor calls this whenever the line has changed. There are no hints.
    fn hint(&self, line: &str, _: usize, _: &rustyline::Context<'_>) -> Option<String> {
        let line = joined(line);
        self.draft.send_if_modified(|draft| {
            let is_other = *draft != line;
            *draft = line;
            is_other
        });
        None
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        if !typed.starts_with('/') || typed.contains(char::is_whitespace) {
            return Ok((at, Vec::new()));
        }
        let names = commands::names().map(|name| format!("/{name}"));
        Ok((0, names.filter(|name| name.starts_with(typed)).collect()))
    }
}

/// Enter behind a backslash begins another line.
struct Enter;

impl ConditionalEventHandler for Enter {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let is_at_end = context.pos() == context.line().len();
        let goes_on = is_at_end && context.line().ends_with('\\');
        goes_on.then(|| Cmd::Insert(1, format!("{JOINT}\n")))
    }
}

/// Ctrl-Z stops the process, in the modes in which it was started.
struct Suspend {
    modes: Modes,
    runtime: Handle,
}

impl ConditionalEventHandler for Suspend {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext) -> Option<Cmd> {
        self.runtime.block_on(self.modes.suspend());
        Some(Cmd::Repaint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_backslashes_that_were_typed_begin_a_line() {
        let cases = [
            ("a\\\u{2060}\nb", "a\nb"),
            ("make \\\n  all", "make \\\n  all"),
            ("a\\\u{2060}b", "a\\b"),
            ("plain", "plain"),
        ];
        for (typed, meant) in cases {
            assert_eq!(joined(typed), meant, "{typed:?}");
        }
    }
}
