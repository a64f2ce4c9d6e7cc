//! The tasks of a running server, and how they end.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The connections and sockets of a server, which end with it. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    /// Cancelled when every socket is to say goodbye and close.
    pub(crate) going_away: CancellationToken,
    /// Cancelled when everything that is still open is to be cut.
    pub(crate) cut: CancellationToken,
}
