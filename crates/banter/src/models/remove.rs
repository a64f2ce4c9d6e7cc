//! `banter rm NAME…`: removes installed, partial and damaged models.

use anyhow::bail;
use banter_remote::PullError;
use banter_remote::hub::{ModelName, nearest_of};
use banter_remote::size::show_bytes;
use banter_remote::store::{Damaged, Installed, Partial, Store};
use clap::{ArgMatches, Command};

use crate::{options, output};

/// The model of a name.
enum Found {
    Installed(Installed),
    Partial(Partial),
    Damaged(Damaged),
}

/// The subcommand.
pub fn command() -> Command {
    Command::new("rm")
        .about("Remove pulled models by the names that `banter list` shows")
        .arg(super::names_argument("The models to remove"))
        .arg(options::argument("models-dir"))
}

/// Removes all models that are named. If one of them does not exist, nothing is removed.
pub fn run(matches: &ArgMatches, store: &Store) -> anyhow::Result<()> {
    let names: Vec<&String> = matches.get_many("name").into_iter().flatten().collect();
    for name in &names {
        if find(store, name)?.is_none() {
            let there = names_there(store)?;
            let meant = nearest_of(name, there.iter().cloned());
            let hint = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            bail!("{name}: expected one of the pulled models ({there}){hint}; nothing was removed");
        }
    }
    for name in names {
        // The same name may be given twice.
        let Some(found) = find(store, name)? else { continue };
        let freed = match found {
            Found::Installed(model) => store.remove(&model)?,
            Found::Partial(model) => store.remove_partial(&model)?,
            Found::Damaged(model) => store.remove_damaged(&model)?,
        };
        output::tell(&format!("{name} is removed; {} are free again", show_bytes(freed)));
    }
    Ok(())
}

/// Finds a model by its name in the list, or by another form of that name.
fn find(store: &Store, name: &str) -> Result<Option<Found>, PullError> {
    let parsed = ModelName::parse(name).ok();
    let long = parsed.as_ref().map(ModelName::to_string);
    let is_meant = |there: &str| there == name || long.as_deref() == Some(there);
    if let Some(model) = store.models()?.into_iter().find(|model| model.name == name) {
        return Ok(Some(Found::Installed(model)));
    }
    if let Some(name) = &parsed
        && let Some(model) = store.find(name)?
    {
        return Ok(Some(Found::Installed(model)));
    }
    if let Some(half) = store.partial()?.into_iter().find(|half| is_meant(&half.name)) {
        return Ok(Some(Found::Partial(half)));
    }
    let damaged = store.damaged()?.into_iter().find(|model| is_meant(&model.name));
    Ok(damaged.map(Found::Damaged))
}

/// Every name that can be removed.
fn names_there(store: &Store) -> Result<Vec<String>, PullError> {
    let installed = store.models()?.into_iter().map(|model| model.name);
    let partial = store.partial()?.into_iter().map(|half| half.name);
    let damaged = store.damaged()?.into_iter().map(|model| model.name);
    Ok(installed.chain(partial).chain(damaged).collect())
}
