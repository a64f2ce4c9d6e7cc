//! Connections: at most so many, each with its time for a request's head, all of them ended with
//! the server.
//!
//! `axum::serve` is not used because it installs no timer for request heads, so that a client that
//! connects and says nothing would hold its connection for ever.

mod answering;
mod permits;
mod read_timeout;
mod write_timeout;

pub(crate) use permits::{Admission, ConnectionLimits, ConnectionPermit, ConnectionPermits};

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
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};
use write_timeout::WriteTimeout;

/// Pause after a failed accept: a process without free descriptors would otherwise spin.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until the server ends.
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
                if let Some(suppressed) = shared.gates.accept.admit() {
                    warn!(%error, suppressed, "cannot accept connections, trying again");
                }
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Whether a failed accept concerns only the connection that would have been accepted.
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
    let permit = shared.connections.take(peer);
    log_limit(permit.as_ref().map(ConnectionPermit::admission), shared);
    // Dropped unanswered: even those who are told that there are too many are too many.
    let Some(permit) = permit else { return };
    let connection = Connection {
        peer,
        local: local.ip().to_canonical(),
        admission: permit.admission(),
        permit: Arc::new(permit),
    };
    shared.tasks.tracker.spawn(serve_connection(
        stream,
        connection,
        shared.clone(),
        routes.clone(),
    ));
}

fn log_limit(admission: Option<Admission>, shared: &Shared) {
    if admission == Some(Admission::Welcome) {
        return;
    }
    let Some(suppressed) = shared.gates.full.admit() else { return };
    if admission == Some(Admission::AddressFull) {
        let limit = shared.config.max_connections_per_address;
        warn!(
            limit,
            suppressed,
            "one address has its share of the connections, refusing more from there; if it is a \
             proxy, --trusted-proxy names it, and --max-connections-per-address is the share"
        );
    } else {
        let limit = shared.config.max_connections;
        warn!(limit, suppressed, "the connection limit is reached, refusing newcomers");
    }
}

/// Answers the requests of one connection.
async fn serve_connection(
    stream: TcpStream,
    connection: Connection,
    shared: Arc<Shared>,
    routes: Routes,
) {
    // Pieces of an answer are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let config = &shared.config;
    let phases = Phases::new();
    let limits = ReadLimits { head: config.header_timeout, idle: config.idle_timeout };
    let io = WriteTimeout::new(stream, config.write_timeout);
    let io = TokioIo::new(ReadTimeout::new(io, phases.clone(), limits));
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
        // A half of a head would be waited for; a response that is not yet sent is sent.
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
