//! Ten times as many requests as the server can answer.
//!
//! The server computes sixteen answers at once. First, sixteen clients ask one question after
//! another; their answers per second are what the server can do. Then ten times as many clients ask.
//! A client that was refused waits as long as an answer took the sixteen, and asks again.
//!
//! The long run uses the shape of a real model, because an answer of the demo model takes less time
//! than the connection before it. It also compares the answers per second:
//! ```sh
//! BANTER_OVERLOAD_SECONDS=600 \
//!     cargo test --profile long-test -p banter --test binary r5_ -- --nocapture
//! ```

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;
use crate::v1::{V1, delete, number_from};

/// As many as are computed at the same time.
const CLIENTS: u64 = 16;
const TIMES: u64 = 10;
const QUESTION: &str = "Count from 1 to 40.";
/// The least answers per second under overload, as a part of those without it.
const LEAST_SHARE: f64 = 0.9;

/// What is asked of a server, and by whom.
#[derive(Clone, Copy)]
struct Load {
    port: u16,
    /// The length of an answer.
    tokens: u32,
    clients: u64,
    /// How long they ask.
    time: Duration,
    /// How long a refused client waits, whatever the server advises.
    pause: Duration,
}

/// What one or several clients have met.
#[derive(Default)]
struct Met {
    /// Answers that were finished before the end of the time.
    answered: usize,
    /// How long each refusal took.
    refused: Vec<Duration>,
}

impl Met {
    fn of(all: impl IntoIterator<Item = Met>) -> Met {
        all.into_iter().fold(Met::default(), |mut sum, met| {
            sum.answered += met.answered;
            sum.refused.extend(met.refused);
            sum
        })
    }
}

/// Asks over a socket until `end`.
fn over_a_socket(load: &Load, end: Instant, name: &str) -> Met {
    let mut client = V1::connect(load.port).expect("a place for a connection");
    let mut met = Met::default();
    for number in 0.. {
        let asked = Instant::now();
        if asked > end {
            break;
        }
        let request = json!({
            "type": "send", "text": QUESTION, "parameters": { "max_tokens": load.tokens },
            "client_id": format!("{name}-{number}"),
        });
        let seen = client.ask(&request).expect("it is stored");
        let finished = read_to_the_end(&mut client, &seen.answer);
        // A socket follows only so many conversations, and nobody needs this one any more.
        delete(load.port, &seen.conversation);
        match finished["state"].as_str() {
            Some("done" | "length") => met.answered += usize::from(Instant::now() < end),
            _ => {
                let error = &finished["error"];
                assert_eq!(error["code"], "busy", "{finished}");
                assert!(error["position"].is_u64(), "{finished}");
                met.refused.push(asked.elapsed());
                thread::sleep(load.pause);
            }
        }
    }
    met
}

/// Reads an answer, whose place in the queue must never rise. Returns how it ended.
fn read_to_the_end(client: &mut V1, answer: &str) -> Value {
    let mut ahead = u64::MAX;
    loop {
        let event = client.next().expect("an open socket");
        if event["answer"] != answer {
            continue;
        }
        match event["type"].as_str() {
            Some("queued") => {
                let now = event["ahead"].as_u64().expect("a place");
                assert!(now <= ahead, "{now} are ahead and before there were {ahead}");
                ahead = now;
            }
            Some("finished") => return event,
            _ => {}
        }
    }
}

/// Asks over OpenAI's interface until `end`.
fn over_http(load: &Load, end: Instant, _name: &str) -> Met {
    let mut met = Met::default();
    let messages = json!([{ "role": "user", "content": QUESTION }]);
    let body = json!({ "messages": messages, "max_tokens": load.tokens }).to_string();
    while Instant::now() < end {
        let asked = Instant::now();
        let response =
            response_to(load.port, "POST", "/v1/chat/completions", "", &body).expect("HTTP");
        match response.status {
            200 => met.answered += usize::from(Instant::now() < end),
            429 => {
                let seconds = response.header("retry-after").and_then(|text| text.parse().ok());
                assert!(seconds.is_some_and(|seconds: u64| seconds > 0), "{}", response.head);
                met.refused.push(asked.elapsed());
                thread::sleep(load.pause);
            }
            _ => panic!("{} {}", response.head, response.body),
        }
    }
    met
}

/// What the clients meet together. Every fourth of them speaks OpenAI's language.
fn ask_all(load: Load) -> Met {
    let end = Instant::now() + load.time;
    let ask = |client| if client % 4 == 3 { over_http } else { over_a_socket };
    let threads: Vec<_> = (0..load.clients)
        .map(|client| {
            let name = format!("{client} of {}", load.clients);
            thread::spawn(move || ask(client)(&load, end, &name))
        })
        .collect();
    Met::of(threads.into_iter().map(|thread| thread.join().expect("no client fails")))
}

#[test]
fn r5_ten_times_the_load_is_refused_in_order_and_costs_the_others_little() {
    let seconds = number_from("BANTER_OVERLOAD_SECONDS", 2);
    let is_long = seconds >= 60;
    let folder = tempfile::tempdir().expect("a folder");
    let model = is_long.then(|| random_model(folder.path(), "qwen2.5-0.5b", "q4_0"));
    let model: Vec<&str> = model.iter().flat_map(|path| ["--model", path]).collect();
    let server = Server::start(&[&["--no-store"], &model[..]].concat());
    let alive = Alive::of(&server);
    // The usual load has a part of the time, because it only is what the other is compared with.
    let usual_load = Load {
        port: server.port,
        tokens: if is_long { 64 } else { 24 },
        clients: CLIENTS,
        time: Duration::from_secs((seconds / 5).max(1)),
        pause: Duration::ZERO,
    };
    let usual = ask_all(usual_load);
    assert!(usual.refused.is_empty() && usual.answered > 0, "{CLIENTS} clients are no overload");
    let much_load = Load {
        clients: CLIENTS * TIMES,
        time: Duration::from_secs(seconds),
        pause: usual_load.time.mul_f64(CLIENTS as f64 / usual.answered as f64),
        ..usual_load
    };
    let much = ask_all(much_load);
    assert!(!much.refused.is_empty(), "{} clients are an overload", much_load.clients);
    assert!(much.answered > 0, "nobody was answered");
    alive.assert_still(&server);

    let rate = |met: &Met, load: &Load| met.answered as f64 / load.time.as_secs_f64();
    let (of_usual, of_much) = (rate(&usual, &usual_load), rate(&much, &much_load));
    let share = of_much / of_usual;
    let mut refused = much.refused;
    refused.sort();
    let at = |part: f64| refused[((refused.len() - 1) as f64 * part) as usize];
    println!(
        "{CLIENTS} clients: {of_usual:.2} answers/s; {} clients: {of_much:.2} answers/s \
         ({share:.3}), {} refusals after {:?} (median), {:?} (p99), {:?} (longest)",
        much_load.clients,
        refused.len(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    if is_long {
        assert!(share >= LEAST_SHARE, "{share:.3} of the answers without overload");
    }
}
