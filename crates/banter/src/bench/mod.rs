//! `banter bench`: measuring the engine, and models with random weights for it.
//!
//! Reading order:
//! - [`accuracy`]: `banter bench accuracy`, how far logits are from those of floats.
//! - [`http`]: `banter bench http`, any server with OpenAI's interface, with many clients.
//! - [`make_model`]: `banter bench make-model`, a file of a real shape in any type.
//! - [`rewriting`]: `banter bench rewriting`, guesses along real answers.
//! - [`turns`]: `banter bench turns`, the engine with many conversations.
//! - [`options`]: the options of `banter bench -m FILE`.
//! - [`task`]: the messages between the bench and the processes that compute.
//! - [`side`]: such a process. Each engine has its own: ours, and with `--against` another.
//! - [`child`]: that process as the bench sees it.
//! - [`figures`]: the tasks of each figure, which the sides run alternately.
//! - [`quantile`]: medians and the like.
//! - [`fairness`]: whether the other engine was built so that it can be compared.
//! - [`report`], [`csv`], [`plot`]: what is printed and written.
//! - `llama_cpp` (feature `llama-cpp`): llama.cpp as a side.

mod accuracy;
mod child;
mod csv;
mod fairness;
mod figures;
mod http;
#[cfg(feature = "llama-cpp")]
mod llama_cpp;
mod make_model;
mod options;
mod plot;
mod quantile;
mod report;
mod rewriting;
mod side;
mod task;
mod turns;

use anyhow::Context;
use banter_engine::measure::limits;
use clap::{ArgMatches, Command};

use self::options::BenchOptions;
use self::report::Report;
use crate::output;

/// The subcommand and its own subcommands.
pub fn command() -> Command {
    options::arguments(Command::new("bench"))
        .about("Measures the engine on this machine")
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand(accuracy::command())
        .subcommand(http::command())
        .subcommand(make_model::command())
        .subcommand(rewriting::command())
        .subcommand(turns::command())
        .subcommand(side::command())
}

/// Runs the subcommand.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("accuracy", matches)) => accuracy::run(matches),
        Some(("http", matches)) => http::run(matches),
        Some(("make-model", matches)) => make_model::run(matches),
        Some(("rewriting", matches)) => rewriting::run(matches),
        Some(("turns", matches)) => turns::run(matches),
        Some((side::NAME, matches)) => side::run(matches),
        _ => measure(&BenchOptions::from_matches(matches)?),
    }
}

fn measure(options: &BenchOptions) -> anyhow::Result<()> {
    // Nothing else computes while the machine's limits are measured, before and after.
    let before = limits(options.model.isa, options.model.threads)?;
    let measured = figures::measure(options)?;
    let after = limits(options.model.isa, options.model.threads)?;
    let report = Report::new(options, measured, [before, after]);
    // The files first: they are wanted also if nobody reads stdout any more.
    if let Some(path) = &options.csv {
        csv::append(path, &report).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(&report)).with_context(|| path.display().to_string())?;
    }
    match options.json {
        true => output::print_json(&format!("{:#}", report.json()))?,
        false => output::print(&report.text())?,
    }
    Ok(())
}
