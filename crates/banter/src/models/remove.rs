//! `banter rm NAME…`: removes models, or what is half there of them.

use anyhow::bail;
use banter_remote::hub::ModelName;
use banter_remote::size::show_bytes;
use banter_remote::store::{Installed, Store};
use clap::{ArgMatches, Command};

use crate::options;

/// The subcommand.
pub fn command() -> Command {
    Command::new("rm")
        .about("Removes pulled models by the names that `banter list` shows")
        .arg(super::names_argument("What to remove"))
        .arg(options::argument("models-dir"))
}

/// Removes every name; one that is not there ends it before anything is removed.
pub fn run(matches: &ArgMatches, store: &Store) -> anyhow::Result<()> {
    let names: Vec<&String> = matches.get_many("name").into_iter().flatten().collect();
    for name in &names {
        if !is_there(store, name)? {
            let models = store.models()?.into_iter().map(|model| model.name);
            let half = store.half_there()?.into_iter().map(|half| half.name);
            let there: Vec<String> = models.chain(half).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            bail!("{name}: expected a model that is here ({there}); nothing was removed");
        }
    }
    for name in names {
        let freed = remove(store, name)?;
        eprintln!("{name} is removed, {} are free again", show_bytes(freed));
    }
    Ok(())
}

fn is_there(store: &Store, name: &str) -> anyhow::Result<bool> {
    let half = store.half_there()?.into_iter().any(|half| half.name == name);
    Ok(half || find(store, name)?.is_some())
}

fn remove(store: &Store, name: &str) -> anyhow::Result<u64> {
    if let Some(installed) = find(store, name)? {
        return Ok(store.remove(&installed)?);
    }
    let half = store.half_there()?.into_iter().find(|half| half.name == name);
    Ok(half.map_or(Ok(0), |half| store.remove_half(&half))?)
}

/// By the name in the list; a short name, if it means one that is here.
fn find(store: &Store, name: &str) -> anyhow::Result<Option<Installed>> {
    let listed = store.models()?.into_iter().find(|model| model.name == name);
    match (listed, ModelName::parse(name)) {
        (None, Ok(parsed)) => Ok(store.find(&parsed)?),
        (listed, _) => Ok(listed),
    }
}
