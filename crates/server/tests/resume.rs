//! Nothing is lost: clients of `banter.v1` whose connections are cut, and who come back.
//!
//! The names begin with the case in `docs/RELIABILITY.md`. `BANTER_SEED`, `BANTER_CUTS` and
//! `BANTER_RECONNECTS` choose another run or a longer one.

mod support;

use banter_server::{OnDisconnect, ServerConfig};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::checker::{Checker, Counts};
use support::proxy::{Cut, Proxy, Weather};
use support::random::{Random, number_from, seed};
use support::stubborn::{Asked, Lost, Stubborn};
use support::{TestServer, patiently, raw};
use tokio::time::Instant;

/// A server whose answers outlive their sockets for a long time, with room for many sockets.
fn patient() -> ServerConfig {
    ServerConfig {
        on_disconnect: OnDisconnect::Grace(Duration::from_secs(60)),
        max_connections: 20_000,
        max_connections_per_address: 20_000,
        ..ServerConfig::default()
    }
}

/// A server that keeps its conversations on disk, as a real one does.
async fn durable(folder: &tempfile::TempDir) -> TestServer {
    TestServer::start_in(&folder.path().join("data"), patient()).await
}

/// The messages of a conversation as the server has kept them.
async fn kept(server: &TestServer, conversation: &Value) -> Vec<Value> {
    let id = conversation.as_str().expect("an id");
    let response = raw::get(server.address, &format!("/api/conversations/{id}"), "").await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["messages"].as_array().expect("a list").clone()
}

/// How many conversations the server has.
async fn conversations(server: &TestServer) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let path = format!("/api/conversations?limit=200{after}");
        let page = raw::get(server.address, &path, "").await.json();
        count += page["conversations"].as_array().expect("a list").len();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return count,
        }
    }
}

/// Checks that a conversation has exactly these messages, each with its answer, and that the client
/// has the same.
async fn compare(server: &TestServer, client: &mut Checker, asked: &[Asked]) {
    let kept = kept(server, &asked[0].conversation).await;
    client.compare(&kept);
    assert_eq!(kept.len(), 2 * asked.len(), "{kept:?}");
    for (asked, pair) in asked.iter().zip(kept.chunks(2)) {
        assert_eq!((&pair[0]["id"], &pair[1]["id"]), (&asked.message, &asked.answer));
        assert_eq!(pair[0]["text"], asked.text);
        assert_eq!(pair[1]["state"], "complete");
        let expected = asked.text.splitn(3, ' ').nth(2).expect("paced, a pause and a text");
        assert_eq!(pair[1]["text"], expected);
    }
}

fn paced(pause_ms: u64, text: &str) -> String {
    format!("paced {pause_ms} {text}")
}

#[tokio::test]
async fn n1_nothing_is_lost_doubled_or_out_of_order_over_random_cuts() {
    const CLIENTS: usize = 8;
    let (seed, cuts) = (seed(), number_from("BANTER_CUTS", 300));
    let answers = 40.max(cuts / 10);
    let folder = tempfile::tempdir().expect("a folder");
    let server = Arc::new(durable(&folder).await);
    let mut random = Random::new(seed);
    let proxy = Proxy::start(server.address, move || Weather::random(&mut random)).await;
    let proxy = Arc::new(proxy);
    let asked = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for client in 0..CLIENTS as u64 {
        let (server, proxy, asked) = (server.clone(), proxy.clone(), asked.clone());
        clients.push(tokio::spawn(async move {
            let is_enough = || asked.load(Ordering::Relaxed) >= answers && proxy.cuts() >= cuts;
            let begin = if client % 4 == 3 { Stubborn::by_stream } else { Stubborn::new };
            let client = begin(proxy.address, seed * 1_000 + client);
            talk(&server, client, || {
                asked.fetch_add(1, Ordering::Relaxed);
                is_enough()
            })
            .await
        }));
    }
    let (mut counts, mut begun) = (Counts::default(), 0);
    for client in clients {
        let (theirs, conversations) = client.await.unwrap_or_else(|error| {
            panic!("seed {seed}: {error}");
        });
        counts.add(theirs);
        begun += conversations;
    }
    println!("seed {seed}: {} cuts; {counts:?}", proxy.cuts());
    assert_eq!(conversations(&server).await, begun, "a repeated request began one more");
    assert!(proxy.cuts() >= cuts && counts.answers >= answers, "{counts:?}");
    assert!(counts.duplicates > 0 && counts.opens > 0 && counts.resumes > 0, "{counts:?}");
    drop(proxy);
    Arc::into_inner(server).expect("nobody else has it").end().await;
}

/// Asks in one conversation after the other until it is enough. Returns what the client has been
/// through, and how many conversations it has begun.
async fn talk(
    server: &TestServer,
    mut client: Stubborn,
    mut is_enough: impl FnMut() -> bool,
) -> (Counts, usize) {
    const MESSAGES: usize = 4;
    let mut begun = 0;
    let mut random = client.random();
    loop {
        let mut asked: Vec<Asked> = Vec::new();
        let mut enough = false;
        while asked.len() < MESSAGES && !enough {
            let pieces = 20 + random.below(100);
            let text = paced(1, &random.text(pieces));
            let conversation = asked.first().map(|first| first.conversation.clone());
            asked.push(client.ask(conversation.as_ref(), &text).await);
            enough = is_enough();
        }
        begun += 1;
        compare(server, &mut client.checker, &asked).await;
        client.checker.assert_nothing_is_wrong();
        if enough {
            return (client.checker.counts, begun);
        }
    }
}

#[tokio::test]
async fn n2_an_answer_is_whole_when_its_socket_was_closed_at_any_byte_of_it() {
    let server = TestServer::start(patient()).await;
    for text in ["Good morning 🙂 to you.", "你好，世界🌏。早上好！"] {
        for cut in 0..text.len() {
            let mut client = Stubborn::new(server.address, cut as u64);
            let request = json!({
                "type": "send", "text": paced(1, text), "client_id": format!("{cut} {text}"),
            });
            let asked = client.accepted(request).await;
            while client.checker.position(&asked.answer) < cut {
                client.next().await.expect("an open socket");
            }
            if cut % 2 == 0 {
                client.lose()
            } else {
                client.reset()
            }
            client.read(&asked.conversation, &asked.answer).await;
            assert_eq!(client.checker.text(&asked.answer), text, "cut at byte {cut}");
            client.checker.assert_nothing_is_wrong();
        }
    }
    server.end().await;
}

#[tokio::test]
async fn n2_an_answer_is_whole_when_its_stream_was_cut_at_any_byte() {
    // A long run cuts at every byte.
    let step = if number_from("BANTER_CUTS", 0) > 0 { 1 } else { 13 };
    let server = TestServer::start(patient()).await;
    for text in ["Good 🙂", "你好🌏。"] {
        let stream = stream_bytes(&server, text).await;
        let (mut cuts, mut tries) = (0, 0);
        for cut in (stream.first_delta - 2..=stream.all).step_by(step) {
            tries += 1;
            cuts += usize::from(is_whole_after_a_cut(&server, text, cut).await);
        }
        // Deltas that come together make the stream shorter than the cut.
        assert!(2 * cuts > tries, "{cuts} of {tries}");
    }
    server.end().await;
}

/// Asks for this text on a socket that is cut after this many bytes from the server, and reads the
/// rest on another one. Says whether there was a cut.
async fn is_whole_after_a_cut(server: &TestServer, text: &str, cut: usize) -> bool {
    let mut first = Some(Weather { from_server: cut, cut: Cut::Reset, ..Weather::FAIR });
    let weather = move || first.take().unwrap_or(Weather::FAIR);
    let proxy = Proxy::start(server.address, weather).await;
    // Another seed for each text: a client id that comes again asks for nothing new.
    let seed = (text.len() * 1_000_000 + cut) as u64;
    let mut client = Stubborn::new(proxy.address, seed);
    let asked = client.ask(None, &paced(1, text)).await;
    assert_eq!(client.checker.text(&asked.answer), text, "cut at byte {cut}");
    client.checker.assert_nothing_is_wrong();
    proxy.cuts() == 1
}

/// Bytes of what the server sends for one answer.
#[derive(Debug)]
struct Stream {
    first_delta: usize,
    all: usize,
}

/// How many bytes a server sends on a socket that asks for this text. Numbers and times make some
/// difference, so this is the least.
async fn stream_bytes(server: &TestServer, text: &str) -> Stream {
    let mut raw = raw::Raw::connect(server.address).await;
    let subprotocol = "Sec-WebSocket-Protocol: banter.v1\r\n";
    raw.send(raw::handshake(server.address, subprotocol).as_bytes()).await;
    let (mut all, mut first_delta) = (raw.head().await.len(), None);
    let send = json!({ "type": "send", "text": paced(1, text), "client_id": text });
    for event in [json!({ "type": "hello" }), send] {
        raw.send(&raw::text(&event.to_string())).await;
    }
    loop {
        let (_, payload) = raw.frame().await.expect("an open socket");
        let event: Value = serde_json::from_slice(&payload).expect("JSON");
        if event["type"] == "delta" {
            first_delta.get_or_insert(all);
        }
        all += payload.len() + if payload.len() < 126 { 2 } else { 4 };
        if event["type"] == "finished" {
            let first_delta = first_delta.expect("a delta");
            // The last frame has times, whose digits differ.
            return Stream { first_delta, all: all - payload.len() };
        }
    }
}

#[tokio::test]
async fn n4_an_answer_that_the_end_of_the_server_has_cut_goes_on_after_the_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "四月的雨 drips on the roof — 猫在睡觉。".repeat(8);
    let server = durable(&folder).await;
    let mut client = Stubborn::new(server.address, seed());
    let request = json!({ "type": "send", "text": paced(2, &text), "client_id": "one" });
    let asked = client.accepted(request).await;
    while client.checker.position(&asked.answer) < text.len() / 3 {
        client.next().await.expect("an open socket");
    }
    server.end().await;
    while client.next().await.is_ok() {}
    client.lose();

    let server = durable(&folder).await;
    client.address = server.address;
    client.read(&asked.conversation, &asked.answer).await;
    assert_eq!(client.checker.finished(&asked.answer), Some("interrupted"));
    let before = client.checker.text(&asked.answer).to_owned();
    assert!(before.len() < text.len() && text.starts_with(&before), "{before}");
    let kept = kept(&server, &asked.conversation).await;
    assert_eq!(kept[1]["finish"]["reason"], "shutdown", "{kept:?}");
    let request = json!({
        "type": "continue", "conversation": asked.conversation, "message": asked.answer,
        "client_id": "two",
    });
    client.accepted(request).await;
    client.read(&asked.conversation, &asked.answer).await;
    compare(&server, &mut client.checker, &[asked]).await;
    client.checker.assert_nothing_is_wrong();
    server.end().await;
}

#[tokio::test]
async fn n5_fifty_followers_of_one_answer_are_cut_and_all_read_the_same() {
    const FOLLOWERS: u64 = 50;
    let seed = seed();
    let server = TestServer::start(patient()).await;
    let mut random = Random::new(seed);
    let text = paced(5, &random.text(150));
    let proxy = Proxy::start(server.address, move || Weather::random(&mut random)).await;
    let mut asker = Stubborn::new(server.address, seed);
    let request = json!({ "type": "send", "text": text, "client_id": "one" });
    let asked = asker.accepted(request).await;
    let mut followers = Vec::new();
    for follower in 0..FOLLOWERS {
        let (asked, address) = (asked.clone(), proxy.address);
        followers.push(async move {
            let mut client = Stubborn::new(address, seed * 1_000 + follower);
            client.read(&asked.conversation, &asked.answer).await;
            client
        });
    }
    for mut client in join_all(followers).await {
        compare(&server, &mut client.checker, std::slice::from_ref(&asked)).await;
        client.checker.assert_nothing_is_wrong();
    }
    assert!(proxy.cuts() > 0);
    drop(asker);
    server.end().await;
}

#[tokio::test]
async fn n8_nothing_is_lost_whatever_the_network_does() {
    let ms = Duration::from_millis;
    let late = |cut: Cut| Weather { cut, from_server: 2_300, ..Weather::FAIR };
    let cases = [
        ("single bytes", Weather { chunk_bytes: 1, ..Weather::FAIR }),
        ("latency", Weather { pause: ms(40), ..Weather::FAIR }),
        ("a slow line", Weather { chunk_bytes: 64, pause: ms(2), ..Weather::FAIR }),
        ("closed", late(Cut::Fin)),
        ("reset", late(Cut::Reset)),
        ("half closed at the client", late(Cut::HalfAtClient)),
        ("half closed at the server", late(Cut::HalfAtServer)),
        ("a black hole", late(Cut::BlackHole(ms(300)))),
        ("cut inside a request", Weather { from_client: 400, ..late(Cut::Reset) }),
        ("single bytes and resets", Weather { chunk_bytes: 1, ..late(Cut::Reset) }),
    ];
    let server = TestServer::start(patient()).await;
    for (name, weather) in cases {
        let mut lives = 0;
        let spoiled = move || {
            lives += 1;
            // A client whose request never gets through would ask for ever.
            if lives % 4 == 0 { Weather::FAIR } else { weather }
        };
        let proxy = Proxy::start(server.address, spoiled).await;
        let mut client = Stubborn::new(proxy.address, seed());
        let text = Random::new(seed()).text(60);
        let asked = client.ask(None, &paced(1, &text)).await;
        assert_eq!(client.checker.text(&asked.answer), text, "{name}");
        compare(&server, &mut client.checker, &[asked]).await;
        client.checker.assert_nothing_is_wrong();
        let is_cut = weather.from_server < usize::MAX;
        assert_eq!(proxy.cuts() > 0, is_cut, "{name}");
    }
    server.end().await;
}

#[tokio::test]
async fn n9_a_flapping_connection_loses_nothing_and_leaves_one_ghost_at_most() {
    const FLAPS: usize = 40;
    // A socket and the one before it, which the server may not have noticed yet.
    let config = ServerConfig { max_connections: 2, max_connections_per_address: 2, ..patient() };
    let server = TestServer::start(config).await;
    let text = Random::new(seed()).text(1_200);
    let mut client = Stubborn::new(server.address, seed());
    let request = json!({ "type": "send", "text": paced(1, &text), "client_id": "one" });
    let asked = client.accepted(request).await;
    for flap in 0..FLAPS {
        let until = Instant::now() + Duration::from_millis(25);
        while let Ok(event) = tokio::time::timeout_at(until, client.next()).await {
            event.expect("an open socket");
        }
        if flap % 2 == 0 {
            client.lose()
        } else {
            client.reset()
        }
        client.connect().await.expect("there is room");
        client.follow(&asked.conversation, &asked.answer).await.expect("an open socket");
    }
    client.read(&asked.conversation, &asked.answer).await;
    assert_eq!(client.refused, 0);
    assert_eq!(client.checker.counts.sockets, FLAPS + 1);
    compare(&server, &mut client.checker, &[asked]).await;
    client.checker.assert_nothing_is_wrong();
    client.lose();
    server.end().await;
}

#[tokio::test]
async fn n10_clients_that_all_come_back_at_once_are_all_served() {
    // Each takes a descriptor here and one in the server.
    const OTHERS: usize = 200;
    const READY_CHECKS: usize = 10;
    const TRIES: usize = 20;
    let descriptors = descriptor_limit().saturating_sub(OTHERS) / 2;
    let count = number_from("BANTER_RECONNECTS", 300).min(descriptors);
    let server = TestServer::start(patient()).await;
    let text = Random::new(seed()).text(400);
    let mut asker = Stubborn::new(server.address, 0);
    let request = json!({ "type": "send", "text": paced(3, &text), "client_id": "one" });
    let asked = asker.accepted(request).await;
    let mut clients: Vec<Stubborn> =
        (0..count).map(|client| Stubborn::new(server.address, client as u64 + 1)).collect();
    let together = |clients: Vec<Stubborn>| {
        join_all(clients.into_iter().map(|mut client| async {
            for _ in 0..TRIES {
                if client.connect().await.is_ok() {
                    return client;
                }
                client.lose();
            }
            panic!("a client was not served in {TRIES} tries");
        }))
    };
    clients = together(clients).await;
    for client in &mut clients {
        client.reset();
    }
    let begun = Instant::now();
    let ready = async {
        for _ in 0..READY_CHECKS {
            assert_eq!(raw::get(server.address, "/ready", "").await.status, 200);
        }
    };
    let (mut clients, ()) = tokio::join!(together(clients), ready);
    println!("{count} clients were back after {:?}", begun.elapsed());
    let read = join_all(clients.iter_mut().map(|client| async {
        let _: Result<(), Lost> = client.resume(&asked.answer).await;
        client.read(&asked.conversation, &asked.answer).await;
    }));
    read.await;
    println!("and had everything after {:?}", begun.elapsed());
    for client in &mut clients {
        assert_eq!(client.refused, 0);
        assert_eq!(client.checker.text(&asked.answer), text);
        client.checker.assert_nothing_is_wrong();
    }
    drop((clients, asker));
    server.end().await;
}

/// How many files this process may have open.
fn descriptor_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let soft = line.split_whitespace().nth(3).expect("a number");
    soft.parse().unwrap_or(usize::MAX)
}

/// The answer of a conversation once it has ended.
async fn ended(server: &TestServer, asked: &Asked) -> Value {
    patiently(async {
        loop {
            let answer = kept(server, &asked.conversation).await.remove(1);
            if answer["finish"].is_object() {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Asks for an answer that takes most of a second, and reads a part of it.
async fn begin(server: &TestServer) -> (Stubborn, Asked) {
    begin_with(server, "tokens 400 2").await
}

async fn begin_with(server: &TestServer, text: &str) -> (Stubborn, Asked) {
    let mut client = Stubborn::new(server.address, seed());
    let request = json!({ "type": "send", "text": text, "client_id": "one" });
    let asked = client.accepted(request).await;
    while client.checker.position(&asked.answer) == 0 {
        client.next().await.expect("an open socket");
    }
    (client, asked)
}

async fn server_with(on_disconnect: OnDisconnect) -> TestServer {
    TestServer::start(ServerConfig { on_disconnect, ..ServerConfig::default() }).await
}

#[tokio::test]
async fn c3_an_answer_goes_on_to_its_end_without_readers_if_the_operator_says_so() {
    let server = server_with(OnDisconnect::Finish).await;
    let (mut client, asked) = begin(&server).await;
    client.reset();
    let answer = ended(&server, &asked).await;
    assert_eq!(
        (&answer["state"], &answer["finish"]["reason"]),
        (&json!("complete"), &json!("end"))
    );
    client.read(&asked.conversation, &asked.answer).await;
    assert_eq!(client.checker.text(&asked.answer), answer["text"]);
    client.checker.assert_nothing_is_wrong();
    client.lose();
    server.end().await;
}

#[tokio::test]
async fn c3_an_answer_that_is_being_written_stops_when_its_reader_is_gone_or_the_grace_is_over() {
    let grace = OnDisconnect::Grace(Duration::from_millis(60));
    for on_disconnect in [OnDisconnect::Stop, grace] {
        let server = server_with(on_disconnect).await;
        let (mut client, asked) = begin(&server).await;
        client.reset();
        let answer = ended(&server, &asked).await;
        assert_eq!(
            (&answer["state"], &answer["finish"]["reason"]),
            (&json!("interrupted"), &json!("disconnected")),
            "{on_disconnect:?}"
        );
        client.read(&asked.conversation, &asked.answer).await;
        assert_eq!(client.checker.text(&asked.answer), answer["text"]);
        client.checker.assert_nothing_is_wrong();
        client.lose();
        server.end().await;
    }
}

#[tokio::test]
async fn c3_a_reader_who_comes_back_in_time_or_a_second_one_lets_the_answer_go_on() {
    let server = server_with(OnDisconnect::Grace(Duration::from_secs(2))).await;
    // Longer than the grace time.
    let (mut client, asked) = begin_with(&server, "tokens 300 10").await;
    for _ in 0..4 {
        client.reset();
        client.connect().await.expect("there is room");
        client.resume(&asked.answer).await.expect("an open socket");
        client.next().await.expect("an open socket");
    }
    let mut second = Stubborn::new(server.address, 2);
    second.connect().await.expect("there is room");
    second.resume(&asked.answer).await.expect("an open socket");
    second.next().await.expect("an open socket");
    client.lose();
    second.read(&asked.conversation, &asked.answer).await;
    assert_eq!(second.checker.finished(&asked.answer), Some("complete"));
    second.lose();
    server.end().await;
}

#[tokio::test]
async fn c3_a_stop_is_a_persons_will_even_if_the_socket_is_lost_at_once() {
    let server = server_with(OnDisconnect::Grace(Duration::from_secs(60))).await;
    let (mut client, asked) = begin(&server).await;
    client.send(&json!({ "type": "stop", "answer": asked.answer })).await.expect("it is open");
    client.lose();
    let answer = ended(&server, &asked).await;
    assert_eq!(
        (&answer["state"], &answer["finish"]["reason"]),
        (&json!("stopped"), &json!("stopped"))
    );
    assert_eq!(server.running(), 0);
    server.end().await;
}

#[tokio::test]
async fn c4_random_starts_stops_losses_and_returns_leave_nothing_running() {
    const CLIENTS: u64 = 6;
    const ROUNDS: usize = 25;
    let seed = seed();
    let server = server_with(OnDisconnect::Grace(Duration::from_millis(30))).await;
    let clients = (0..CLIENTS).map(|client| {
        let (address, mut random) = (server.address, Random::new(seed * 100 + client));
        async move {
            let mut client = Stubborn::new(address, seed * 100 + client);
            let mut all = Vec::new();
            for round in 0..ROUNDS {
                let request = json!({
                    "type": "send", "text": "tokens 40 2",
                    "client_id": format!("{client}-{round}", client = random.number()),
                });
                let asked = client.accepted(request).await;
                let mut events = random.below(30);
                while events > 0 && client.checker.finished(&asked.answer).is_none() {
                    client.next().await.expect("an open socket");
                    events -= 1;
                }
                let stop = json!({ "type": "stop", "answer": asked.answer });
                match random.below(4) {
                    0 => client.send(&stop).await.expect("an open socket"),
                    1 => client.reset(),
                    2 => client.lose(),
                    _ => client.read(&asked.conversation, &asked.answer).await,
                }
                all.push(asked);
            }
            client.lose();
            all
        }
    });
    let all = join_all(clients).await.concat();
    for asked in &all {
        let answer = ended(&server, asked).await;
        let state = answer["state"].as_str().expect("a state");
        assert!(["complete", "stopped", "interrupted"].contains(&state), "{answer}");
    }
    assert_eq!(all.len(), CLIENTS as usize * ROUNDS);
    server.is_idle().await;
    server.end().await;
}

#[tokio::test]
async fn c5_a_thousand_stops_of_one_answer_are_one_stop() {
    const STOPS: usize = 1_000;
    let server = server_with(OnDisconnect::Finish).await;
    let mut client = server.v1().await;
    let asked = client.ask("tokens 400 2").await;
    client.event("delta").await;
    for number in 0..STOPS {
        let tag = format!("{number}");
        client.send(json!({ "type": "stop", "answer": asked["answer"], "tag": tag })).await;
        // More than this do not wait for their replies.
        if number % 50 == 49 {
            let finished = client.reply(&tag).await;
            assert_eq!(
                (&finished["type"], &finished["state"]),
                (&json!("finished"), &json!("stopped"))
            );
        }
    }
    server.end().await;
}

#[tokio::test]
async fn clients_that_continue_the_same_answer_at_the_same_time_add_every_word_once() {
    const CLIENTS: usize = 4;
    let text = Random::new(seed()).text(150);
    let server = &TestServer::start(patient()).await;
    let mut asker = server.v1().await;
    let send = json!({
        "type": "send", "text": paced(0, &text), "client_id": "one",
        "parameters": { "max_tokens": 1 },
    });
    asker.send(send).await;
    let asked = asker.event("accepted").await;
    let (conversation, answer) = (&asked["conversation"], &asked["answer"]);
    asker.event("finished").await;
    let clients = (0..CLIENTS).map(|client| async move {
        let mut socket = server.v1().await;
        for round in 0.. {
            let tag = format!("{client}-{round}");
            let go_on = json!({
                "type": "continue", "conversation": conversation, "message": answer,
                "client_id": tag, "tag": tag,
            });
            socket.send(go_on).await;
            let reply = socket.reply(&tag).await;
            match reply["code"].as_str() {
                None => assert_ne!(socket.event("finished").await["state"], "failed"),
                Some("answer_running") => {}
                Some(code) => return assert_eq!(code, "answer_complete", "{reply}"),
            }
        }
    });
    join_all(clients).await;
    let id = conversation.as_str().expect("an id");
    let path = format!("/api/conversations/{id}");
    let kept = raw::get(server.address, &path, "").await.json();
    assert_eq!(kept["messages"][1]["text"], text);
}

#[tokio::test]
async fn a_reader_that_has_missed_news_is_told_to_come_back() {
    const MESSAGE_BYTES: usize = 100_000;
    const MESSAGES: usize = 60;
    let server = TestServer::start_narrow(patient()).await;
    let mut asker = server.v1().await;
    let text = format!("ends end {}", "x".repeat(MESSAGE_BYTES));
    let first = asker.ask(&text).await;
    asker.event("finished").await;
    let subprotocol = "Sec-WebSocket-Protocol: banter.v1\r\n";
    let mut slow = raw::Raw::narrow_websocket_with(server.address, subprotocol).await;
    let open = json!({ "type": "open", "conversation": first["conversation"] });
    for event in [json!({ "type": "hello" }), open] {
        slow.send(&raw::text(&event.to_string())).await;
    }
    for _ in 0..MESSAGES {
        asker.ask_in(&first["conversation"], &text).await;
        asker.event("finished").await;
    }
    assert_eq!(slow.close_code().await, Some(1013));
    server.end().await;
}

#[tokio::test]
async fn a_long_answer_is_kept_as_a_whole() {
    const PIECES: usize = 6_000;
    let folder = tempfile::tempdir().expect("a folder");
    let server = TestServer::start_in(Path::new(&folder.path().join("data")), patient()).await;
    let mut client = Stubborn::new(server.address, seed());
    let request = json!({
        "type": "send", "text": format!("pieces {PIECES} 1000"), "client_id": "one",
        "parameters": { "max_tokens": PIECES },
    });
    let asked = client.accepted(request).await;
    client.read(&asked.conversation, &asked.answer).await;
    let answer = ended(&server, &asked).await;
    client.checker.compare(&[answer]);
    client.checker.assert_nothing_is_wrong();
    client.lose();
    server.end().await;
}
