//! A conversation as Markdown, for people and their note programs.
//!
//! Front matter as Typora and Obsidian read it, then `## User` and `## Assistant` in turns.
//! Headings inside of texts move two levels down, so that the outline shows the turns; code stays
//! as it is.

use std::fmt::Write;

use crate::message::{Message, Role, Tree};
use crate::times::date_time;

/// Headings of texts come below those of the turns.
const LEVELS_DOWN: usize = 2;
const LOWEST_LEVEL: usize = 6;

/// The current branch of a conversation as Markdown.
pub fn export_markdown(tree: &Tree) -> String {
    let branch = current_branch(tree);
    let conversation = &tree.conversation;
    let model = branch.iter().rev().find_map(|message| message.model.as_deref());
    let mut text = String::from("---\n");
    let mut field = |name: &str, value: &str| {
        // A JSON text is a YAML text as well.
        let quoted = serde_json::to_string(value).expect("a text is always JSON");
        let _ = writeln!(text, "{name}: {quoted}");
    };
    field("title", &conversation.title);
    field("date", &date_time(conversation.created_ms));
    if let Some(model) = model {
        field("model", model);
    }
    text.push_str("---\n");
    if let Some(system) = conversation.system.as_deref() {
        add_turn("System", system, &mut text);
    }
    for message in branch {
        let name = match message.role {
            Role::User => "User",
            Role::Assistant => "Assistant",
        };
        add_turn(name, &message.text, &mut text);
    }
    text
}

/// The messages from the root to the leaf.
fn current_branch(tree: &Tree) -> Vec<&Message> {
    let mut branch = Vec::new();
    let mut next = tree.conversation.leaf;
    // A parent comes before its children, so one pass from the end finds all.
    for message in tree.messages.iter().rev() {
        if Some(message.id) == next {
            branch.push(message);
            next = message.parent;
        }
    }
    branch.reverse();
    branch
}

fn add_turn(name: &str, words: &str, text: &mut String) {
    let _ = write!(text, "\n## {name}\n\n");
    let mut fence: Option<Fence> = None;
    let lines: Vec<&str> = words.lines().collect();
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        index += 1;
        match &fence {
            Some(open) if open.is_closed_by(line) => fence = None,
            Some(_) => {}
            None => fence = Fence::opened_by(line),
        }
        let next = lines.get(index).copied().unwrap_or_default();
        match (&fence, underline_level(line, next)) {
            (None, Some(level)) => {
                let _ = writeln!(text, "{} {}", "#".repeat(level + LEVELS_DOWN), line.trim());
                index += 1;
            }
            (None, None) => add_line(line, text),
            (Some(_), _) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    // A fence that the text leaves open would take the next turns in.
    if let Some(open) = fence {
        let _ = writeln!(text, "{}", open.char.to_string().repeat(open.length));
    }
}

/// A line outside of code.
fn add_line(line: &str, text: &mut String) {
    let trimmed = line.trim_start_matches(' ');
    let level = trimmed.bytes().take_while(|byte| *byte == b'#').count();
    let is_indented = line.len() - trimmed.len() > 3;
    let after = &trimmed[level..];
    let is_heading = (1..=LOWEST_LEVEL).contains(&level)
        && !is_indented
        && (after.is_empty() || after.starts_with([' ', '\t']));
    if is_heading {
        let lower = (level + LEVELS_DOWN).min(LOWEST_LEVEL);
        let _ = writeln!(text, "{}{after}", "#".repeat(lower));
    } else {
        text.push_str(line);
        text.push('\n');
    }
}

/// The level of a heading that is a line of text with a line of `=` or `-` below.
fn underline_level(line: &str, next: &str) -> Option<usize> {
    let is_text = |line: &str| {
        let begin = line.trim_start();
        let is_indented = line.len() - begin.len() > 3;
        !begin.is_empty()
            && !is_indented
            && !begin.starts_with(['#', '>', '-', '*', '+', '|', '=', '`', '~', '<'])
    };
    let under = next.trim_end();
    let all = |char: char| !under.is_empty() && under.chars().all(|found| found == char);
    match () {
        () if !is_text(line) => None,
        () if all('=') => Some(1),
        () if all('-') => Some(2),
        () => None,
    }
}

/// An open block of code.
struct Fence {
    char: char,
    length: usize,
}

impl Fence {
    /// Code may begin after the marks of a list or a quotation.
    fn opened_by(line: &str) -> Option<Self> {
        let begin = without_marks(line);
        let char = begin.chars().next().filter(|char| matches!(char, '`' | '~'))?;
        let length = begin.chars().take_while(|found| *found == char).count();
        // A line such as ```` ```x``` ```` is code within a line.
        let is_inline = char == '`' && begin[length..].contains('`');
        (length >= 3 && !is_inline).then_some(Self { char, length })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let begin = line.trim_start_matches(|char: char| char.is_whitespace() || char == '>');
        let length = begin.chars().take_while(|char| *char == self.char).count();
        length >= self.length && begin[length..].trim().is_empty()
    }
}

/// A line without what begins lists and quotations.
fn without_marks(line: &str) -> &str {
    let mut rest = line.trim_start();
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mark = match rest.as_bytes().get(digits) {
            Some(b'.' | b')') if digits > 0 => digits + 1,
            Some(b'-' | b'*' | b'+') if digits == 0 => 1,
            Some(b'>') if digits == 0 => 1,
            _ => return rest,
        };
        let is_quotation = rest.starts_with('>');
        let after = &rest[mark..];
        if !is_quotation && !after.starts_with([' ', '\t']) {
            return rest;
        }
        rest = after.trim_start();
    }
}
