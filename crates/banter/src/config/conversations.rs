//! The options of conversations: where they are kept, and what becomes of answers without readers.

use std::path::{Path, PathBuf};

use banter_server::OnDisconnect;

use super::values::{optional, path, seconds, switch};
use crate::home;
use crate::options::{Given, OptionError, Options};

/// Where conversations are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In a folder that the user has named.
    Named(PathBuf),
    /// In the usual folder, if it can be used.
    Usual(PathBuf),
    /// In memory: the user wants that.
    Memory,
    /// In memory, because there is no home folder for the usual one.
    NoHome,
}

impl StoreChoice {
    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            StoreChoice::Named(folder) | StoreChoice::Usual(folder) => Some(folder),
            StoreChoice::Memory | StoreChoice::NoHome => None,
        }
    }
}

/// The folder of conversations.
///
/// Errors: no folder is named, and there is no home folder.
pub fn data_folder(options: &Options) -> Result<PathBuf, OptionError> {
    path(options, "data")?.or_else(home::conversations_dir).ok_or_else(|| {
        let message =
            "data: expected a folder of conversations, and found no home folder to look in";
        OptionError(format!("{message}; name one with --data"))
    })
}

pub(super) fn store(options: &Options) -> Result<StoreChoice, OptionError> {
    match (path(options, "data")?, switch(options, "no-store")?) {
        (Some(_), true) => {
            let place = options.get("data").map(Given::place).unwrap_or_default();
            Err(OptionError(format!("{place}: expected it without --no-store, found both")))
        }
        (Some(folder), false) => Ok(StoreChoice::Named(folder)),
        (None, true) => Ok(StoreChoice::Memory),
        (None, false) => {
            Ok(home::conversations_dir().map_or(StoreChoice::NoHome, StoreChoice::Usual))
        }
    }
}

pub(super) fn on_disconnect(options: &Options) -> Result<OnDisconnect, OptionError> {
    let grace = seconds(options, "grace", 60)?;
    let chosen = optional(options, "on-disconnect", "one of finish, grace, stop", |text| {
        Some(match text {
            "finish" => OnDisconnect::Finish,
            "grace" => OnDisconnect::Grace(grace),
            "stop" => OnDisconnect::Stop,
            _ => return None,
        })
    })?;
    Ok(chosen.unwrap_or(OnDisconnect::Grace(grace)))
}
