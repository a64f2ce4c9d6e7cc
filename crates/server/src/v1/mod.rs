//! `banter.v1` on one socket.
//!
//! - `session`: what the socket knows and does: events go in, frames come out.
//! - `requests`: requests that take a while; their outcome comes back to the session.
//! - `readings`: the answers that the socket follows.
//! - `outbound`: the frames that wait to be sent.
//!
//! The loop below reads and writes frames and waits for everything that can happen.

mod outbound;
mod readings;
mod requests;
mod session;

pub(crate) use requests::Visitor;

use crate::access::{Access, Principal};
use crate::answers::Keep;
use crate::backend::{BackendSlot, Readiness, model_info};
use crate::conversations::Conversations;
use crate::shares::SharedBudget;
use crate::socket::{Close, Incoming, Socket};
use banter_protocol::conversations::Title;
use banter_protocol::v1::server::{
    GoingAway, GoingAwayReason, OnDisconnect, SocketLimits, Welcome,
};
use banter_protocol::v1::{ClientId, ErrorCode, ServerEvent, Tag, V1Error};
use session::{Next, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A client has this long for its `hello`.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// What the sockets of this language need.
pub(crate) struct V1 {
    pub(crate) conversations: Conversations,
    pub(crate) access: Arc<Access>,
    pub(crate) slot: BackendSlot,
    /// Memory for events that wait, in bytes.
    pub(crate) queue_budget: SharedBudget,
    /// The longest frame of a client, in bytes.
    pub(crate) max_message_bytes: usize,
    /// How long the last frames may take when the socket is closed.
    pub(crate) close_timeout: Duration,
    /// A name of this run of the server.
    pub(crate) epoch: String,
}

/// Why a socket has to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endings {
    /// Cancelled when the server ends.
    pub(crate) shutdown: CancellationToken,
    /// Cancelled when the session or the key of the socket ends.
    pub(crate) revoked: CancellationToken,
}

/// Serves one socket until it closes. The answers that it has asked for go on.
pub(crate) async fn serve(mut socket: Socket, v1: Arc<V1>, visitor: Visitor, endings: Endings) {
    let mut session = Session::new(v1.clone(), visitor);
    let close = run(&mut session, &mut socket, &endings).await;
    if !matches!(close, Close::ByPeer | Close::Gone) {
        let _ = tokio::time::timeout(v1.close_timeout, flush(&mut session, &mut socket)).await;
    }
    drop(session);
    socket.close(close).await;
}

async fn run(session: &mut Session, socket: &mut Socket, endings: &Endings) -> Close {
    let hello_deadline = tokio::time::Instant::now() + HELLO_TIMEOUT;
    loop {
        // Nothing more is read of answers and news while the client takes nothing: it gets more at
        // once later.
        let takes_more = socket.has_room(&session.outbound);
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
            incoming = socket.exchange(&mut session.outbound) => match incoming {
                Incoming::Text(frame) => session.read(&frame),
                Incoming::Refused => {
                    let reason = "there is no memory for an event of this length now; try again \
                                  in a moment";
                    session.say(V1Error::new(ErrorCode::Busy, reason));
                }
                Incoming::Drained => {}
                Incoming::Binary => return Close::Unsupported,
                Incoming::Closed(close) => return close,
            },
            next = session.pending.next(), if takes_more => {
                if let Next::Close(close) = session.take(next) {
                    return close;
                }
            }
            () = tokio::time::sleep_until(hello_deadline), if !session.was_greeted() => {
                return Close::Policy("hello did not come in time");
            }
        }
    }
}

/// Sends what waits.
async fn flush(session: &mut Session, socket: &mut Socket) {
    while !session.outbound.is_empty() {
        if let Incoming::Closed(_) = socket.exchange(&mut session.outbound).await {
            return;
        }
    }
}

fn going_away(reason: GoingAwayReason) -> ServerEvent {
    ServerEvent::GoingAway(GoingAway { reason })
}

impl V1 {
    /// The greeting of a client.
    fn welcome(&self, principal: Principal) -> Welcome {
        let backend = match self.slot.readiness() {
            Readiness::Loaded(backend) => Some(backend),
            Readiness::Loading(_) | Readiness::Unreachable(_) => None,
        };
        let settings = self.conversations.settings();
        let (on_disconnect, grace_ms) = match settings.keep {
            Keep::ToTheEnd => (OnDisconnect::Finish, None),
            Keep::WHILE_FOLLOWED => (OnDisconnect::Stop, None),
            Keep::For(grace) => (OnDisconnect::Grace, u64::try_from(grace.as_millis()).ok()),
        };
        let info = backend.as_ref().map(|backend| backend.info());
        Welcome {
            version: env!("CARGO_PKG_VERSION").into(),
            epoch: self.epoch.clone(),
            user: principal.short_name(),
            model: info.map(model_info),
            context_tokens: info.and_then(|info| info.context_tokens).map(|tokens| tokens as u64),
            limits: SocketLimits {
                message_bytes: self.max_message_bytes as u64,
                client_id_bytes: ClientId::MAX_BYTES as u64,
                tag_bytes: Tag::MAX_BYTES as u64,
                title_bytes: Title::MAX_BYTES as u64,
                open_conversations: session::MAX_OPEN_CONVERSATIONS as u64,
            },
            stores: settings.stores,
            on_disconnect,
            grace_ms,
        }
    }
}
