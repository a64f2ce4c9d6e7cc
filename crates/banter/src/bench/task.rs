//! The messages between the bench and the processes that compute: one JSON object per line.

use std::path::PathBuf;

use anyhow::{Context, bail};
use banter_engine::measure::Products;
use serde::{Deserialize, Serialize};

/// An engine that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Banter,
    LlamaCpp,
}

impl Engine {
    /// The engine called `name`.
    ///
    /// Errors: there is no such engine.
    pub fn named(name: &str) -> anyhow::Result<Engine> {
        match name {
            "banter" => Ok(Engine::Banter),
            "llama.cpp" => Ok(Engine::LlamaCpp),
            _ => bail!("--against: expected llama.cpp or banter, found {name:?}"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Engine::Banter => "banter",
            Engine::LlamaCpp => "llama.cpp",
        }
    }
}

/// An engine, and the program that runs it.
///
/// The two sides are two programs. People install a banter that was built for any processor, but a
/// llama.cpp has its full speed only if it was built for this one.
#[derive(Clone, Debug)]
pub struct Side {
    pub engine: Engine,
    pub program: PathBuf,
}

impl Side {
    /// Our own engine, in this program.
    pub fn own() -> anyhow::Result<Side> {
        let program = std::env::current_exe().context("find this program")?;
        Ok(Side { engine: Engine::Banter, program })
    }

    /// The side to compare with: an engine in another program, or in this one.
    ///
    /// Errors: there is no such engine, or this program was built without it.
    pub fn other(engine: &str, program: Option<&PathBuf>) -> anyhow::Result<Side> {
        let engine = Engine::named(engine)?;
        match (engine, program) {
            (_, Some(program)) => Ok(Side { engine, program: program.clone() }),
            (Engine::LlamaCpp, None) if cfg!(feature = "llama-cpp") => {
                Ok(Side { engine, ..Side::own()? })
            }
            (Engine::LlamaCpp, None) => bail!(
                "--against llama.cpp: this banter was built without it; build one as \
                 docs/PERFORMANCE.md says and name it with --against-program"
            ),
            (Engine::Banter, None) => bail!(
                "--against banter: expected another build of banter, named with --against-program"
            ),
        }
    }
}

/// A task to compute and time. The tokens are arbitrary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// `tokens` after `cached` ones, with the logits of the last.
    Prompt { cached: usize, tokens: usize },
    /// `tokens` steps, in which each of `sequences` computes one more token after `cached` ones,
    /// with logits.
    Generate { sequences: usize, cached: usize, tokens: usize },
}

/// A request to a side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Run a task; the side answers [`Done`].
    Time(Task),
    /// Compute these tokens from position 0 on. The side answers [`LogitsRows`], and then the
    /// logits after each token, as 32-bit floats, little-endian.
    Logits { tokens: Vec<u32> },
}

/// The shape of the logits that a side sends next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LogitsRows {
    /// How many logits each token has.
    pub width: usize,
}

/// What a side says when it has loaded its model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// The model's own name.
    pub model: String,
    /// How its weights are stored.
    pub weight_types: String,
    /// The time until the model was loaded.
    pub load_seconds: f64,
    /// What the engine says about itself: version, instruction sets.
    pub about: String,
    /// `None` if this side does not know it.
    pub workload: Option<Counts>,
}

/// What a token costs; see [`banter_engine::measure::Workload`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Counts {
    pub token_products: u64,
    pub head_products: u64,
    pub products: Products,
    pub weight_bytes: u64,
    pub position_bytes: u64,
}

/// What a side says when a task is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub seconds: f64,
    /// The most memory that the process has had, as the kernel counts it.
    pub peak_memory_bytes: Option<u64>,
    /// Seconds by kind of work, if the side knows them.
    pub profile: Vec<(String, f64)>,
}
