//! A process that loads a model with one engine, and then runs the tasks that come on its standard
//! input.
//!
//! Two engines in one process would share the memory figures, and keep each other's threads awake.

use std::io::{BufRead, BufWriter, Write};
use std::time::Duration;

use anyhow::Context;
use banter_engine::measure::{Bench, Setup};
use banter_engine::model::Operation;
use banter_engine::text::TokenId;
use clap::{Arg, ArgMatches, Command, value_parser};

use super::options::{ModelOptions, model_arguments};
use super::task::{Counts, Done, Engine, LogitsRows, Ready, Request, Task};

/// The subcommand's name.
pub const NAME: &str = "side";

/// An engine with a model loaded.
pub trait Side {
    /// The engine's description of itself.
    fn ready(&self) -> Ready;
    /// Runs a task, and returns how long it took without the preparation.
    fn run(&mut self, task: Task) -> anyhow::Result<Duration>;
    /// How many logits a token has.
    fn vocabulary(&self) -> usize;
    /// Computes tokens from position 0 on, and hands out the logits after each.
    fn logits(
        &mut self,
        tokens: &[u32],
        each: &mut dyn FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
    /// Seconds by kind of work since the last call.
    fn profile(&mut self) -> Vec<(String, f64)>;
}

/// The options of a side.
pub struct SideOptions {
    pub model: ModelOptions,
    pub sequences: usize,
    pub context_tokens: usize,
}

/// The subcommand, which only the bench itself uses.
pub fn command() -> Command {
    let number =
        |name: &'static str| Arg::new(name).required(true).value_parser(value_parser!(usize));
    model_arguments(Command::new(NAME).hide(true))
        .arg(Arg::new("engine").required(true))
        .arg(number("sequences"))
        .arg(number("context"))
}

/// Loads the model, says so, and runs tasks until there are no more.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let count = |name| *matches.get_one::<usize>(name).expect("a required argument");
    let options = SideOptions {
        model: ModelOptions::from_matches(matches)?,
        sequences: count("sequences"),
        context_tokens: count("context"),
    };
    let engine = matches.get_one::<String>("engine").expect("a required argument");
    match Engine::named(engine)? {
        Engine::Banter => serve(Own::open(&options)?),
        #[cfg(feature = "llama-cpp")]
        Engine::LlamaCpp => super::llama_cpp::with_side(&options, &mut |side| serve(side)),
        #[cfg(not(feature = "llama-cpp"))]
        Engine::LlamaCpp => anyhow::bail!(
            "this program was built without llama.cpp; build it as docs/PERFORMANCE.md says"
        ),
    }
}

/// Answers requests on standard input one after another.
pub fn serve(mut side: impl Side) -> anyhow::Result<()> {
    say(&side.ready())?;
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?).context("a request")? {
            Request::Time(task) => {
                side.profile();
                let seconds = side.run(task)?.as_secs_f64();
                let (profile, peak_memory_bytes) = (side.profile(), peak_memory_bytes());
                say(&Done { seconds, peak_memory_bytes, profile })?;
            }
            Request::Logits { tokens } => {
                say(&LogitsRows { width: side.vocabulary() })?;
                let mut out = BufWriter::new(std::io::stdout().lock());
                side.logits(&tokens, &mut |logits| {
                    let mut values = logits.iter();
                    Ok(values.try_for_each(|logit| out.write_all(&logit.to_le_bytes()))?)
                })?;
                out.flush()?;
            }
        }
    }
    Ok(())
}

fn say(words: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(words)?)?;
    Ok(out.flush()?)
}

/// The most memory that this process has had, as the kernel counts it.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Says that a side was compiled without instructions of a particular processor, as the released
/// program is.
pub const PORTABLE: &str = "built for any processor";
const BUILT_FOR: &str =
    if cfg!(target_feature = "avx2") { "built for one kind of processor" } else { PORTABLE };

/// Our own engine.
struct Own {
    bench: Bench,
    about: String,
    context_tokens: usize,
    is_filled: bool,
}

impl Own {
    fn open(options: &SideOptions) -> anyhow::Result<Own> {
        let ModelOptions { path, threads, isa, quant, kv_type } = &options.model;
        let setup = Setup {
            isa: *isa,
            threads: *threads,
            quant: *quant,
            kv_type: *kv_type,
            sequences: options.sequences,
            context_tokens: options.context_tokens,
        };
        let bench = Bench::open(path, &setup)?;
        let about = format!("banter {} {}, {BUILT_FOR}", env!("CARGO_PKG_VERSION"), isa.name());
        Ok(Own { bench, about, context_tokens: options.context_tokens, is_filled: false })
    }
}

impl Side for Own {
    fn ready(&self) -> Ready {
        let workload = self.bench.workload();
        Ready {
            model: self.bench.model().to_string(),
            weight_types: self.bench.weight_types().to_string(),
            load_seconds: self.bench.load_time().as_secs_f64(),
            about: self.about.clone(),
            workload: Some(Counts {
                token_products: workload.token_products,
                head_products: workload.head_products,
                products: workload.products,
                weight_bytes: workload.weight_bytes,
                position_bytes: workload.position_bytes,
            }),
        }
    }

    fn run(&mut self, task: Task) -> anyhow::Result<Duration> {
        let (Task::Prompt { cached, .. } | Task::Generate { cached, .. }) = task;
        if cached > 0 && !self.is_filled {
            self.bench.fill(self.context_tokens);
            self.is_filled = true;
        }
        Ok(match task {
            Task::Prompt { cached, tokens } => self.bench.prompt(cached, tokens),
            Task::Generate { sequences, cached, tokens } => {
                self.bench.generate(sequences, cached, tokens)
            }
        })
    }

    fn vocabulary(&self) -> usize {
        self.bench.vocabulary()
    }

    fn logits(
        &mut self,
        tokens: &[u32],
        each: &mut dyn FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let tokens: Vec<TokenId> = tokens.iter().map(|&token| TokenId(token)).collect();
        self.bench.logits(&tokens, each)
    }

    fn profile(&mut self) -> Vec<(String, f64)> {
        let profile = self.bench.take_profile();
        let seconds = |operation: Operation| {
            (operation.name().to_string(), profile.spent(operation).as_secs_f64())
        };
        Operation::ALL.map(seconds).to_vec()
    }
}
