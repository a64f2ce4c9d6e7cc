//! `banter bench`: measuring the engine, and models of random weights to measure on.
//!
//! - [`speed`]: `banter bench -m FILE`, prompt and generation speed.
//! - [`make_model`]: `banter bench make-model`, a file of a real shape in any type.

mod make_model;
mod speed;

use clap::{ArgMatches, Command};

/// The subcommand and its own subcommands.
pub fn command() -> Command {
    speed::arguments(Command::new("bench"))
        .about("Measures the engine on this machine")
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand(make_model::command())
}

/// Runs what the command line asks for.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("make-model", matches)) => make_model::run(matches),
        _ => speed::run(matches),
    }
}
