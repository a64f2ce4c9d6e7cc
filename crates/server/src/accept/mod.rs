//! Connections: how many there may be, how long a client may be silent on one, and their end with
//! the server.
//!
//! - `permits`: which connections are open, and who holds how many.
//! - `tls`: https.
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
mod tls;
mod write_timeout;

pub(crate) use permits::{Admission, ConnectionPermit};
pub use tls::{CertificateError, Tls};

use crate::access::TrustedProxies;
use crate::config::ServerConfig;
use crate::log_throttle::LogThrottle;
use crate::tasks::Tasks;
use answering::{Answering, Sent};
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use permits::{ConnectionLimits, ConnectionPermits, Peer};
use read_timeout::{Phases, ReadLimits, ReadTimeout};
use socket2::SockRef;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use timed_io::TimedIo;
use tls::{Stream, use_https};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::{debug, warn};

/// As many connections may wait to be accepted, if the system allows it. When all clients come back
/// at once, as after an outage of the network, the system drops those that have no place here. Such
/// a client tries again only after a second, then after three, seven and so on.
const BACKLOG: i32 = 4_096;
/// Pause after a failed accept. Without it, a process without free descriptors would try again and
/// again at full speed.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// The connection that a request came on.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    /// Our address that the peer has connected to.
    pub(crate) local: IpAddr,
    /// Whether it has to be encrypted, and is not.
    pub(crate) lacks_https: bool,
    pub(crate) admission: Admission,
    /// Held as long as the connection, or the WebSocket that it becomes, is open.
    pub(crate) permit: Arc<ConnectionPermit>,
}

/// Answers the requests of connections.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        &self,
        request: Request<Body>,
        connection: Connection,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Accepts connections, within their limits.
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    /// Permits for connections, and for those that are only told that there are too many.
    permits: Arc<ConnectionPermits>,
    full_logged: LogThrottle,
    failures_logged: LogThrottle,
    tasks: Tasks,
}

impl Acceptor {
    pub(crate) fn new(config: Arc<ServerConfig>, tasks: Tasks) -> Acceptor {
        let permits = ConnectionPermits::new(ConnectionLimits {
            total: config.max_connections,
            per_address: config.max_connections_per_address,
            refusals: config.max_refusals,
            proxies: TrustedProxies::new(&config.trusted_proxies),
        });
        let (full_logged, failures_logged) = (LogThrottle::new(), LogThrottle::new());
        Acceptor { config, permits, full_logged, failures_logged, tasks }
    }
}

/// Accepts connections until the server ends.
pub(crate) async fn serve(listener: TcpListener, acceptor: Arc<Acceptor>, service: impl Service) {
    // The standard library, which makes our listeners, leaves only 128 places.
    if let Err(error) = SockRef::from(&listener).listen(BACKLOG) {
        debug!(%error, "the backlog keeps its length");
    }
    loop {
        let accepted = tokio::select! {
            () = acceptor.tasks.going_away.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer, &acceptor, &service),
            Err(error) if is_of_one_connection(&error) => debug!(%error, "accept"),
            Err(error) => {
                if let Some(suppressed) = acceptor.failures_logged.admit() {
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

fn take(stream: TcpStream, peer: SocketAddr, acceptor: &Arc<Acceptor>, service: &impl Service) {
    let peer = peer.ip().to_canonical();
    // A connection without a local address is gone already.
    let Ok(local) = stream.local_addr() else { return };
    let local = local.ip().to_canonical();
    let origin = Peer::new(peer, local);
    let permit = acceptor.permits.take(origin);
    log_limit(origin, permit.as_ref().map(ConnectionPermit::admission), acceptor);
    // Too many are being told already that there are too many: this one is dropped unanswered.
    let Some(permit) = permit else { return };
    let admission = permit.admission();
    let permit = Arc::new(permit);
    let connection = Connection { peer, local, lacks_https: false, admission, permit };
    acceptor.tasks.tracker.spawn(serve_connection(
        stream,
        connection,
        acceptor.clone(),
        service.clone(),
    ));
}

fn log_limit(peer: Peer, admission: Option<Admission>, acceptor: &Acceptor) {
    if admission == Some(Admission::Welcome) {
        return;
    }
    let Some(suppressed) = acceptor.full_logged.admit() else { return };
    let limits = acceptor.permits.limits();
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
    mut connection: Connection,
    acceptor: Arc<Acceptor>,
    service: impl Service,
) {
    // Deltas are small; each is sent at once and does not wait for the next.
    let _ = stream.set_nodelay(true);
    let (config, tasks) = (&acceptor.config, &acceptor.tasks);
    let Some(stream) = begin(stream, &connection, &acceptor).await else { return };
    connection.lacks_https = config.tls.is_some() && matches!(stream, Stream::Left(_));
    let phases = Phases::new();
    let limits = ReadLimits { head: config.header_timeout, idle: config.idle_timeout };
    let reads = ReadTimeout::new(phases.clone(), limits);
    let io = TokioIo::new(TimedIo::new(stream, reads, config.write_timeout));
    let permit = connection.permit.clone();
    let phases_of_service = phases.clone();
    let answers = service_fn(move |request| {
        let answering = Answering::begin(&phases_of_service, &connection.permit);
        answer(request, service.clone(), connection.clone(), answering)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(config.max_headers)
        .max_buf_size(config.max_head_bytes);
    let mut serving = pin!(builder.serve_connection(io, answers).with_upgrades());
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        // hyper would wait for the rest of a head; a response that is not sent yet is sent.
        () = permit.evicted() => if phases.is_reading_a_head() { return } else { None },
        () = tasks.going_away.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving => ended,
                () = tasks.cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

/// Begins a connection; `None` if it cannot, or takes too long.
async fn begin(stream: TcpStream, connection: &Connection, acceptor: &Acceptor) -> Option<Stream> {
    let Some(tls) = &acceptor.config.tls else { return Some(Stream::Left(stream)) };
    // It is as large as all that a connection needs later.
    let begun = Box::pin(timeout(acceptor.config.header_timeout, tls.begin(stream)));
    tokio::select! {
        begun = begun => match begun.ok()? {
            Ok(stream) => Some(stream),
            Err(error) => {
                debug!(%error, "a connection could not be encrypted");
                None
            }
        },
        () = connection.permit.evicted() => None,
        () = acceptor.tasks.going_away.cancelled() => None,
    }
}

async fn answer(
    request: Request<Incoming>,
    service: impl Service,
    connection: Connection,
    answering: Answering,
) -> Result<Response<Sent>, Infallible> {
    let connection = Connection { admission: answering.admission(), ..connection };
    let request = request.map(Body::new);
    let response = match connection.lacks_https {
        true => use_https(&request),
        false => service.answer(request, connection).await,
    };
    Ok(answering.send(response))
}

/// A permit for one connection, for tests of what happens on it.
#[cfg(test)]
pub(crate) fn one_permit(peer: IpAddr, local: IpAddr) -> ConnectionPermit {
    let proxies = TrustedProxies::default();
    let limits = ConnectionLimits { total: 8, per_address: 8, refusals: 1, proxies };
    ConnectionPermits::new(limits).take(Peer::new(peer, local)).expect("the first")
}
