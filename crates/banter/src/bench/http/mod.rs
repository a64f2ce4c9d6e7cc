//! `banter bench http`: any server with OpenAI's interface, asked by many clients at once.
//!
//! Each client has one conversation after another, of several turns, and waits for each answer
//! before it says more. Measured are the time to the first word, tokens a second, and the first
//! word of a request right after other clients have gone away.
//!
//! - [`talk`]: the messages of the clients.
//! - [`client`]: one client, and the times that it measures.

mod client;
mod talk;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use banter_remote::completions::Completions;
use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::future::join_all;

use self::client::{Seen, after_a_drop, converse};
use super::csv;
use super::quantile::{median, quantile};
use crate::output;

/// The subcommand.
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let count = |name: &'static str, default: &'static str, help: &'static str| {
        text(name, "COUNT", help).default_value(default).value_parser(value_parser!(u32).range(1..))
    };
    Command::new("http")
        .about("Measures a server with OpenAI's interface, over HTTP, with many clients")
        .arg(
            text("url", "URL", "Address of the server, such as http://127.0.0.1:7860")
                .required(true),
        )
        .arg(text("key", "KEY", "Key of the server"))
        .arg(text("model", "NAME", "Model to ask [default: the server's first]"))
        .arg(text("clients", "LIST", "Clients at once, each measured").default_value("1,8,32"))
        .arg(count("conversations", "2", "Conversations of each client"))
        .arg(count("turns", "4", "Turns of a conversation"))
        .arg(text("label", "TEXT", "Name of the server in the file of figures"))
        .arg(
            text("csv", "FILE", "Append the figures to a file")
                .value_parser(value_parser!(PathBuf)),
        )
}

/// The options of the command line.
struct Options {
    clients: Vec<usize>,
    conversations: u32,
    turns: u32,
}

/// A figure.
struct Value {
    clients: usize,
    what: &'static str,
    value: f64,
    unit: &'static str,
}

/// Measures, prints the figures, and appends them to a file if one is named.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let number = |name: &str| *matches.get_one::<u32>(name).expect("it has a default");
    let options = Options {
        clients: clients(&text("clients").expect("it has a default"))?,
        conversations: number("conversations"),
        turns: number("turns"),
    };
    let url = text("url").expect("the parser demands it");
    let runtime = tokio::runtime::Runtime::new().context("start the clients")?;
    let (values, model) = runtime.block_on(async {
        let server = Completions::connect(&url, text("key"), text("model")).await?;
        let values = measure(&server, &options).await?;
        anyhow::Ok((values, server.model().to_owned()))
    })?;
    // The file first: it is wanted also if nobody reads stdout any more.
    if let Some(path) = matches.get_one::<PathBuf>("csv") {
        let label = text("label").unwrap_or(url);
        append(path, &label, &model, &values).with_context(|| path.display().to_string())?;
    }
    for Value { clients, what, value, unit } in &values {
        output::print(&format!("{clients:>3} clients  {what:<44} {value:>10.2} {unit}\n"))?;
    }
    Ok(())
}

/// Errors: a number is missing, or not from 1 to 1,000.
fn clients(list: &str) -> anyhow::Result<Vec<usize>> {
    let number = |text: &str| match text.trim().parse() {
        Ok(count @ 1..=1_000) => Ok(count),
        _ => bail!("--clients: expected numbers from 1 to 1000 with commas, found {list:?}"),
    };
    list.split(',').map(number).collect()
}

async fn measure(server: &Completions, options: &Options) -> anyhow::Result<Vec<Value>> {
    // Nobody waits for what a server does only once.
    converse(server, u64::MAX, 1, 1).await?;
    let mut values = Vec::new();
    for &clients in &options.clients {
        let begin = Instant::now();
        let all = (0..clients as u64)
            .map(|client| converse(server, client, options.conversations, options.turns));
        let seen: Vec<Seen> = join_all(all).await.into_iter().collect::<Result<_, _>>()?;
        values.extend(figures(clients, &seen, begin.elapsed()));
    }
    let mut after = Vec::new();
    for round in 0..DROPS {
        after.push(milliseconds(after_a_drop(server, DROPPED, round).await?));
    }
    let what = "first word after all others have gone, median";
    values.push(Value { clients: DROPPED, what, value: median(after), unit: "ms" });
    Ok(values)
}

/// How many go away in the middle of their answers: few enough that any server has begun them all.
const DROPPED: usize = 4;
/// How often they do.
const DROPS: u64 = 5;

fn figures(clients: usize, seen: &[Seen], took: Duration) -> Vec<Value> {
    let first_words = || -> Vec<f64> {
        seen.iter().flat_map(|seen| &seen.first_words).copied().map(milliseconds).collect()
    };
    let gaps = seen.iter().flat_map(|seen| &seen.gaps).copied().map(milliseconds).collect();
    let tokens: u64 = seen.iter().map(|seen| seen.tokens).sum();
    let value = |what, value, unit| Value { clients, what, value, unit };
    vec![
        value("tokens of all answers", tokens as f64 / took.as_secs_f64(), "1/s"),
        value("first word, median", median(first_words()), "ms"),
        value("first word, 99 of 100", quantile(first_words(), 0.99), "ms"),
        value("between two pieces, 99 of 100", quantile(gaps, 0.99), "ms"),
    ]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn append(path: &Path, label: &str, model: &str, values: &[Value]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let is_new = file.metadata()?.len() == 0;
    let plain = |text: &str| text.replace(',', " ");
    writeln!(file, "# {}", std::env::args().collect::<Vec<_>>().join(" "))?;
    writeln!(file, "{}", csv::run_line())?;
    if is_new {
        writeln!(file, "server,model,clients,what,value,unit")?;
    }
    for Value { clients, what, value, unit } in values {
        let (label, model, what) = (plain(label), plain(model), plain(what));
        writeln!(file, "{label},{model},{clients},{what},{value:.3},{unit}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_clients_is_checked() {
        assert_eq!(clients("1, 8,32").expect("numbers"), [1, 8, 32]);
        for wrong in ["", "0", "1,,2", "1001", "a"] {
            assert!(clients(wrong).is_err(), "{wrong}");
        }
    }
}
