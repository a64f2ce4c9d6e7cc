//! A TCP proxy that spoils connections: it cuts them in several ways, cuts what they carry into
//! single bytes, and delays it.

use super::random::Random;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
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

/// Whether a direction has ended by itself or has passed what it may.
enum Passed {
    ToTheEnd,
    AsMuchAsItMay,
}

async fn carry(
    mut client: TcpStream,
    address: SocketAddr,
    (weather, cuts): (Weather, Arc<AtomicUsize>),
) {
    let Ok(mut server) = TcpStream::connect(address).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let passed = tokio::select! {
        passed = pass(&mut from_client, &mut to_server, (weather, weather.from_client)) => passed,
        passed = pass(&mut from_server, &mut to_client, (weather, weather.from_server)) => passed,
    };
    if matches!(passed, Passed::ToTheEnd) {
        return;
    }
    cuts.fetch_add(1, Ordering::Relaxed);
    match weather.cut {
        Cut::Fin => {}
        Cut::Reset => reset([client, server]),
        Cut::BlackHole(time) => {
            tokio::time::sleep(time).await;
            reset([client, server]);
        }
        Cut::HalfAtClient => {
            let _ = to_client.shutdown().await;
            pass(&mut from_client, &mut to_server, (weather, usize::MAX)).await;
        }
        Cut::HalfAtServer => {
            let _ = to_server.shutdown().await;
            pass(&mut from_server, &mut to_client, (weather, usize::MAX)).await;
        }
    }
}

fn reset(streams: [TcpStream; 2]) {
    for stream in streams {
        let _ = stream.set_zero_linger();
    }
}

async fn pass(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    (weather, mut left): (Weather, usize),
) -> Passed {
    let mut buffer = vec![0; weather.chunk_bytes];
    while left > 0 {
        let room = weather.chunk_bytes.min(left);
        let bytes = match from.read(&mut buffer[..room]).await {
            Ok(0) | Err(_) => return Passed::ToTheEnd,
            Ok(bytes) => bytes,
        };
        if !weather.pause.is_zero() {
            tokio::time::sleep(weather.pause).await;
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return Passed::ToTheEnd;
        }
        left -= bytes;
    }
    Passed::AsMuchAsItMay
}
