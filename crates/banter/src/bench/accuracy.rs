//! `banter bench accuracy`: how far a model's logits are from those of the same weights as floats.
//!
//! The reference is our engine with every matrix as F32 and the cache in F32; tests hold that
//! against PyTorch. The figure is the Kullback-Leibler divergence (KLD) of what would be sampled at
//! temperature 1.

use std::path::PathBuf;

use anyhow::{Context, bail};
use banter_engine::KvType;
use banter_engine::model_file::{ModelFile, ModelSource, Quant};
use banter_engine::text::{Message, Role};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use super::child::SideProcess;
use super::options::{ModelOptions, against, against_arguments, model_arguments};
use super::quantile::{median, quantile};
use super::task::{Engine, Ready, Side};
use crate::output;

/// The text that is read by default: a conversation in both languages.
const CONVERSATION: [&str; 12] = [
    "Hello! Who are you?",
    "I am a small model that runs on your own machine. What would you like to talk about?",
    "你好，今天天气怎么样？",
    "我看不到窗外的天气，不过可以和你聊聊别的，比如怎么写一个程序。",
    "How do I read a file in Python, line by line?",
    "Open it with a context manager and loop over it:\n\n```python\nwith open('notes.txt') as file:\n    for line in file:\n        print(line.strip())\n```",
    "And what is 17 times 23?",
    "17 × 23 = 391: seventeen twenties are 340, seventeen threes are 51.",
    "请用一句话介绍一下长城。",
    "长城是中国古代修建的防御工程，绵延数千公里，是世界文化遗产。",
    "Write three short rules for a tidy desk, as a list.",
    "1. Put away what you do not use today.\n2. One cup, not four.\n3. Wipe it before you leave.",
];

/// The logits of the floats are kept in memory: 1.2 GB with this many positions and Qwen2.5's
/// vocabulary.
const MOST_POSITIONS: i64 = 2048;

/// The subcommand.
pub fn command() -> Command {
    model_arguments(Command::new("accuracy"))
        .about("Measures how far logits are from those of the same weights as floats")
        .arg(
            Arg::new("positions")
                .long("positions")
                .default_value("256")
                .value_name("COUNT")
                .value_parser(value_parser!(u16).range(1..=MOST_POSITIONS))
                .help("Tokens to read at most, up to 2048"),
        )
        .arg(
            Arg::new("text")
                .long("text")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("What to read [default: a talk in English and Chinese]"),
        )
        .args(against_arguments())
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"))
}

/// Runs the subcommand.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let model = ModelOptions::from_matches(matches)?;
    let other = against(matches, &model)?;
    let most = usize::from(*matches.get_one::<u16>("positions").expect("it has a default"));
    let tokens = tokens(&model, matches.get_one::<PathBuf>("text"), most)?;
    let report = measure(model, other, &tokens)?;
    match matches.get_flag("json") {
        true => output::print_json(&format!("{:#}", report.json()))?,
        false => output::print(&report.text())?,
    }
    Ok(())
}

/// Reads tokens with floats, then with each engine.
fn measure(model: ModelOptions, other: Option<Side>, tokens: &[u32]) -> anyhow::Result<Report> {
    let reference = ModelOptions { quant: Some(Quant::F32), kv_type: KvType::F32, ..model.clone() };
    let mut expected = Vec::with_capacity(tokens.len());
    each_logits(&Side::own()?, &reference, tokens, |_, logits| {
        expected.push(Distribution::of(logits));
    })?;
    let sides = [Side::own()?].into_iter().chain(other).map(|side| {
        let mut distance = Distance::default();
        let ready = each_logits(&side, &model, tokens, |position, logits| {
            distance.add(&expected[position], &Distribution::of(logits));
        })?;
        Ok((side.engine, ready, distance))
    });
    let sides = sides.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Report { model, positions: tokens.len(), sides })
}

/// The results, for people and programs.
struct Report {
    model: ModelOptions,
    positions: usize,
    /// Ours first.
    sides: Vec<(Engine, Ready, Distance)>,
}

impl Report {
    fn json(&self) -> Value {
        let side = |(engine, _, distance): &(Engine, Ready, Distance)| {
            json!({
                "engine": engine.name(),
                "mean_kld": distance.mean(),
                "median_kld": distance.median(),
                "most_kld": distance.most(),
                "same_first": distance.same_first(),
            })
        };
        let (_, ours, _) = &self.sides[0];
        json!({
            "model": ours.model,
            "weight_types": ours.weight_types,
            "isa": self.model.isa.name(),
            "kv_type": self.model.kv_type.name(),
            "positions": self.positions,
            "sides": self.sides.iter().map(side).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let (_, ours, _) = &self.sides[0];
        let mut lines = vec![
            format!(
                "{} · {} · {} · cache in {} · {} positions, against floats",
                ours.model,
                ours.weight_types,
                self.model.isa.name(),
                self.model.kv_type.name(),
                self.positions
            ),
            format!(
                "{:<10} {:>12} {:>12} {:>12} {:>12}",
                "", "mean KLD", "median", "largest", "same first"
            ),
        ];
        for (engine, _, distance) in &self.sides {
            let (mean, median, most) = (distance.mean(), distance.median(), distance.most());
            let (name, same) = (engine.name(), distance.same_first() * 100.0);
            lines.push(format!(
                "{name:<10} {mean:>12.3e} {median:>12.3e} {most:>12.3e} {same:>10.1} %"
            ));
        }
        if let [(_, _, ours), (other, _, theirs)] = self.sides.as_slice() {
            let (mean, median) = (ours.mean() / theirs.mean(), ours.median() / theirs.median());
            let other = other.name();
            lines.push(format!("KLD is {mean:.2} × (median {median:.2} ×) that of {other}"));
        }
        lines.join("\n") + "\n"
    }
}

/// The text to read: that of a file, or the conversation as the model's template writes it.
fn tokens(model: &ModelOptions, text: Option<&PathBuf>, most: usize) -> anyhow::Result<Vec<u32>> {
    let file = ModelFile::open(&ModelSource::Path(model.path.clone()))?;
    let tokenizer = file.text()?;
    let ids = match text {
        Some(path) => {
            let name = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(name)?;
            let ids = tokenizer.encode(&text);
            if ids.is_empty() {
                bail!("{}: expected a text, found none", name());
            }
            ids
        }
        None => {
            let roles = [Role::User, Role::Assistant].into_iter().cycle();
            let messages = roles.zip(CONVERSATION);
            let message = |(role, text): (Role, &str)| Message::new(role, text);
            tokenizer.prompt(&messages.map(message).collect::<Vec<_>>())?
        }
    };
    let most = most.min(file.config().trained_context);
    Ok(ids.iter().take(most).map(|id| id.0).collect())
}

/// Reads tokens with an engine, and ends the engine, because two would need memory for both.
fn each_logits(
    side: &Side,
    model: &ModelOptions,
    tokens: &[u32],
    each: impl FnMut(usize, &[f32]),
) -> anyhow::Result<Ready> {
    let mut side = SideProcess::start(side, model, 1, tokens.len())?;
    side.logits(tokens, each)?;
    Ok(side.ready().clone())
}

/// What would be sampled at temperature 1.
struct Distribution {
    /// Logarithms of probabilities.
    logs: Vec<f32>,
    /// The likeliest token; the first of several.
    first: usize,
}

impl Distribution {
    fn of(logits: &[f32]) -> Distribution {
        let mut first = 0;
        for (index, logit) in logits.iter().enumerate() {
            if *logit > logits[first] {
                first = index;
            }
        }
        let most = f64::from(logits[first]);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - most).exp()).sum();
        let log_sum = most + sum.ln();
        let logs = logits.iter().map(|logit| (f64::from(*logit) - log_sum) as f32).collect();
        Distribution { logs, first }
    }

    /// The Kullback-Leibler divergence of another distribution from this one, in nats.
    fn divergence(&self, other: &Distribution) -> f64 {
        let terms = self.logs.iter().zip(&other.logs).map(|(expected, found)| {
            let (expected, found) = (f64::from(*expected), f64::from(*found));
            // The differences of the probabilities sum up to 0. Without them, rounding would hide
            // small divergences.
            let (p, q) = (expected.exp(), found.exp());
            p * (expected - found) - p + q
        });
        terms.sum()
    }
}

/// Divergences of many positions.
#[derive(Default)]
struct Distance {
    divergences: Vec<f64>,
    same: usize,
}

impl Distance {
    fn add(&mut self, expected: &Distribution, found: &Distribution) {
        self.divergences.push(expected.divergence(found));
        self.same += usize::from(expected.first == found.first);
    }

    fn mean(&self) -> f64 {
        self.divergences.iter().sum::<f64>() / self.divergences.len() as f64
    }

    /// It says more than the mean if single positions differ much, as with random weights.
    fn median(&self) -> f64 {
        median(self.divergences.clone())
    }

    fn most(&self) -> f64 {
        quantile(self.divergences.clone(), 1.0)
    }

    /// The fraction of the positions at which the likeliest token is the same.
    fn same_first(&self) -> f64 {
        self.same as f64 / self.divergences.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_that_of_the_probabilities() {
        // A quarter and three quarters against two halves, whatever is added to the logits.
        let expected = Distribution::of(&[1.0, 1.0 + 3_f32.ln()]);
        let found = Distribution::of(&[-7.0, -7.0]);
        let divergence = 0.25 * 0.5_f64.ln() + 0.75 * 1.5_f64.ln();
        assert!((expected.divergence(&found) - divergence).abs() < 1e-6);
        assert!(expected.divergence(&expected).abs() < 1e-12);
        assert_eq!((expected.first, found.first), (1, 0));
    }

    #[test]
    fn mean_median_and_largest_are_those_of_the_positions() {
        let (a, b) = (Distribution::of(&[0.0, 1.0]), Distribution::of(&[1.0, 0.0]));
        let mut distance = Distance::default();
        distance.add(&a, &a);
        distance.add(&a, &b);
        assert!((distance.mean() - distance.most() / 2.0).abs() < 1e-9 && distance.most() > 0.4);
        assert!(distance.median().abs() < 1e-9);
        assert_eq!(distance.same_first(), 0.5);
    }
}
