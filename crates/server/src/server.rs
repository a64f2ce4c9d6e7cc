//! The whole public server: [`run`] serves listeners until it is told to end.

use crate::accept;
use crate::access::{Access, SessionLimits, Sessions};
use crate::backend::BackendSlot;
use crate::config::ServerConfig;
use crate::http::Routes;
use crate::models::{Library, Models};
use crate::shared::Shared;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tracing::warn;

/// How long the end of a server waits for the end of its engine, which saves what it keeps on disk:
/// it gives that five seconds itself, and then waits for the file that is being written.
const BACKEND_GRACE: Duration = Duration::from_secs(10);

/// A server before it runs.
pub struct Server {
    config: ServerConfig,
    slot: BackendSlot,
    models: Option<Arc<Models>>,
    sessions: Arc<Sessions>,
}

impl Server {
    /// Makes a server whose backend is still to come.
    pub fn new(config: ServerConfig) -> Server {
        let limits =
            SessionLimits { total: config.max_sessions, per_key: config.max_sessions_per_key };
        let sessions = Arc::new(Sessions::new(limits));
        Server { config, slot: BackendSlot::default(), models: None, sessions }
    }

    /// Lets administrators pull models and switch between them; `current` is the name of the one
    /// that is loaded or being loaded.
    pub fn with_models(mut self, library: Arc<dyn Library>, current: Option<String>) -> Server {
        self.models = Some(Models::new(library, self.slot.clone(), current));
        self
    }

    /// Where the backend is put when it has loaded.
    pub fn slot(&self) -> BackendSlot {
        self.slot.clone()
    }

    /// Makes one-time codes for printed links, also while the server runs.
    pub fn sessions(&self) -> Arc<Sessions> {
        self.sessions.clone()
    }
}

/// Says at every start what was opened beyond the safe default.
fn warn_of_open_doors(config: &ServerConfig) {
    if config.insecure {
        warn!("--insecure: whoever reaches this server may use it, no key is asked for");
    }
    if config.allow_file_pages {
        let limit = config.max_file_page_answers;
        warn!(
            limit,
            "--allow-file-pages: pages opened from disk may use this server, and any website that \
             is open in a browser here can pretend to be one"
        );
    }
}

/// Serves until `shutdown` is ready, then says goodbye to every socket, ends what makes the
/// answers, and returns.
///
/// Errors: a listener has no address of its own, or nobody accepts its connections any more.
pub async fn run(
    listeners: Vec<TcpListener>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port());
    }
    let access = Access::new(&server.config, ports, server.sessions);
    let shared = Arc::new(Shared::new(server.config, server.slot, server.models, access));
    warn_of_open_doors(&shared.config);
    let routes = Routes::new(shared.clone());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept::serve(listener, shared.clone(), routes.clone()));
    }
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        // A server that nobody can reach must not look like one that is well.
        Some(ended) = accepting.join_next() => Err(deaf(ended)),
    };
    shared.tasks.going_away.cancel();
    // Whatever one of these has to say, the server ends already.
    while accepting.join_next().await.is_some() {}
    shared.tasks.tracker.close();
    if tokio::time::timeout(shared.config.shutdown_grace, shared.tasks.tracker.wait())
        .await
        .is_err()
    {
        shared.tasks.cut.cancel();
        shared.tasks.tracker.wait().await;
    }
    if tokio::time::timeout(BACKEND_GRACE, shared.slot.end()).await.is_err() {
        warn!("the engine has not ended in time: what it computed last may not be on disk");
    }
    outcome
}

fn deaf(ended: Result<(), JoinError>) -> io::Error {
    let how = ended.err().map_or("it returned".into(), |error| error.to_string());
    io::Error::other(format!("nobody accepts connections any more: {how}"))
}
