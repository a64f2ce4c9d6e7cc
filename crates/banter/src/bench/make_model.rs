//! `banter bench make-model`: a GGUF of a real shape with random weights.
//!
//! Speed does not depend on the values of the weights, so any shape can be measured without a
//! download.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context;
use banter_engine::make_model::{
    ModelSpec, SHAPE_NAMES, TableRow, WeightMix, make_model, named_shape,
};
use banter_engine::text::{Vocabulary, parse_tokenizer_json};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use banter_remote::size::show_bytes;

use crate::output;

/// The subcommand.
pub fn command() -> Command {
    Command::new("make-model")
        .about("Writes a GGUF file of a real shape with random weights, to measure speed on")
        .arg(
            Arg::new("shape")
                .long("shape")
                .required(true)
                .value_name("SHAPE")
                .help("qwen2.5-0.5b, qwen2.5-1.5b, qwen2.5-3b, qwen2.5-7b, qwen2.5-14b or tiny"),
        )
        .arg(Arg::new("type").long("type").required(true).value_name("TYPE").help(
            "f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k … q6_k, or a mix: q4_k_m, q5_k_m",
        ))
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .required(true)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("File to write; an existing one is replaced"),
        )
        .arg(Arg::new("outliers").long("outliers").action(ArgAction::SetTrue).help(
            "Add Qwen's outliers: large key biases, and residual channels 1,000 times the rest",
        ))
        .arg(
            Arg::new("tokenizer")
                .long("tokenizer")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("A published tokenizer.json, for texts of as many tokens [default: made up]"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .default_value("1")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64))
                .help("Another seed gives other weights"),
        )
}

/// Writes the file, and prints which tensors have which type.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).expect("a required option");
    let (shape_name, type_name) = (text("shape"), text("type"));
    let shape = named_shape(shape_name).with_context(|| {
        format!("--shape: expected one of {}, found {shape_name:?}", SHAPE_NAMES.join(", "))
    })?;
    let weights = WeightMix::named(type_name).with_context(|| {
        format!("--type: expected one of {}, found {type_name:?}", WeightMix::names().join(", "))
    })?;
    let path = matches.get_one::<PathBuf>("output").expect("a required option");
    let spec = ModelSpec {
        name: format!("{shape_name} of random weights"),
        shape,
        weights,
        outliers: matches.get_flag("outliers"),
        vocabulary: vocabulary(matches)?,
        seed: *matches.get_one::<u64>("seed").expect("it has a default"),
    };

    let shows_progress = std::io::stderr().is_terminal();
    let table = make_model(&spec, path, &mut |done| {
        if shows_progress {
            let _ = write!(std::io::stderr(), "\r{:3.0} %", done * 100.0);
        }
    })?;
    if shows_progress {
        let _ = writeln!(std::io::stderr(), "\r     ");
    }
    Ok(output::print(&text_of(&table))?)
}

/// A published vocabulary, if one was asked for.
fn vocabulary(matches: &ArgMatches) -> anyhow::Result<Option<Vocabulary>> {
    let Some(path) = matches.get_one::<PathBuf>("tokenizer") else { return Ok(None) };
    let name = || format!("--tokenizer {}", path.display());
    let bytes = std::fs::read(path).with_context(name)?;
    Ok(Some(parse_tokenizer_json(&bytes).with_context(name)?))
}

fn text_of(table: &[TableRow]) -> String {
    let mut text = format!("{:<24} {:>6}  {:<6} {:>9}\n", "tensors", "count", "type", "size");
    for row in table {
        let fallback = row.instead_of.map(|kind| format!("  instead of {}", kind.name()));
        text.push_str(&format!(
            "{:<24} {:>6}  {:<6} {:>9}{}\n",
            row.tensors,
            row.count,
            row.kind.name(),
            show_bytes(row.bytes),
            fallback.unwrap_or_default()
        ));
    }
    let total = table.iter().map(|row| row.bytes).sum();
    text.push_str(&format!("{:<24} {:>6}  {:<6} {:>9}\n", "all", "", "", show_bytes(total)));
    text
}
