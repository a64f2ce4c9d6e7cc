//! `banter bench -m FILE`: how fast a model reads a prompt and writes an answer here.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use banter_engine::Isa;
use banter_engine::measure::{Measurement, Speed, measure};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use banter_remote::size::show_bytes;

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
                .help("Instruction set [default: the best here]"),
        )
        .arg(number("prompt", 'p', "512", "Tokens of the prompt"))
        .arg(number("generate", 'n', "64", "Tokens to generate after it"))
        .arg(number("repeat", 'r', "5", "Repetitions; the median is printed"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"))
}

/// Loads the model, measures, and prints.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let path = matches.get_one::<PathBuf>("model").expect("a required option");
    let count = |name: &str| usize::from(*matches.get_one::<u16>(name).expect("it has a default"));
    let measurement = Measurement {
        isa: match matches.get_one::<String>("isa") {
            Some(name) => Isa::named(name).context("--isa")?,
            None => Isa::best(),
        },
        threads: match matches.get_one::<NonZeroUsize>("threads") {
            Some(&threads) => threads,
            None => std::thread::available_parallelism().context("count the cores")?,
        },
        prompt_tokens: count("prompt"),
        generate_tokens: count("generate"),
        repetitions: count("repeat"),
    };
    let speed = measure(path, &measurement)?;
    if matches.get_flag("json") {
        println!("{}", json(&measurement, &speed));
    } else {
        print(&measurement, &speed);
    }
    Ok(())
}

fn print(measurement: &Measurement, speed: &Speed) {
    let (isa, threads) = (measurement.isa.name(), measurement.threads);
    println!("{} · {} · {isa} · {threads} threads", speed.model, speed.weight_types);
    println!("load                  {:>9.2} s", speed.load_seconds);
    for (name, tokens, rate) in [
        ("prompt", measurement.prompt_tokens, speed.prompt_tokens_per_second),
        ("generate", measurement.generate_tokens, speed.generate_tokens_per_second),
    ] {
        println!("{name:<8} {tokens:>5} tokens {rate:>9.1} tokens/s");
    }
    println!("peak memory           {:>11}", show_bytes(peak_memory_bytes().unwrap_or(0)));
}

fn json(measurement: &Measurement, speed: &Speed) -> serde_json::Value {
    serde_json::json!({
        "model": speed.model,
        "weight_types": speed.weight_types,
        "isa": measurement.isa.name(),
        "threads": measurement.threads,
        "prompt_tokens": measurement.prompt_tokens,
        "generate_tokens": measurement.generate_tokens,
        "load_seconds": speed.load_seconds,
        "prompt_tokens_per_second": speed.prompt_tokens_per_second,
        "generate_tokens_per_second": speed.generate_tokens_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
    })
}

/// The most memory this process ever held, as the kernel counts it.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
