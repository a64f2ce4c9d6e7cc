//! What all connections of a running server use together: limits, permits and the backend.

use crate::accept::{ConnectionLimits, ConnectionPermits};
use crate::access::{Access, TrustedProxies};
use crate::answers::{AnswerLimits, Answers};
use crate::backend::BackendSlot;
use crate::config::ServerConfig;
use crate::log_throttle::{LogOnce, LogThrottle};
use crate::models::Models;
use crate::shares::{PermitsPerShare, SharedBudget};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What all connections of a running server use together.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) slot: BackendSlot,
    pub(crate) answers: Answers,
    /// `None` in front of an engine that somebody else runs.
    pub(crate) models: Option<Arc<Models>>,
    pub(crate) access: Access,
    pub(crate) log_throttles: LogThrottles,
    /// Permits for connections, and for those that are only told that there are too many.
    pub(crate) connections: Arc<ConnectionPermits>,
    /// Memory for the bodies of requests, in bytes.
    pub(crate) body_budget: SharedBudget,
    /// Permits for lists of the models, which wait for the disk.
    pub(crate) model_list_permits: Arc<Semaphore>,
    /// Memory for messages while they are received, in bytes.
    pub(crate) receive_budget: SharedBudget,
    /// Memory for messages that wait for their answer, in bytes.
    pub(crate) queue_budget: SharedBudget,
    /// Permits for answers to pages opened from disk.
    pub(crate) file_page_permits: Arc<Semaphore>,
    /// Permits for requests to `/tokenize`.
    pub(crate) tokenize_permits: Arc<Semaphore>,
    /// Permits to wait for one of these.
    pub(crate) tokenize_per_share: PermitsPerShare,
    pub(crate) tasks: Tasks,
}

/// One throttle for each kind of log line that a client can trigger.
pub(crate) struct LogThrottles {
    pub(crate) refused: LogThrottle,
    pub(crate) file_page: LogThrottle,
    pub(crate) full: LogThrottle,
    pub(crate) accept: LogThrottle,
    pub(crate) unnamed_proxy: LogOnce,
}

/// The connections and sockets of a server, which end with it.
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    /// Cancelled when every socket is to say goodbye and close.
    pub(crate) going_away: CancellationToken,
    /// Cancelled when everything that is still open is to be cut.
    pub(crate) cut: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        config: ServerConfig,
        slot: BackendSlot,
        models: Option<Arc<Models>>,
        access: Access,
    ) -> Shared {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        let limits = AnswerLimits {
            queue_timeout: config.queue_timeout,
            step_timeout: config.step_timeout,
            bytes: config.max_answer_bytes,
        };
        Shared {
            answers: Answers::new(slot.clone(), limits),
            slot,
            models,
            access,
            log_throttles: LogThrottles {
                refused: LogThrottle::new(),
                file_page: LogThrottle::new(),
                full: LogThrottle::new(),
                accept: LogThrottle::new(),
                unnamed_proxy: LogOnce::default(),
            },
            connections: ConnectionPermits::new(ConnectionLimits {
                total: config.max_connections,
                per_address: config.max_connections_per_address,
                refusals: config.max_refusals,
                proxies: TrustedProxies::new(&config.trusted_proxies),
            }),
            body_budget: SharedBudget::new(config.max_total_body_bytes),
            model_list_permits: semaphore(config.max_model_lists),
            receive_budget: SharedBudget::new(config.max_total_message_bytes),
            queue_budget: SharedBudget::new(config.max_total_message_bytes),
            file_page_permits: semaphore(config.max_file_page_answers),
            tokenize_permits: semaphore(config.max_tokenizing),
            tokenize_per_share: PermitsPerShare::new((config.max_tokenizing / 4).max(1)),
            tasks: Tasks {
                tracker: TaskTracker::new(),
                going_away: CancellationToken::new(),
                cut: CancellationToken::new(),
            },
            config,
        }
    }
}
