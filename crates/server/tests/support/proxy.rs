//! A TCP proxy that spoils connections: it cuts them in several ways, cuts what they carry into
//! single bytes, and delays it.

use super::random::Random;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What one connection has to stand.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// At most this many bytes are passed at once.
    pub chunk_bytes: usize,
    /// The time before each chunk.
    pub pause: Duration,
    /// How the connection ends when one of the following is spent.
    pub cut: Cut,
    /// Bytes from the server until then.
    pub from_server: usize,
    /// Bytes from the client until then.
    pub from_client: usize,
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides are told that the other one has closed.
    Fin,
    /// Both sides are told that the connection was reset.
    Reset,
    /// Only the client is told that the server has closed. What it still sends arrives.
    HalfAtClient,
    /// Only the server is told that the client has closed. What it still sends arrives.
    HalfAtServer,
    /// Nothing is passed for this long, and nobody is told. Then the connection is reset.
    BlackHole(Duration),
}

impl Weather {
    /// Nothing is spoiled.
    pub const FAIR: Weather = Weather {
        chunk_bytes: 64 * 1024,
        pause: Duration::ZERO,
        cut: Cut::Fin,
        from_server: usize::MAX,
        from_client: usize::MAX,
    };

    /// A connection that is cut after some kilobytes at the latest, often within a frame.
    pub fn random(random: &mut Random) -> Weather {
        const CUTS: [Cut; 5] = [
            Cut::Fin,
            Cut::Reset,
            Cut::HalfAtClient,
            Cut::HalfAtServer,
            Cut::BlackHole(Duration::from_millis(20)),
        ];
        let from_client = if random.once_in(4) { random.below(1_500) } else { usize::MAX };
        Weather {
            chunk_bytes: *random.choose(&[1, 7, 100, 64 * 1024, 64 * 1024]),
            pause: Duration::ZERO,
            cut: *random.choose(&CUTS),
            from_server: random.below(8_000),
            from_client,
        }
    }
}

/// A proxy in front of a server. Dropping it cuts everything.
pub struct Proxy {
    pub address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy that asks for the weather of each connection.
    pub async fn start(
        server: SocketAddr,
        mut weather: impl FnMut() -> Weather + Send + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let cuts = Arc::new(AtomicUsize::new(0));
        let counter = cuts.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(carry(client, server, (weather(), counter.clone())));
            }
        });
        Proxy { address, cuts, task }
    }

    /// Connections that were cut so far.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One direction of a connection that has ended or has passed what it may.
struct Passed {
    from: OwnedReadHalf,
    /// Dropping it tells the other side that nothing more comes.
    to: OwnedWriteHalf,
    is_spent: bool,
}

async fn carry(
    client: TcpStream,
    address: SocketAddr,
    (weather, cuts): (Weather, Arc<AtomicUsize>),
) {
    let Ok(server) = TcpStream::connect(address).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pass(from_client, to_server, (weather, weather.from_client)).boxed();
    let down = pass(from_server, to_client, (weather, weather.from_server)).boxed();
    let (spent, other, is_down) = match select(up, down).await {
        Either::Left((spent, down)) => (spent, down, false),
        Either::Right((spent, up)) => (spent, up, true),
    };
    if !spent.is_spent {
        return;
    }
    cuts.fetch_add(1, Ordering::Relaxed);
    match weather.cut {
        Cut::Fin => {}
        Cut::Reset => spent.reset(),
        Cut::BlackHole(time) => {
            drop_later(other, time).await;
            spent.reset();
        }
        // The direction that goes on must not lose what it carries.
        Cut::HalfAtClient | Cut::HalfAtServer => {
            if is_down == (weather.cut == Cut::HalfAtServer) {
                drop(other);
                pass(spent.from, spent.to, (weather, usize::MAX)).await;
            } else {
                drop(spent);
                other.await;
            }
        }
    }
}

/// Holds a direction without moving it, and then drops it.
async fn drop_later<T>(held: T, time: Duration) {
    tokio::time::sleep(time).await;
    drop(held);
}

impl Passed {
    /// Both connections end with a reset.
    fn reset(self) {
        for stream in [self.from.as_ref(), self.to.as_ref()] {
            let _ = stream.set_zero_linger();
        }
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (weather, mut left): (Weather, usize),
) -> Passed {
    let mut buffer = vec![0; weather.chunk_bytes];
    while left > 0 {
        let room = weather.chunk_bytes.min(left);
        let bytes = match from.read(&mut buffer[..room]).await {
            Ok(0) | Err(_) => return Passed { from, to, is_spent: false },
            Ok(bytes) => bytes,
        };
        if !weather.pause.is_zero() {
            tokio::time::sleep(weather.pause).await;
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return Passed { from, to, is_spent: false };
        }
        left -= bytes;
    }
    Passed { from, to, is_spent: true }
}
