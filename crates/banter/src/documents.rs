//! The documents and the command line: what one of them names, the other has.
//!
//! The help of all commands is in `help.txt`, so that a change of it is seen. With `BANTER_WRITE=1`
//! the test writes the file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::error::ErrorKind;

use crate::{command, with_default_subcommand};

/// Flags of other programs that the documents name by themselves.
const OF_OTHERS: [&str; 7] = [
    "--ignore-scripts",
    "--interrupt_requests",
    "--locked",
    "--message",
    "--no-default-features",
    "--remap-path-prefix",
    "--sanitizer",
];

/// A plan of tests, which names options that there are not.
const NO_DOCUMENT: &str = "CASES.md";

struct Document {
    name: String,
    text: String,
}

fn documents() -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let entries = fs::read_dir(root.join("docs")).expect("a folder").flatten();
    let pages = entries.map(|entry| entry.path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let paths = ["README.md", "README.zh-CN.md"].map(|name| root.join(name));
    let paths: Vec<PathBuf> = paths.into_iter().chain(pages).collect();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        Document { name, text: fs::read_to_string(path).expect("text") }
    };
    paths.into_iter().map(read).filter(|document| document.name != NO_DOCUMENT).collect()
}

/// A command and its subcommands at any depth, with the names that lead there. Hidden ones are for
/// this program alone.
fn commands() -> Vec<(String, Command)> {
    fn collect(command: &Command, names: &str, found: &mut Vec<(String, Command)>) {
        found.push((names.to_owned(), command.clone()));
        let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        for inner in inner.filter(|inner| inner.get_name() != "help") {
            collect(inner, &format!("{names} {}", inner.get_name()), found);
        }
    }
    let mut all = command();
    all.build();
    let mut found = Vec::new();
    collect(&all, "banter", &mut found);
    found
}

fn long_flags(command: &Command) -> impl Iterator<Item = String> {
    let flags = command.get_arguments().filter(|argument| !argument.is_hide_set());
    flags.filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
}

/// The lines of a document, and whether each is inside a block of code.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.lines().scan(false, |is_code, line| {
        *is_code ^= line.trim_start().starts_with("```");
        Some((line, *is_code))
    })
}

/// The flags that stand in back quotes, alone or behind `banter`.
fn quoted_flags(text: &str) -> Vec<String> {
    let outside = lines(text).filter(|(_, is_code)| !is_code).map(|(line, _)| line);
    let quoted = outside.flat_map(|line| line.split('`').skip(1).step_by(2));
    let ours = quoted.filter(|quoted| quoted.starts_with("--") || quoted.starts_with("banter "));
    let words = ours.flat_map(str::split_whitespace).filter(|word| word.starts_with("--"));
    let name = |word: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        word.split(|c| !is_part(c)).next().unwrap_or_default().to_owned()
    };
    words.map(name).filter(|name| name.len() > 2).collect()
}

/// The commands of a line for a shell: words, without quotes, redirections and comments.
fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars().chain([' ']) {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | '&' | ';' | '>') => {
                commands.last_mut().expect("one").extend(word.take());
                if character != ' ' {
                    commands.push(Vec::new());
                }
            }
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    commands
}

/// The words of `banter` in a command, if that is the program which it starts.
fn words_of_banter(command: Vec<String>) -> Option<Vec<String>> {
    let is_assignment = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
    };
    let words: Vec<String> = command.into_iter().skip_while(is_assignment).collect();
    let first = words.first()?;
    if first == "banter" || first.ends_with("/banter") {
        return Some(words);
    }
    let ours = words.iter().position(|word| word == "--")?;
    let is_ours = words.starts_with(&["cargo".to_owned(), "run".to_owned()]);
    let is_example = words.iter().any(|word| word == "--example");
    (is_ours && !is_example).then(|| words[ours..].to_vec())
}

#[test]
fn k9_every_flag_in_the_documents_exists() {
    let known: BTreeSet<String> =
        commands().iter().flat_map(|(_, command)| long_flags(command)).collect();
    let mut checked = 0;
    let mut unknown = Vec::new();
    for Document { name, text } in documents() {
        for flag in quoted_flags(&text) {
            checked += 1;
            if !known.contains(&flag) && !OF_OTHERS.contains(&flag.as_str()) {
                unknown.push(format!("{name}: {flag}"));
            }
        }
    }
    assert!(checked > 100, "{checked}");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn k9_every_command_and_flag_is_in_the_documents() {
    let text: Vec<String> = documents().into_iter().map(|document| document.text).collect();
    let text = text.join("\n");
    // Not the beginning of a longer name.
    let is_there = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let next = text[at + name.len()..].chars().next();
            !next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '-' || next == '_')
        })
    };
    let mut missing = Vec::new();
    for (names, command) in commands() {
        if !is_there(&names) {
            missing.push(names.clone());
        }
        // The tables of CONFIGURATION.md have them without dashes, which another test checks.
        let is_in_table = ["banter serve", "banter chat"].contains(&names.as_str());
        let flags = long_flags(&command).filter(|flag| !is_in_table || flag == "--config");
        missing.extend(flags.filter(|flag| !is_there(flag)).map(|flag| format!("{names} {flag}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn k9_every_command_in_the_documents_is_one() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for Document { name, text } in documents() {
        let text = text.replace("\\\n", " ");
        let code = lines(&text).filter(|(_, is_code)| *is_code).map(|(line, _)| line);
        let commands = code.flat_map(shell_commands).filter_map(words_of_banter);
        // An ellipsis stands for something that people put in.
        for words in commands.filter(|words| !words.iter().any(|word| word.contains('…'))) {
            checked += 1;
            let arguments = with_default_subcommand(words.iter().map(OsString::from));
            match command().try_get_matches_from(arguments) {
                Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
                Err(error) => wrong.push(format!("{name}: {words:?}: {error}")),
                Ok(_) => {}
            }
        }
    }
    assert!(checked > 40, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn k9_words_of_a_shell_are_read() {
    let line =
        "A=b git diff | banter chat \"What is # it?\" --seed=1 'x y' > out # a comment | banter";
    let expected: [&[&str]; 3] = [
        &["A=b", "git", "diff"],
        &["banter", "chat", "What is # it?", "--seed=1", "x y"],
        &["out"],
    ];
    assert_eq!(shell_commands(line), expected);
    let words = |line: &str| words_of_banter(shell_commands(line).remove(0));
    let is = |line: &str, expected: &[&str]| {
        assert_eq!(
            words(line).as_deref(),
            Some(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
        );
    };
    is("BANTER_KEY=… banter serve", &["banter", "serve"]);
    is("cargo run --release -- list", &["--", "list"]);
    assert_eq!(words("cargo run -p x --example y -- list"), None);
    assert_eq!(words("vllm serve x"), None);
    assert_eq!(
        quoted_flags("`--a-b=1`, `banter x --c`, `cargo --d`, --e\n```sh\n`--f`\n```\n"),
        ["--a-b", "--c"]
    );
}

#[test]
fn k9_the_help_is_that_of_the_file() {
    let mut expected = String::new();
    for (names, command) in commands() {
        let help = command.term_width(100).render_long_help();
        expected.push_str(&format!("### {names} --help\n{help}\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/help.txt");
    if std::env::var_os("BANTER_WRITE").is_some() {
        fs::write(&path, &expected).expect("the file can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "src/help.txt: look at the change, and run this with BANTER_WRITE=1"
    );
}
