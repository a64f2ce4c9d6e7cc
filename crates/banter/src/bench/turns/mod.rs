//! `banter bench turns`: the engine as a server drives it, many conversations at once.
//!
//! Where `banter bench -m FILE` times forward passes, this asks the engine's thread for answers and
//! looks at what people would feel: the first word of a turn, the pause between two words beside
//! somebody's long prompt, a stop.
//!
//! - [`clients`]: conversations of a wanted length, and threads that read answers.
//! - [`figures`]: what is measured.

mod clients;
mod figures;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use banter_engine::engine::{Engine, EngineConfig};
use banter_engine::model_file::ModelSource;
use clap::{Arg, ArgMatches, Command, value_parser};

use self::clients::Clients;
use self::figures::{FIGURES, Figure, Ground};
use super::csv;
use super::options::{ModelOptions, model_arguments, repeat_argument, repetitions};
use crate::output;

/// Sequences at once: as many as the scheduler's own time is measured with.
const SEQUENCES: usize = 64;

/// Tokens of a conversation: a prompt of 8,000 and an answer.
const CONTEXT_TOKENS: usize = 9_216;

/// Contexts the cache has room for: the longest conversation beside many short ones.
const CACHE_CONTEXTS: u64 = 3;

/// The subcommand.
pub fn command() -> Command {
    model_arguments(Command::new("turns"))
        .about("Measures the engine with many conversations: first words, pauses, stops")
        .arg(repeat_argument())
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("NAME")
                .help(format!("Measure one of: {}", FIGURES.map(|figure| figure.name).join(", "))),
        )
        .arg(
            Arg::new("csv")
                .long("csv")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Append the figures to a file"),
        )
}

/// Runs what the command line asks for.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let model = ModelOptions::from_matches(matches)?;
    let repetitions = repetitions(matches);
    let only = matches.get_one::<String>("only");
    let chosen: Vec<&Figure> =
        FIGURES.iter().filter(|figure| only.is_none_or(|only| figure.name == only)).collect();
    if chosen.is_empty() {
        let names = FIGURES.map(|figure| figure.name).join(", ");
        anyhow::bail!(
            "--only: expected one of {names}, found {:?}",
            only.expect("it excludes all")
        );
    }
    let config = config(&model)?;
    let engine = Engine::open(config.clone(), &mut |_| ())?;
    let mut lines = Vec::new();
    let ground = Ground { clients: Clients::new(&engine), config: &config };
    for figure in chosen {
        for value in (figure.measure)(&ground, repetitions)? {
            let (what, unit) = (&value.what, value.unit);
            output::print(&format!("{what:<58} {:>12.3} {unit}\n", value.value))?;
            lines.push(format!("{},{what},{:.4},{unit}", figure.name, value.value));
        }
    }
    if let Some(path) = matches.get_one::<PathBuf>("csv") {
        append(path, &engine, &lines).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn config(model: &ModelOptions) -> anyhow::Result<EngineConfig> {
    let mut config = EngineConfig {
        context_tokens: Some(CONTEXT_TOKENS),
        quant: model.quant,
        kv_type: model.kv_type,
        threads: Some(model.threads),
        isa: Some(model.isa),
        max_sequences: SEQUENCES,
        ..EngineConfig::new(ModelSource::Path(model.path.clone()))
    };
    let context_bytes = Engine::forecast(&config)?.context_bytes();
    config.kv_memory_bytes = Some(CACHE_CONTEXTS * context_bytes);
    Ok(config)
}

fn append(path: &PathBuf, engine: &Engine, lines: &[String]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let is_new = file.metadata()?.len() == 0;
    let info = engine.info();
    let (model, types) = (info.name.replace(',', " "), info.weight_types.replace(',', ""));
    writeln!(file, "{}", csv::run_line())?;
    writeln!(file, "# {model}, {types}, {}, {} threads", info.isa, info.threads)?;
    if is_new {
        writeln!(file, "figure,what,value,unit")?;
    }
    lines.iter().try_for_each(|line| writeln!(file, "{line}"))
}
