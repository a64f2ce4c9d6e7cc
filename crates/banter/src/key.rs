//! `banter key`: keys for other people and for programs, also while a server runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use banter_server::{KeyHash, Origin, SCOPES, make_key};
use banter_store::{KeyError, KeyRing, KeyTerms, MadeKey, SecretHash, now_ms};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use crate::{options, output, text_file};

/// The longest name of a key.
const LONGEST_NAME: usize = 64;
/// The longest system prompt of a key. It takes a part of the model's context in every answer.
const MOST_SYSTEM_BYTES: u64 = 32 << 10;

/// The subcommand.
pub fn command() -> Command {
    let name = || Arg::new("name").value_name("NAME").required(true);
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("COUNT")
            .value_parser(value_parser!(u32).range(1..))
            .help(help)
    };
    let scopes = SCOPES.map(|(scope, what)| format!("{scope}: {what}")).join("; ");
    let add = Command::new("add")
        .about("Make a key and print it; it is shown once, because only its hash is kept")
        .arg(name().help("Name for the key: letters, digits, '-', '_' and '.'"))
        .arg(
            Arg::new("scope")
                .long("scope")
                .value_name("SCOPE")
                .default_value("chat")
                .value_parser(SCOPES.map(|(scope, _)| scope))
                .help(format!("What it allows. {scopes}")),
        )
        .arg(
            Arg::new("origin")
                .long("origin")
                .value_name("ORIGIN")
                .action(ArgAction::Append)
                .help("Origin whose pages may use it, such as https://wiki.example.com; then nothing else may"),
        )
        .arg(
            Arg::new("system")
                .long("system")
                .value_name("TEXT")
                .help("With --scope embed: system prompt of all visitors, which they cannot replace"),
        )
        .arg(
            Arg::new("system-file")
                .long("system-file")
                .value_name("FILE")
                .conflicts_with("system")
                .help("The same, from a file"),
        )
        .arg(number("days", "Days until it ends"))
        .arg(number("requests-per-minute", "Requests in a minute"))
        .arg(number("tokens-per-minute", "Tokens of prompts and answers in a minute"))
        .arg(number("answers-at-once", "Answers at once"))
        .arg(options::argument("data"));
    Command::new("key")
        .about("Make, list and revoke keys, also while a server runs")
        .subcommand_required(true)
        .subcommand(add)
        .subcommand(
            Command::new("list")
                .about("List the keys, their limits and what was done with them")
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON"))
                .arg(options::argument("data")),
        )
        .subcommand(
            Command::new("revoke")
                .about(
                    "Revoke a key: it opens nothing any more, and its sockets end within a second",
                )
                .arg(name().help("Name of the key"))
                .arg(options::argument("data")),
        )
}

/// Runs a subcommand on this folder.
pub fn run(matches: &ArgMatches, folder: PathBuf) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("add", matches)) => add(matches, &open(folder)?),
        Some(("list", matches)) => list(matches.get_flag("json"), &open(folder)?),
        Some(("revoke", matches)) => {
            let name = matches.get_one::<String>("name").expect("the parser demands it");
            open(folder)?.revoke(name)?;
            output::tell(&format!("{name} is revoked"));
            Ok(())
        }
        _ => unreachable!("the parser demands a known subcommand"),
    }
}

fn open(folder: PathBuf) -> anyhow::Result<KeyRing> {
    KeyRing::open(&folder).context("open the keys")
}

fn add(matches: &ArgMatches, ring: &KeyRing) -> anyhow::Result<()> {
    let name = matches.get_one::<String>("name").expect("the parser demands it");
    check_name(name)?;
    let number = |name: &str| matches.get_one::<u32>(name).copied();
    let terms = KeyTerms {
        scope: matches.get_one::<String>("scope").expect("it has a default").clone(),
        origins: origins(matches)?,
        until_ms: number("days").map(|days| now_ms() + u64::from(days) * 24 * 60 * 60 * 1_000),
        requests_per_minute: number("requests-per-minute"),
        tokens_per_minute: number("tokens-per-minute"),
        answers_at_once: number("answers-at-once"),
        system: system(matches)?,
    };
    check_terms(&terms)?;
    if ring.list()?.iter().any(|key| key.name == *name && key.revoked_ms.is_none()) {
        return Err(KeyError::NameTaken(name.clone()).into());
    }
    let key = make_key();
    output::tell(&format!("the key {name}; it is not shown again:"));
    // A key that nobody has seen must not open anything, so it is shown before it is stored.
    if let Err(error) = output::print(&format!("{key}\n")) {
        let error = anyhow::Error::from(error);
        bail!("{error:#}; the key {name} was not made, because nobody has seen it; make it again");
    }
    let hash = SecretHash(KeyHash::of(&key).bytes());
    ring.add(name, hash, &terms).with_context(|| format!("the key {name} was not stored"))
}

/// Only visitors need a site and a system prompt that they cannot replace.
fn check_terms(terms: &KeyTerms) -> anyhow::Result<()> {
    let is_embed = terms.scope == "embed";
    if is_embed && terms.origins.is_empty() {
        bail!(
            "--scope embed: expected at least one --origin, found none; name the sites whose visitors may talk"
        );
    }
    if !is_embed && terms.system.is_some() {
        bail!(
            "--system: expected --scope embed together with it, found --scope {}; the holders of other keys choose their own system prompts",
            terms.scope
        );
    }
    Ok(())
}

/// The text of `--system` or of the file of `--system-file`.
fn system(matches: &ArgMatches) -> anyhow::Result<Option<String>> {
    if let Some(path) = matches.get_one::<String>("system-file") {
        let text = text_file::read_text(Path::new(path), "a system prompt", MOST_SYSTEM_BYTES);
        return text.map(Some).map_err(|error| anyhow!("--system-file: {error}"));
    }
    let Some(text) = matches.get_one::<String>("system") else { return Ok(None) };
    if text.trim().is_empty() {
        bail!("--system: expected a text, found none");
    }
    if text.len() as u64 > MOST_SYSTEM_BYTES {
        bail!("--system: expected at most {MOST_SYSTEM_BYTES} bytes, found {}", text.len());
    }
    Ok(Some(text.clone()))
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
        bail!(
            "NAME: expected 1 to {LONGEST_NAME} letters, digits, '-', '_' and '.', found {name:?}"
        );
    }
    Ok(())
}

fn origins(matches: &ArgMatches) -> anyhow::Result<Vec<String>> {
    let given = matches.get_many::<String>("origin").into_iter().flatten();
    given
        .map(|origin| match Origin::parse(origin) {
            Ok(_) => Ok(origin.clone()),
            Err(error) => bail!("--origin: {error}"),
        })
        .collect()
}

fn list(as_json: bool, ring: &KeyRing) -> anyhow::Result<()> {
    let keys = ring.list()?;
    if as_json {
        let keys: Vec<serde_json::Value> = keys.iter().map(report).collect();
        return Ok(output::print_json(&format!("{:#}", json!(keys)))?);
    }
    if keys.is_empty() {
        output::tell("no keys; banter key add NAME makes one");
    }
    let now_ms = now_ms();
    for key in &keys {
        output::print(&format!("{}\n", line(key, now_ms)))?;
    }
    Ok(())
}

fn report(key: &MadeKey) -> serde_json::Value {
    let MadeKey { name, terms, created_ms, revoked_ms, usage, used_ms, .. } = key;
    json!({
        "name": name,
        "scope": terms.scope,
        "origins": terms.origins,
        "until_ms": terms.until_ms,
        "requests_per_minute": terms.requests_per_minute,
        "tokens_per_minute": terms.tokens_per_minute,
        "answers_at_once": terms.answers_at_once,
        "system": terms.system,
        "created_ms": created_ms,
        "revoked_ms": revoked_ms,
        "used_ms": used_ms,
        "requests": usage.requests,
        "prompt_tokens": usage.prompt_tokens,
        "answer_tokens": usage.answer_tokens,
    })
}

/// A key in a line for people.
fn line(key: &MadeKey, now_ms: u64) -> String {
    let MadeKey { name, terms, usage, .. } = key;
    let state = match (key.revoked_ms, terms.until_ms) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(until_ms)) if until_ms <= now_ms => "ended".to_owned(),
        (None, Some(until_ms)) => format!("ends in {}", spelled(until_ms - now_ms)),
        (None, None) => "valid".to_owned(),
    };
    let mut line = format!("{name:<20} {:<6} {state}", terms.scope);
    let mut add = |text: String| write!(line, ", {text}").expect("strings take everything");
    let limits = [
        (terms.requests_per_minute, "requests a minute"),
        (terms.tokens_per_minute, "tokens a minute"),
        (terms.answers_at_once, "answers at once"),
    ];
    for (limit, what) in limits {
        if let Some(limit) = limit {
            add(format!("{limit} {what}"));
        }
    }
    if !terms.origins.is_empty() {
        add(format!("for {}", terms.origins.join(" ")));
    }
    if terms.system.is_some() {
        add("with a system prompt".to_owned());
    }
    let tokens = usage.prompt_tokens + usage.answer_tokens;
    let used = key.used_ms.map(|used_ms| spelled(now_ms.saturating_sub(used_ms)));
    match used {
        None => add("never used".to_owned()),
        Some(ago) => add(format!("{} requests, {tokens} tokens, used {ago} ago", usage.requests)),
    }
    line
}

/// A time as people say it.
fn spelled(ms: u64) -> String {
    let minutes = Duration::from_millis(ms).as_secs() / 60;
    match minutes {
        0 => "less than a minute".to_owned(),
        1..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 60 / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_store::KeyUsage;

    #[test]
    fn a_name_can_stand_in_a_line_and_in_a_metric() {
        for good in ["anna", "ci.nightly_2-b"] {
            check_name(good).expect("it is plain");
        }
        for wrong in ["", "a b", "a\"", "名", &"a".repeat(65)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_line_says_what_matters() {
        let mut key = MadeKey {
            name: "wiki".into(),
            hash: SecretHash([0; 32]),
            terms: KeyTerms {
                scope: "embed".into(),
                origins: vec!["https://wiki.example".into()],
                until_ms: Some(3 * 24 * 60 * 60_000),
                requests_per_minute: Some(5),
                ..KeyTerms::default()
            },
            created_ms: 0,
            revoked_ms: None,
            usage: KeyUsage { requests: 2, prompt_tokens: 10, answer_tokens: 3 },
            used_ms: None,
        };
        let said = |key: &MadeKey| line(key, 60 * 60_000);
        let expected = "wiki                 embed  ends in 2 days, 5 requests a minute, \
                        for https://wiki.example, never used";
        assert_eq!(said(&key), expected);
        key.used_ms = Some(0);
        assert!(said(&key).ends_with("2 requests, 13 tokens, used 60 min ago"), "{}", said(&key));
        key.revoked_ms = Some(1);
        assert!(said(&key).contains("revoked"));
    }
}
