//! Opens the store of conversations, as the options say.

use anyhow::Context;
use banter_store::{OpenError, Place, Store, StoreConfig};

use crate::config::StoreChoice;

/// An open store.
pub struct OpenedStore {
    /// The store.
    pub store: Store,
    /// Why conversations are kept in memory only, if nobody has asked for that.
    pub unkept: Option<String>,
}

/// Opens the store. If the usual folder cannot be used, conversations are kept in memory. A folder
/// that the user has named has to be usable, and a damaged store is never left aside silently.
/// Texts of users may have as many bytes as a message may.
///
/// Errors: the store cannot be opened.
pub fn open(choice: &StoreChoice, max_message_bytes: usize) -> anyhow::Result<OpenedStore> {
    let config_at = |place| {
        let mut config = StoreConfig::new(place);
        config.limits.text_bytes = max_message_bytes.max(config.limits.text_bytes);
        config
    };
    let in_memory = |unkept| {
        let store = Store::open(config_at(Place::Memory)).context("open a store in memory")?;
        Ok(OpenedStore { store, unkept })
    };
    let folder = match choice {
        StoreChoice::Memory => return in_memory(None),
        StoreChoice::NoHome => {
            let reason = "there is no home folder; --data names a folder for them";
            return in_memory(Some(reason.into()));
        }
        StoreChoice::Named(folder) | StoreChoice::Usual(folder) => folder.clone(),
    };
    if let (StoreChoice::Usual(_), Some(parent)) = (choice, folder.parent()) {
        // The store itself says what is wrong with the parent.
        let _ = std::fs::create_dir_all(parent);
    }
    match Store::open(config_at(Place::Folder(folder))) {
        Ok(store) => Ok(OpenedStore { store, unkept: None }),
        Err(error) if matches!(choice, StoreChoice::Usual(_)) && may_do_without(&error) => {
            let reason = format!(
                "{error}; --data names another folder, and --no-store keeps them in memory without \
                 this warning"
            );
            in_memory(Some(reason))
        }
        Err(error) => Err(error).context("open the store of conversations"),
    }
}

/// Whether the usual folder is only not usable here. Its content is as it should be.
fn may_do_without(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::Locked { .. }
            | OpenError::MissingParent { .. }
            | OpenError::ReadOnly { .. }
            | OpenError::Permission { .. }
            | OpenError::WrongOwner { .. }
    )
}
