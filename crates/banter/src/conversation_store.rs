//! Opens the store of conversations, as the options say.

use anyhow::Context;
use banter_store::{OpenError, Place, Store, StoreConfig};
use tracing::{info, warn};

use crate::config::StoreChoice;

/// Opens the store. If the usual folder cannot be used, conversations are kept in memory, and a
/// warning says so. A folder that the user has named has to be usable, and a damaged store is never
/// left aside silently.
///
/// Errors: the store cannot be opened.
pub fn open(choice: &StoreChoice) -> anyhow::Result<Store> {
    let folder = match choice {
        StoreChoice::Memory => return in_memory(),
        StoreChoice::NoHome => {
            warn!(
                "conversations are kept in memory only, because there is no home folder; --data \
                 names a folder for them"
            );
            return in_memory();
        }
        StoreChoice::Named(folder) | StoreChoice::Usual(folder) => folder.clone(),
    };
    if let (StoreChoice::Usual(_), Some(parent)) = (choice, folder.parent()) {
        // What is wrong with the parent is said by the store.
        let _ = std::fs::create_dir_all(parent);
    }
    match Store::open(StoreConfig::new(Place::Folder(folder))) {
        Ok(store) => {
            tell_interrupted(&store);
            Ok(store)
        }
        Err(error) if matches!(choice, StoreChoice::Usual(_)) && may_do_without(&error) => {
            warn!(
                "conversations are kept in memory only: {error}; --data names another folder, and \
                 --no-store keeps them in memory without this warning"
            );
            in_memory()
        }
        Err(error) => Err(error).context("open the store of conversations"),
    }
}

fn in_memory() -> anyhow::Result<Store> {
    Store::open(StoreConfig::new(Place::Memory)).context("open a store in memory")
}

/// Whether the usual folder is only not usable here. What is in it is as it should be.
fn may_do_without(error: &OpenError) -> bool {
    match error {
        OpenError::Locked { .. }
        | OpenError::MissingParent { .. }
        | OpenError::ReadOnly { .. }
        | OpenError::Permission { .. }
        | OpenError::WrongOwner { .. } => true,
        OpenError::NotAFolder { .. }
        | OpenError::NotAFile { .. }
        | OpenError::Full { .. }
        | OpenError::Foreign { .. }
        | OpenError::NewerSchema { .. }
        | OpenError::UnknownSchema { .. }
        | OpenError::Damaged { .. }
        | OpenError::LogMissing { .. }
        | OpenError::OldSqlite { .. }
        | OpenError::Other { .. } => false,
    }
}

fn tell_interrupted(store: &Store) {
    let answers = store.interrupted_answers();
    if answers > 0 {
        info!(
            answers,
            "the last server ended while it wrote answers; they are kept as far as they had come"
        );
    }
}
