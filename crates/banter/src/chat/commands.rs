//! Commands: messages that begin with a slash.
//!
//! To add a command: its variant, its row in [`TABLE`], and what it does in `actions.rs`.

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begins a new conversation.
    New,
    /// Lists the newest conversations.
    List(usize),
    /// Opens a conversation: a number of the list, or an id.
    Open(String),
    /// Finds conversations.
    Search(String),
    /// Lists the models, or switches to one.
    Model(Option<String>),
    /// Shows or sets the system message.
    System(Option<String>),
    /// Shows, sets or removes a sampling parameter.
    Set(Option<(String, Option<String>)>),
    /// Asks for another answer.
    Regenerate,
    /// Changes the last message.
    Edit(Option<String>),
    /// Goes on with an answer that was cut.
    Continue,
    /// Writes the conversation to a file.
    Save(String),
    /// Deletes the conversation.
    Delete {
        /// The person has said that it is meant.
        is_sure: bool,
    },
    /// Lists the commands.
    Help,
    /// Leaves.
    Quit,
}

/// A row: the name, what follows it, and what it does.
struct Row {
    name: &'static str,
    takes: &'static str,
    help: &'static str,
    read: fn(Option<&str>) -> Result<Command, &'static str>,
}

const fn row(
    name: &'static str,
    takes: &'static str,
    help: &'static str,
    read: fn(Option<&str>) -> Result<Command, &'static str>,
) -> Row {
    Row { name, takes, help, read }
}

/// How many conversations a list has.
const LISTED: usize = 20;

const TABLE: &[Row] = &[
    row("new", "", "begin a new conversation", |_| Ok(Command::New)),
    row("list", "[COUNT]", "list the newest conversations", |rest| match rest {
        None => Ok(Command::List(LISTED)),
        Some(text) => match text.parse() {
            Ok(count @ 1..=200) => Ok(Command::List(count)),
            _ => Err("a number from 1 to 200"),
        },
    }),
    row("open", "NUMBER|ID", "go on with a conversation", |rest| {
        let target = rest.ok_or("a number of /list or /search, or an id")?;
        Ok(Command::Open(target.to_owned()))
    }),
    row("search", "WORDS", "find conversations", |rest| {
        Ok(Command::Search(rest.ok_or("words to look for")?.to_owned()))
    }),
    row("model", "[NAME]", "list the models, or switch to one", |rest| {
        Ok(Command::Model(rest.map(str::to_owned)))
    }),
    row("system", "[TEXT]", "show or set the system message; - removes it", |rest| {
        Ok(Command::System(rest.map(str::to_owned)))
    }),
    row("set", "[NAME [VALUE]]", "show, set or remove a sampling parameter", |rest| {
        Ok(Command::Set(rest.map(|rest| match rest.split_once(char::is_whitespace) {
            Some((name, value)) => (name.to_owned(), Some(value.trim().to_owned())),
            None => (rest.to_owned(), None),
        })))
    }),
    row("regenerate", "", "ask for another answer", |_| Ok(Command::Regenerate)),
    row("edit", "[TEXT]", "change your last message; the old one is kept", |rest| {
        Ok(Command::Edit(rest.map(str::to_owned)))
    }),
    row("continue", "", "go on with an answer that was cut", |_| Ok(Command::Continue)),
    row("save", "FILE", "write the conversation to FILE.md or FILE.json", |rest| {
        Ok(Command::Save(rest.ok_or("a file that ends in .md or .json")?.to_owned()))
    }),
    row("delete", "", "delete the conversation", |rest| match rest {
        None => Ok(Command::Delete { is_sure: false }),
        Some("yes") => Ok(Command::Delete { is_sure: true }),
        Some(_) => Err("nothing or yes"),
    }),
    row("help", "", "list the commands", |_| Ok(Command::Help)),
    row("quit", "", "leave", |_| Ok(Command::Quit)),
];

/// The names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// Reads a line that begins with a slash.
///
/// Errors: there is no such command, or what follows has another form; the text says what was
/// expected.
pub fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim_start_matches('/').trim();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
    let Some(row) = TABLE.iter().find(|row| row.name == name) else {
        let near = nearest(name).map_or_else(
            || "/help lists the commands".to_owned(),
            |near| format!("did you mean /{near}?"),
        );
        return Err(format!("there is no /{name}; {near}"));
    };
    (row.read)(rest).map_err(|expected| match rest {
        Some(found) => format!("/{name}: expected {expected}, found {found:?}"),
        None => format!("/{name}: expected {expected}, found nothing"),
    })
}

/// The command that was probably meant.
fn nearest(name: &str) -> Option<&'static str> {
    const NEAR: f64 = 0.75;
    let likeness = |row: &Row| strsim::jaro_winkler(row.name, &name.to_lowercase());
    let best = TABLE.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) >= NEAR).then_some(best.name)
}

/// The list of commands and keys, for a terminal of this width.
pub fn help(width: usize) -> String {
    let usage = |row: &Row| format!("/{} {}", row.name, row.takes).trim_end().to_owned();
    let longest = TABLE.iter().map(|row| usage(row).len()).max().unwrap_or(0);
    let is_narrow = width < longest + 40;
    let mut text = String::new();
    for row in TABLE {
        match is_narrow {
            true => text.push_str(&format!("{}\n  {}\n", usage(row), row.help)),
            false => text.push_str(&format!("{:longest$}  {}\n", usage(row), row.help)),
        }
    }
    text.push_str(
        "Enter sends. Alt-Enter, or a backslash at the end, begins another line. Two slashes at \
         the beginning send one. Ctrl-C stops an answer; at an empty prompt, twice, it leaves, and \
         so does Ctrl-D. Ctrl-R searches what you sent before.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let cases = [
            ("/new", Command::New),
            ("/list", Command::List(20)),
            ("/list 3", Command::List(3)),
            ("/open 2", Command::Open("2".into())),
            ("/search  two words ", Command::Search("two words".into())),
            ("/model", Command::Model(None)),
            ("/system Be brief.", Command::System(Some("Be brief.".into()))),
            (
                "/set temperature 0.5",
                Command::Set(Some(("temperature".into(), Some("0.5".into())))),
            ),
            ("/set seed", Command::Set(Some(("seed".into(), None)))),
            ("/edit new\ntext", Command::Edit(Some("new\ntext".into()))),
            ("/delete yes", Command::Delete { is_sure: true }),
            ("/quit", Command::Quit),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_nearest() {
        let cases = [
            ("/regen", "there is no /regen; did you mean /regenerate?"),
            ("/lsit", "did you mean /list?"),
            ("/xyz", "/help lists the commands"),
            ("/", "there is no /; /help"),
            ("/open", "/open: expected a number of /list or /search, or an id, found nothing"),
            ("/list 0", "/list: expected a number from 1 to 200, found \"0\""),
            ("/save", "a file that ends in .md or .json"),
            ("/delete no", "expected nothing or yes"),
        ];
        for (line, expected) in cases {
            let message = parse(line).expect_err("wrong");
            assert!(message.contains(expected), "{line}: {message}");
        }
    }

    #[test]
    fn the_help_names_every_command() {
        for width in [20, 100] {
            let help = help(width);
            assert!(names().all(|name| help.contains(&format!("/{name}"))), "{help}");
        }
    }
}
