//! One pull or one switch, and its state.

use banter_protocol::http::{JobFailure, JobState, PullPhase, PullReport, SwitchReport};
use banter_remote::download::{Phase, Watch};
use tracing::{error, info};

/// Why a model was not pulled.
#[derive(Debug)]
pub enum PullFailure {
    /// Its licence has terms of its own, which must be accepted first.
    Licence(String),
    /// It does not fit in memory; with the engine's text.
    TooLarge(String),
    /// It was stopped. The downloaded part is kept.
    Stopped(String),
    /// It failed for any other reason.
    Failed(String),
}

/// A download that is running or has ended.
pub(super) struct Pull {
    name: String,
    watch: Watch,
    state: JobState,
}

impl Pull {
    pub(super) fn new(name: String) -> Pull {
        Pull { name, watch: Watch::default(), state: JobState::Running }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    pub(super) fn report(&self) -> PullReport {
        let progress = &self.watch.progress;
        let (phase, downloaded_bytes) = match progress.phase() {
            _ if progress.total_bytes() == 0 => (PullPhase::Looking, 0),
            Phase::Waiting => (PullPhase::Waiting, progress.downloaded_bytes()),
            Phase::Fetching => (PullPhase::Fetching, progress.downloaded_bytes()),
            Phase::Checking => (PullPhase::Checking, progress.checked_bytes()),
        };
        PullReport {
            name: self.name.clone(),
            phase,
            downloaded_bytes,
            total_bytes: progress.total_bytes(),
            state: self.state.clone(),
        }
    }

    pub(super) fn end(&mut self, outcome: Result<(), PullFailure>) {
        let model = &self.name;
        let (code, message) = match outcome {
            Ok(()) => {
                info!(model, "pulled");
                self.state = JobState::Done;
                return;
            }
            Err(PullFailure::Licence(message)) => (JobFailure::Licence, message),
            Err(PullFailure::TooLarge(message)) => (JobFailure::TooLarge, message),
            Err(PullFailure::Stopped(message)) => (JobFailure::Stopped, message),
            Err(PullFailure::Failed(message)) => (JobFailure::Failed, message),
        };
        match code {
            JobFailure::Failed => error!(model, "not pulled: {message}"),
            _ => info!(model, "not pulled: {message}"),
        }
        self.state = JobState::Failed { code, message };
    }
}

/// A change of the model that answers, which is running or has ended.
pub(super) struct Switch {
    name: String,
    /// From 0 to 1.
    pub(super) progress: f32,
    state: JobState,
}

impl Switch {
    pub(super) fn new(name: String) -> Switch {
        Switch { name, progress: 0.0, state: JobState::Running }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    pub(super) fn report(&self) -> SwitchReport {
        let Switch { name, progress, state } = self;
        SwitchReport { name: name.clone(), progress: *progress, state: state.clone() }
    }

    pub(super) fn end(&mut self, outcome: Result<(), String>) {
        self.state = match outcome {
            Ok(()) => JobState::Done,
            Err(message) => JobState::Failed { code: JobFailure::Failed, message },
        };
    }
}
