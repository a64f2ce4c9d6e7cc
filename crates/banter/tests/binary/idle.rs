//! What idle sockets of `banter.v1` cost the server.
//!
//! The long run, for which a process needs 20,000 descriptors; with fewer it takes fewer sockets:
//! ```sh
//! BANTER_IDLE_SOCKETS=19000 BANTER_IDLE_SECONDS=600 \
//!     cargo test --profile long-test -p banter --test binary r1_ -- --nocapture
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::*;
use crate::v1::number_from;

/// A greeted client that only answers pings.
struct Idle {
    stream: TcpStream,
    unread: Vec<u8>,
    pings: usize,
}

impl Idle {
    fn connect(port: u16) -> Idle {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
        write!(
            stream,
            "GET /ws HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: banter.v1\r\n\r\n"
        )
        .expect("it reads");
        let mut idle = Idle { stream, unread: Vec::new(), pings: 0 };
        while !idle.unread.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            idle.stream.read_exact(&mut byte).expect("a response");
            idle.unread.push(byte[0]);
        }
        let head = String::from_utf8(std::mem::take(&mut idle.unread)).expect("ASCII");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        idle.send(0x81, br#"{"type":"hello"}"#);
        let (first, welcome) = idle.frame();
        let welcome = String::from_utf8(welcome).expect("text");
        assert!(first == 0x81 && welcome.contains(r#""type":"welcome""#), "{welcome}");
        idle.stream.set_nonblocking(true).expect("a socket");
        idle
    }

    /// Sends a frame with a mask of zeros.
    fn send(&mut self, first: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("a short frame");
        let frame = [&[first, 0x80 | length, 0, 0, 0, 0][..], payload].concat();
        self.stream.write_all(&frame).expect("an open socket");
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some(frame) = self.whole_frame() {
                return frame;
            }
            assert!(self.read().expect("a frame") > 0, "the server has closed the socket");
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let bytes = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..bytes]);
        Ok(bytes)
    }

    fn whole_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, short) = (*self.unread.first()?, *self.unread.get(1)?);
        let (header, length) = match short {
            126 => {
                let bytes = self.unread.get(2..4)?;
                (4, usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
            }
            short => (2, usize::from(short)),
        };
        let payload = self.unread.get(header..header + length)?.to_vec();
        self.unread.drain(..header + length);
        Some((first, payload))
    }

    /// Answers what has come. Fails if the server has closed the socket.
    fn answer_pings(&mut self) {
        match self.read() {
            Ok(0) => panic!("the server has closed an idle socket"),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
        while let Some((first, payload)) = self.whole_frame() {
            assert_eq!(first, 0x89, "only pings come");
            self.pings += 1;
            self.send(0x8a, &payload);
        }
    }
}

#[test]
fn r1_idle_sockets_stay_open_and_cost_little() {
    // Everything that grows by itself, such as stacks and pools, grows with the first sockets.
    const FIRST: u64 = 100;
    const MOST_BYTES_EACH: u64 = 8 * 1024;
    const OTHER_DESCRIPTORS: u64 = 500;
    // The binary raises its own limit, which is the same.
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be raised");
    let most = limit.saturating_sub(FIRST + OTHER_DESCRIPTORS);
    let count = number_from("BANTER_IDLE_SOCKETS", 400).min(most);
    let seconds = number_from("BANTER_IDLE_SECONDS", 2);
    let most = (count + 2 * FIRST).to_string();
    let options =
        ["--no-store", "--max-connections", &most, "--max-connections-per-address", &most];
    let server = Server::start(&options);
    let alive = Alive::of(&server);
    let connect = |count: u64| (0..count).map(|_| Idle::connect(server.port)).collect::<Vec<_>>();
    let mut sockets = connect(FIRST);
    let before = resident_bytes(server.child.id());
    sockets.extend(connect(count));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        sockets.iter_mut().for_each(Idle::answer_pings);
        std::thread::sleep(Duration::from_millis(200));
    }
    let each = resident_bytes(server.child.id()).saturating_sub(before) / count;
    let pings: usize = sockets.iter().map(|socket| socket.pings).sum();
    println!("{count} idle sockets after {seconds} s: {each} bytes each, {pings} pings");
    assert!(each <= MOST_BYTES_EACH, "{each} bytes each");
    assert!(seconds < 30 || pings >= sockets.len(), "{pings} pings");
    drop(sockets);
    alive.assert_still(&server);
}
