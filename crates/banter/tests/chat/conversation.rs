//! The conversation in a terminal.

use std::path::Path;
use std::process::Command;
use std::sync::PoisonError;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group};

use crate::servers::{Proxy, Scripted};
use crate::support::banter;
use crate::terminal::Terminal;

fn command(url: &str) -> Command {
    let mut command = banter(&["chat", "--url", url]);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    command
}

fn start(server: &Scripted) -> Terminal {
    let terminal = Terminal::start(command(&server.url()));
    terminal.prompts();
    terminal
}

/// Sends a line, and waits for the prompt behind what comes of it, which has this text.
fn ask(terminal: &mut Terminal, line: &str, answer: &str) -> String {
    terminal.types(&format!("{line}\r"));
    answered(terminal, &format!("> {line}\n"), answer)
}

/// Waits for the prompt behind this answer to a line that is on the screen.
fn answered(terminal: &Terminal, line: &str, answer: &str) -> String {
    terminal.wait_for(&format!("{answer:?} behind {line:?}"), |screen| {
        // The line end before an answer is that of the line.
        let behind = screen.rfind(line).map(|at| &screen[at + line.len() - 1..]);
        behind.is_some_and(|behind| {
            behind.contains(answer) && behind.trim_end_matches('\n').ends_with("\n> ")
        })
    })
}

#[test]
fn questions_are_answered_and_ctrl_d_leaves() {
    let server = Scripted::start();
    let mut terminal = start(&server);
    ask(&mut terminal, "echo hello there", "\nhello there\n");
    let screen = ask(&mut terminal, "echo-chars 你好，**世界**", "\n你好，世界\n");
    assert!(screen.contains("> echo-chars 你好，**世界**"), "{screen}");
    terminal.types("\x04");
    assert_eq!(terminal.ends().0, 0);
}

#[test]
fn ctrl_c_stops_an_answer_and_twice_at_an_empty_prompt_leaves() {
    let server = Scripted::start();
    let mut terminal = start(&server);
    terminal.types("slow 1000\r");
    terminal.shows("word2");
    terminal.types("\x03");
    terminal.shows("stopped");
    terminal.prompts();
    // What is typed is thrown away first.
    terminal.types("some words");
    terminal.shows("> some words");
    terminal.types("\x03");
    terminal.prompts();
    terminal.types("\x03");
    terminal.shows("Ctrl-C again, or Ctrl-D, leaves");
    terminal.prompts();
    terminal.types("\x03");
    assert_eq!(terminal.ends().0, 130);
}

#[test]
fn several_lines_are_pasted_or_typed_and_sent_as_one() {
    let server = Scripted::start();
    let mut terminal = start(&server);
    terminal.types("\x1b[200~echo one\r\n  two\rthree\x1b[201~");
    terminal.shows("three");
    terminal.types("\r");
    terminal.shows("\none\n  two\nthree\n> ");
    terminal.types("echo back\\\rslash\r");
    answered(&terminal, "> echo back\\\u{2060}\nslash\n", "\nback\nslash\n");
    terminal.types("echo alt\x1b\renter\r");
    answered(&terminal, "> echo alt\nenter\n", "\nalt\nenter\n");
    // Keys that come before the prompt are not lost.
    terminal.types("echo first\recho second\r");
    answered(&terminal, "> echo second\n", "\nsecond\n");
}

#[test]
fn k6_chinese_is_typed_erased_and_shown_in_its_width() {
    let server = Scripted::start();
    for locale in ["C.UTF-8", "C"] {
        let mut command = command(&server.url());
        command.env("LC_ALL", locale);
        let mut terminal = Terminal::start(command);
        terminal.prompts();
        terminal.types("echo 你好吗\x7f\x7f世界\x1b[D\x1b[D大");
        terminal.shows("> echo 你大世界");
        terminal.types("\r");
        terminal.shows("\n你大世界");
    }
}

#[test]
fn k6_a_narrow_terminal_and_another_width_break_lines_right() {
    let server = Scripted::start();
    let mut terminal = Terminal::of_size(command(&server.url()), 40, 60);
    terminal.prompts();
    terminal.types("tokens 20 40\r");
    terminal.shows("word3 ");
    terminal.resize(40, 20);
    terminal.shows("word19");
    let screen = terminal.prompts();
    let bytes = terminal.bytes();
    let written = String::from_utf8_lossy(&bytes);
    for word in 0..20 {
        let is_word = |text: &&str| text.trim() == format!("word{word}");
        let count = written.split_inclusive([' ', '\r']).filter(is_word).count();
        assert_eq!(count, 1, "word{word}: {written:?}");
    }
    // The first line was written before, and the terminal has cut it. When the new width arrives
    // depends on the machine; from then on every line has as many whole words as fit.
    let lines: Vec<&str> = screen.lines().skip_while(|line| !line.starts_with("word0")).collect();
    let lines: Vec<&str> =
        lines[1..].iter().copied().take_while(|line| !line.starts_with('>')).collect();
    assert!(lines.len() >= 4 && lines.last().is_some_and(|line| line.ends_with("word19")));
    for (line, next) in lines.iter().zip(&lines[1..]) {
        let first = next.split(' ').next().expect("a word");
        let fits_no_more = line.len() + 1 + first.len() > 20;
        assert!(line.len() <= 20 && fits_no_more, "{screen}");
    }
    terminal.types("echo 你好世界你好世界你好世界\r");
    let broken = "\n你好世界你好世界你好\n世界\n";
    let screen = answered(&terminal, "\n世界你好世界\n", broken);
    assert!(screen.lines().all(|line| line.chars().count() <= 20), "{screen}");
}

#[test]
fn k6_a_simple_terminal_gets_no_escape_sequence() {
    let server = Scripted::start();
    let mut command = command(&server.url());
    command.env("TERM", "dumb");
    let mut terminal = Terminal::of_size(command, 24, 20);
    terminal.shows("> ");
    terminal.types("echo **bold** and more words\r");
    terminal.shows("**bold** and more\nwords");
    terminal.prompts();
    terminal.types("\x04");
    let bytes = terminal.bytes();
    assert!(!bytes.contains(&0x1b), "{:?}", String::from_utf8_lossy(&bytes));
    assert_eq!(terminal.ends().0, 0);
}

#[test]
fn k3_nothing_that_a_model_or_a_title_says_controls_the_terminal() {
    let server = Scripted::start();
    let mut terminal = start(&server);
    let evil = "echo-chars \u{202e}x\\u{1b}";
    terminal.types(&format!("{evil}\r"));
    terminal.shows("\n\\u{202e}x");
    terminal.prompts();
    // Typed control characters would be edited, so another client says them.
    let escape = "echo-chars \u{1b}]0;title\u{7}\u{9b}2J\u{1b}[31mred\u{7f}\r\u{8}";
    let other = Scripted::start();
    let mut once = banter(&["chat", "--url", &other.url()]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("question");
    std::fs::write(&file, escape).expect("written");
    once.stdin(std::fs::File::open(&file).expect("there"));
    assert!(once.output().expect("it runs").status.success());
    let mut terminal = Terminal::start(command(&other.url()));
    terminal.prompts();
    ask(&mut terminal, "/list", "␛]0;title␇");
    let before = terminal.bytes().len();
    ask(&mut terminal, "/open 1", "␛[31mred␡␈");
    let bytes = terminal.bytes();
    let shown = String::from_utf8_lossy(&bytes[before..]);
    for code in ["\u{9b}", "\u{7}", "\x1b]", "\x1b[31m", "\u{7f}"] {
        assert!(!shown.contains(code), "{code:?} in {shown:?}");
    }
}

#[test]
fn a_lost_connection_is_told_and_the_answer_goes_on() {
    let server = Scripted::start();
    let proxy = Proxy::start(server.address);
    let mut terminal = Terminal::start(command(&proxy.url()));
    terminal.prompts();
    terminal.types("tokens 40 30\r");
    terminal.shows("word5 ");
    proxy.cut();
    terminal.shows("connecting again…");
    terminal.shows("word39");
    let screen = terminal.prompts();
    assert!(!screen.contains("connecting again"), "{screen}");
    let start = screen.find("\nword0 ").expect("the answer") + 1;
    let words: Vec<&str> = screen[start..].split_whitespace().take(40).collect();
    let expected: Vec<String> = (0..40).map(|word| format!("word{word}")).collect();
    assert_eq!(words, expected);
    // At the prompt it is told above it.
    terminal.types("echo half");
    terminal.shows("> echo half");
    proxy.cut();
    terminal.shows("connected again");
    terminal.types(" a line\r");
    terminal.shows("\nhalf a line\n");
}

#[test]
fn commands_work_on_conversations() {
    let server = Scripted::start();
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = start(&server);
    ask(&mut terminal, "/regen", "did you mean /regenerate?");
    ask(&mut terminal, "/continue", "the conversation has not begun yet");
    ask(&mut terminal, "/system Be brief.", "set");
    ask(&mut terminal, "/set max_tokens 3", "set");
    ask(&mut terminal, "/set temperature 7", "expected a number");
    ask(&mut terminal, "tokens 5 0", "word2");
    ask(&mut terminal, "/set max_tokens", "set");
    let screen = ask(&mut terminal, "/continue", "word3 word4");
    assert_eq!(screen.matches("word4").count(), 1, "{screen}");
    ask(&mut terminal, "/edit echo edited", "\nedited\n");
    ask(&mut terminal, "/regenerate", "\nedited\n");
    terminal.types("/edit\r");
    terminal.shows("\n> echo edited");
    terminal.types(" again\r");
    terminal.shows("\nedited again\n");
    terminal.prompts();
    save(&mut terminal, folder.path());
    ask(&mut terminal, "/new", "a new conversation");
    ask(&mut terminal, "echo unicorn", "\nunicorn\n");
    ask(&mut terminal, "/search unicorn", "  1  echo unicorn");
    ask(&mut terminal, "/list", "  2  ");
    let screen = ask(&mut terminal, "/open 2", "> echo edited again\nedited again\n");
    assert!(screen.contains("edited again"), "{screen}");
    ask(&mut terminal, "/delete", "/delete yes deletes");
    ask(&mut terminal, "/delete yes", "deleted “");
    server.wait_for(|list| list["conversations"].as_array().map(Vec::len) == Some(1));
    ask(&mut terminal, "/model", "this server has no models");
    terminal.types("/help\r");
    terminal.shows("so does Ctrl-D");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends().0, 0);
}

fn save(terminal: &mut Terminal, folder: &Path) {
    let (text, json) = (folder.join("a.md"), folder.join("a.json"));
    ask(terminal, &format!("/save {}", text.display()), "saved in");
    ask(terminal, &format!("/save {}", text.display()), "exists");
    ask(terminal, &format!("/save {}", json.display()), "a.json");
    let text = std::fs::read_to_string(text).expect("it is written");
    let expected = "## System\n\nBe brief.\n\n## User\n\necho edited again\n\n## Assistant\n\n\
                    edited again\n";
    assert!(text.ends_with(expected), "{text}");
    let json = std::fs::read_to_string(json).expect("it is written");
    let export: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(export["format"], "banter");
    assert!(export["conversations"][0]["messages"].as_array().map(Vec::len) > Some(4), "{json}");
}

#[test]
fn what_is_typed_is_told_as_a_draft_and_kept_in_the_history() {
    let server = Scripted::start();
    let home = tempfile::tempdir().expect("a folder");
    let start = || {
        let mut command = command(&server.url());
        command.env("XDG_DATA_HOME", home.path());
        let terminal = Terminal::start(command);
        terminal.prompts();
        terminal
    };
    let mut terminal = start();
    terminal.types("echo draft");
    let draft = || server.counters.draft.lock().unwrap_or_else(PoisonError::into_inner).clone();
    while draft().is_none_or(|draft| !format!("{draft:?}").contains("echo draft")) {
        std::thread::yield_now();
    }
    terminal.types("\r");
    terminal.shows("\ndraft\n");
    terminal.prompts();
    terminal.types("\x04");
    assert_eq!(terminal.ends().0, 0);
    let file = home.path().join("banter/chat_history");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(file).expect("it is written").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let mut terminal = start();
    terminal.types("\x12dra");
    terminal.shows("echo draft");
    terminal.types("\r");
    terminal.shows("\ndraft\n");
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_takes_it_again() {
    let server = Scripted::start();
    let mut shell = Command::new("sh");
    // The shell leads the session, and the chat is a process that it waits for.
    let chat = format!(
        "trap : INT; {} chat --url {}; exit $?",
        env!("CARGO_BIN_EXE_banter"),
        server.url()
    );
    shell.args(["-c", &chat]);
    let mut shell = crate::support::without_settings(shell);
    shell.env("TERM", "xterm");
    let mut terminal = Terminal::start(shell);
    terminal.prompts();
    let group = Pid::from_raw(i32::try_from(terminal.child()).expect("a number")).expect("an id");
    for (keys, shown) in [("", "> "), ("slow 1000\r", "word1")] {
        terminal.types(keys);
        terminal.shows(shown);
        terminal.types("\x1a");
        let stopped = rustix::process::waitpid(Some(group), WaitOptions::UNTRACED);
        let (_, status) = stopped.expect("it can be waited for").expect("it has changed");
        assert!(status.stopped(), "{status:?}");
        assert!(terminal.has_its_modes(), "after {keys:?}");
        kill_process_group(group, Signal::CONT).expect("it is there");
    }
    terminal.shows("word3");
    assert!(!terminal.has_its_modes(), "keys are not shown while an answer is written");
    terminal.types("\x03");
    terminal.shows("stopped");
    terminal.prompts();
    terminal.types("\x04");
    assert_eq!(terminal.ends().0, 0);
}

#[test]
fn a_conversation_that_is_not_there_is_told() {
    let server = Scripted::start();
    let mut command = command(&server.url());
    command.args(["--conversation", &"a".repeat(26)]);
    let (status, screen) = Terminal::start(command).ends();
    assert_eq!(status, 1);
    assert!(screen.contains("no such conversation"), "{screen}");
}

#[test]
fn k6_a_signal_in_the_middle_of_a_line_or_an_answer_restores_the_terminal() {
    let server = Scripted::start();
    for (keys, shown) in [("half a line", "half a line"), ("slow 1000\r", "word1")] {
        let mut terminal = start(&server);
        terminal.types(keys);
        terminal.shows(shown);
        let id = Pid::from_raw(i32::try_from(terminal.child()).expect("a number"));
        kill_process(id.expect("an id"), Signal::TERM).expect("it runs");
        assert_eq!(terminal.ends().0, 143, "{keys:?}");
    }
}
