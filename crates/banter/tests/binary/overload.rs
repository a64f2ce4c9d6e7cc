//! Ten times as many clients as the server computes answers at once.
//!
//! The long run, which also compares how many answers are finished with and without that load:
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
/// A client that was refused asks again so soon, whatever the server advises.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const TOKENS: u32 = 24;
const QUESTION: &str = "Count from 1 to 40.";
/// Of the answers that are finished without overload, so many have to be finished with it.
const LEAST_SHARE: f64 = 0.9;

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

    fn refusal(&mut self, after: Duration) {
        self.refused.push(after);
        thread::sleep(AGAIN_AFTER);
    }
}

/// Asks over a socket until `end`.
fn over_a_socket(port: u16, end: Instant, name: &str) -> Met {
    let mut client = V1::connect(port).expect("a place for a connection");
    let mut met = Met::default();
    for number in 0.. {
        let asked = Instant::now();
        if asked > end {
            break;
        }
        let request = json!({
            "type": "send", "text": QUESTION, "parameters": { "max_tokens": TOKENS },
            "client_id": format!("{name}-{number}"),
        });
        let seen = client.ask(&request).expect("it is stored");
        let finished = read_to_the_end(&mut client, &seen.answer);
        // A socket follows only so many conversations, and nobody needs this one any more.
        delete(port, &seen.conversation);
        match finished["state"].as_str() {
            Some("done" | "length") => met.answered += usize::from(Instant::now() < end),
            _ => {
                let error = &finished["error"];
                assert_eq!(error["code"], "busy", "{finished}");
                assert!(error["position"].is_u64(), "{finished}");
                met.refusal(asked.elapsed());
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
fn over_http(port: u16, end: Instant, _name: &str) -> Met {
    let mut met = Met::default();
    let body =
        json!({ "messages": [{ "role": "user", "content": QUESTION }], "max_tokens": TOKENS });
    while Instant::now() < end {
        let asked = Instant::now();
        let response =
            response_to(port, "POST", "/v1/chat/completions", "", &body.to_string()).expect("HTTP");
        match response.status {
            200 => met.answered += usize::from(Instant::now() < end),
            429 => {
                let seconds = response.header("retry-after").and_then(|text| text.parse().ok());
                assert!(seconds.is_some_and(|seconds: u64| seconds > 0), "{}", response.head);
                met.refusal(asked.elapsed());
            }
            _ => panic!("{} {}", response.head, response.body),
        }
    }
    met
}

/// What so many clients meet in this time. Every fourth of them speaks OpenAI's language.
fn load(port: u16, clients: u64, time: Duration) -> Met {
    let end = Instant::now() + time;
    let ask = |client| if client % 4 == 3 { over_http } else { over_a_socket };
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let name = format!("{client} of {clients}");
            thread::spawn(move || ask(client)(port, end, &name))
        })
        .collect();
    Met::of(threads.into_iter().map(|thread| thread.join().expect("no client fails")))
}

#[test]
fn r5_ten_times_the_load_is_refused_in_order_and_costs_the_others_little() {
    let seconds = number_from("BANTER_OVERLOAD_SECONDS", 2);
    let is_long = seconds >= 60;
    let server = Server::start(&["--no-store"]);
    let alive = Alive::of(&server);
    // The usual load has a part of the time, because it only is what the other is compared with.
    let usual_seconds = (seconds / 5).max(1);
    let usual = load(server.port, CLIENTS, Duration::from_secs(usual_seconds));
    let much = load(server.port, CLIENTS * TIMES, Duration::from_secs(seconds));
    assert!(usual.refused.is_empty(), "{} clients are no overload", CLIENTS);
    assert!(!much.refused.is_empty(), "{} clients are an overload", CLIENTS * TIMES);
    assert!(much.answered > 0, "nobody was answered");
    alive.assert_still(&server);

    let of_usual = usual.answered as f64 / usual_seconds as f64;
    let of_much = much.answered as f64 / seconds as f64;
    let share = of_much / of_usual;
    let mut refused = much.refused;
    refused.sort();
    let at = |part: f64| refused[((refused.len() - 1) as f64 * part) as usize];
    println!(
        "{CLIENTS} clients: {of_usual:.2} answers/s; {} clients: {of_much:.2} answers/s \
         ({share:.3}), {} refusals after {:?} (median), {:?} (p99), {:?} (longest)",
        CLIENTS * TIMES,
        refused.len(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    if is_long {
        assert!(share >= LEAST_SHARE, "{share:.3} of the answers without overload");
    }
}
