//! `/v1/chat/completions`: what happens to answers, in OpenAI's words.

use super::words::{json, send, send_done, send_error, send_sign_of_life};
use crate::answers::{CallBegun, Update};
use crate::interfaces::asking::{Asked, CannotAnswer, end_of};
use crate::interfaces::events::{Events, Write};
use crate::interfaces::whole::{WholeAnswer, read_to_end};
use axum::body::Body;
use banter_protocol::interfaces::openai::StreamOptions;
use banter_protocol::interfaces::openai::answer::{
    AnswerMessage, CallReport, ChatCompletion, Choice, Chunk, ChunkChoice, FinishReason,
    FunctionReport, LogprobsReport, MessageDelta, UsageReport,
};
use banter_seam::{Logprobs, ToolCall};
use futures_util::future::try_join_all;

/// Waits for the answers and writes them as one object of JSON.
pub(crate) async fn whole(asked: Asked, wants_logprobs: bool) -> Result<String, CannotAnswer> {
    let Asked { id, created, model, answers, .. } = asked;
    let answers = try_join_all(answers.into_iter().map(read_to_end)).await?;
    let mut usage = UsageReport::default();
    answers.iter().for_each(|answer| usage.add(&answer.finished.usage));
    let choices = answers.into_iter().enumerate();
    let completion = ChatCompletion {
        id: &name_of(&id),
        object: "chat.completion",
        created,
        model: &model,
        choices: choices.map(|(index, answer)| choice(index, answer, wants_logprobs)).collect(),
        usage,
    };
    Ok(json(&completion))
}

/// Writes the answers as a stream of events while they are made.
pub(crate) fn stream(asked: Asked, options: StreamOptions) -> Body {
    let Asked { id, created, model, answers, .. } = asked;
    let chat = ChatStream {
        id: name_of(&id),
        created,
        model,
        tells_usage: options.include_usage,
        choices: answers.iter().map(|_| StreamedChoice::default()).collect(),
        usage: UsageReport::default(),
    };
    Events::new(answers, chat).into_body()
}

fn name_of(id: &str) -> String {
    format!("chatcmpl-{id}")
}

fn choice(index: usize, answer: WholeAnswer, wants_logprobs: bool) -> Choice {
    let finish_reason = FinishReason::of(answer.reason, !answer.calls.is_empty());
    let is_said = !answer.text.is_empty() || answer.calls.is_empty();
    Choice {
        index,
        message: AnswerMessage {
            role: "assistant",
            content: is_said.then_some(answer.text),
            refusal: None,
            reasoning_content: Some(answer.thinking).filter(|thoughts| !thoughts.is_empty()),
            tool_calls: answer.calls.into_iter().map(CallReport::from).collect(),
        },
        logprobs: wants_logprobs.then(|| LogprobsReport::from(answer.logprobs)),
        finish_reason,
    }
}

/// A stream of chunks.
struct ChatStream {
    id: String,
    created: u64,
    model: String,
    tells_usage: bool,
    choices: Vec<StreamedChoice>,
    usage: UsageReport,
}

/// What is known of an answer whose pieces are sent.
#[derive(Default)]
struct StreamedChoice {
    /// They are sent with the next piece of text.
    logprobs: Vec<Logprobs>,
    calls: usize,
}

impl ChatStream {
    fn chunk(&self, choices: Vec<ChunkChoice>, usage: Option<UsageReport>, out: &mut String) {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage: self.tells_usage.then_some(usage),
        };
        send(out, &chunk);
    }

    /// The chunk with a piece of an answer, and with the log-probabilities that have come.
    fn piece(&mut self, index: usize, delta: MessageDelta, out: &mut String) {
        let choice = ChunkChoice { index, delta, logprobs: None, finish_reason: None };
        self.choice(choice, out);
    }

    fn choice(&mut self, mut choice: ChunkChoice, out: &mut String) {
        let logprobs = std::mem::take(&mut self.choices[choice.index].logprobs);
        choice.logprobs = (!logprobs.is_empty()).then(|| LogprobsReport::from(logprobs));
        self.chunk(vec![choice], None, out);
    }

    fn call(&mut self, index: usize, call: CallReport, out: &mut String) {
        self.piece(index, MessageDelta { tool_calls: vec![call], ..MessageDelta::default() }, out);
    }
}

impl Write for ChatStream {
    fn begin(&mut self, index: usize, out: &mut String) {
        let (role, content) = (Some("assistant"), Some(String::new()));
        self.piece(index, MessageDelta { role, content, ..MessageDelta::default() }, out);
    }

    fn update(&mut self, index: usize, update: Update, out: &mut String) {
        match update {
            Update::Waiting(_) | Update::Begun(_) | Update::Overdue | Update::Halted => {}
            Update::Logprobs(logprobs) => self.choices[index].logprobs.extend(logprobs),
            Update::Thinking(piece) => {
                let reasoning_content = Some(piece.text);
                let delta = MessageDelta { reasoning_content, ..MessageDelta::default() };
                self.piece(index, delta, out);
            }
            Update::Delta(piece) => {
                let content = Some(piece.text);
                self.piece(index, MessageDelta { content, ..MessageDelta::default() }, out);
            }
            Update::Call(CallBegun { id, name }) => {
                let place = self.choices[index].calls;
                self.choices[index].calls += 1;
                let call = ToolCall { id, name, arguments: String::new() };
                self.call(index, CallReport { index: Some(place), ..CallReport::from(call) }, out);
            }
            Update::Arguments(arguments) => {
                let place = Some(self.choices[index].calls.saturating_sub(1));
                let function = FunctionReport { name: None, arguments };
                self.call(index, CallReport { index: place, id: None, kind: None, function }, out);
            }
            Update::Ended(ended) => match end_of(&ended) {
                Ok(reason) => {
                    self.usage.add(&ended.finished.usage);
                    let reason = FinishReason::of(reason, self.choices[index].calls > 0);
                    let (delta, finish_reason) = (MessageDelta::default(), Some(reason));
                    self.choice(ChunkChoice { index, delta, logprobs: None, finish_reason }, out);
                }
                Err(why) => send_error(out, &why),
            },
        }
    }

    async fn end(&mut self, out: &mut String) {
        if self.tells_usage {
            self.chunk(Vec::new(), Some(self.usage), out);
        }
        send_done(out);
    }

    fn sign_of_life(&mut self, out: &mut String) {
        send_sign_of_life(out);
    }
}
