//! The figures as a file below `bench/results/`: a head with the machine and the commit, then a
//! line for each figure.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use super::report::{Report, Row};
use super::task::Task;

const COLUMNS: &str = "model,weights,isa,threads,kv_type,figure,streams,cached,tokens,\
tokens_per_second,seconds,limit,limit_share,other_tokens_per_second,ratio";

/// Appends a run to `path`, which is created if it does not exist.
pub fn append(path: &Path, report: &Report) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let is_new = file.metadata()?.len() == 0;
    let mut text = String::new();
    write_run(&mut text, report, is_new).expect("strings take everything");
    file.write_all(text.as_bytes())
}

fn write_run(text: &mut String, report: &Report, is_new: bool) -> std::fmt::Result {
    writeln!(text, "# {}", std::env::args().collect::<Vec<_>>().join(" "))?;
    writeln!(text, "{}", run_line())?;
    for side in &report.sides {
        let peak = side
            .peak_memory_bytes
            .map_or(String::new(), |bytes| format!(", peak memory {bytes} B"));
        let (about, load) = (&side.ready.about, side.ready.load_seconds);
        writeln!(text, "# {}: {about}, loaded in {load:.2} s{peak}", side.engine.name())?;
    }
    let limits = &report.limits;
    writeln!(
        text,
        "# limits: {:.1} G int8 products/s, {:.1} G of floats, {:.1} G of bf16 pairs, reads {:.1} GB/s, from huge pages {:.1} GB/s",
        limits.int8_products / 1e9,
        limits.float_products / 1e9,
        limits.pair_products / 1e9,
        limits.read_bytes / 1e9,
        limits.read_bytes_huge / 1e9
    )?;
    if is_new {
        writeln!(text, "{COLUMNS}")?;
    }
    report.rows.iter().try_for_each(|row| write_row(text, report, row))
}

fn write_row(text: &mut String, report: &Report, row: &Row) -> std::fmt::Result {
    let (ready, options) = (&report.sides[0].ready, &report.options);
    let (figure, streams, cached, tokens) = match row.task {
        Task::Prompt { cached, tokens } => ("prompt", 1, cached, tokens),
        Task::Generate { sequences, cached, tokens } => ("generate", sequences, cached, tokens),
    };
    let other = row.other.as_ref();
    let other_rate = other.map_or(String::new(), |other| format!("{:.2}", row.rate(other.seconds)));
    let ratio = other.and_then(|other| other.ratio).map_or(String::new(), |r| format!("{r:.3}"));
    writeln!(
        text,
        "{},{},{},{},{},{figure},{streams},{cached},{tokens},{:.2},{:.4},{},{:.3},{other_rate},{ratio}",
        ready.model.replace(',', " "),
        ready.weight_types.replace(',', ""),
        options.model.isa.name(),
        options.model.threads,
        options.model.kv_type.name(),
        row.rate(row.seconds),
        row.seconds,
        row.limit.name(),
        row.limit_share,
    )
}

/// The date, the machine and the commit of a run.
pub fn run_line() -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!("# {date}, {}, commit {}", processor(), commit())
}

/// The processor's name, as Linux knows it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or("unknown processor".to_string(), |(_, name)| name.trim().to_string())
}

/// The commit of the current folder.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = output.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    commit.map_or("unknown".to_string(), |commit| commit.trim().to_string())
}
