//! `banter pull NAME…`: from a name to a model on the disk.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use banter_engine::engine::{Engine, EngineConfig, Forecast, OpenError};
use banter_engine::model_file::ModelSource;
use banter_remote::PullError;
use banter_remote::download::{Download, Patience, Progress, Terms, Watch};
use banter_remote::hub::{HubSettings, ModelName, resolve};
use banter_remote::store::{Installed, Store};
use clap::{ArgMatches, Command};

use super::meter::{Meter, tell_news};
use super::preview::{Answer, Preview};
use crate::{options, output};

/// What the person has already agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nothing: the person sees the model, and is asked.
    Nothing,
    /// The download, but not a licence with terms of its own.
    Download,
    /// Everything.
    Everything,
}

/// Why a model is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To keep it. A model that is too large for this machine may be for another one.
    ToKeep,
    /// To serve it now. A model that does not fit is of no use.
    ToServe,
}

/// Makes the engine's configuration for a model.
pub type Configure<'a> = dyn Fn(ModelSource) -> anyhow::Result<EngineConfig> + 'a;

/// A model to pull.
pub struct Pull<'a> {
    /// Its name.
    pub name: &'a ModelName,
    /// Where it is installed.
    pub store: &'a Store,
    /// What the person has agreed to.
    pub consent: Consent,
    /// Why it is pulled.
    pub purpose: Purpose,
    /// The engine's configuration, which decides how much memory the model needs.
    pub engine: &'a Configure<'a>,
}

/// How many pieces of 4 MiB are fetched of the first file for its metadata, one number after the
/// other. A vocabulary of 152,000 tokens needs two.
const HEAD_PIECES: [usize; 4] = [2, 4, 8, 16];

/// The subcommand.
pub fn command() -> Command {
    Command::new("pull")
        .about("Download models by name: qwen2.5:7b, hf:owner/repo[:file], ms:owner/repo[:file], or a URL")
        .after_help(
            "Sizes of qwen2.5: 0.5b, 1.5b, 3b, 7b, 14b, 32b, 72b. A quantisation may follow: qwen2.5:7b-q4_k_m.\n\
             A pull that was interrupted continues where it ended. HF_ENDPOINT and MODELSCOPE_ENDPOINT set the hubs,\n\
             HF_TOKEN and MODELSCOPE_API_TOKEN the tokens; BANTER_HUB=modelscope,huggingface asks ModelScope first.",
        )
        .arg(super::names_argument("The models to pull"))
        .arg(options::argument("models-dir"))
        .arg(options::argument("yes").help("Accept licences, and pull a model even if it does not fit in memory"))
}

/// Pulls every name, one after the other.
pub fn run(matches: &ArgMatches, store: &Store) -> anyhow::Result<()> {
    let names = matches.get_many::<String>("name").into_iter().flatten();
    let names = names.map(|name| ModelName::parse(name)).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(PullError::Name)?;
    let consent = if matches.get_flag("yes") { Consent::Everything } else { Consent::Download };
    let engine = |source| Ok(EngineConfig::new(source));
    for name in &names {
        if let Some(installed) = store.find(name)? {
            tell("is here already", &installed);
            continue;
        }
        let purpose = Purpose::ToKeep;
        let pull = Pull { name, store, consent, purpose, engine: &engine };
        let installed = pull.run()?;
        tell("is installed", &installed);
    }
    Ok(())
}

fn tell(what: &str, installed: &Installed) {
    output::tell(&format!("{} {what}: {}", installed.name, installed.path.display()));
}

impl Pull<'_> {
    /// Shows the model, asks what must be asked, and downloads it.
    ///
    /// Errors: everything in [`PullError`]; the engine cannot run the model; the person declines,
    /// or cannot be asked.
    pub fn run(&self) -> anyhow::Result<Installed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("start the thread that downloads")?.block_on(async {
            let watch = Watch::default();
            let stop = watch.stop.clone();
            tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    stop.cancel();
                }
            });
            self.download(watch).await
        })
    }

    async fn download(&self, watch: Watch) -> anyhow::Result<Installed> {
        output::tell(&format!("looking for {} …", self.name));
        let stop = watch.stop.clone();
        let terms = Terms { patience: Patience::default(), watch, limit_bytes: None };
        let progress = terms.watch.progress.clone();
        let preparing = prepare(self.name, self.store, terms, self.engine);
        let prepared = match tell_news(&progress, output::tell, preparing).await? {
            Found::Here(installed) => return Ok(installed),
            Found::ToCome(prepared) => prepared,
        };
        let answer = match prepared.preview(self.store) {
            Ok(preview) => preview.ask(self.consent, self.purpose, &stop).await,
            Err(error) => Err(error.into()),
        };
        if !matches!(answer, Ok(Answer::GoOn)) {
            prepared.decline();
            answer?;
            return Err(anyhow!(
                "declined: {} was not downloaded; the same command asks again",
                self.name
            ));
        }
        let Prepared { download, progress, forecast, .. } = *prepared;
        let total_bytes = download.total_bytes();
        let installed = Meter::new(total_bytes).watch(&progress, download.run()).await?;
        if forecast.is_none() {
            check_installed(&installed, self.store, self.engine)?;
        }
        Ok(installed)
    }
}

/// What was found for a name.
pub enum Found {
    /// It is installed already, maybe under its long name.
    Here(Installed),
    /// It can be downloaded.
    ToCome(Box<Prepared>),
}

/// A download that can begin, and what is known about the model.
pub struct Prepared {
    pub download: Download,
    /// `None` if the metadata cannot be fetched before the rest.
    pub forecast: Option<Forecast>,
    progress: Arc<Progress>,
    /// Bytes that an earlier pull has downloaded.
    kept_bytes: u64,
}

/// Finds the model of a name, and whether it can run here.
///
/// Errors: everything in [`PullError`]; the engine cannot run the model.
pub async fn prepare(
    name: &ModelName,
    store: &Store,
    terms: Terms,
    engine: &Configure<'_>,
) -> anyhow::Result<Found> {
    let settings = HubSettings::from_environment()?;
    let source = resolve(name, &settings, &terms.trying()).await?;
    let here = store.models()?.into_iter().find(|installed| installed.name == source.name);
    if let Some(installed) = here {
        return Ok(Found::Here(installed));
    }
    let progress = terms.watch.progress.clone();
    let download = Download::begin(store, source, terms).await?;
    let kept_bytes = download.downloaded_bytes();
    match forecast(&download, engine).await {
        Ok(forecast) => {
            Ok(Found::ToCome(Box::new(Prepared { download, forecast, progress, kept_bytes })))
        }
        Err(error) => {
            // A download that broke off, and one of an earlier pull, are kept.
            if !error.is::<PullError>() && kept_bytes == 0 {
                download.forget();
            }
            Err(error)
        }
    }
}

/// Checks a model whose metadata could not be fetched before the download. A model that cannot run
/// is removed, because every start with it would fail.
pub fn check_installed(
    installed: &Installed,
    store: &Store,
    engine: &Configure<'_>,
) -> anyhow::Result<()> {
    let config = engine(ModelSource::Path(installed.path.clone()))?;
    let Err(error) = Engine::forecast(&config) else { return Ok(()) };
    store.remove(installed)?;
    Err(anyhow!("{} cannot run here, so it has been removed: {error}", installed.name))
}

impl Prepared {
    /// The licence, as the hub or the file states it.
    pub fn licence(&self) -> Option<&str> {
        let stated = self.forecast.as_ref().and_then(|forecast| forecast.licence.as_deref());
        self.download.source().licence.as_deref().or(stated)
    }

    /// Removes the download, because nobody wants it. Bytes of an earlier pull are kept.
    pub fn decline(self) {
        if self.kept_bytes == 0 {
            self.download.forget();
        }
    }

    fn preview<'a>(&'a self, store: &'a Store) -> Result<Preview<'a>, PullError> {
        let Prepared { download, forecast, kept_bytes, .. } = self;
        Ok(Preview {
            name: &download.source().name,
            from: &download.source().from,
            licence: self.licence(),
            folder: store.root(),
            file_count: download.file_count(),
            total_bytes: download.total_bytes(),
            kept_bytes: *kept_bytes,
            free_bytes: download.free_bytes()?,
            unstated_checksums: download.unstated_checksums(),
            forecast: forecast.as_ref(),
        })
    }
}

/// The memory that the model would take here; `None` if the metadata cannot be fetched before the
/// rest.
async fn forecast(download: &Download, engine: &Configure<'_>) -> anyhow::Result<Option<Forecast>> {
    if !download.has_heads() {
        return Ok(None);
    }
    let mut tries = HEAD_PIECES.into_iter().peekable();
    while let Some(pieces) = tries.next() {
        let path = download.fetch_heads(pieces).await?;
        let config = engine(ModelSource::Path(path))?;
        match Engine::forecast(&config) {
            Ok(forecast) => return Ok(Some(forecast)),
            // The metadata may be longer than what was fetched.
            Err(OpenError::ModelFile(_)) if tries.peek().is_some() => {}
            Err(error) => {
                let name = &download.source().name;
                return Err(anyhow!("{name} cannot run here, so it is not downloaded: {error}"));
            }
        }
    }
    unreachable!("the last try returns")
}
