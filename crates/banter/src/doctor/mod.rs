//! `banter doctor`: looks for what keeps a conversation from working, and says what to do about it.
//!
//! - `finding`: the result of one check, in both languages.
//! - `machine`: processor, memory, disk, clock, open files. `model`: whether it is whole, fits, and
//!   how fast it can be. `place`: the port and the store of a server here.
//! - `server`: a server at an address, through everything in between.
//!
//! Nothing is changed by it, and nothing is downloaded.

mod finding;
mod machine;
mod model;
mod place;
mod server;

use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use banter_remote::Address;
use banter_remote::server::ServerClient;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::chat::{ChatSettings, Target, api};
use crate::config::Config;
use crate::options::{self, Options};
use crate::output;
use finding::{Finding, Language, Outcome};

/// How long a server may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what has the port may take to say that it is a banter.
const PROBE: Duration = Duration::from_secs(2);
/// The status if something does not work.
const FOUND_PROBLEMS: u8 = 1;

/// The subcommand.
pub fn command() -> Command {
    let of_server =
        ["model", "models-dir", "data", "host", "port", "ctx", "kv-memory", "threads", "key"];
    Command::new("doctor")
        .about("Find out why a conversation does not work, and what to do")
        .after_help(
            "Without --url, this machine and the server on it are looked at; with --url, that \
             server, through every proxy in between. Exit status: 0 nothing is wrong, 1 something \
             does not work, 2 wrong usage.",
        )
        .args(
            options::chat_arguments()
                .filter(|arg| ["url", "trust"].contains(&arg.get_id().as_str())),
        )
        .arg(
            Arg::new("origin").long("origin").value_name("ORIGIN").help(
                "Page of another site that is to use the server, as https://wiki.example.com",
            ),
        )
        .arg(
            Arg::new("language")
                .long("language")
                .value_parser(["en", "zh"])
                .help("Language of the report [default: that of LANG]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print a line of JSON for each check"),
        )
        .args(of_server.map(options::argument))
}

/// Looks, prints what was found, and returns the status to exit with.
///
/// Errors: wrong usage.
pub fn run(matches: &ArgMatches, options: &Options) -> anyhow::Result<u8> {
    let config = Config::check(options)?;
    let settings = ChatSettings::check(options)?;
    let origin = matches.get_one::<String>("origin").map(String::as_str);
    let mut report = Report {
        language: language(matches),
        is_json: matches.get_flag("json"),
        worst: Outcome::Ok,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the threads for sockets")?;
    if !matches!(settings.target, Target::Url { .. }) {
        look_here(&config, &mut report)?;
    }
    let client = |address: &Address, patience| {
        let key = settings.key.as_deref();
        ServerClient::new(address.clone(), key, &settings.trusted, patience)
            .map_err(|reason| anyhow!(reason))
    };
    let server = match &settings.target {
        Target::Url { address, .. } => Some(address.clone()),
        _ => {
            let addresses = place::addresses(&config.listen);
            let is_banter = |address: &&Address| {
                let client = client(address, PROBE);
                client.is_ok_and(|client| runtime.block_on(api::is_banter(&client)))
            };
            addresses.iter().find(is_banter).cloned()
        }
    };
    match server {
        Some(address) => {
            let client = client(&address, PATIENCE)?;
            report.tell(runtime.block_on(server::check(&client, origin)))?;
        }
        None => report.tell([place::port(&config.listen)])?,
    }
    Ok(if report.worst == Outcome::Problem { FOUND_PROBLEMS } else { 0 })
}

/// Looks at this machine.
fn look_here(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    report.tell([machine::processor()])?;
    let speed = machine::memory_speed();
    report.tell([machine::memory(speed)])?;
    report.tell(machine::control_group())?;
    if config.remote.is_none() {
        report.tell(model::check(config, speed))?;
    }
    report.tell([place::store(&config.store)])?;
    let folders = [config.store.folder(), config.models_dir.as_deref().ok()];
    report.tell(folders.into_iter().flatten().map(machine::disk))?;
    let max_connections = config.access.max_connections;
    report.tell([machine::clock(SystemTime::now()), machine::descriptors(max_connections)])
}

/// Prints results as they come.
struct Report {
    language: Language,
    is_json: bool,
    worst: Outcome,
}

impl Report {
    /// Errors: stdout takes nothing.
    fn tell(&mut self, findings: impl IntoIterator<Item = Finding>) -> anyhow::Result<()> {
        for finding in findings {
            self.worst = self.worst.max(finding.outcome);
            match self.is_json {
                true => output::print_json(&finding.to_json().to_string())?,
                false => output::print(&finding.to_text(self.language))?,
            }
        }
        Ok(())
    }
}

/// The language that is asked for, or else that of the locale.
fn language(matches: &ArgMatches) -> Language {
    let asked = matches.get_one::<String>("language").cloned();
    let of_locale = || {
        let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
        variables
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|set| !set.is_empty()))
    };
    Language::of_locale(&asked.or_else(of_locale).unwrap_or_default())
}
