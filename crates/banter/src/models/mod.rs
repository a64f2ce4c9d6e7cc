//! Models by name: `banter pull`, `banter list`, `banter rm`, and `banter serve --model NAME`.
//!
//! Reading order:
//! - [`find_or_pull`] below: what `banter serve` does with a name.
//! - [`pull`]: from a name to a model on disk; `preview`: what is said and asked before.
//! - `meter`: the progress bar.
//! - [`library`]: the same for the page: what is here, pulling, loading another.
//! - [`list`], [`remove`]: what is there, and what goes.

pub mod library;
pub mod list;
mod meter;
mod preview;
pub mod pull;
pub mod remove;

use anyhow::bail;
use banter_engine::model_file::ModelSource;
use banter_remote::store::{Installed, Store};
use clap::{Arg, ArgAction};

use crate::config::{Config, ModelChoice};
use crate::engine_config::engine_config;
use crate::invocation;
use pull::Consent;

/// A model that is here.
#[derive(Clone)]
pub struct Chosen {
    /// What the page lists it as.
    pub name: String,
    /// What an engine opens.
    pub source: ModelSource,
}

impl Chosen {
    fn installed(installed: Installed) -> Chosen {
        Chosen { name: installed.name, source: ModelSource::Path(installed.path) }
    }
}

/// The model to serve; a name that is not here yet is pulled, if the person agrees.
///
/// Errors: the pull fails, is declined, or nobody can be asked; then the message has the command.
pub fn find_or_pull(config: &Config) -> anyhow::Result<Chosen> {
    let name = match &config.model {
        None => return Ok(library::demo()),
        Some(ModelChoice::Path(path)) => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            return Ok(Chosen { name: name.into(), source: ModelSource::Path(path.clone()) });
        }
        Some(ModelChoice::Name(name)) => name,
    };
    let store = Store::new(config.models_dir.clone());
    if let Some(installed) = store.find(name)? {
        return Ok(Chosen::installed(installed));
    }
    if !config.yes && !preview::someone_is_there() {
        let command = invocation::pull_command(&name.to_string());
        bail!("{name} is not here yet; pull it with `{command}`, or start with --yes");
    }
    let consent = if config.yes { Consent::Everything } else { Consent::Nothing };
    let purpose = pull::Purpose::ToServe;
    let engine = |source| engine_config(config, source);
    let installed = pull::Pull { name, store: &store, consent, purpose, engine: &engine }.run()?;
    Ok(Chosen::installed(installed))
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
