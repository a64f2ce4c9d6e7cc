//! The options of `banter bench -m FILE`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, bail};
use banter_engine::model_file::{ModelFile, ModelSource, Quant};
use banter_engine::{Isa, KvType};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::task::Side;

/// Which model is loaded, and how.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    pub path: PathBuf,
    pub threads: NonZeroUsize,
    pub isa: Isa,
    /// Types to which our engine converts matrices.
    pub quant: Option<Quant>,
    pub kv_type: KvType,
}

/// The checked options.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    pub model: ModelOptions,
    pub prompt_tokens: usize,
    pub generate_tokens: usize,
    pub repetitions: usize,
    /// How many answers at once; each number is measured.
    pub streams: Vec<usize>,
    /// After how many cached tokens generation is measured; each number is measured.
    pub depths: Vec<usize>,
    pub against: Option<Side>,
    pub json: bool,
    pub csv: Option<PathBuf>,
    pub plot: Option<PathBuf>,
}

/// Adds the options of `banter bench -m FILE`.
pub fn arguments(command: Command) -> Command {
    let number = |name: &'static str, short: char, default: &'static str, help: &'static str| {
        Arg::new(name)
            .short(short)
            .long(name)
            .default_value(default)
            .value_name("COUNT")
            .value_parser(value_parser!(u16).range(1..))
            .help(help)
    };
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
    };
    let list = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).value_name("LIST").help(help)
    };
    model_arguments(command)
        .arg(number("prompt", 'p', "512", "Tokens of the prompt"))
        .arg(number("generate", 'n', "64", "Tokens to generate after it"))
        .arg(repeat_argument())
        .arg(list("streams", "1,2,4,8,16", "Answers at once, each measured"))
        .arg(list(
            "depths",
            "",
            "Cached tokens before generation, each measured, such as 8192,32768",
        ))
        .args(against_arguments())
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"))
        .arg(path("csv", "Append the figures to a file"))
        .arg(path("plot", "Draw speed by streams and by cached tokens as SVG"))
}

/// The option that [`repetitions`] reads.
pub fn repeat_argument() -> Arg {
    Arg::new("repeat")
        .short('r')
        .long("repeat")
        .default_value("5")
        .value_name("COUNT")
        .value_parser(value_parser!(u16).range(1..))
        .help("Repetitions; medians are printed")
}

/// How often everything is measured.
pub fn repetitions(matches: &ArgMatches) -> usize {
    usize::from(*matches.get_one::<u16>("repeat").expect("it has a default"))
}

/// The options that a side gets, too.
pub fn model_arguments(command: Command) -> Command {
    command
        .arg(
            Arg::new("model")
                .short('m')
                .long("model")
                .required(true)
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("GGUF file or Hugging Face folder"),
        )
        .arg(
            Arg::new("threads")
                .short('t')
                .long("threads")
                .value_name("COUNT")
                .value_parser(value_parser!(NonZeroUsize))
                .help("Threads that compute [default: one for each core]"),
        )
        .arg(
            Arg::new("isa")
                .long("isa")
                .value_name("NAME")
                .help("Instruction set of banter [default: the best here]"),
        )
        .arg(
            Arg::new("quant")
                .long("quant")
                .value_name("TYPE")
                .help(format!("What weights become as banter loads them: {}", quants())),
        )
        .arg(
            Arg::new("kv-type")
                .long("kv-type")
                .default_value("f16")
                .value_name("TYPE")
                .help(format!("Cached keys and values: {}", kv_types())),
        )
}

impl BenchOptions {
    /// Checks the command line.
    ///
    /// Errors: the name of the option with a wrong value.
    pub fn from_matches(matches: &ArgMatches) -> anyhow::Result<BenchOptions> {
        let count = |name| usize::from(*matches.get_one::<u16>(name).expect("it has a default"));
        let path = |name| matches.get_one::<PathBuf>(name).cloned();
        let model = ModelOptions::from_matches(matches)?;
        Ok(BenchOptions {
            against: against(matches, &model)?,
            model,
            prompt_tokens: count("prompt"),
            generate_tokens: count("generate"),
            repetitions: repetitions(matches),
            streams: counts(matches, "streams", 256)?,
            depths: counts(matches, "depths", 1 << 20)?,
            json: matches.get_flag("json"),
            csv: path("csv"),
            plot: path("plot"),
        })
    }
}

impl ModelOptions {
    /// Checks what the command line says.
    ///
    /// Errors: a value that means nothing, named.
    pub fn from_matches(matches: &ArgMatches) -> anyhow::Result<ModelOptions> {
        Ok(ModelOptions {
            path: matches.get_one::<PathBuf>("model").expect("a required option").clone(),
            threads: threads(matches)?,
            isa: isa(matches)?,
            quant: quant(matches)?,
            kv_type: kv_type(matches)?,
        })
    }
}

/// The engine to compare with, if one was asked for.
///
/// Errors: it is not known, or cannot read the same weights.
pub fn against(matches: &ArgMatches, model: &ModelOptions) -> anyhow::Result<Option<Side>> {
    let Some(name) = matches.get_one::<String>("against") else { return Ok(None) };
    let side = Side::other(name, matches.get_one::<PathBuf>("against-program"))?;
    if model.path.is_dir() {
        bail!("--against: expected a GGUF file that both read, found a folder");
    }
    match model.quant {
        None => {}
        Some(Quant::Bf16Dot) if stored_types(model)? == "BF16" => {}
        Some(quant) => bail!(
            "--against: expected weights as they are stored, which both read, found --quant {} \
             (bf16-dot is possible with a BF16 file)",
            quant.name()
        ),
    }
    Ok(Some(side))
}

/// The types that a file's matrices are stored in.
fn stored_types(model: &ModelOptions) -> anyhow::Result<String> {
    let file = ModelFile::open(&ModelSource::Path(model.path.clone()))?;
    Ok(file.description().weight_types.clone())
}

/// The options that [`against`] reads.
pub fn against_arguments() -> [Arg; 2] {
    let engine = Arg::new("against").long("against").value_name("ENGINE").help(
        "Another engine on the same file, taking turns: llama.cpp, or banter of another build",
    );
    let program = Arg::new("against-program")
        .long("against-program")
        .value_name("FILE")
        .requires("against")
        .value_parser(value_parser!(PathBuf))
        .help("The banter that runs it [default: this one, if built with --features llama-cpp]");
    [engine, program]
}

/// The threads that compute: as many as asked for, or one for each core.
fn threads(matches: &ArgMatches) -> anyhow::Result<NonZeroUsize> {
    match matches.get_one::<NonZeroUsize>("threads") {
        Some(&threads) => Ok(threads),
        None => Ok(banter_engine::engine::cores()),
    }
}

/// The instruction set: the one that was asked for, or the best.
fn isa(matches: &ArgMatches) -> anyhow::Result<Isa> {
    match matches.get_one::<String>("isa") {
        Some(name) => Isa::named(name).context("--isa"),
        None => Ok(Isa::best()),
    }
}

/// The type of keys and values.
fn kv_type(matches: &ArgMatches) -> anyhow::Result<KvType> {
    let name = matches.get_one::<String>("kv-type").expect("it has a default");
    KvType::named(name)
        .with_context(|| format!("--kv-type: expected one of {}, found {name:?}", kv_types()))
}

/// The types to which matrices are converted.
fn quant(matches: &ArgMatches) -> anyhow::Result<Option<Quant>> {
    let Some(name) = matches.get_one::<String>("quant") else { return Ok(None) };
    let quant = Quant::named(name);
    quant
        .map(Some)
        .with_context(|| format!("--quant: expected one of {}, found {name:?}", quants()))
}

fn quants() -> String {
    Quant::ALL.map(Quant::name).join(", ")
}

fn kv_types() -> String {
    KvType::ALL.map(KvType::name).join(", ")
}

/// A list of numbers with commas between them.
fn counts(matches: &ArgMatches, name: &str, most: usize) -> anyhow::Result<Vec<usize>> {
    let text = matches.get_one::<String>(name).expect("it has a default");
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let count = |item: &str| {
        let count = item.parse().ok().filter(|count| (1..=most).contains(count));
        count
            .with_context(|| format!("--{name}: expected numbers from 1 to {most}, found {item:?}"))
    };
    items.map(count).collect()
}
