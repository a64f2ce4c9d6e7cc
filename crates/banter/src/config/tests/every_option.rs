//! Every option with values that it cannot have, from every source.
//!
//! A new option needs a row in [`wrong_values`].

use std::collections::BTreeMap;

use crate::chat::ChatSettings;
use crate::config::Config;
use crate::options::{
    self, CHAT, ConfigFile, OptionRow, Options, SECRETS, SERVE, Source, Takes, variable,
};

const NUMBER: &[&str] = &["", " ", "x", "-1", "1.5", "0x10", "99999999999999999999"];
const COUNT: &[&str] = &["", " ", "x", "-1", "1.5", "0", "99999999999999999999"];
const SIZE: &[&str] = &["", " ", "x", "-1", "1", "4XB", "99999999999999999999", "99999999T"];
const SWITCH: &[&str] = &["", "maybe", "2", "-1"];
const WORD: &[&str] = &["", " ", "-1x", "\u{1b}[31m"];
const PATH: &[&str] = &["", " "];
const FILE: &[&str] = &["", "/no/such/file", "/dev/zero", "/proc"];
const KEY: &[&str] = &["", "short", "with a blank", "schlüssel", "escape\u{1b}[31m"];

/// Values that this option refuses.
fn wrong_values(name: &str) -> &'static [&'static str] {
    match name {
        "model" | "draft-model" => &["", " ", "llama3", "qwen2.5:8b", "/dev/zero"],
        "models-dir" | "kv-disk" | "data" | "log-file" | "tls-cert" | "tls-key" => PATH,
        "chat-template" | "well-known" | "trust" => FILE,
        "engine" => &["", "localhost:8000", "ftp://h", "http://me@h", "http://2130706433/"],
        "engine-model" => &["", " ", "a\u{1b}[31m"],
        "key" | "admin-key" => KEY,
        "engine-key" => &["", "with a blank", "schlüssel"],
        "engine-kind" | "quant" | "kv-type" | "isa" | "on-disconnect" | "log-format" => WORD,
        "system-prompt" | "system" => &["", " "],
        "host" => &["", "localhost", "256.0.0.1", "127.0.0.1:80", "::1%lo"],
        "port" => &["", "http", "-1", "1.5", "65536", "99999999999999999999"],
        "max-models-disk" | "kv-memory" | "kv-disk-size" | "max-message" => SIZE,
        "ctx" | "threads" | "max-sequences" | "queue-limit" | "max-gap-ms" => COUNT,
        "queue-timeout" | "grace" | "header-timeout" | "idle-timeout" => COUNT,
        "max-connections" | "max-connections-per-address" => COUNT,
        "trusted-proxy" => &["", "proxy.example", "10.0.0.0/33", "10.0.0.256"],
        "public-url" => &["", "chat.example", "https://h:99999", "https://h/a//b"],
        "allow-origin" => &["", "file://", "https://a.example/", "*"],
        "log" => &["", "verbose", "a=b=c"],
        "yes" | "lan" | "tls-self-signed" | "no-speculation" | "no-store" => SWITCH,
        "switch-on-request" | "allow-file-pages" | "insecure" | "no-sandbox" => SWITCH,
        "url" | "plain" => &["", "h:7860", "ftp://h", "http://me@h"],
        "conversation" => &["", "x", "-1"],
        "new" | "json" => SWITCH,
        "idle-end" => &["", "x", "-1", "0", "3601", "NaN", "inf"],
        "max-tokens" => NUMBER,
        "temperature" => &["", "x", "-0.1", "2.1", "NaN", "inf"],
        "top-p" => &["", "x", "-1", "1.1", "NaN"],
        "seed" => &["", "x", "-1", "1.5"],
        "stop" => &[""],
        _ => panic!("{name}: name some wrong values of this option here"),
    }
}

/// A wrong value from one source, which the message must name.
struct Wrong {
    row: &'static OptionRow,
    flags: Vec<String>,
    environment: Option<(String, String)>,
    file: Option<String>,
}

impl Wrong {
    fn new(row: &'static OptionRow) -> Wrong {
        Wrong { row, flags: Vec::new(), environment: None, file: None }
    }

    /// The error with which the server or the chat ends.
    fn told(&self) -> Result<String, String> {
        let name = self.row.name;
        let arguments = options::arguments().chain(options::chat_arguments());
        let command = clap::Command::new("banter").args(arguments);
        let mut flags = vec!["banter".to_owned()];
        // Some options mean nothing without another one.
        if name.starts_with("engine-") {
            flags.push("--engine=http://localhost:1".to_owned());
        }
        flags.extend(self.flags.iter().cloned());
        let matches = match command.try_get_matches_from(flags) {
            Ok(matches) => matches,
            Err(error) => return Ok(error.to_string()),
        };
        let environment: BTreeMap<String, String> = self.environment.iter().cloned().collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("banter.toml");
        let file = self.file.as_ref().map(|text| {
            std::fs::write(&path, text).expect("written");
            ConfigFile { path: path.clone(), place: "--config (command line)" }
        });
        let options = Options::collect(&matches, &environment, file.as_ref());
        let checked = options.and_then(|options| match SERVE.iter().any(|row| row.name == name) {
            true => Config::check(&options).map(drop),
            false => ChatSettings::check(&options).map(drop),
        });
        let path = path.display().to_string();
        match checked {
            Ok(()) => Err("nothing is told".to_owned()),
            Err(error) => Ok(error.to_string().replace(&path, "FILE")),
        }
    }

    /// The fault of the message about `what`, if it has one.
    fn fault(&self, what: &str, places: &[String]) -> Option<String> {
        let name = self.row.name;
        let message = self.told().unwrap_or_else(|told| told);
        let is_named = places.iter().all(|place| message.contains(place));
        // A message may get into a log.
        let is_secret = SECRETS.contains(&name) && what.len() > 3;
        let is_right = is_named && !(is_secret && message.contains(what));
        (!is_right).then(|| format!("{name} = {what:?}: {message} (expected {places:?})"))
    }

    fn assert_told(&self, what: &str, places: &[String]) {
        assert_eq!(self.fault(what, places), None);
    }
}

fn rows() -> impl Iterator<Item = &'static OptionRow> {
    SERVE.iter().chain(CHAT)
}

#[test]
fn k1_every_option_refuses_wrong_values_and_names_itself_and_the_source() {
    let mut faults = Vec::new();
    for row in rows() {
        let name = row.name;
        for value in wrong_values(name) {
            // The parser knows switches, which take no value.
            let place = match row.takes {
                Takes::Nothing => format!("--{name}"),
                _ => format!("--{name} (command line)"),
            };
            let flags = vec![format!("--{name}={value}")];
            faults.extend(Wrong { flags, ..Wrong::new(row) }.fault(value, &[place]));
            let environment = Some((variable(name), (*value).to_owned()));
            let place = format!("{} (environment)", variable(name));
            faults.extend(Wrong { environment, ..Wrong::new(row) }.fault(value, &[place]));
            let text = toml::Value::String((*value).to_owned());
            let file = Some(format!("{name} = {text}\n"));
            let places = [name.to_owned(), "FILE".to_owned()];
            faults.extend(Wrong { file, ..Wrong::new(row) }.fault(value, &places));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn k1_every_option_refuses_values_of_another_type_in_the_file() {
    for row in rows() {
        let name = row.name;
        let others: &[&str] = match row.takes {
            Takes::One(_) => &["true", "1979-05-27", "{a = 1}", "[]", "[[1]]"],
            Takes::Many(_) => &["true", "1979-05-27", "{a = 1}", "[1]", "1", "[[]]"],
            Takes::Nothing => &["1", "1979-05-27", "{a = 1}", "[true]"],
        };
        for value in others {
            let file = Some(format!("{name} = {value}\n"));
            let places = ["FILE: ".to_owned(), format!("{name}: expected ")];
            Wrong { file, ..Wrong::new(row) }.assert_told("", &places);
        }
        let file = Some(format!("[{name}]\nx = 1\n"));
        Wrong { file, ..Wrong::new(row) }.assert_told("", &[format!("{name}: expected ")]);
    }
}

#[test]
fn k1_every_option_is_refused_without_its_value_and_twice_in_one_source() {
    for row in rows() {
        let name = row.name;
        let flag = format!("--{name}");
        let twice = match row.takes {
            Takes::Nothing => Some(vec![flag.clone(), flag.clone()]),
            Takes::One(_) => Some(vec![format!("{flag}=1"), format!("{flag}=2")]),
            // These may be repeated.
            Takes::Many(_) => None,
        };
        let without = (row.takes != Takes::Nothing).then(|| vec![flag.clone()]);
        for flags in twice.into_iter().chain(without) {
            Wrong { flags, ..Wrong::new(row) }.assert_told("", std::slice::from_ref(&flag));
        }
        let value = if row.takes == Takes::Nothing { "true" } else { "\"1\"" };
        let file = Some(format!("{name} = {value}\n{name} = {value}\n"));
        Wrong { file, ..Wrong::new(row) }.assert_told("", &["FILE: line ".to_owned()]);
    }
}

#[test]
fn k1_of_every_option_a_flag_wins_over_the_environment_and_that_over_the_file() {
    let arguments = options::arguments().chain(options::chat_arguments());
    let command = clap::Command::new("banter").args(arguments);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("banter.toml");
    let of_file = Source::File(path.clone());
    for row in rows() {
        let name = row.name;
        let (text, flag) = match row.takes {
            Takes::Nothing => (format!("{name} = false"), format!("--{name}")),
            _ => (format!("{name} = \"file\""), format!("--{name}=flag")),
        };
        std::fs::write(&path, text).expect("written");
        let file = ConfigFile { path: path.clone(), place: "--config (command line)" };
        let cases = [
            (vec![flag.as_str()], Some("no"), Source::Flag),
            (vec![], Some("no"), Source::Environment),
            (vec![], None, of_file.clone()),
        ];
        for (flags, environment, expected) in cases {
            let words = std::iter::once("banter").chain(flags);
            let matches = command.clone().try_get_matches_from(words).expect("right");
            let environment = environment.map(|value| (variable(name), value.to_owned()));
            let environment: BTreeMap<String, String> = environment.into_iter().collect();
            let options = Options::collect(&matches, &environment, Some(&file)).expect("read");
            let found = options.get(name).expect("it is given");
            assert_eq!(found.source, expected, "{name}: {found:?}");
        }
    }
}
