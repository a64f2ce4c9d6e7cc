//! The report, for people and programs.

use std::fmt::Write;

use banter_engine::Isa;
use banter_engine::measure::{Limits, Products};
use banter_remote::size::show_bytes;
use serde_json::{Value, json};

use super::fairness::{objection, other_by_reference};
use super::figures::{Figure, Measured, SideFacts};
use super::options::{BenchOptions, ModelOptions};
use super::task::{Counts, Task};

/// Everything that is reported.
pub struct Report {
    pub options: BenchOptions,
    pub sides: Vec<SideFacts>,
    pub limits: Limits,
    /// Why no ratios are given.
    pub objection: Option<String>,
    pub rows: Vec<Row>,
}

/// One figure, with what it is compared with.
pub struct Row {
    pub task: Task,
    /// Seconds of our engine.
    pub seconds: f64,
    /// The shortest possible time on this machine, as a fraction of ours.
    pub limit_share: f64,
    /// The resource that sets that shortest time.
    pub limit: Limit,
    pub other: Option<Other>,
    /// Seconds by kind of work of our engine.
    pub profile: Vec<(String, f64)>,
}

/// The same figure of the other engine.
pub struct Other {
    pub seconds: f64,
    /// How many times as fast we are; `None` if the comparison would not be fair.
    pub ratio: Option<f64>,
    /// Its speed as a multiple of our careful measurement.
    pub by_reference: Option<f64>,
}

/// The limits of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Arithmetic,
    Memory,
}

impl Limit {
    pub fn name(self) -> &'static str {
        match self {
            Limit::Arithmetic => "arithmetic",
            Limit::Memory => "memory",
        }
    }
}

impl Report {
    /// Compares the figures with the limits of the machine; of those measured before and after, the
    /// larger counts.
    pub fn new(options: &BenchOptions, measured: Measured, limits: [Limits; 2]) -> Report {
        let [a, b] = limits;
        let limits = Limits {
            int8_products: a.int8_products.max(b.int8_products),
            float_products: a.float_products.max(b.float_products),
            pair_products: a.pair_products.max(b.pair_products),
            read_bytes: a.read_bytes.max(b.read_bytes),
            read_bytes_huge: a.read_bytes_huge.max(b.read_bytes_huge),
        };
        let best_isa = Isa::best().name();
        let objection = objection(&measured, best_isa);
        let ours = &measured.sides[0].ready;
        let counts = ours.workload.expect("our engine knows its workload");
        let products = match counts.products {
            Products::Int8 => limits.int8_products,
            Products::Pairs => limits.pair_products,
            Products::Floats => limits.float_products,
        };
        let row = |figure: &Figure| {
            let seconds = figure.done[0].seconds;
            let (least, limit) =
                least_seconds(figure.task, &counts, products, limits.read_bytes_huge);
            let other = figure.done.get(1).map(|done| Other {
                seconds: done.seconds,
                ratio: objection.is_none().then_some(done.seconds / seconds),
                by_reference: other_by_reference(&measured, figure, best_isa),
            });
            let (task, profile) = (figure.task, figure.done[0].profile.clone());
            Row { task, seconds, limit_share: least / seconds, limit, other, profile }
        };
        let rows = measured.figures.iter().map(row).collect();
        Report { options: options.clone(), sides: measured.sides, limits, objection, rows }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("strings take everything");
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let (ours, limits) = (&self.sides[0].ready, self.limits);
        let ModelOptions { threads, isa, kv_type, .. } = &self.options.model;
        let (isa, kv_type) = (isa.name(), kv_type.name());
        writeln!(
            text,
            "{} · {} · {isa} · {threads} threads · cache in {kv_type}",
            ours.model, ours.weight_types
        )?;
        writeln!(
            text,
            "limits: {:.0} G int8 products/s, {:.0} G of floats, {:.0} G of bf16 pairs; reading {:.1} GB/s, from huge pages {:.1} GB/s",
            limits.int8_products / 1e9,
            limits.float_products / 1e9,
            limits.pair_products / 1e9,
            limits.read_bytes / 1e9,
            limits.read_bytes_huge / 1e9
        )?;
        for side in &self.sides {
            let peak = side.peak_memory_bytes.map_or("?".to_string(), show_bytes);
            let (about, load) = (&side.ready.about, side.ready.load_seconds);
            writeln!(
                text,
                "{:<10} loaded in {load:.2} s, peak memory {peak} · {about}",
                side.engine.name()
            )?;
        }
        if let Some(objection) = &self.objection {
            writeln!(text, "no ratios: {objection}")?;
        }
        writeln!(text)?;
        for row in &self.rows {
            row.write_text(text, &self.sides)?;
        }
        Ok(())
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let side = |side: &SideFacts| {
            json!({
                "engine": side.engine.name(),
                "about": side.ready.about,
                "load_seconds": side.ready.load_seconds,
                "peak_memory_bytes": side.peak_memory_bytes,
            })
        };
        json!({
            "model": self.sides[0].ready.model,
            "weight_types": self.sides[0].ready.weight_types,
            "isa": self.options.model.isa.name(),
            "threads": self.options.model.threads,
            "kv_type": self.options.model.kv_type.name(),
            "limits": {
                "int8_products_per_second": self.limits.int8_products,
                "float_products_per_second": self.limits.float_products,
                "pair_products_per_second": self.limits.pair_products,
                "read_bytes_per_second": self.limits.read_bytes,
                "read_bytes_per_second_huge_pages": self.limits.read_bytes_huge,
            },
            "sides": self.sides.iter().map(side).collect::<Vec<_>>(),
            "no_ratios_because": self.objection,
            "figures": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    /// A short description.
    pub fn name(&self) -> String {
        match self.task {
            Task::Prompt { cached: 0, tokens } => format!("prompt {tokens}"),
            Task::Prompt { cached, tokens } => format!("prompt {tokens} behind {cached}"),
            Task::Generate { sequences: 1, cached, tokens } => {
                format!("generate {tokens} behind {cached}")
            }
            Task::Generate { sequences, cached, tokens } => {
                format!("{sequences} streams, {tokens} each behind {cached}")
            }
        }
    }

    /// Tokens per second, of all streams together.
    pub fn rate(&self, seconds: f64) -> f64 {
        self.task.tokens() as f64 / seconds
    }

    fn write_text(&self, text: &mut String, sides: &[SideFacts]) -> std::fmt::Result {
        write!(text, "{:<32} {:>8.1} tokens/s", self.name(), self.rate(self.seconds))?;
        if matches!(self.task, Task::Prompt { cached: 1.., .. }) {
            write!(text, " (first word after {:.0} ms)", self.seconds * 1e3)?;
        }
        write!(text, "  {:>3.0} % of the {} limit", self.limit_share * 100.0, self.limit.name())?;
        if let Some(other) = &self.other {
            write!(text, "  · {} {:.1}", sides[1].engine.name(), self.rate(other.seconds))?;
            if let Some(ratio) = other.ratio {
                write!(text, " · {ratio:.2} ×")?;
            }
            if let Some(by_reference) = other.by_reference {
                write!(text, " (it: {:+.0} % of its reference)", (by_reference - 1.0) * 100.0)?;
            }
        }
        writeln!(text)?;
        let total: f64 = self.profile.iter().map(|(_, seconds)| seconds).sum();
        let shown = self.profile.iter().filter(|(_, seconds)| *seconds >= 0.005 * total);
        let parts: Vec<String> = shown
            .map(|(name, seconds)| format!("{name} {:.1} %", seconds / total * 100.0))
            .collect();
        writeln!(text, "    {}", parts.join(", "))
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name(),
            "task": self.task,
            "seconds": self.seconds,
            "tokens_per_second": self.rate(self.seconds),
            "limit": self.limit.name(),
            "limit_share": self.limit_share,
            "other_seconds": self.other.as_ref().map(|other| other.seconds),
            "ratio": self.other.as_ref().and_then(|other| other.ratio),
            "other_by_reference": self.other.as_ref().and_then(|other| other.by_reference),
            "profile_seconds": self.profile.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }
}

/// The shortest possible time of a task with this many products and bytes per second, and which of
/// them limits it.
fn least_seconds(task: Task, counts: &Counts, products: f64, bytes: f64) -> (f64, Limit) {
    let Counts { token_products, head_products, weight_bytes, position_bytes, .. } = *counts;
    let tokens = task.tokens() as u64;
    let (heads, steps, positions) = match task {
        // Keys and values of a prompt are read many times from caches, or once.
        Task::Prompt { cached, tokens } => (1, 1, cached as u64 + tokens as u64),
        Task::Generate { sequences, cached, tokens } => {
            let positions: u64 =
                (cached..cached + tokens).map(|position| position as u64 + 1).sum();
            ((sequences * tokens) as u64, tokens as u64, positions * sequences as u64)
        }
    };
    let arithmetic = (token_products * tokens + head_products * heads) as f64 / products;
    let memory = (weight_bytes * steps + position_bytes * positions) as f64 / bytes;
    if arithmetic > memory { (arithmetic, Limit::Arithmetic) } else { (memory, Limit::Memory) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        token_products: 1_000_000,
        head_products: 500_000,
        products: Products::Int8,
        weight_bytes: 1_000_000,
        position_bytes: 1_000,
    };

    #[test]
    fn one_stream_waits_for_memory_and_a_prompt_for_arithmetic() {
        let one = Task::Generate { sequences: 1, cached: 9, tokens: 1 };
        let (seconds, limit) = least_seconds(one, &COUNTS, 1e9, 1e8);
        assert_eq!(limit, Limit::Memory);
        assert!((seconds - 1_010_000.0 / 1e8).abs() < 1e-12, "{seconds}");
        let prompt = Task::Prompt { cached: 0, tokens: 100 };
        let (seconds, limit) = least_seconds(prompt, &COUNTS, 1e9, 1e8);
        assert_eq!(limit, Limit::Arithmetic);
        assert!((seconds - 100_500_000.0 / 1e9).abs() < 1e-12, "{seconds}");
    }
}
