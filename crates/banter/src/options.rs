//! The options of `banter serve` and `banter chat`: two tables and three sources.
//!
//! An option can be given by a flag, in the environment (`BANTER_PORT`) or in the configuration
//! file (`port = 7860`). The first of these that has it wins. Here values are text with their
//! source; [`crate::config`] checks them.
//!
//! To add an option of the server: one row in [`SERVE`], one field and one line in `config.rs`, and
//! one line in `docs/CONFIGURATION.md`. To add one of the chat: one row in [`CHAT`], and the same
//! in `chat/settings.rs`.

mod table;
mod warnings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use banter_remote::hub::nearest_of;
use clap::{Arg, ArgAction, ArgMatches};

use crate::text_file;
pub use table::{CHAT, OptionRow, SERVE, Takes};

/// Every option.
fn rows() -> impl Iterator<Item = &'static OptionRow> {
    SERVE.iter().chain(CHAT)
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In a configuration file.
    File(PathBuf),
}

/// The values given for one option, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The option's name.
    pub name: &'static str,
    /// Its values, unchecked; `true` or `false` for a switch.
    pub values: Vec<String>,
    /// Where they were given.
    pub source: Source,
}

impl Given {
    /// How a message names this option: as the person has written it, with its source.
    pub fn place(&self) -> String {
        match &self.source {
            Source::Flag => format!("--{} (command line)", self.name),
            Source::Environment => format!("{} (environment)", variable(self.name)),
            Source::File(path) => format!("{} (file {})", self.name, path.display()),
        }
    }
}

/// A configuration file.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// How a message names the setting that has named it, as `BANTER_CONFIG (environment)`.
    pub place: &'static str,
}

/// An error of an option. The message names the option and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(pub String);

impl fmt::Display for OptionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

/// The options whose values are secrets.
pub const SECRETS: [&str; 3] = ["key", "admin-key", "engine-key"];

/// The options that were given, each from its strongest source.
#[derive(Debug, Default)]
pub struct Options {
    given: BTreeMap<&'static str, Given>,
    warnings: Vec<String>,
}

impl Options {
    /// Reads the three sources. A flag wins over the environment, and the environment wins over the
    /// file.
    ///
    /// A subcommand may have only some of the flags. The other options come from the other sources.
    pub fn collect(
        matches: &ArgMatches,
        environment: &BTreeMap<String, String>,
        file: Option<&ConfigFile>,
    ) -> Result<Options, OptionError> {
        let mut options = Options::default();
        if let Some(file) = file {
            options.given = from_file(&file.path, &read_file(file)?)?.given;
            options.warnings.extend(warnings::of_file(&file.path, &options));
        }
        options.given.extend(from_environment(environment).given);
        options.given.extend(from_flags(matches).given);
        options.warnings.extend(warnings::of_environment(environment));
        Ok(options)
    }

    /// Warnings about the environment and the configuration file, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The values for `name`, if it was given.
    pub fn get(&self, name: &str) -> Option<&Given> {
        debug_assert!(rows().any(|row| row.name == name), "no such option: {name}");
        self.given.get(name)
    }

    /// How a message names each option that was given.
    pub fn places(&self) -> BTreeMap<&'static str, String> {
        self.given.iter().map(|(name, given)| (*name, given.place())).collect()
    }
}

/// The flags of the server, for the parser of the command line.
pub fn arguments() -> impl Iterator<Item = Arg> {
    SERVE.iter().map(flag)
}

/// The flags that only the chat has.
pub fn chat_arguments() -> impl Iterator<Item = Arg> {
    CHAT.iter().map(flag)
}

fn flag(row: &'static OptionRow) -> Arg {
    let arg = Arg::new(row.name).long(row.name).help(row.help);
    match row.takes {
        Takes::One(value) => arg.value_name(value).allow_negative_numbers(true),
        Takes::Many(value) => arg.value_name(value).action(ArgAction::Append),
        Takes::Nothing => arg.action(ArgAction::SetTrue),
    }
}

/// The flag of one option, for subcommands that share it.
pub fn argument(name: &str) -> Arg {
    arguments().find(|arg| arg.get_id() == name).expect("a row of the table")
}

/// The environment variable of an option.
pub fn variable(name: &str) -> String {
    format!("BANTER_{}", name.to_ascii_uppercase().replace('-', "_"))
}

fn from_flags(matches: &ArgMatches) -> Options {
    let mut options = Options::default();
    for row in rows() {
        let values: Vec<String> = match row.takes {
            Takes::Nothing => {
                let is_set = matches.try_get_one::<bool>(row.name).ok().flatten();
                is_set.filter(|is_set| **is_set).map(bool::to_string).into_iter().collect()
            }
            _ => {
                let values = matches.try_get_many::<String>(row.name).ok().flatten();
                values.into_iter().flatten().cloned().collect()
            }
        };
        if !values.is_empty() {
            options.insert(row, values, Source::Flag);
        }
    }
    options
}

fn from_environment(environment: &BTreeMap<String, String>) -> Options {
    let mut options = Options::default();
    for row in rows() {
        let Some(text) = environment.get(&variable(row.name)) else { continue };
        let values = match row.takes {
            Takes::Many(_) => text.split(',').map(|part| part.trim().to_string()).collect(),
            _ => vec![text.clone()],
        };
        options.insert(row, values, Source::Environment);
    }
    options
}

/// The longest configuration file, far above any real one.
const FILE_BYTES_MAX: u64 = 1 << 20;

fn read_file(ConfigFile { path, place }: &ConfigFile) -> Result<String, OptionError> {
    let text = text_file::read_utf8(path, "options in TOML", FILE_BYTES_MAX);
    text.map_err(|error| OptionError(format!("{place} {error}")))
}

fn from_file(path: &Path, text: &str) -> Result<Options, OptionError> {
    let fail = |what: String| OptionError(format!("{}: {what}", path.display()));
    let table: toml::Table = text.parse().map_err(|error| fail(not_toml(text, &error)))?;
    let mut options = Options::default();
    for (key, value) in &table {
        let row = rows().find(|row| row.name == key).ok_or_else(|| fail(unknown_key(key)))?;
        let values = file_values(row, value).ok_or_else(|| {
            fail(format!("{key}: expected {}, found {}", expected(row), value.type_str()))
        })?;
        options.insert(row, values, Source::File(path.to_path_buf()));
    }
    Ok(options)
}

/// The parser's own message would repeat the line, which may have a key.
fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line}: expected TOML: {}", error.message())
}

fn unknown_key(key: &str) -> String {
    let meant = nearest_of(key, rows().map(|row| row.name.to_owned()));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    format!(
        "unknown key {key:?}{meant}; the keys are the flags of `banter serve` and `banter chat`"
    )
}

fn expected(row: &OptionRow) -> &'static str {
    match row.takes {
        Takes::One(_) => "a string or a number",
        Takes::Many(_) => "a string or a list of strings",
        Takes::Nothing => "true or false",
    }
}

fn file_values(row: &OptionRow, value: &toml::Value) -> Option<Vec<String>> {
    match (row.takes, value) {
        (Takes::One(_) | Takes::Many(_), toml::Value::String(text)) => Some(vec![text.clone()]),
        (Takes::One(_), toml::Value::Integer(number)) => Some(vec![number.to_string()]),
        (Takes::One(_), toml::Value::Float(number)) => Some(vec![number.to_string()]),
        (Takes::Nothing, toml::Value::Boolean(on)) => Some(vec![on.to_string()]),
        (Takes::Many(_), toml::Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_string)).collect()
        }
        _ => None,
    }
}

impl Options {
    fn insert(&mut self, row: &OptionRow, values: Vec<String>, source: Source) {
        let name = rows().find(|other| other.name == row.name).expect("a row of the table");
        self.given.insert(name.name, Given { name: name.name, values, source });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_documented_in_the_tables_order() {
        let page = include_str!("../../../docs/CONFIGURATION.md");
        let documented: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let options: Vec<&str> = rows().map(|row| row.name).collect();
        assert_eq!(documented, options);
    }
}
