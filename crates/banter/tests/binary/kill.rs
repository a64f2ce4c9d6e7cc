//! Servers that are killed, or told to end, while they answer. Nothing that a client was told is
//! lost.
//!
//! `BANTER_KILLS` says how often a server is killed, and `BANTER_SEED` chooses another run.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::*;
use crate::v1::{Gone, Random, Seen, V1, kept, number_from};

/// Clients that ask at the same time.
const CLIENTS: u64 = 4;
/// Messages of one conversation.
const MESSAGES: usize = 3;
const QUESTIONS: [&str; 4] = [
    "Tell me about you.",
    "你好，请介绍一下你自己。",
    "Count from 1 to 40.",
    "用中文从一数到二十。",
];

/// What one client has seen until the server was gone.
#[derive(Default)]
struct Witness {
    /// The answers of each conversation, in order.
    conversations: Vec<Vec<Seen>>,
    /// A request of which nobody knows whether it has arrived.
    unsure: Option<Value>,
    /// The last event, and the code with which the socket was closed.
    goodbye: Option<Value>,
    closed: Option<CloseCode>,
}

fn request(random: &mut Random, conversation: Option<&str>) -> Value {
    let text = QUESTIONS[random.below(QUESTIONS.len() as u64) as usize];
    let mut request = json!({
        "type": "send", "text": text, "client_id": format!("{:016x}", random.below(u64::MAX)),
        "parameters": { "temperature": 0.8, "seed": random.below(1 << 50), "max_tokens": 160 },
    });
    if let Some(conversation) = conversation {
        request["conversation"] = conversation.into();
    }
    request
}

/// Asks and reads until the server is gone.
fn witness(port: u16, random: Random) -> Witness {
    let mut witness = Witness::default();
    let Ok(mut client) = V1::connect(port) else { return witness };
    let Err(Gone) = ask_on(&mut client, &mut witness, random);
    Witness { goodbye: client.last, closed: client.closed, ..witness }
}

fn ask_on(client: &mut V1, witness: &mut Witness, mut random: Random) -> Result<Infallible, Gone> {
    loop {
        let is_full = |conversation: &Vec<Seen>| conversation.len() == MESSAGES;
        if witness.conversations.last().is_none_or(is_full) {
            witness.conversations.push(Vec::new());
        }
        let conversation = witness.conversations.last_mut().expect("one was just put there");
        let id = conversation.first().map(|seen| seen.conversation.clone());
        let request = request(&mut random, id.as_deref());
        witness.unsure = Some(request.clone());
        conversation.push(client.ask(&request)?);
        witness.unsure = None;
        client.read(conversation.last_mut().expect("it was just put there"))?;
    }
}

/// Clients that ask until the server is gone.
fn witnesses(port: u16, seed: u64) -> Vec<JoinHandle<Witness>> {
    let start = |client| {
        let random = Random(seed.wrapping_mul(1_000_003).wrapping_add(client));
        std::thread::spawn(move || witness(port, random))
    };
    (0..CLIENTS).map(start).collect()
}

fn join(clients: Vec<JoinHandle<Witness>>) -> Vec<Witness> {
    clients.into_iter().map(|client| client.join().expect("no client fails")).collect()
}

/// Checks a conversation that the server has kept against what a client has seen of it. Returns how
/// many of its answers were cut off, which has to be for this reason.
fn check(server: &Server, seen: &[Seen], (unsure, reason): (Option<&Value>, &str)) -> usize {
    let kept = kept(server, &seen[0].conversation);
    let unsure_here = unsure.is_some_and(|unsure| unsure["conversation"] == seen[0].conversation);
    assert!(
        kept.len() == 2 * seen.len() || unsure_here && kept.len() == 2 * seen.len() + 2,
        "{seen:?} {kept:?}"
    );
    let mut cut = 0;
    for (seen, pair) in seen.iter().zip(kept.chunks(2)) {
        assert_eq!((&pair[0]["id"], &pair[1]["id"]), (&seen.message, &json!(seen.answer)));
        assert_eq!(pair[0]["text"], seen.request["text"]);
        let text = pair[1]["text"].as_str().expect("text");
        assert!(text.starts_with(&seen.text), "{:?} was seen of {text:?}", seen.text);
        let state = pair[1]["state"].as_str().expect("a state");
        match &seen.state {
            Some(told) => assert_eq!((state, text), (told.as_str(), &*seen.text)),
            None if state == "interrupted" => {
                assert_eq!(pair[1]["finish"]["reason"], reason);
                cut += 1;
            }
            // It ended just before.
            None => assert!(["complete", "length"].contains(&state), "{}", pair[1]),
        }
    }
    cut
}

/// Checks that the database of a killed server is whole, on a copy: the next server has to find
/// everything as the kill has left it.
fn assert_whole(data: &Path) {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in fs::read_dir(data).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name");
            fs::copy(&path, copy.path().join(name)).expect("it can be copied");
        }
    }
    let database = Connection::open(copy.path().join("banter.db")).expect("a database");
    let found: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a result");
    assert_eq!(found, "ok");
}

/// Goes on with an answer that a kill has cut off, and checks that it becomes what it would have
/// been: what the same questions with the same seeds get in a new conversation.
fn assert_goes_on(server: &Server, path: &[Seen]) {
    let mut client = V1::connect(server.port).expect("the server listens");
    let (mut cut, before) =
        path.split_last().map(|(cut, before)| (cut.clone(), before)).expect("one");
    let kept = kept(server, &cut.conversation).into_iter().find(|m| m["id"] == *cut.answer);
    let before_it_goes_on = kept.expect("it is kept")["text"].as_str().expect("text").to_owned();
    cut.text.clone_from(&before_it_goes_on);
    let go_on = json!({
        "type": "continue", "conversation": cut.conversation, "message": cut.answer,
        "client_id": format!("go on {}", &cut.answer[..8]),
    });
    client.ask(&go_on).expect("the server listens");
    client.read(&mut cut).expect("the server listens");
    let mut conversation: Option<String> = None;
    for seen in before.iter().chain([&cut]) {
        let mut request = seen.request.clone();
        let id = request["client_id"].as_str().expect("text");
        request["client_id"] = format!("again {id}").into();
        request.as_object_mut().expect("an object").remove("conversation");
        if let Some(conversation) = &conversation {
            request["conversation"] = conversation.as_str().into();
        }
        let mut again = client.ask(&request).expect("the server listens");
        client.read(&mut again).expect("the server listens");
        if again.text == before_it_goes_on && again.state.as_deref() == Some("length") {
            // The kill came after the last token that it might have, so it got as many again.
            assert!(cut.text.starts_with(&again.text), "{:?}", seen.request);
        } else {
            let (new, old) = ((&again.text, &again.state), (&seen.text, &seen.state));
            assert_eq!(new, old, "{:?}", seen.request);
        }
        conversation = Some(again.conversation);
    }
}

/// Sends a request again whose fate is unknown: it is there once, whether it had arrived or not.
fn repeat(server: &Server, request: &Value) {
    let mut client = V1::connect(server.port).expect("the server listens");
    let seen = client.ask(request).expect("the server listens");
    client.ask(request).expect("the server listens");
    let messages = kept(server, &seen.conversation);
    let same = messages.iter().filter(|message| message["id"] == seen.message);
    assert_eq!(same.count(), 1, "{messages:?}");
    client.send(&json!({ "type": "stop", "answer": seen.answer })).expect("it listens");
}

#[test]
fn s1_a_killed_server_loses_nothing_that_was_said_and_goes_on() {
    let (kills, seed) = (number_from("BANTER_KILLS", 6), number_from("BANTER_SEED", 1));
    let home = tempfile::tempdir().expect("a temporary folder");
    let data = home.path().join("data");
    let arguments = ["--data", data.to_str().expect("a plain path")];
    let mut random = Random(seed);
    let mut server = Server::start(&arguments);
    let (mut messages, mut cut, mut continued) = (0, 0, 0);
    for kill in 0..kills {
        let clients = witnesses(server.port, seed.wrapping_add(kill << 32));
        std::thread::sleep(random.time(30, 1_500));
        server.child.kill().expect("it runs");
        server.child.wait().expect("it can be waited for");
        let witnesses = join(clients);
        assert_whole(&data);
        server = Server::start(&arguments);
        let mut to_continue = None;
        for witness in &witnesses {
            for seen in witness.conversations.iter().filter(|seen| !seen.is_empty()) {
                let cut_here = check(&server, seen, (witness.unsure.as_ref(), "crashed"));
                (messages, cut) = (messages + seen.len(), cut + cut_here);
                let is_unsure = witness.unsure.is_some();
                if cut_here > 0
                    && !is_unsure
                    && seen.last().is_some_and(|seen| !seen.text.is_empty())
                {
                    to_continue = Some(seen);
                }
            }
        }
        if let Some(path) = to_continue {
            assert_goes_on(&server, path);
            continued += 1;
        }
        witnesses.iter().filter_map(|witness| witness.unsure.as_ref()).for_each(|unsure| {
            repeat(&server, unsure);
        });
    }
    println!(
        "seed {seed}: {kills} kills, {messages} messages, {cut} answers cut off, {continued} \
         compared after they went on"
    );
    assert!(cut > 0 && continued > 0, "no kill has met an answer");
}

#[test]
fn c9_a_server_that_is_told_to_end_keeps_its_answers_and_says_goodbye() {
    const ENDS: u64 = 3;
    let home = tempfile::tempdir().expect("a temporary folder");
    let data = home.path().join("data");
    let arguments = ["--data", data.to_str().expect("a plain path")];
    let mut server = Server::start(&arguments);
    for end in 0..ENDS {
        let clients = witnesses(server.port, end);
        std::thread::sleep(Duration::from_millis(700));
        let told = Instant::now();
        server.signal(libc::SIGTERM);
        let witnesses = join(clients);
        assert_eq!(server.wait().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
        server = Server::start(&arguments);
        for witness in &witnesses {
            let goodbye = witness.goodbye.as_ref().expect("something came");
            let expected = json!({ "type": "going_away", "reason": "shutdown" });
            assert_eq!((goodbye, witness.closed), (&expected, Some(CloseCode::Away)));
            for seen in witness.conversations.iter().filter(|seen| !seen.is_empty()) {
                // Short answers end by themselves while the sockets say goodbye; what is cut off
                // has to have the reason.
                check(&server, seen, (witness.unsure.as_ref(), "shutdown"));
            }
        }
    }
}
