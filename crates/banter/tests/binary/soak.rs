//! Memory of a server that many kinds of clients use for a long time.
//!
//! The long run, of which the second half must not grow:
//! ```sh
//! BANTER_SOAK_SECONDS=3600 \
//!     cargo test --profile long-test -p banter --test binary a_server_that_is_used_ -- --nocapture
//! ```

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::SockRef;

use crate::support::*;
use crate::v1::{Gone, Random, V1, delete, number_from};

/// Clients of each kind.
const CLIENTS: u64 = 3;
const QUESTIONS: [&str; 3] = ["Tell me about you.", "用中文从一数到二十。", "Count from 1 to 40."];
/// The second half of a long run may grow by so much.
const MOST_GROWTH: f64 = 0.02;
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// What a client does again and again.
type Kind = fn(u16, &mut Random) -> Result<(), Gone>;

const KINDS: [Kind; 6] = [talks, leaves, stops, reads_slowly, cuts_a_stream, says_nonsense];

fn question(random: &mut Random) -> &'static str {
    QUESTIONS[random.below(QUESTIONS.len() as u64) as usize]
}

/// Asks, and returns what was accepted, or nothing if the server is busy.
fn ask(
    client: &mut V1,
    conversation: Option<&Value>,
    random: &mut Random,
) -> Result<Option<Value>, Gone> {
    let mut request = json!({
        "type": "send", "text": question(random),
        "client_id": format!("{:016x}", random.below(u64::MAX)),
        "parameters": { "temperature": 0.8, "max_tokens": 8 + random.below(120) },
    });
    if let Some(conversation) = conversation {
        request["conversation"] = conversation.clone();
    }
    client.send(&request)?;
    loop {
        let event = client.any()?;
        match event["type"].as_str() {
            Some("accepted") => return Ok(Some(event)),
            Some("error") => {
                assert_eq!(event["code"], "busy", "{event}");
                return Ok(None);
            }
            _ => {}
        }
    }
}

fn as_text(id: &Value) -> &str {
    id.as_str().expect("an id")
}

fn end_of(client: &mut V1, answer: &Value) -> Result<Value, Gone> {
    loop {
        let event = client.event("finished")?;
        if event["answer"] == *answer {
            return Ok(event);
        }
    }
}

/// A conversation of several messages, which is deleted in the end.
fn talks(port: u16, random: &mut Random) -> Result<(), Gone> {
    let mut client = V1::connect(port)?;
    let mut conversation = None;
    for _ in 0..1 + random.below(4) {
        let Some(accepted) = ask(&mut client, conversation.as_ref(), random)? else { continue };
        end_of(&mut client, &accepted["answer"])?;
        conversation = Some(accepted["conversation"].clone());
    }
    conversation.iter().for_each(|conversation| delete(port, as_text(conversation)));
    Ok(())
}

/// Is killed in the middle of an answer.
fn leaves(port: u16, random: &mut Random) -> Result<(), Gone> {
    let mut client = V1::connect(port)?;
    let Some(accepted) = ask(&mut client, None, random)? else { return Ok(()) };
    for _ in 0..random.below(6) {
        client.next()?;
    }
    reset(client.stream());
    drop(client);
    delete(port, as_text(&accepted["conversation"]));
    Ok(())
}

/// Stops an answer.
fn stops(port: u16, random: &mut Random) -> Result<(), Gone> {
    let mut client = V1::connect(port)?;
    let Some(accepted) = ask(&mut client, None, random)? else { return Ok(()) };
    client.send(&json!({ "type": "stop", "answer": accepted["answer"] }))?;
    end_of(&mut client, &accepted["answer"])?;
    delete(port, as_text(&accepted["conversation"]));
    Ok(())
}

/// Reads a long answer in the plain language a few bytes at a time.
fn reads_slowly(port: u16, random: &mut Random) -> Result<(), Gone> {
    let text = json!({ "message": question(random), "max_tokens": 300 }).to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|_| Gone)?;
    stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
    let length = u8::try_from(text.len()).expect("a short text");
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
    stream.write_all(&[head.as_bytes(), &frame].concat()).map_err(|_| Gone)?;
    for _ in 0..random.below(100) {
        let mut few = [0; 16];
        if stream.read(&mut few).map_err(|_| Gone)? == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    reset(&stream);
    Ok(())
}

/// Asks for a stream of OpenAI's interface and closes the connection in the middle of it.
fn cuts_a_stream(port: u16, random: &mut Random) -> Result<(), Gone> {
    let body = json!({
        "messages": [{ "role": "user", "content": question(random) }], "stream": true,
    });
    let (body, mut stream) =
        (body.to_string(), TcpStream::connect(("127.0.0.1", port)).map_err(|_| Gone)?);
    stream.set_read_timeout(Some(WITHIN)).expect("a timeout can be set");
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(|_| Gone)?;
    let mut part = vec![0; 200 + random.below(2000) as usize];
    let _ = stream.read(&mut part);
    if random.below(2) == 0 {
        reset(&stream);
    }
    Ok(())
}

/// Sends what no server can use.
fn says_nonsense(port: u16, random: &mut Random) -> Result<(), Gone> {
    let mut client = V1::connect(port)?;
    client.send(&json!({ "type": "no such event" }))?;
    // In between come the changes of other clients' conversations.
    while client.any()?["type"] != "error" {}
    let paths = ["/nothing", "/v1/chat/completions", "/api/conversations/0"];
    let path = paths[random.below(paths.len() as u64) as usize];
    let (status, body) = request(port, "POST", path, "", "{").expect("the server listens");
    assert!((400..500).contains(&status), "{path}: {status} {body}");
    thread::sleep(random.time(0, 50));
    Ok(())
}

/// The connection ends without a goodbye when it is dropped.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("an open socket");
}

/// The middle one of these sizes.
fn median(sizes: &[u64]) -> f64 {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes[sizes.len() / 2] as f64
}

#[test]
fn a_server_that_is_used_for_long_does_not_grow() {
    let seconds = number_from("BANTER_SOAK_SECONDS", 3);
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(&["--data", data.path().to_str().expect("text")]);
    let alive = Alive::of(&server);
    let (port, process) = (server.port, server.child.id());
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..CLIENTS * KINDS.len() as u64)
        .map(|client| {
            thread::spawn(move || {
                let mut random = Random(client);
                let acts = KINDS[client as usize % KINDS.len()];
                let mut rounds = 0_u64;
                while Instant::now() < end {
                    acts(port, &mut random).expect("the server is there");
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    let mut sizes = Vec::new();
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::sleep(left.min(SAMPLE_EVERY));
        sizes.push(resident_bytes(process));
    }
    let rounds: Vec<u64> =
        clients.into_iter().map(|client| client.join().expect("no client fails")).collect();
    assert!(rounds.iter().all(|rounds| *rounds > 0), "{rounds:?}");
    alive.assert_still(&server);

    let tenth = sizes.len().div_ceil(10);
    let (half, last) = (sizes.len() / 2, sizes.len() - tenth);
    let growth =
        median(&sizes[last..]) / median(&sizes[half..(half + tenth).min(sizes.len())]) - 1.0;
    println!(
        "{seconds} s, rounds of each client {rounds:?}, MiB: {:?}, the second half grew by {:.2} %",
        sizes.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>(),
        growth * 100.0,
    );
    if seconds >= 600 {
        assert!(growth <= MOST_GROWTH, "the second half grew by {:.2} %", growth * 100.0);
    }
}
