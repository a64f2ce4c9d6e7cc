//! `/v1/completions`: what happens to answers, in OpenAI's words.

use super::words::{json, send, send_done, send_error, send_sign_of_life};
use crate::answers::Update;
use crate::interfaces::asking::{Asked, CannotAnswer, end_of};
use crate::interfaces::events::{Events, Write};
use crate::interfaces::whole::read_to_end;
use axum::body::Body;
use banter_protocol::interfaces::openai::StreamOptions;
use banter_protocol::interfaces::openai::answer::{FinishReason, UsageReport};
use banter_protocol::interfaces::openai::completions::{
    Completion, CompletionChoice, CompletionLogprobs,
};
use banter_seam::Logprobs;
use futures_util::future::try_join_all;

/// Waits for the answers and writes them as one object of JSON. Each prompt has `count` of them.
pub(crate) async fn whole(
    asked: Asked,
    wants_logprobs: bool,
    count: u32,
) -> Result<String, CannotAnswer> {
    let Asked { id, created, model, answers, .. } = asked;
    let answers = try_join_all(answers.into_iter().map(read_to_end)).await?;
    let mut usage = Usage::new(count);
    let mut choices = Vec::with_capacity(answers.len());
    for (index, answer) in answers.into_iter().enumerate() {
        usage.add(index, &answer.finished.usage);
        choices.push(CompletionChoice {
            index,
            text: answer.text,
            logprobs: wants_logprobs.then(|| CompletionLogprobs::of(answer.logprobs, &mut 0)),
            finish_reason: Some(FinishReason::of(answer.reason, false)),
        });
    }
    Ok(json(&Completion {
        id: &name_of(&id),
        object: "text_completion",
        created,
        model: &model,
        choices,
        usage: Some(usage.total()),
    }))
}

/// Writes the answers as a stream of events while they are made.
pub(crate) fn stream(asked: Asked, options: StreamOptions, count: u32) -> Body {
    let Asked { id, created, model, answers, .. } = asked;
    let stream = CompletionStream {
        id: name_of(&id),
        created,
        model,
        usage: options.include_usage.then(|| Usage::new(count)),
        choices: answers.iter().map(|_| StreamedChoice::default()).collect(),
    };
    Events::new(answers, stream).into_body()
}

fn name_of(id: &str) -> String {
    format!("cmpl-{id}")
}

/// Tokens of answers to several prompts: those of each prompt count once.
struct Usage {
    count: usize,
    of_prompts: Vec<UsageReport>,
}

impl Usage {
    fn new(count: u32) -> Usage {
        Usage { count: count as usize, of_prompts: Vec::new() }
    }

    fn add(&mut self, answer: usize, usage: &banter_seam::Usage) {
        let prompt = answer / self.count;
        if self.of_prompts.len() <= prompt {
            self.of_prompts.resize(prompt + 1, UsageReport::default());
        }
        self.of_prompts[prompt].add(usage);
    }

    fn total(&self) -> UsageReport {
        self.of_prompts.iter().copied().fold(UsageReport::default(), UsageReport::plus)
    }
}

struct CompletionStream {
    id: String,
    created: u64,
    model: String,
    /// Tokens of all answers, if they are asked for.
    usage: Option<Usage>,
    choices: Vec<StreamedChoice>,
}

#[derive(Default)]
struct StreamedChoice {
    /// They are sent with the next piece of text.
    logprobs: Vec<Logprobs>,
    /// Characters of the text so far.
    offset: usize,
}

impl CompletionStream {
    fn event(&self, choices: Vec<CompletionChoice>, usage: Option<UsageReport>, out: &mut String) {
        let event = Completion {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        send(out, &event);
    }

    fn piece(
        &mut self,
        index: usize,
        text: String,
        finish_reason: Option<FinishReason>,
        out: &mut String,
    ) {
        let StreamedChoice { logprobs, offset } = &mut self.choices[index];
        let logprobs = std::mem::take(logprobs);
        let logprobs = (!logprobs.is_empty()).then(|| CompletionLogprobs::of(logprobs, offset));
        self.event(vec![CompletionChoice { index, text, logprobs, finish_reason }], None, out);
    }
}

impl Write for CompletionStream {
    fn begin(&mut self, _answer: usize, _out: &mut String) {}

    fn update(&mut self, index: usize, update: Update, out: &mut String) {
        match update {
            Update::Delta(piece) => self.piece(index, piece.text, None, out),
            Update::Logprobs(logprobs) => self.choices[index].logprobs.extend(logprobs),
            Update::Ended(ended) => match end_of(&ended) {
                Ok(reason) => {
                    if let Some(usage) = &mut self.usage {
                        usage.add(index, &ended.finished.usage);
                    }
                    let reason = FinishReason::of(reason, false);
                    self.piece(index, String::new(), Some(reason), out);
                }
                Err(why) => send_error(out, &why),
            },
            Update::Waiting(_)
            | Update::Begun(_)
            | Update::Thinking(_)
            | Update::Call(_)
            | Update::Arguments(_)
            | Update::Overdue
            | Update::Halted => {}
        }
    }

    async fn end(&mut self, out: &mut String) {
        if let Some(usage) = &self.usage {
            self.event(Vec::new(), Some(usage.total()), out);
        }
        send_done(out);
    }

    fn sign_of_life(&mut self, out: &mut String) {
        send_sign_of_life(out);
    }
}
