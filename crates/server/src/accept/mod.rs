//! Connections: at most so many, each with a header timer, all of them ended with the server.
//!
//! `axum::serve` is not used because it installs no timer for request heads, so that a client that
//! connects and says nothing would hold its connection for ever.

mod patient_io;

use crate::http::{Admission, Connection, Routes};
use crate::shared::Shared;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use patient_io::PatientIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, warn};

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
    let Some((admission, permit)) = admission(shared) else {
        // Dropped unanswered: even those who are told that the server is full are too many.
        return;
    };
    if admission == Admission::Full
        && let Some(suppressed) = shared.gates.full.admit()
    {
        let limit = shared.config.max_connections;
        warn!(limit, suppressed, "the connection limit is reached, refusing newcomers");
    }
    let connection =
        Connection { peer: peer.ip().to_canonical(), admission, permit: Arc::new(permit) };
    shared.tasks.tracker.spawn(converse(stream, connection, shared.clone(), routes.clone()));
}

fn admission(shared: &Shared) -> Option<(Admission, OwnedSemaphorePermit)> {
    if let Ok(permit) = shared.connections.clone().try_acquire_owned() {
        return Some((Admission::Welcome, permit));
    }
    let permit = shared.refusals.clone().try_acquire_owned().ok()?;
    Some((Admission::Full, permit))
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, connection: Connection, shared: Arc<Shared>, routes: Routes) {
    // Pieces of an answer are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let config = &shared.config;
    let io = TokioIo::new(PatientIo::new(stream, config.write_timeout));
    let service = service_fn(move |request| {
        let (routes, connection) = (routes.clone(), connection.clone());
        async move { Ok::<_, Infallible>(routes.answer(request, connection).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_headers(config.max_headers)
        .max_buf_size(config.max_head_bytes);
    let mut conversation = pin!(builder.serve_connection(io, service).with_upgrades());
    let ended = tokio::select! {
        ended = &mut conversation => ended,
        () = shared.tasks.going_away.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            tokio::select! {
                ended = conversation => ended,
                () = shared.tasks.cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}
