//! The models of this machine for the page.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, anyhow};
use banter_engine::engine::{Engine, EngineConfig, MemoryError, OpenError, available_memory_bytes};
use banter_engine::model_file::ModelSource;
use banter_protocol::http::{ModelEntry, ModelState};
use banter_remote::PullError;
use banter_remote::download::{Patience, Terms, Watch};
use banter_remote::hub::{KNOWN, KnownModel, is_open_licence};
use banter_remote::store::{Installed, Partial};
use banter_seam::Backend;
use banter_server::backend::EngineBackend;
use banter_server::models::{Library, PullFailure, Wanted};
use tracing::{info, warn};

use super::Chosen;
use super::meter::tell_news;
use super::pull::{Found, Prepared, check_installed, prepare};
use crate::config::Config;
use crate::engine_config::engine_config;
use crate::options::OptionError;

/// The name of the demo model; no file or folder has such a name.
const DEMO_NAME: &str = "banter:demo";
const DEMO_LICENCE: &str = "Apache-2.0";
const DEMO_BYTES: &[u8] = include_bytes!("../../assets/banter-demo.gguf");

/// The demo model. With it a first conversation needs no download.
pub fn demo() -> Chosen {
    let source = ModelSource::Embedded { name: "the embedded demo model", bytes: DEMO_BYTES };
    Chosen { name: DEMO_NAME.to_owned(), source }
}

/// The pulled models, the demo model, and the model of the start.
pub struct LocalLibrary {
    config: Arc<Config>,
    start: Chosen,
    /// The memory needs by path. Reading the metadata of a large model takes a while, and it never
    /// changes.
    needs: Mutex<HashMap<PathBuf, u64>>,
    /// The memory need of the demo model.
    demo_needs: OnceLock<Option<u64>>,
}

impl LocalLibrary {
    /// `config` holds for all models; `start` is the model of the start.
    pub fn new(config: Arc<Config>, start: Chosen) -> LocalLibrary {
        LocalLibrary { config, start, needs: Mutex::default(), demo_needs: OnceLock::new() }
    }

    /// Loads a model.
    ///
    /// Errors: it is damaged or does not fit. If an option is the reason, the message names it.
    pub fn open(
        &self,
        chosen: &Chosen,
        progress: &mut dyn FnMut(f32),
    ) -> anyhow::Result<(Engine, bool)> {
        let is_demo = matches!(chosen.source, ModelSource::Embedded { .. });
        let mut engine_config = engine_config(&self.config, chosen.source.clone())?;
        // It was written for this model, and others may have other control tokens.
        let template = self.config.chat_template.as_ref().filter(|_| self.is_start(chosen));
        engine_config.chat_template = template.cloned();
        self.check_files(&engine_config)?;
        let mut open = |config| Engine::open(config, &mut |loading| progress(loading.fraction));
        let engine = match open(engine_config.clone()) {
            Err(OpenError::DraftTokens { .. }) if !self.is_start(chosen) => {
                warn!(
                    model = chosen.name,
                    "the draft model has other tokens than this model, so it is not used"
                );
                open(EngineConfig { draft_model: None, ..engine_config })
            }
            opened => opened,
        };
        let engine = engine.map_err(|error| self.named(error, chosen))?;
        let loaded = engine.info();
        info!(
            model = chosen.name,
            isa = loaded.isa,
            threads = loaded.threads,
            context_tokens = loaded.context_tokens,
            weights = %loaded.weight_types,
            "model loaded"
        );
        if let Some(blocks) = engine.kept_blocks() {
            info!(blocks, "conversations are kept on disk");
        }
        Ok((engine, is_demo))
    }

    /// Errors: a pulled model has other bytes than those that were pulled.
    fn check_files(&self, engine_config: &EngineConfig) -> anyhow::Result<()> {
        // Without a folder of models, no model was pulled.
        let Ok(store) = self.config.store() else { return Ok(()) };
        for source in [Some(&engine_config.source), engine_config.draft_model.as_ref()] {
            if let Some(ModelSource::Path(path)) = source {
                store.check(path)?;
            }
        }
        Ok(())
    }

    fn is_start(&self, chosen: &Chosen) -> bool {
        chosen.name == self.start.name
    }

    /// Adds the name and the source of the option that an error is about.
    fn named(&self, error: OpenError, chosen: &Chosen) -> anyhow::Error {
        let name = match &error {
            OpenError::ChatTemplate(_)
                if self.config.chat_template.is_none() || !self.is_start(chosen) =>
            {
                let advice = "start with --chat-template FILE to use another one";
                return anyhow!("{error}; {advice}");
            }
            OpenError::ChatTemplate(_) => "chat-template",
            OpenError::ContextTooLong { .. } => "ctx",
            OpenError::SystemPromptTooLong { .. } | OpenError::SystemPromptRefused { .. } => {
                "system-prompt"
            }
            OpenError::DraftTokens { .. } | OpenError::DraftContext { .. } => "draft-model",
            OpenError::Memory(MemoryError::CacheTooSmall { .. }) => "kv-memory",
            _ => return error.into(),
        };
        match self.config.places.get(name) {
            Some(place) => OptionError(format!("{place}: {error}")).into(),
            None => error.into(),
        }
    }

    fn find(&self, name: &str) -> anyhow::Result<Chosen> {
        if name == self.start.name {
            return Ok(self.start.clone());
        }
        if name == DEMO_NAME {
            return Ok(demo());
        }
        let installed =
            self.config.store()?.models()?.into_iter().find(|installed| installed.name == name);
        installed
            .map(Chosen::installed)
            .ok_or_else(|| anyhow!("{name} is not installed any more; pull it again"))
    }

    /// The memory that a model needs here; `None` if its metadata cannot be read.
    fn memory_bytes(&self, path: &Path) -> Option<u64> {
        let needs = || self.needs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = needs().get(path) {
            return Some(*known);
        }
        let config = engine_config(&self.config, ModelSource::Path(path.to_owned())).ok()?;
        let found = Engine::forecast(&config).ok()?.memory_bytes();
        needs().insert(path.to_owned(), found);
        Some(found)
    }

    fn demo_entry(&self) -> ModelEntry {
        let forecast = || {
            let config = engine_config(&self.config, demo().source).ok()?;
            Some(Engine::forecast(&config).ok()?.memory_bytes())
        };
        ModelEntry {
            demo: true,
            ..entry(Row {
                name: DEMO_NAME.to_owned(),
                state: ModelState::Installed,
                bytes: DEMO_BYTES.len() as u64,
                downloaded_bytes: DEMO_BYTES.len() as u64,
                licence: Some(DEMO_LICENCE.to_owned()),
                memory_bytes: *self.demo_needs.get_or_init(forecast),
            })
        }
    }

    /// The model of the start, if it is neither the demo model nor a pulled one.
    fn start_entry(&self, installed: &[Installed]) -> Option<ModelEntry> {
        let ModelSource::Path(path) = &self.start.source else { return None };
        if installed.iter().any(|model| model.name == self.start.name) {
            return None;
        }
        let bytes = bytes_at(path);
        Some(entry(Row {
            name: self.start.name.clone(),
            state: ModelState::Installed,
            bytes,
            downloaded_bytes: bytes,
            licence: None,
            memory_bytes: self.memory_bytes(path),
        }))
    }

    fn installed_entry(&self, model: Installed) -> ModelEntry {
        entry(Row {
            memory_bytes: self.memory_bytes(&model.path),
            name: model.name,
            state: ModelState::Installed,
            bytes: model.bytes,
            downloaded_bytes: model.bytes,
            licence: model.licence,
        })
    }

    async fn download(&self, wanted: &Wanted, watch: &Watch) -> anyhow::Result<Outcome> {
        let terms = Terms {
            patience: Patience::default(),
            watch: watch.clone(),
            limit_bytes: self.config.max_models_disk_bytes,
        };
        let engine = |source| engine_config(&self.config, source);
        let store = self.config.store()?;
        let preparing = prepare(&wanted.name, &store, terms, &engine);
        let found = tokio::select! {
            found = preparing => found?,
            () = watch.stop.cancelled() => return Err(PullError::Stopped.into()),
        };
        let prepared = match found {
            Found::Here(_) => return Ok(Outcome::Pulled),
            Found::ToCome(prepared) => prepared,
        };
        if let Some(objection) = objection(wanted, &prepared) {
            prepared.decline();
            return Ok(objection);
        }
        let Prepared { download, forecast, .. } = *prepared;
        let installed = download.run().await?;
        if forecast.is_none() {
            check_installed(&installed, &store, &engine)?;
        }
        Ok(Outcome::Pulled)
    }
}

/// How a pull ended.
enum Outcome {
    Pulled,
    Licence(String),
    TooLarge(String),
}

/// What the administrator must agree to first.
fn objection(wanted: &Wanted, prepared: &Prepared) -> Option<Outcome> {
    let name = &prepared.download.source().name;
    let terms = prepared.licence().filter(|licence| !is_open_licence(licence));
    if let Some(licence) = terms.filter(|_| !wanted.accept_licence) {
        let message = format!("{name} has the licence {licence}, which must be accepted first");
        return Some(Outcome::Licence(message));
    }
    let lack = prepared.forecast.as_ref().and_then(|forecast| forecast.check().err());
    let lack = lack.filter(|_| !wanted.even_if_too_large)?;
    Some(Outcome::TooLarge(format!("{name} does not fit here now: {lack}")))
}

impl Library for LocalLibrary {
    fn entries(&self) -> Result<Vec<ModelEntry>, String> {
        let in_words = |error: PullError| error.to_string();
        // Without a folder of models there are none. A pull then fails and says so.
        let (installed, half) = match self.config.store() {
            Ok(store) => (store.models().map_err(in_words)?, store.partial().map_err(in_words)?),
            Err(_) => (Vec::new(), Vec::new()),
        };
        let is_there = |name: &str| {
            installed.iter().any(|model| model.name == name)
                || half.iter().any(|half| half.name == name)
        };
        let known: Vec<ModelEntry> =
            KNOWN.iter().filter(|known| !is_there(&long_name(known))).map(known_entry).collect();
        let half: Vec<ModelEntry> = half.iter().map(partial_entry).collect();
        let mut entries = vec![self.demo_entry()];
        entries.extend(self.start_entry(&installed));
        entries.extend(installed.into_iter().map(|model| self.installed_entry(model)));
        entries.extend(half);
        entries.extend(known);
        Ok(entries)
    }

    fn pull(&self, wanted: &Wanted, watch: &Watch) -> Result<(), PullFailure> {
        let failed = |error: anyhow::Error| match error.downcast_ref() {
            Some(PullError::Stopped) => PullFailure::Stopped(error.to_string()),
            _ => PullFailure::Failed(format!("{error:#}")),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("start the thread that downloads").map_err(failed)?;
        let tell = |line: &str| warn!(model = %wanted.name, "{line}");
        let download = tell_news(&watch.progress, tell, self.download(wanted, watch));
        match runtime.block_on(download).map_err(failed)? {
            Outcome::Pulled => Ok(()),
            Outcome::Licence(message) => Err(PullFailure::Licence(message)),
            Outcome::TooLarge(message) => Err(PullFailure::TooLarge(message)),
        }
    }

    fn load(&self, name: &str, progress: &mut dyn FnMut(f32)) -> Result<Arc<dyn Backend>, String> {
        let open = self.find(name).and_then(|chosen| self.open(&chosen, progress));
        let (engine, is_demo) = open.map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(EngineBackend::new(engine, is_demo)))
    }
}

/// The values in which entries differ.
struct Row {
    name: String,
    state: ModelState,
    bytes: u64,
    downloaded_bytes: u64,
    licence: Option<String>,
    memory_bytes: Option<u64>,
}

fn entry(row: Row) -> ModelEntry {
    let Row { name, state, bytes, downloaded_bytes, licence, memory_bytes } = row;
    let fits = memory_bytes.zip(available_memory_bytes()).map(|(needed, free)| needed <= free);
    let is_open = licence.as_deref().is_none_or(is_open_licence);
    ModelEntry {
        name,
        state,
        bytes,
        downloaded_bytes,
        licence,
        is_open,
        memory_bytes,
        fits,
        demo: false,
    }
}

fn known_entry(known: &KnownModel) -> ModelEntry {
    entry(Row {
        name: known.name(),
        state: ModelState::Available,
        bytes: known.file_bytes(known.quantisation),
        downloaded_bytes: 0,
        licence: Some(known.licence.to_owned()),
        memory_bytes: Some(known.memory_bytes(known.quantisation)),
    })
}

fn partial_entry(half: &Partial) -> ModelEntry {
    let known = KNOWN.iter().find(|known| long_name(known) == half.name);
    entry(Row {
        name: half.name.clone(),
        state: ModelState::Partial,
        bytes: half.total_bytes,
        downloaded_bytes: half.downloaded_bytes,
        licence: known.map(|known| known.licence.to_owned()),
        memory_bytes: known.map(|known| known.memory_bytes(known.quantisation)),
    })
}

/// The name that a known model has when it is installed.
fn long_name(known: &KnownModel) -> String {
    format!("{}-{}", known.name(), known.quantisation)
}

/// Bytes of a file, or of the files in a folder.
fn bytes_at(path: &Path) -> u64 {
    let bytes_of = |path: &Path| path.metadata().map_or(0, |found| found.len());
    if !path.is_dir() {
        return bytes_of(path);
    }
    let files = path.read_dir().into_iter().flatten().flatten();
    files.map(|file| bytes_of(&file.path())).sum()
}
