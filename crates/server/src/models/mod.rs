//! The models of a server: which there are, pulling them, and switching while the old one goes on
//! answering.
//!
//! A pull and a switch each have a thread of their own, and there is at most one pull and one
//! switch at a time. They use a [`Library`], because folders, hubs and engines belong to the
//! program.
//!
//! Reading order:
//! - [`Library`]: the interface to folders, hubs and engines.
//! - `Models`: what administrators may do.
//! - `job`: one pull or one switch, and its state.

mod job;

use crate::backend::BackendSlot;
use axum::http::StatusCode;
use banter_protocol::http::{
    JobState, ModelEntry, ModelList, ModelState, PullReport, SwitchReport,
};
use banter_remote::download::Watch;
use banter_remote::hub::{ModelName, NameError};
use banter_seam::Backend;
pub use job::PullFailure;
use job::{Pull, Switch};
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{error, info};

/// The models of a program. All functions may block; errors are texts for administrators.
pub trait Library: Send + Sync + 'static {
    /// Every model that is installed, partly downloaded, or known by a short name.
    ///
    /// Errors: the folder cannot be read.
    fn entries(&self) -> Result<Vec<ModelEntry>, String>;

    /// Downloads a model. `watch` shows the progress and can stop it.
    fn pull(&self, wanted: &Wanted, watch: &Watch) -> Result<(), PullFailure>;

    /// Loads an installed model, while another one answers.
    ///
    /// Errors: the model is damaged, does not fit beside the other one, or is not installed any
    /// more.
    fn load(&self, name: &str, progress: &mut dyn FnMut(f32)) -> Result<Arc<dyn Backend>, String>;
}

/// A model to pull, and what the administrator has agreed to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name; never an address or a path.
    pub name: ModelName,
    /// A licence with terms of its own is accepted.
    pub accept_licence: bool,
    /// It is pulled although it does not fit in memory.
    pub even_if_too_large: bool,
}

/// Why a list, a pull or a switch is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// The name cannot be pulled by a request.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The model is not installed.
    #[error("{}: expected the name of an installed model, which are {}; GET /api/models lists all", quoted(.name), .there.join(", "))]
    NotHere {
        /// The name in the request.
        name: String,
        /// The installed models.
        there: Vec<String>,
    },
    /// Another pull or switch is running.
    #[error("{0} is being pulled or loaded; wait until it is done, or stop it")]
    Busy(String),
    /// The folder of models cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It could not be loaded; administrators find the reason in the log and in the list.
    #[error("{}: expected a model that can be loaded; the log of the server says what was found", quoted(.0))]
    NotLoaded(String),
    /// The system gives the process no further thread.
    #[error("the system has no thread for this ({0}); try again later")]
    NoThread(String),
}

/// A name, shortened and quoted, as a message repeats it.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 100;
    let plain = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    format!("{:?}", plain.take(SHOWN).collect::<String>())
}

impl ModelsError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            ModelsError::Name(_) => StatusCode::BAD_REQUEST,
            ModelsError::NotHere { .. } => StatusCode::NOT_FOUND,
            ModelsError::Busy(_) => StatusCode::CONFLICT,
            ModelsError::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ModelsError::NotLoaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            ModelsError::NoThread(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let code = match self {
            ModelsError::Name(_) => "bad_name",
            ModelsError::NotHere { .. } => "not_here",
            ModelsError::Busy(_) => "model_busy",
            ModelsError::Unreadable(_) => "internal",
            ModelsError::NotLoaded(_) => "not_loaded",
            ModelsError::NoThread(_) => "busy",
        };
        json!({ "error": { "code": code, "message": self.to_string() } }).to_string()
    }
}

/// What administrators may do with the models of a server.
pub(crate) struct Models {
    library: Arc<dyn Library>,
    slot: BackendSlot,
    state: Mutex<State>,
    /// Told whenever a switch has ended.
    switches: watch::Sender<()>,
    start: Start,
}

/// Starts work on a thread of its own.
type Start = fn(&str, Work) -> io::Result<()>;
type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    current: Option<String>,
    pull: Option<Pull>,
    switch: Option<Switch>,
}

impl Models {
    pub(crate) fn new(
        library: Arc<dyn Library>,
        slot: BackendSlot,
        current: Option<String>,
    ) -> Arc<Models> {
        let state = Mutex::new(State { current, ..State::default() });
        let switches = watch::Sender::new(());
        Arc::new(Models { library, slot, state, switches, start: start_thread })
    }

    /// The name of the model that answers, if it is one of the models.
    pub(crate) fn current(&self) -> Option<String> {
        self.state().current.clone()
    }

    /// The list of models, with the latest pull and switch. Blocks on the disk.
    pub(crate) fn list(&self, may_change: bool) -> Result<ModelList, ModelsError> {
        let models = self.entries()?;
        let state = self.state();
        let mut pull = state.pull.as_ref().map(Pull::report);
        let mut switch = state.switch.as_ref().map(Switch::report);
        if !may_change {
            let states = pull.iter_mut().map(|pull| &mut pull.state);
            states.chain(switch.iter_mut().map(|switch| &mut switch.state)).for_each(keep_quiet);
        }
        Ok(ModelList { current: state.current.clone(), may_change, models, pull, switch })
    }

    /// Begins to download a model.
    pub(crate) fn pull(self: &Arc<Models>, wanted: Wanted) -> Result<PullReport, ModelsError> {
        let mut state = self.state();
        if let Some(running) = state.pull.as_ref().filter(|pull| pull.is_running()) {
            return Err(ModelsError::Busy(running.name().to_owned()));
        }
        let pull = Pull::new(wanted.name.to_string());
        let (watch, report) = (pull.watch(), pull.report());
        info!(model = pull.name(), "pull begins");
        state.pull = Some(pull);
        drop(state);
        let models = self.clone();
        let work = Box::new(move || {
            let outcome = catch_panic(|| models.library.pull(&wanted, &watch));
            models.end_pull(outcome.unwrap_or_else(|panic| Err(PullFailure::Failed(panic))));
        });
        if let Err(error) = (self.start)("pull", work) {
            self.state().pull = None;
            return Err(ModelsError::NoThread(error.to_string()));
        }
        Ok(report)
    }

    /// Stores how the running download has ended.
    fn end_pull(&self, outcome: Result<(), PullFailure>) {
        let mut state = self.state();
        let pull = state.pull.as_mut().expect("no other takes its place while it runs");
        pull.end(outcome);
    }

    /// Stops the running download, if there is one. The downloaded part is kept.
    pub(crate) fn stop_pull(&self) {
        if let Some(pull) = &self.state().pull {
            pull.watch().stop.cancel();
        }
    }

    /// Begins to load an installed model. The old one answers until it is loaded. Blocks on the
    /// disk.
    pub(crate) fn switch(self: &Arc<Models>, name: &str) -> Result<SwitchReport, ModelsError> {
        let there = self.installed()?;
        if !there.iter().any(|here| here == name) {
            return Err(ModelsError::NotHere { name: name.to_owned(), there });
        }
        self.begin_switch(self.state(), name)
    }

    /// Begins a switch, unless the model answers already: another request may have loaded it
    /// meanwhile. The name may be written in other letter case. Blocks on the disk.
    fn switch_if_needed(self: &Arc<Models>, name: &str) -> Result<(), ModelsError> {
        let here = self.installed()?;
        let Some(name) = here.iter().find(|here| here.eq_ignore_ascii_case(name)) else {
            return Err(ModelsError::NotHere { name: name.to_owned(), there: here });
        };
        let state = self.state();
        if state.current.as_ref() == Some(name) {
            return Ok(());
        }
        self.begin_switch(state, name).map(drop)
    }

    fn begin_switch(
        self: &Arc<Models>,
        mut state: MutexGuard<'_, State>,
        name: &str,
    ) -> Result<SwitchReport, ModelsError> {
        if let Some(running) = state.switch.as_ref().filter(|switch| switch.is_running()) {
            return Err(ModelsError::Busy(running.name().to_owned()));
        }
        let switch = Switch::new(name.to_owned());
        let report = switch.report();
        state.switch = Some(switch);
        drop(state);
        info!(model = name, "switch begins");
        let (models, name) = (self.clone(), name.to_owned());
        let work = Box::new(move || {
            let mut progress = |fraction: f32| {
                if let Some(switch) = &mut models.state().switch {
                    switch.progress = fraction;
                }
            };
            let loaded = catch_panic(|| models.library.load(&name, &mut progress));
            models.take_over(loaded.and_then(|loaded| loaded));
        });
        if let Err(error) = (self.start)("switch", work) {
            self.state().switch = None;
            return Err(ModelsError::NoThread(error.to_string()));
        }
        Ok(report)
    }

    /// Lets an installed model answer, and waits until it does. Its name may be written in other
    /// letter case.
    pub(crate) async fn answer_with(self: &Arc<Models>, name: &str) -> Result<(), ModelsError> {
        let mut switches = self.switches.subscribe();
        loop {
            if self.current().is_some_and(|current| current.eq_ignore_ascii_case(name)) {
                return Ok(());
            }
            let (models, wanted) = (self.clone(), name.to_owned());
            let begun = spawn_blocking(move || models.switch_if_needed(&wanted)).await;
            let is_ours = match begun.unwrap_or_else(|_| Err(cannot_list())) {
                Ok(()) => true,
                Err(ModelsError::Busy(other)) => other.eq_ignore_ascii_case(name),
                Err(error) => return Err(error),
            };
            // The sender lives as long as these models.
            let _ = switches.changed().await;
            if is_ours && self.has_failed(name) {
                return Err(ModelsError::NotLoaded(name.to_owned()));
            }
        }
    }

    /// Whether the latest switch was to this model, and has failed.
    fn has_failed(&self, name: &str) -> bool {
        let report = self.state().switch.as_ref().map(Switch::report);
        report.is_some_and(|report| {
            report.name.eq_ignore_ascii_case(name)
                && matches!(report.state, JobState::Failed { .. })
        })
    }

    /// Lets the loaded model answer from now on, or stores why it could not be loaded.
    fn take_over(&self, loaded: Result<Arc<dyn Backend>, String>) {
        let outcome = loaded.map(|backend| self.slot.fill_with(backend));
        let mut state = self.state();
        let State { current, switch, .. } = &mut *state;
        let switch = switch.as_mut().expect("no other takes its place while it runs");
        match &outcome {
            Ok(()) => {
                info!(model = switch.name(), "switched");
                *current = Some(switch.name().to_owned());
            }
            Err(why) => error!(model = switch.name(), "not switched: {why}"),
        }
        switch.end(outcome);
        drop(state);
        self.switches.send_replace(());
    }

    /// The names of the installed models.
    fn installed(&self) -> Result<Vec<String>, ModelsError> {
        let here = self.entries()?.into_iter().filter(|entry| entry.state == ModelState::Installed);
        Ok(here.map(|entry| entry.name).collect())
    }

    fn entries(&self) -> Result<Vec<ModelEntry>, ModelsError> {
        self.library.entries().map_err(ModelsError::Unreadable)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Removes the message of a failure, which may name folders and hosts: only administrators see it.
fn keep_quiet(state: &mut JobState) {
    if let JobState::Failed { message, .. } = state {
        message.clear();
    }
}

/// The disk was not read because of a bug.
pub(crate) fn cannot_list() -> ModelsError {
    ModelsError::Unreadable("the models could not be listed; the log says why".into())
}

fn start_thread(name: &str, work: Work) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Turns a panic into an error, so that the job does not stay `running` for ever.
fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    outcome.map_err(|_| "it failed by a bug in banter; the log has the details".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ScriptedBackend;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct OneModel;

    impl Library for OneModel {
        fn entries(&self) -> Result<Vec<ModelEntry>, String> {
            Ok(vec![ModelEntry {
                name: "here".into(),
                state: ModelState::Installed,
                bytes: 0,
                downloaded_bytes: 0,
                licence: None,
                is_open: true,
                memory_bytes: None,
                fits: None,
                demo: false,
            }])
        }

        fn pull(&self, _wanted: &Wanted, _watch: &Watch) -> Result<(), PullFailure> {
            Ok(())
        }

        fn load(
            &self,
            name: &str,
            _progress: &mut dyn FnMut(f32),
        ) -> Result<Arc<dyn Backend>, String> {
            Ok(Arc::new(ScriptedBackend::named(name)))
        }
    }

    #[test]
    fn without_a_thread_nothing_is_begun_and_the_next_attempt_is_not_told_busy() {
        let models = Models {
            library: Arc::new(OneModel),
            slot: BackendSlot::default(),
            state: Mutex::default(),
            switches: watch::Sender::new(()),
            start: |_, _| Err(io::ErrorKind::WouldBlock.into()),
        };
        let models = Arc::new(models);
        let name = ModelName::parse_public("qwen2.5:7b").expect("a name");
        for _ in 0..2 {
            let wanted =
                Wanted { name: name.clone(), accept_licence: false, even_if_too_large: false };
            assert!(matches!(models.pull(wanted), Err(ModelsError::NoThread(_))));
            assert!(matches!(models.switch("here"), Err(ModelsError::NoThread(_))));
        }
        let list = models.list(true).expect("a list");
        assert_eq!((list.pull, list.switch), (None, None));
    }
    /// While its models are listed, another request loads the model.
    struct Overtaken {
        other: Mutex<Option<Arc<Models>>>,
        loads: AtomicUsize,
    }

    impl Library for Overtaken {
        fn entries(&self) -> Result<Vec<ModelEntry>, String> {
            let other = self.other.lock().expect("no panic").take();
            if let Some(other) = other {
                other.switch("here").expect("it is installed");
            }
            OneModel.entries()
        }

        fn pull(&self, wanted: &Wanted, watch: &Watch) -> Result<(), PullFailure> {
            OneModel.pull(wanted, watch)
        }

        fn load(
            &self,
            name: &str,
            progress: &mut dyn FnMut(f32),
        ) -> Result<Arc<dyn Backend>, String> {
            self.loads.fetch_add(1, Ordering::Relaxed);
            OneModel.load(name, progress)
        }
    }

    #[tokio::test]
    async fn a_model_that_another_request_has_loaded_meanwhile_is_not_loaded_again() {
        let library = Arc::new(Overtaken { other: Mutex::default(), loads: AtomicUsize::new(0) });
        let models = Arc::new(Models {
            library: library.clone(),
            slot: BackendSlot::default(),
            state: Mutex::default(),
            switches: watch::Sender::new(()),
            start: |_, work| {
                work();
                Ok(())
            },
        });
        *library.other.lock().expect("no panic") = Some(models.clone());
        models.answer_with("HERE").await.expect("it is installed");
        assert_eq!(models.current().as_deref(), Some("here"));
        assert_eq!(library.loads.load(Ordering::Relaxed), 1);
    }
}
