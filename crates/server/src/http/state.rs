//! What handlers have of the rest of the server, and of the connection that a request came on.

use crate::accept::Connection;
use crate::access::{Access, RequestView};
use crate::answers::Answers;
use crate::backend::BackendSlot;
use crate::config::ServerConfig;
use crate::conversations::Conversations;
use crate::interfaces::openai::Background;
use crate::log_throttle::{LogOnce, LogThrottle};
use crate::metrics::Metrics;
use crate::models::Models;
use crate::plain::Plain;
use crate::shares::{PermitsPerShare, SharedBudget};
use crate::tasks::Tasks;
use crate::v1::{Streams, V1};
use axum::body::Body;
use axum::http::{HeaderMap, Request, Uri};
use banter_store::Store;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// What the handlers of the routes need.
pub(crate) struct Http {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) access: Arc<Access>,
    pub(crate) slot: BackendSlot,
    /// `None` in front of an engine that somebody else runs.
    pub(crate) models: Option<Arc<Models>>,
    pub(crate) answers: Answers,
    pub(crate) conversations: Conversations,
    /// Where sessions are kept.
    pub(crate) store: Arc<Store>,
    pub(crate) sockets: Sockets,
    pub(crate) tasks: Tasks,
    /// Responses that need no connection.
    pub(crate) background: Background,
    pub(crate) metrics: Arc<Metrics>,
    /// When the server was started.
    pub(crate) begun: Instant,
    pub(crate) limits: Limits,
}

/// Memory and permits that requests share, and what has been logged about them.
pub(crate) struct Limits {
    /// Memory for the bodies of requests, in bytes.
    pub(super) body_budget: SharedBudget,
    /// Permits for lists of the models, which wait for the disk.
    pub(super) model_list_permits: Semaphore,
    /// A permit to read an import.
    pub(super) import_permits: Semaphore,
    /// Permits to count tokens.
    pub(super) tokenize_permits: Semaphore,
    /// Permits to wait for one of these.
    pub(super) tokenize_per_share: PermitsPerShare,
    pub(super) refusals_logged: LogThrottle,
    pub(super) file_pages_logged: LogThrottle,
    pub(super) unnamed_proxy_logged: LogOnce,
}

impl Limits {
    pub(crate) fn new(config: &ServerConfig) -> Limits {
        Limits {
            body_budget: SharedBudget::new(config.max_total_body_bytes),
            model_list_permits: Semaphore::new(config.max_model_lists),
            import_permits: Semaphore::new(1),
            tokenize_permits: Semaphore::new(config.max_tokenizing),
            tokenize_per_share: PermitsPerShare::new((config.max_tokenizing / 4).max(1)),
            refusals_logged: LogThrottle::new(),
            file_pages_logged: LogThrottle::new(),
            unnamed_proxy_logged: LogOnce::default(),
        }
    }
}

/// The connection that a request came on.
pub(super) fn connection_of(request: &Request<Body>) -> Connection {
    request.extensions().get::<Connection>().expect("set by Routes").clone()
}

/// The parts of a request on a connection that the access rules look at.
pub(super) fn view_of<'a>(
    connection: &Connection,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> RequestView<'a> {
    RequestView { peer: connection.peer, local: connection.local, uri, headers }
}

/// What sockets need of the server, by language.
pub(crate) struct Sockets {
    pub(crate) plain: Arc<Plain>,
    pub(crate) v1: Arc<V1>,
    /// Sessions of `banter.v1` without a WebSocket.
    pub(crate) streams: Streams,
    /// Memory for messages while they are received, in bytes.
    pub(crate) receive_budget: SharedBudget,
}
