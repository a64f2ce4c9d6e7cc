//! Ollama's interface: `/api/chat` and `/api/generate`.

use super::asking::{Asked, CannotAnswer, FieldNames, end_of};
use super::events::{Events, Write};
use super::whole::{WholeAnswer, read_to_end};
use crate::answers::{CallBegun, Update};
use axum::body::Body;
use banter_protocol::interfaces::ollama::answer::{
    CallReport, End, ErrorReport, MessageReport, Piece, Said, TokenLogprobs,
};
use banter_seam::ToolCall;
use jiff::Timestamp;
use serde::Serialize;
use std::time::Instant;

/// The fields that backends know by other names.
const FIELDS: &FieldNames = &[
    ("structure", "format"),
    ("history", "messages"),
    ("max_tokens", "options.num_predict"),
    ("temperature", "options.temperature"),
    ("top_p", "options.top_p"),
    ("top_k", "options.top_k"),
    ("min_p", "options.min_p"),
    ("repetition_penalty", "options.repeat_penalty"),
    ("presence_penalty", "options.presence_penalty"),
    ("frequency_penalty", "options.frequency_penalty"),
    ("seed", "options.seed"),
    ("stop", "options.stop"),
];

/// The same in the words of the interface.
pub(crate) fn in_its_words(why: impl Into<CannotAnswer>) -> CannotAnswer {
    why.into().told_with(FIELDS)
}

/// The route whose words an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/api/chat`
    Chat,
    /// `/api/generate`
    Generate,
}

/// What is said in a piece.
#[derive(Default)]
struct Words {
    text: String,
    thinking: String,
    calls: Vec<CallReport>,
    logprobs: Vec<TokenLogprobs>,
}

impl Route {
    /// Nothing was asked: the model is loaded.
    pub(crate) fn loaded(self, model: &str) -> String {
        json(&self.piece(model, Words::default(), Some(End::LOADED)))
    }

    /// Waits for the answer and writes it as one object of JSON.
    pub(crate) async fn whole(self, asked: Asked, begin: Instant) -> Result<String, CannotAnswer> {
        let model = asked.model.clone();
        let answer = read_to_end(asked.only()).await?;
        let WholeAnswer { mut text, thinking, calls, logprobs, reason, finished } = answer;
        let mut reports = Vec::with_capacity(calls.len());
        for call in calls {
            match CallReport::of(call, reports.len()) {
                Ok(report) => reports.push(report),
                Err(cut_off) => text.push_str(&cut_off),
            }
        }
        let logprobs = logprobs.into_iter().map(TokenLogprobs::from).collect();
        let words = Words { text, thinking, calls: reports, logprobs };
        let end = End::of(reason, &finished, begin.elapsed());
        Ok(json(&self.piece(&model, words, Some(end))))
    }

    /// Writes the answer as a line for each piece while it is made.
    pub(crate) fn stream(self, asked: Asked, begin: Instant) -> Body {
        let lines = Lines {
            route: self,
            model: asked.model.clone(),
            begin,
            call: None,
            calls: 0,
            logprobs: Vec::new(),
        };
        Events::new(vec![asked.only()], lines).into_body()
    }

    fn piece(self, model: &str, words: Words, end: Option<End>) -> Piece<'_> {
        let Words { text, thinking, calls, logprobs } = words;
        Piece {
            model,
            created_at: Timestamp::now().to_string(),
            said: match self {
                Route::Chat => Said::Chat {
                    message: MessageReport {
                        role: "assistant",
                        content: text,
                        thinking,
                        tool_calls: calls,
                    },
                },
                Route::Generate => Said::Generate { response: text, thinking },
            },
            logprobs,
            done: end.is_some(),
            end,
        }
    }
}

/// A stream of lines.
struct Lines {
    route: Route,
    model: String,
    begin: Instant,
    /// The call that is being written. It is sent when it is complete.
    call: Option<ToolCall>,
    calls: usize,
    /// They are sent with the next piece.
    logprobs: Vec<TokenLogprobs>,
}

impl Lines {
    fn send(&mut self, words: Words, end: Option<End>, out: &mut String) {
        let logprobs = std::mem::take(&mut self.logprobs);
        let piece = self.route.piece(&self.model, Words { logprobs, ..words }, end);
        send(out, &piece);
    }

    /// Sends the call that has been written.
    fn send_call(&mut self, out: &mut String) {
        let Some(call) = self.call.take() else { return };
        let words = match CallReport::of(call, self.calls) {
            Ok(report) => {
                self.calls += 1;
                Words { calls: vec![report], ..Words::default() }
            }
            Err(text) => Words { text, ..Words::default() },
        };
        self.send(words, None, out);
    }
}

impl Write for Lines {
    fn begin(&mut self, _answer: usize, _out: &mut String) {}

    fn update(&mut self, _answer: usize, update: Update, out: &mut String) {
        match update {
            Update::Waiting(_) | Update::Begun(_) | Update::Overdue | Update::Halted => {}
            Update::Logprobs(logprobs) => {
                self.logprobs.extend(logprobs.into_iter().map(TokenLogprobs::from));
            }
            Update::Thinking(piece) => {
                self.send(Words { thinking: piece.text, ..Words::default() }, None, out);
            }
            Update::Delta(piece) => {
                self.send_call(out);
                self.send(Words { text: piece.text, ..Words::default() }, None, out);
            }
            Update::Call(CallBegun { id, name }) => {
                self.send_call(out);
                self.call = Some(ToolCall { id, name, arguments: String::new() });
            }
            Update::Arguments(piece) => {
                if let Some(call) = &mut self.call {
                    call.arguments.push_str(&piece);
                }
            }
            Update::Ended(ended) => match end_of(&ended) {
                Ok(reason) => {
                    self.send_call(out);
                    let end = End::of(reason, &ended.finished, self.begin.elapsed());
                    self.send(Words::default(), Some(end), out);
                }
                Err(why) => send(out, &ErrorReport { error: why.to_string() }),
            },
        }
    }

    async fn end(&mut self, _out: &mut String) {}

    fn sign_of_life(&mut self, out: &mut String) {
        self.send(Words::default(), None, out);
    }
}

/// Appends a line of a stream.
fn send(out: &mut String, value: &impl Serialize) {
    out.push_str(&json(value));
    out.push('\n');
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("responses are plain data")
}
