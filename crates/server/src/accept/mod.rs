//! Connections: how many there may be, how long a client may be silent on one, and their end with
//! the server.
//!
//! - `permits`: which connections are open, and who holds how many.
//! - `timed_io`: the connection with its time limits, which are in `read_timeout` and
//!   `write_timeout`.
//! - `answering`: the time between a request's head and the last byte of its response.
//!
//! `axum::serve` is not used because it has no timer for request heads: a client that connects and
//! says nothing would hold its connection for ever.

mod answering;
mod permits;
mod read_timeout;
mod timed_io;
mod write_timeout;

pub(crate) use permits::{Admission, ConnectionLimits, ConnectionPermit, ConnectionPermits, Peer};

use crate::http::{Connection, Routes};
use crate::shared::Shared;
use answering::{Answering, Sent};
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use read_timeout::{Phases, ReadLimits, ReadTimeout};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use timed_io::TimedIo;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

/// Pause after a failed accept. Without it, a process without free descriptors would try again and
/// again at full speed.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts connections until the server ends.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, routes: Routes) {
    loop {
        let accepted = tokio::select! {
            () = shared.tasks.going_away.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer, &shared, &routes),
            Err(error) if is_of_one_connection(&error) => debug!(%error, "accept"),
            Err(error) => {
                if let Some(suppressed) = shared.log_throttles.accept.admit() {
                    warn!(%error, suppressed, "cannot accept a connection, trying again");
                }
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Whether an error concerns only the connection that would have been accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

fn take(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, routes: &Routes) {
    let peer = peer.ip().to_canonical();
    // A connection without a local address is gone already.
    let Ok(local) = stream.local_addr() else { return };
    let local = local.ip().to_canonical();
    let origin = Peer::new(peer, local);
    let permit = shared.connections.take(origin);
    log_limit(origin, permit.as_ref().map(ConnectionPermit::admission), shared);
    // Too many are being told already that there are too many: this one is dropped unanswered.
    let Some(permit) = permit else { return };
    let connection =
        Connection { peer, local, admission: permit.admission(), permit: Arc::new(permit) };
    shared.tasks.tracker.spawn(serve_connection(
        stream,
        connection,
        shared.clone(),
        routes.clone(),
    ));
}

fn log_limit(peer: Peer, admission: Option<Admission>, shared: &Shared) {
    if admission == Some(Admission::Welcome) {
        return;
    }
    let Some(suppressed) = shared.log_throttles.full.admit() else { return };
    let limits = shared.connections.limits();
    match (admission, peer) {
        (Some(Admission::AddressFull), _) => warn!(
            limit = limits.per_address,
            suppressed,
            "one address holds its share of the connections, so further ones from it are refused; \
             if it is a proxy, name it with --trusted-proxy; \
             --max-connections-per-address sets the share"
        ),
        (_, Peer::ThisMachine(_)) => warn!(
            limit = limits.of_this_machine(),
            suppressed,
            "this machine, with a proxy that may run on it, holds its share of the connections, so \
             further ones from it are refused; --max-connections raises the share"
        ),
        (_, Peer::Elsewhere(_)) => warn!(
            limit = limits.total,
            suppressed,
            "all connections are taken, so newcomers are refused; --max-connections allows more"
        ),
    }
}

/// Answers the requests of one connection.
async fn serve_connection(
    stream: TcpStream,
    connection: Connection,
    shared: Arc<Shared>,
    routes: Routes,
) {
    // Deltas are small; each is sent at once and does not wait for the next.
    let _ = stream.set_nodelay(true);
    let config = &shared.config;
    let phases = Phases::new();
    let limits = ReadLimits { head: config.header_timeout, idle: config.idle_timeout };
    let reads = ReadTimeout::new(phases.clone(), limits);
    let io = TokioIo::new(TimedIo::new(stream, reads, config.write_timeout));
    let permit = connection.permit.clone();
    let phases_of_service = phases.clone();
    let service = service_fn(move |request| {
        let answering = Answering::begin(&phases_of_service, &connection.permit);
        answer(request, routes.clone(), connection.clone(), answering)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(config.max_headers)
        .max_buf_size(config.max_head_bytes);
    let mut serving = pin!(builder.serve_connection(io, service).with_upgrades());
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        // hyper would wait for the rest of a head; a response that is not sent yet is sent.
        () = permit.evicted() => if phases.is_reading_a_head() { return } else { None },
        () = shared.tasks.going_away.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving => ended,
                () = shared.tasks.cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    routes: Routes,
    connection: Connection,
    answering: Answering,
) -> Result<Response<Sent>, Infallible> {
    let connection = Connection { admission: answering.admission(), ..connection };
    let response = routes.answer(request.map(Body::new), connection).await;
    Ok(answering.send(response))
}
