//! `banter.v1` on one socket, or on a stream in place of it.
//!
//! - `state`: what all sockets have of the server.
//! - `user`: the user of a socket, and the conversations that the socket follows.
//! - `session`: what the socket knows and does: events go in, frames come out.
//! - `requests`: requests that take a while; their outcome comes back to the session.
//! - `readings`: the answers that the socket follows.
//! - `outbound`: the frames that wait to be sent.
//! - `carrier`: what carries them: a WebSocket, or one of the `streams`.
//!
//! The loop below reads and writes frames and waits for everything that can happen.

mod carrier;
mod outbound;
mod readings;
mod requests;
mod session;
mod state;
mod streams;
mod user;

pub(crate) use requests::Caller;
pub(crate) use state::V1;
pub(crate) use streams::{Frame, NotTaken, Streams};

use crate::socket::{Close, Incoming};
use banter_protocol::v1::server::{GoingAway, GoingAwayReason};
use banter_protocol::v1::{ErrorCode, ServerEvent, V1Error};
use carrier::Carrier;
use session::{Next, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A client has this long for its `hello`.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a socket has to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endings {
    /// Cancelled when the server ends.
    pub(crate) shutdown: CancellationToken,
    /// Cancelled when the session or the key of the socket ends.
    pub(crate) revoked: CancellationToken,
}

/// Serves one client until it has to be closed, and returns the reason. The answers that it has
/// asked for go on.
pub(crate) async fn serve(
    carrier: &mut impl Carrier,
    v1: Arc<V1>,
    caller: Caller,
    endings: Endings,
) -> Close {
    let close_timeout = v1.close_timeout;
    let mut session = Session::new(v1, caller);
    let close = run(&mut session, carrier, &endings).await;
    if !matches!(close, Close::ByPeer | Close::Gone) {
        let _ = tokio::time::timeout(close_timeout, flush(&mut session, carrier)).await;
    }
    close
}

async fn run(session: &mut Session, carrier: &mut impl Carrier, endings: &Endings) -> Close {
    let hello_deadline = tokio::time::Instant::now() + HELLO_TIMEOUT;
    loop {
        // Nothing more is read of answers and news while the client takes nothing: it gets more at
        // once later.
        let takes_more = carrier.has_room(&session.outbound);
        let key_revoked = session.revoked.clone();
        tokio::select! {
            biased;
            () = endings.shutdown.cancelled() => {
                session.say(going_away(GoingAwayReason::Shutdown));
                return Close::GoingAway;
            }
            () = endings.revoked.cancelled() => {
                session.say(going_away(GoingAwayReason::Revoked));
                return Close::GoingAway;
            }
            () = key_revoked.cancelled() => {
                session.say(going_away(GoingAwayReason::Revoked));
                return Close::GoingAway;
            }
            incoming = carrier.exchange(&mut session.outbound) => match incoming {
                Incoming::Text(frame) => session.read(&frame),
                Incoming::Refused => {
                    let reason = "there is no memory for an event of this length now; try again \
                                  in a moment";
                    session.say(V1Error::new(ErrorCode::Busy, reason));
                }
                Incoming::Drained => {}
                Incoming::Binary(_) => return Close::Unsupported,
                Incoming::Closed(close) => return close,
            },
            next = session.pending.next(), if takes_more => {
                if let Next::Close(close) = session.take(next) {
                    return close;
                }
            }
            () = tokio::time::sleep_until(hello_deadline), if !session.has_said_hello() => {
                return Close::Policy("hello did not come in time");
            }
        }
    }
}

/// Sends what waits.
async fn flush(session: &mut Session, carrier: &mut impl Carrier) {
    while !session.outbound.is_empty() {
        if let Incoming::Closed(_) = carrier.exchange(&mut session.outbound).await {
            return;
        }
    }
}

fn going_away(reason: GoingAwayReason) -> ServerEvent {
    ServerEvent::GoingAway(GoingAway { reason })
}
