//! `banter data`: what an operator does with the folder of conversations by hand.

use std::path::PathBuf;

use anyhow::Context;
use banter_store::{Place, Store, StoreConfig};
use clap::{Arg, ArgMatches, Command};

use crate::{options, output};

/// The subcommand.
pub fn command() -> Command {
    let file =
        Arg::new("file").value_name("FILE").required(true).help("The copy; it must not exist");
    Command::new("data")
        .about("Copy the folder of conversations, or set a damaged one aside; no server may use it")
        .subcommand_required(true)
        .subcommand(
            Command::new("backup")
                .about("Copy all conversations into one file")
                .arg(file)
                .arg(options::argument("data")),
        )
        .subcommand(
            Command::new("set-aside")
                .about("Move the databases away, so that the next start begins with none; nothing is deleted")
                .arg(options::argument("data")),
        )
}

/// Runs a subcommand on this folder.
pub fn run(matches: &ArgMatches, folder: PathBuf) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("backup", matches)) => {
            let file: &String = matches.get_one("file").expect("the parser demands it");
            if !banter_store::has_store(&folder) {
                return Err(banter_store::OpenError::NoStore { folder }.into());
            }
            let store = Store::open(StoreConfig::new(Place::Folder(folder)))
                .context("open the store of conversations")?;
            store.backup_to(file).wait().with_context(|| format!("copy to {file}"))?;
            output::tell(&format!("{file} has all conversations"));
        }
        Some(("set-aside", _)) => {
            let place = banter_store::set_aside(&folder)?;
            output::tell(&format!("the databases are in {} now", place.display()));
        }
        _ => unreachable!("the parser demands a known subcommand"),
    }
    Ok(())
}
