//! What carries the frames of a session: a WebSocket, or a stream with requests beside it.

use super::outbound::Outbound;
use crate::socket::{Incoming, Socket};

/// Carries frames in both directions.
pub(crate) trait Carrier: Send {
    /// Sends what waits in `outbound`, until something comes in or more may be queued.
    ///
    /// The future may be dropped at any time; no frame is lost.
    fn exchange(&mut self, outbound: &mut Outbound) -> impl Future<Output = Incoming> + Send;

    /// Whether more may be queued. If not, [`Incoming::Drained`] says when it may.
    fn has_room(&self, outbound: &Outbound) -> bool;
}

impl Carrier for Socket {
    async fn exchange(&mut self, outbound: &mut Outbound) -> Incoming {
        Socket::exchange(self, outbound).await
    }

    fn has_room(&self, outbound: &Outbound) -> bool {
        Socket::has_room(self, outbound)
    }
}
