//! The events of a response's stream.

use super::super::answer::{ChosenToken, TokenReport};
use super::report::{OutputItem, Part, Response, Status};
use serde::Serialize;

/// An event with its number.
#[derive(Clone, Debug, Serialize)]
pub struct Numbered<'a> {
    /// Events are numbered from 0.
    pub sequence_number: u64,
    /// What has happened.
    #[serde(flatten)]
    pub event: Event<'a>,
}

/// What happens to a response.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Event<'a> {
    /// It begins.
    #[serde(rename = "response.created")]
    Created {
        /// The response so far.
        response: &'a Response,
    },
    /// It is being written.
    #[serde(rename = "response.in_progress")]
    InProgress {
        /// The response so far.
        response: &'a Response,
    },
    /// An item begins.
    #[serde(rename = "response.output_item.added")]
    ItemAdded {
        /// Its place among the items.
        output_index: usize,
        /// The item without content.
        item: &'a OutputItem,
    },
    /// A part of an item begins.
    #[serde(rename = "response.content_part.added")]
    PartAdded {
        /// Where.
        #[serde(flatten)]
        place: PartPlace<'a>,
        /// The part without content.
        part: Part,
    },
    /// More text.
    #[serde(rename = "response.output_text.delta")]
    TextDelta {
        /// Where.
        #[serde(flatten)]
        place: PartPlace<'a>,
        /// The text.
        delta: &'a str,
        /// How likely the model found its tokens, if the request wants to know.
        logprobs: Vec<EventLogprob>,
    },
    /// The text has ended.
    #[serde(rename = "response.output_text.done")]
    TextDone {
        /// Where.
        #[serde(flatten)]
        place: PartPlace<'a>,
        /// All of it.
        text: &'a str,
        /// How likely the model found its tokens, if the request wants to know.
        logprobs: Vec<EventLogprob>,
    },
    /// More thoughts.
    #[serde(rename = "response.reasoning_text.delta")]
    ReasoningDelta {
        /// Where.
        #[serde(flatten)]
        place: PartPlace<'a>,
        /// The text.
        delta: &'a str,
    },
    /// The thoughts have ended.
    #[serde(rename = "response.reasoning_text.done")]
    ReasoningDone {
        /// Where.
        #[serde(flatten)]
        place: PartPlace<'a>,
        /// All of them.
        text: &'a str,
    },
    /// A part has ended.
    #[serde(rename = "response.content_part.done")]
    PartDone {
        /// Where.
        #[serde(flatten)]
        place: PartPlace<'a>,
        /// The part.
        part: &'a Part,
    },
    /// More of the arguments of a call.
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta {
        /// The name of the item.
        item_id: &'a str,
        /// Its place among the items.
        output_index: usize,
        /// A piece of the JSON.
        delta: &'a str,
    },
    /// The arguments of a call have ended.
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone {
        /// The name of the item.
        item_id: &'a str,
        /// Its place among the items.
        output_index: usize,
        /// All of them.
        arguments: &'a str,
    },
    /// An item has ended.
    #[serde(rename = "response.output_item.done")]
    ItemDone {
        /// Its place among the items.
        output_index: usize,
        /// The item.
        item: &'a OutputItem,
    },
    /// The response has ended.
    #[serde(rename = "response.completed")]
    Completed {
        /// The response.
        response: &'a Response,
    },
    /// The response was cut off.
    #[serde(rename = "response.incomplete")]
    Incomplete {
        /// The response.
        response: &'a Response,
    },
    /// The response has failed.
    #[serde(rename = "response.failed")]
    Failed {
        /// The response.
        response: &'a Response,
    },
}

/// Where a part is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PartPlace<'a> {
    /// The name of the item.
    pub item_id: &'a str,
    /// Its place among the items.
    pub output_index: usize,
    /// Always 0: an item has one part.
    pub content_index: usize,
}

/// How likely the model found a token of a piece.
#[derive(Clone, Debug, Serialize)]
pub struct EventLogprob {
    token: String,
    logprob: f32,
    top_logprobs: Vec<TopLogprob>,
}

#[derive(Clone, Debug, Serialize)]
struct TopLogprob {
    token: String,
    logprob: f32,
}

impl From<&ChosenToken> for EventLogprob {
    fn from(chosen: &ChosenToken) -> EventLogprob {
        let top = |top: &TokenReport| TopLogprob { token: top.token.clone(), logprob: top.logprob };
        EventLogprob {
            token: chosen.token.token.clone(),
            logprob: chosen.token.logprob,
            top_logprobs: chosen.top_logprobs.iter().map(top).collect(),
        }
    }
}

impl<'a> Event<'a> {
    /// The end of a response.
    pub fn end(response: &'a Response) -> Event<'a> {
        match response.status {
            Status::Failed => Event::Failed { response },
            Status::Incomplete | Status::Cancelled => Event::Incomplete { response },
            Status::Queued | Status::InProgress | Status::Completed => {
                Event::Completed { response }
            }
        }
    }

    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Created { .. } => "response.created",
            Event::InProgress { .. } => "response.in_progress",
            Event::ItemAdded { .. } => "response.output_item.added",
            Event::PartAdded { .. } => "response.content_part.added",
            Event::TextDelta { .. } => "response.output_text.delta",
            Event::TextDone { .. } => "response.output_text.done",
            Event::ReasoningDelta { .. } => "response.reasoning_text.delta",
            Event::ReasoningDone { .. } => "response.reasoning_text.done",
            Event::PartDone { .. } => "response.content_part.done",
            Event::ArgumentsDelta { .. } => "response.function_call_arguments.delta",
            Event::ArgumentsDone { .. } => "response.function_call_arguments.done",
            Event::ItemDone { .. } => "response.output_item.done",
            Event::Completed { .. } => "response.completed",
            Event::Incomplete { .. } => "response.incomplete",
            Event::Failed { .. } => "response.failed",
        }
    }
}
