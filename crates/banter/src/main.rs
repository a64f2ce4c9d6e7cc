//! The `banter` binary: flags, configuration, subcommands.
//!
//! Reading order:
//! - [`options`]: the table of options and their three sources.
//! - [`config`]: the checked values of the options.
//! - [`serve`]: the server, from its start to its end.
//! - [`chat`]: the conversation in a terminal.
//! - [`doctor`]: looks for what keeps a conversation from working.
//! - [`models`]: models by name: pulling, listing, removing them.
//! - [`engine_config`]: the options of our engine; [`remote_engine`]: an engine that somebody else
//!   runs.
//! - [`chat_template`], [`listen`], [`ready_line`], [`logging`], [`invocation`], [`quantity`],
//!   [`home`]: parts of the above.
//! - [`conversation_store`], [`data`]: the folder of conversations, for the server and by hand.
//! - [`key`]: keys that an operator makes. [`mod@tls`]: the certificate of https.
//! - [`sandbox`]: files that the server may no longer use. [`free_memory`]: memory that it returns.
//! - [`output`]: stdout and stderr; [`visible`]: text of others that can do a terminal no harm.
//! - [`advice`]: what to do about an error. [`usage`]: hints for a wrong command line.
//! - [`mod@bench`]: measuring, and models with random weights for it.

// The bindings of llama.cpp, which we measure against, need unsafe code.
#![cfg_attr(not(feature = "llama-cpp"), forbid(unsafe_code))]
// They panic when nobody reads any more; `output` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod advice;
mod bench;
#[cfg(test)]
#[path = "../build.rs"]
#[allow(dead_code, reason = "only its functions are tested here")]
mod build_script;
mod chat;
mod chat_template;
mod config;
mod conversation_store;
mod data;
mod doctor;
#[cfg(test)]
mod documents;
mod engine_config;
mod free_memory;
mod home;
mod invocation;
mod key;
mod listen;
mod logging;
mod models;
mod options;
mod output;
mod quantity;
mod ready_line;
mod remote_engine;
mod sandbox;
mod serve;
mod text_file;
mod tls;
mod usage;
mod visible;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use banter_remote::PullError;
use banter_remote::store::Store;
use clap::{Arg, ArgMatches, Command};

use crate::config::Config;
use crate::options::{ConfigFile, OptionError, Options};
use crate::output::OutputError;

/// Exit status for a wrong command line, environment or configuration file.
const USAGE: u8 = 2;
/// Exit status after Ctrl-C, as shells use it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = with_default_subcommand(std::env::args_os());
    let parsed = command().try_get_matches_from(&arguments);
    let matches = parsed.unwrap_or_else(|error| usage::end(&error, &arguments));
    let outcome = match matches.subcommand() {
        Some(("chat", matches)) => {
            let options = told_settings(matches).map_err(anyhow::Error::from);
            options.and_then(|options| chat::run(matches, &options))
        }
        Some(("doctor", matches)) => {
            let options = told_settings(matches).map_err(anyhow::Error::from);
            options.and_then(|options| doctor::run(matches, &options))
        }
        subcommand => run(subcommand).map(|()| 0),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) if matches!(error.downcast_ref(), Some(OutputError::Unread)) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // No name in it can begin a line that looks like one of ours.
            let error_text = format!("{error:#}").replace('\n', "\n  ");
            output::tell(&format!("banter: {error_text}"));
            if let Some(advice) = advice::after(&error) {
                output::tell(&format!("banter: {advice}"));
            }
            ExitCode::from(status(&error))
        }
    }
}

/// Runs a subcommand that has either done what it was asked for, or failed.
fn run(subcommand: Option<(&str, &ArgMatches)>) -> anyhow::Result<()> {
    match subcommand {
        Some(("serve", matches)) => {
            let config = settings(matches).and_then(|options| Config::check(&options));
            config.map_err(anyhow::Error::from).and_then(serve::run)
        }
        Some(("pull", matches)) => with_store(matches, models::pull::run),
        Some(("list", matches)) => with_store(matches, models::list::run),
        Some(("rm", matches)) => with_store(matches, models::remove::run),
        Some(("data", matches)) => with_data(matches, data::run),
        Some(("key", matches)) => with_data(matches, key::run),
        Some(("bench", matches)) => bench::run(matches),
        _ => unreachable!("the parser demands a known subcommand"),
    }
}

fn status(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(PullError::Stopped) => INTERRUPTED,
        Some(PullError::Name(_) | PullError::Setting { .. }) => USAGE,
        _ if error.is::<OptionError>() => USAGE,
        _ => 1,
    }
}

fn command() -> Command {
    Command::new("banter")
        .version(env!("BUILD_VERSION"))
        .about("Real-time conversation with Qwen2.5 on your own machine")
        .after_help("Without a subcommand, banter serves: `banter --port 8000` means `banter serve --port 8000`.")
        .subcommand_required(true)
        .subcommand(
            Command::new("serve")
                .about("Load a model and serve the page and the WebSocket")
                .after_help("Every option can also be set as BANTER_… in the environment (BANTER_PORT=7860) or in the configuration file.")
                .arg(config_argument())
                .args(options::arguments()),
        )
        .subcommand(chat::command().arg(config_argument()))
        .subcommand(doctor::command().arg(config_argument()))
        .subcommand(models::pull::command())
        .subcommand(models::list::command())
        .subcommand(models::remove::command())
        .subcommand(data::command())
        .subcommand(key::command())
        .subcommand(bench::command())
}

fn config_argument() -> Arg {
    Arg::new("config").long("config").value_name("FILE").help(
        "Configuration file (TOML; its keys are the flags) [default: ~/.config/banter/config.toml]",
    )
}

/// Adds `serve` if no subcommand is named: `banter --port 8000` is `banter serve --port 8000`.
fn with_default_subcommand(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let of_banter = ["-h", "--help", "-V", "--version"];
    let names_none = match arguments.get(1).and_then(|first| first.to_str()) {
        Some(first) => first.starts_with('-') && !of_banter.contains(&first),
        None => arguments.len() < 2,
    };
    if names_none {
        arguments.insert(1.min(arguments.len()), "serve".into());
    }
    arguments
}

/// Runs a subcommand with the folder of models that the options name.
fn with_store(
    matches: &ArgMatches,
    run: impl FnOnce(&ArgMatches, &Store) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = told_settings(matches).and_then(|options| config::models_dir(&options))?;
    run(matches, &Store::new(folder))
}

/// Runs a subcommand of `banter data` or `banter key` with the folder that the options name.
fn with_data(
    matches: &ArgMatches,
    run: impl FnOnce(&ArgMatches, PathBuf) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (_, of_subcommand) = matches.subcommand().expect("the parser demands one");
    let options = told_settings(of_subcommand)?;
    let folder = config::data_folder(&options)?;
    if let (None, Some(parent)) = (options.get("data"), folder.parent()) {
        // The store itself says what is wrong with the parent.
        let _ = std::fs::create_dir_all(parent);
    }
    run(matches, folder)
}

/// The options that were given for a subcommand.
fn settings(matches: &ArgMatches) -> Result<Options, OptionError> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("BANTER_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        })
        .collect();
    let file = config_file(matches, &environment);
    Options::collect(matches, &environment, file.as_ref())
}

/// The same for a subcommand without a log: what is odd about the options is told on stderr.
fn told_settings(matches: &ArgMatches) -> Result<Options, OptionError> {
    let options = settings(matches)?;
    options.warnings().iter().for_each(|warning| output::tell(&format!("banter: {warning}")));
    Ok(options)
}

/// The configuration file that is named, or else the one at the usual path, if it exists.
fn config_file(matches: &ArgMatches, environment: &BTreeMap<String, String>) -> Option<ConfigFile> {
    if let Some(path) = matches.try_get_one::<String>("config").ok().flatten() {
        let path = home::expanded(path, home::folder().as_deref());
        return Some(ConfigFile { path, place: "--config (command line)" });
    }
    if let Some(path) = environment.get("BANTER_CONFIG") {
        let path = home::expanded(path, home::folder().as_deref());
        return Some(ConfigFile { path, place: "BANTER_CONFIG (environment)" });
    }
    let path = home::config_file()?;
    // Whatever has this name is read, so that a link that leads nowhere is told and not ignored.
    let is_there = path.symlink_metadata().is_ok();
    is_there.then_some(ConfigFile { path, place: "configuration file" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Vec<String> {
        let arguments = arguments.iter().map(OsString::from);
        let full = with_default_subcommand(arguments);
        full.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn without_a_subcommand_banter_serves() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["banter"], &["banter", "serve"]),
            (&["banter", "--port", "1"], &["banter", "serve", "--port", "1"]),
            (&["banter", "serve"], &["banter", "serve"]),
            (&["banter", "bench"], &["banter", "bench"]),
            (&["banter", "--help"], &["banter", "--help"]),
        ];
        for (given, expected) in cases {
            assert_eq!(parsed(given), *expected);
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
