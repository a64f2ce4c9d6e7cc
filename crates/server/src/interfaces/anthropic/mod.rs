//! Anthropic's interface: `/v1/messages`.

use super::asking::{Asked, CannotAnswer, FieldNames, end_of};
use super::events::{Events, Write};
use super::whole::{WholeAnswer, read_to_end};
use crate::answers::{CallBegun, Update};
use axum::body::Body;
use banter_protocol::interfaces::anthropic::answer::{
    BlockDelta, BlockReport, EndReport, MessageReport, StreamEvent, UsageReport,
};
use banter_protocol::interfaces::anthropic::error::{ErrorKind, ErrorReport};
use serde::Serialize;
use serde_json::Map;

/// The fields that backends know by other names.
const FIELDS: &FieldNames = &[
    ("structure", "output_config.format"),
    ("history", "messages"),
    ("continue", "messages"),
    ("stop", "stop_sequences"),
];

/// The same in the words of the interface.
pub(crate) fn in_its_words(why: impl Into<CannotAnswer>) -> CannotAnswer {
    why.into().told_with(FIELDS)
}

/// Waits for the answer and writes it as one object of JSON.
pub(crate) async fn whole(asked: Asked) -> Result<String, CannotAnswer> {
    let (id, model) = (name_of(&asked.id), asked.model.clone());
    let answer = read_to_end(asked.only()).await?;
    let end =
        EndReport::of(answer.reason, answer.finished.stop_string.clone(), !answer.calls.is_empty());
    let usage = UsageReport::from(&answer.finished.usage);
    Ok(json(&message(&id, &model, blocks(answer), end, usage)))
}

/// Writes the answer as a stream of events while it is made.
pub(crate) fn stream(asked: Asked) -> Body {
    let stream = MessageStream {
        id: name_of(&asked.id),
        model: asked.model.clone(),
        prompt_tokens: asked.prompt_tokens,
        open: None,
        next: 0,
        has_called: false,
    };
    Events::new(vec![asked.only()], stream).into_body()
}

fn name_of(id: &str) -> String {
    format!("msg_{id}")
}

fn message<'a>(
    id: &'a str,
    model: &'a str,
    content: Vec<BlockReport>,
    end: EndReport,
    usage: UsageReport,
) -> MessageReport<'a> {
    MessageReport { id, kind: "message", role: "assistant", model, content, end, usage }
}

/// The blocks of an answer: thoughts, text, calls.
fn blocks(answer: WholeAnswer) -> Vec<BlockReport> {
    let thinking = Some(answer.thinking).filter(|thinking| !thinking.is_empty());
    let thinking = thinking.map(|thinking| BlockReport::Thinking { thinking, signature: "" });
    let text = Some(answer.text).filter(|text| !text.is_empty());
    let text = text.map(|text| BlockReport::Text { text });
    thinking
        .into_iter()
        .chain(text)
        .chain(answer.calls.into_iter().map(BlockReport::from))
        .collect()
}

/// A stream of events.
struct MessageStream {
    id: String,
    model: String,
    prompt_tokens: Option<usize>,
    /// The block that is being written.
    open: Option<Block>,
    /// The place of the next block among the blocks.
    next: usize,
    has_called: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Call,
}

impl MessageStream {
    fn close_block(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            send(out, &StreamEvent::ContentBlockStop { index: self.next - 1 });
        }
    }

    fn open_block(&mut self, block: Block, content_block: BlockReport, out: &mut String) {
        self.close_block(out);
        self.open = Some(block);
        let index = self.next;
        self.next += 1;
        send(out, &StreamEvent::ContentBlockStart { index, content_block });
    }

    /// Sends more of the block that is being written.
    fn add(&mut self, delta: BlockDelta, out: &mut String) {
        let index = self.next.saturating_sub(1);
        send(out, &StreamEvent::ContentBlockDelta { index, delta });
    }

    fn end_message(&mut self, end: EndReport, usage: UsageReport, out: &mut String) {
        self.close_block(out);
        send(out, &StreamEvent::MessageDelta { delta: end, usage });
        send(out, &StreamEvent::MessageStop);
    }
}

impl Write for MessageStream {
    fn begin(&mut self, _answer: usize, out: &mut String) {
        let usage =
            UsageReport { input_tokens: self.prompt_tokens.unwrap_or(0), ..UsageReport::default() };
        let message = message(&self.id, &self.model, Vec::new(), EndReport::default(), usage);
        send(out, &StreamEvent::MessageStart { message });
    }

    fn update(&mut self, _answer: usize, update: Update, out: &mut String) {
        match update {
            Update::Waiting(_)
            | Update::Begun(_)
            | Update::Logprobs(_)
            | Update::Overdue
            | Update::Halted => {}
            Update::Thinking(piece) => {
                if self.open != Some(Block::Thinking) {
                    let empty = BlockReport::Thinking { thinking: String::new(), signature: "" };
                    self.open_block(Block::Thinking, empty, out);
                }
                self.add(BlockDelta::ThinkingDelta { thinking: piece.text }, out);
            }
            Update::Delta(piece) => {
                if self.open != Some(Block::Text) {
                    self.open_block(Block::Text, BlockReport::Text { text: String::new() }, out);
                }
                self.add(BlockDelta::TextDelta { text: piece.text }, out);
            }
            Update::Call(CallBegun { id, name }) => {
                self.has_called = true;
                let call = BlockReport::ToolUse { id, name, input: Map::new() };
                self.open_block(Block::Call, call, out);
            }
            Update::Arguments(partial_json) => {
                self.add(BlockDelta::InputJsonDelta { partial_json }, out);
            }
            Update::Ended(ended) => match end_of(&ended) {
                Ok(reason) => {
                    let finished = &ended.finished;
                    let stop_string = finished.stop_string.clone();
                    let end = EndReport::of(reason, stop_string, self.has_called);
                    self.end_message(end, UsageReport::from(&finished.usage), out);
                }
                Err(why) => send(out, &StreamEvent::Error { error: report(&why) }),
            },
        }
    }

    async fn end(&mut self, _out: &mut String) {}

    fn sign_of_life(&mut self, out: &mut String) {
        send(out, &StreamEvent::Ping);
    }
}

fn report(why: &CannotAnswer) -> ErrorReport {
    match why {
        CannotAnswer::Failed(failure) => ErrorReport::from(failure),
        CannotAnswer::Ending => {
            ErrorReport { kind: ErrorKind::OverloadedError, message: why.to_string() }
        }
    }
}

/// Appends an event of a stream.
fn send(out: &mut String, event: &StreamEvent<'_>) {
    out.extend(["event: ", event.name(), "\ndata: ", &json(event), "\n\n"]);
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("responses are plain data")
}
