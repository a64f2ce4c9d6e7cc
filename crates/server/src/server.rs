//! The whole public server: [`run`] serves listeners until it is told to end.

use crate::accept;
use crate::access::{Access, Sessions};
use crate::backend::BackendSlot;
use crate::config::ServerConfig;
use crate::http::{Assets, Routes};
use crate::log_gate::LogGate;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// A server before it runs.
pub struct Server {
    config: ServerConfig,
    slot: BackendSlot,
    sessions: Arc<Sessions>,
}

impl Server {
    /// Makes a server whose backend is still to come.
    pub fn new(config: ServerConfig) -> Server {
        Server { config, slot: BackendSlot::default(), sessions: Arc::default() }
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

/// What all connections of a running server share.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) slot: BackendSlot,
    pub(crate) access: Access,
    pub(crate) assets: Assets,
    pub(crate) gates: Gates,
    /// Connections that may still be opened, and those that may be told that there are none.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) refusals: Arc<Semaphore>,
    /// Memory for messages that are being received, and for those that wait, in bytes.
    pub(crate) receiving_room: Arc<Semaphore>,
    pub(crate) waiting_room: Arc<Semaphore>,
    /// Answers for pages opened from disk.
    pub(crate) file_page_places: Arc<Semaphore>,
    pub(crate) tokenizing: Arc<Semaphore>,
    pub(crate) tasks: Tasks,
    generations: AtomicU64,
}

/// One gate per kind of line that strangers can cause.
pub(crate) struct Gates {
    pub(crate) refused: LogGate,
    pub(crate) refused_answer: LogGate,
    pub(crate) file_page: LogGate,
    pub(crate) full: LogGate,
    pub(crate) accept: LogGate,
}

/// The connections and sockets of a server, which end with it.
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    /// Say goodbye.
    pub(crate) going_away: CancellationToken,
    /// Leave without one.
    pub(crate) cut: CancellationToken,
}

impl Shared {
    fn new(server: Server, ports: Vec<u16>) -> Shared {
        let config = server.config;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Shared {
            slot: server.slot,
            access: Access::new(&config, ports, server.sessions),
            assets: Assets::embedded(),
            gates: Gates {
                refused: LogGate::new(),
                refused_answer: LogGate::new(),
                file_page: LogGate::new(),
                full: LogGate::new(),
                accept: LogGate::new(),
            },
            connections: semaphore(config.max_connections),
            refusals: semaphore(config.max_refusals),
            receiving_room: semaphore(config.max_total_message_bytes),
            waiting_room: semaphore(config.max_total_message_bytes),
            file_page_places: semaphore(config.max_file_page_answers),
            tokenizing: semaphore(config.max_tokenizing),
            tasks: Tasks {
                tracker: TaskTracker::new(),
                going_away: CancellationToken::new(),
                cut: CancellationToken::new(),
            },
            generations: AtomicU64::new(0),
            config,
        }
    }

    /// A number for the log by which the lines of one answer are found.
    pub(crate) fn next_generation_id(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
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

/// Serves until `shutdown` is ready, then says goodbye to every socket and returns.
///
/// Errors: a listener has no address of its own.
pub async fn run(
    listeners: Vec<TcpListener>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port());
    }
    let shared = Arc::new(Shared::new(server, ports));
    warn_of_open_doors(&shared.config);
    let routes = Routes::new(shared.clone());
    for listener in listeners {
        let accepting = accept::serve(listener, shared.clone(), routes.clone());
        shared.tasks.tracker.spawn(accepting);
    }
    shutdown.await;
    info!("shutting down");
    shared.tasks.going_away.cancel();
    shared.tasks.tracker.close();
    if tokio::time::timeout(shared.config.shutdown_grace, shared.tasks.tracker.wait())
        .await
        .is_err()
    {
        shared.tasks.cut.cancel();
        shared.tasks.tracker.wait().await;
    }
    Ok(())
}
