//! Models by name: `banter pull`, `banter list`, `banter rm`, and `banter serve --model NAME`.
//!
//! Reading order:
//! - [`find_or_pull`] below: the model of `banter serve`.
//! - [`pull`]: from a name to a model on the disk; `preview`: what is shown and asked before.
//! - `meter`: the progress bar.
//! - [`library`]: the same for the page: listing, pulling, loading another model.
//! - [`list`], [`remove`]: listing and removing models.

pub mod library;
pub mod list;
mod meter;
mod preview;
pub mod pull;
pub mod remove;

use std::path::Path;

use anyhow::bail;
use banter_engine::model_file::ModelSource;
use banter_remote::hub::ModelName;
use banter_remote::store::Installed;
use clap::{Arg, ArgAction};

use crate::config::{Config, ModelChoice};
use crate::engine_config::engine_config;
use crate::invocation;
use pull::Consent;

/// A model that can be loaded.
#[derive(Clone)]
pub struct Chosen {
    /// Its name in the list of the page.
    pub name: String,
    /// What an engine opens.
    pub source: ModelSource,
}

impl Chosen {
    fn installed(installed: Installed) -> Chosen {
        Chosen { name: installed.name, source: ModelSource::Path(installed.path) }
    }
}

/// The model to serve. A model that is not installed is pulled, if the person agrees.
///
/// Errors: the pull fails, is declined, or nobody can be asked. Then the message has the command
/// for the pull.
pub fn find_or_pull(config: &Config) -> anyhow::Result<Chosen> {
    let (name, given) = match &config.model {
        None => return Ok(library::demo()),
        Some(ModelChoice::Path(path)) => {
            check_there(path)?;
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            return Ok(Chosen { name: name.into(), source: ModelSource::Path(path.clone()) });
        }
        Some(ModelChoice::Name { name, given }) => (name, given),
    };
    let store = config.store()?;
    if let Some(installed) = store.find(name)? {
        return Ok(Chosen::installed(installed));
    }
    if !config.yes && !preview::someone_is_there() {
        let command = invocation::pull_command(&name.to_string());
        let no_path = if ModelName::is_meant_by(given) {
            String::new()
        } else {
            format!("{given} is no file or folder here; as the name of a model ")
        };
        bail!("{no_path}{name} is not here yet; pull it with `{command}`, or start with --yes");
    }
    let consent = if config.yes { Consent::Everything } else { Consent::Nothing };
    let purpose = pull::Purpose::ToServe;
    let engine = |source| engine_config(config, source);
    let installed = pull::Pull { name, store: &store, consent, purpose, engine: &engine }.run()?;
    Ok(Chosen::installed(installed))
}

/// Errors: nothing is there. The message tells the name that may have been meant.
fn check_there(path: &Path) -> anyhow::Result<()> {
    // A path that cannot be read is reported later, by the code that opens it.
    if path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    let name = ModelName::parse(&path.to_string_lossy()).ok();
    let meant = name.map_or_else(String::new, |name| format!("; did you mean {name}?"));
    let expected = "expected a file, a folder or the name of a model, found nothing there";
    bail!("{}: {expected}{meant}", path.display())
}

/// One or more names on the command line.
fn names_argument(help: &'static str) -> Arg {
    Arg::new("name")
        .value_name("NAME")
        .required(true)
        .num_args(1..)
        .action(ArgAction::Append)
        .help(help)
}
