//! Checks that a client gets every byte of its answers once and in order, over any number of
//! sockets, and that this is what the server has kept.
//!
//! It is as strict as `docs/PROTOCOL.md` allows a client to be: a delta has to begin exactly where
//! the text ends that the client has.

use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// What a client has got, and what was wrong with it.
pub struct Checker {
    /// Who the client is, and the seed of the run.
    name: String,
    answers: HashMap<String, Applied>,
    wrongs: Vec<Wrong>,
    pub counts: Counts,
}

/// How much a client has been through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub answers: usize,
    pub sockets: usize,
    pub deltas: usize,
    pub resumes: usize,
    pub opens: usize,
    pub duplicates: usize,
}

/// What a client has of an answer.
#[derive(Default)]
struct Applied {
    text: String,
    /// The most that it has ever had. A `resume` may go back.
    longest: String,
    /// The socket reads the answer, so its deltas may come.
    is_read: bool,
    /// Where the `resume` begins that was sent and not answered yet.
    asked_at: Option<usize>,
    finished: Option<String>,
}

/// Something that must not happen.
#[derive(Debug)]
enum Wrong {
    Lost(String),
    Doubled(String),
    OutOfOrder(String),
    Changed(String),
}

impl Checker {
    pub fn new(name: impl fmt::Display) -> Checker {
        Checker {
            name: name.to_string(),
            answers: HashMap::new(),
            wrongs: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The client has a new socket, which reads nothing yet.
    pub fn begin_socket(&mut self) {
        self.counts.sockets += 1;
        for applied in self.answers.values_mut() {
            applied.is_read = false;
            applied.asked_at = None;
        }
    }

    /// How many bytes of an answer the client has.
    pub fn position(&self, answer: &Value) -> usize {
        self.answers.get(key(answer)).map_or(0, |applied| applied.text.len())
    }

    pub fn text(&self, answer: &Value) -> &str {
        self.answers.get(key(answer)).map_or("", |applied| &applied.text)
    }

    /// The state in which an answer has ended, if the client knows that it has.
    pub fn finished(&self, answer: &Value) -> Option<&str> {
        let applied = self.answers.get(key(answer))?;
        // After a `resume` everything from there on comes again, with the end.
        applied.finished.as_deref().filter(|_| applied.asked_at.is_none())
    }

    /// The client sends a `resume` from here.
    pub fn resumes(&mut self, answer: &Value, at: usize) {
        self.counts.resumes += 1;
        self.applied(answer).asked_at = Some(at);
    }

    /// Takes an event of the server.
    pub fn take(&mut self, event: &Value) {
        let answer = &event["answer"];
        match event["type"].as_str().expect("a type") {
            "accepted" if event["duplicate"] == true => {
                self.counts.duplicates += 1;
                self.begin_at(answer, 0);
            }
            // A new answer, or one that goes on where it has ended.
            "accepted" => self.begin_at(answer, self.position(answer)),
            "message" => self.take_snapshot(&event["message"]),
            "messages" => {
                for message in event["messages"].as_array().expect("a list") {
                    self.take_snapshot(message);
                }
            }
            "resumed" => match self.applied(answer).asked_at.take() {
                Some(at) => self.begin_at(answer, at),
                None => self.wrongs.push(Wrong::OutOfOrder(event.to_string())),
            },
            "reset" => self.wrongs.push(Wrong::Lost(event.to_string())),
            "delta" => self.take_delta(event),
            "finished" => self.take_end(event),
            _ => {}
        }
    }

    /// Reading begins at this position. Text that the client has beyond it comes again.
    fn begin_at(&mut self, answer: &Value, at: usize) {
        let applied = self.applied(answer);
        applied.text.truncate(at);
        applied.is_read = true;
        applied.finished = None;
    }

    /// A message with its text so far.
    fn take_snapshot(&mut self, message: &Value) {
        if message["role"] != "assistant" {
            return;
        }
        let text = message["text"].as_str().expect("text").to_owned();
        let state = message["state"].as_str().expect("a state").to_owned();
        let applied = self.applied(&message["id"]);
        let is_live = is_live(&state);
        applied.is_read = is_live;
        applied.finished = (!is_live).then_some(state);
        let wrong = if text.starts_with(&applied.longest) {
            None
        } else if applied.longest.starts_with(&text) {
            Some(Wrong::Lost(format!("{} bytes of {message}", applied.longest.len())))
        } else {
            Some(Wrong::Changed(format!("{:?} became {message}", applied.longest)))
        };
        applied.longest.clone_from(&text);
        applied.text = text;
        self.wrongs.extend(wrong);
    }

    fn take_delta(&mut self, event: &Value) {
        self.counts.deltas += 1;
        let text = event["text"].as_str().expect("text");
        let at = usize::try_from(event["at"].as_u64().expect("a position")).expect("a length");
        let applied = self.applied(&event["answer"]);
        let have = applied.text.len();
        let wrong = if !applied.is_read || text.is_empty() {
            Some(Wrong::OutOfOrder(event.to_string()))
        } else if at > have {
            Some(Wrong::Lost(format!("{have} to {at}: {event}")))
        } else if at < have {
            Some(Wrong::Doubled(format!("{at} to {have}: {event}")))
        } else {
            applied.text.push_str(text);
            applied.check_again(have)
        };
        self.wrongs.extend(wrong);
    }

    fn take_end(&mut self, event: &Value) {
        let applied = self.applied(&event["answer"]);
        let wrong = if !applied.is_read {
            Some(Wrong::OutOfOrder(event.to_string()))
        } else if event["bytes"] != applied.text.len() {
            Some(Wrong::Lost(format!("{} bytes: {event}", applied.text.len())))
        } else {
            None
        };
        applied.is_read = false;
        applied.finished = event["state"].as_str().map(str::to_owned);
        self.wrongs.extend(wrong);
    }

    fn applied(&mut self, answer: &Value) -> &mut Applied {
        self.answers.entry(key(answer).to_owned()).or_default()
    }

    /// Compares what the client has with the messages that the server has kept.
    pub fn compare(&mut self, kept: &[Value]) {
        for message in kept.iter().filter(|message| message["role"] == "assistant") {
            let Some(applied) = self.answers.get(key(&message["id"])) else { continue };
            let text = message["text"].as_str().expect("text");
            let state = message["state"].as_str().expect("a state");
            self.counts.answers += 1;
            let wrong = if is_live(state) || applied.finished.as_deref() != Some(state) {
                Some(Wrong::OutOfOrder(format!("{:?}: {message}", applied.finished)))
            } else if applied.text == text {
                None
            } else if text.starts_with(&applied.text) {
                Some(Wrong::Lost(format!("{:?} of {message}", applied.text)))
            } else {
                Some(Wrong::Changed(format!("{:?} is kept as {message}", applied.text)))
            };
            self.wrongs.extend(wrong);
        }
    }

    /// Fails if anything was lost, doubled, out of order or changed.
    pub fn assert_nothing_is_wrong(&self) {
        let count =
            |kind: fn(&Wrong) -> bool| self.wrongs.iter().filter(|wrong| kind(wrong)).count();
        let (lost, doubled) = (
            count(|wrong| matches!(wrong, Wrong::Lost(_))),
            count(|wrong| matches!(wrong, Wrong::Doubled(_))),
        );
        let (disorder, changed) = (
            count(|wrong| matches!(wrong, Wrong::OutOfOrder(_))),
            count(|wrong| matches!(wrong, Wrong::Changed(_))),
        );
        assert!(
            self.wrongs.is_empty(),
            "{}: {lost} lost, {doubled} doubled, {disorder} out of order, {changed} changed; the \
             first: {:?}",
            self.name,
            self.wrongs[0]
        );
    }
}

impl Applied {
    /// What comes again has to be what it was.
    fn check_again(&mut self, from: usize) -> Option<Wrong> {
        let both = self.text.len().min(self.longest.len());
        let (new, old) = (&self.text.as_bytes()[from..], self.longest.as_bytes());
        let same = from >= both || new[..both - from] == old[from..both];
        if !same {
            return Some(Wrong::Changed(format!("{:?} became {:?}", self.longest, self.text)));
        }
        if self.text.len() > self.longest.len() {
            let more = &self.text[self.longest.len()..];
            self.longest.push_str(more);
        }
        None
    }
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.answers += other.answers;
        self.sockets += other.sockets;
        self.deltas += other.deltas;
        self.resumes += other.resumes;
        self.opens += other.opens;
        self.duplicates += other.duplicates;
    }
}

fn key(answer: &Value) -> &str {
    answer.as_str().expect("an id")
}

fn is_live(state: &str) -> bool {
    matches!(state, "waiting" | "writing")
}
