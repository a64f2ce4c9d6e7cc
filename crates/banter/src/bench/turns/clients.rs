//! The clients: conversations of a given length, and threads that read answers.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use banter_engine::engine::{Engine, Event, Finished, GenerateRequest, Generation, Submit};
use banter_engine::sampler::SamplingParams;
use banter_engine::text::{Message, Role, TemplateExtras, TokenId};

/// Sends requests to an engine. No two conversations are the same.
pub struct Clients<'a> {
    engine: &'a Engine,
    /// Makes texts different from their first word on.
    next: Cell<u64>,
}

/// An answer, and when its words came.
pub struct Heard {
    /// All of it.
    pub text: String,
    /// How it ended.
    pub finished: Finished,
    /// When each delta came.
    pub at: Vec<Instant>,
}

impl<'a> Clients<'a> {
    /// Clients of an engine.
    pub fn new(engine: &'a Engine) -> Clients<'a> {
        Clients { engine, next: Cell::new(1) }
    }

    /// The engine.
    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// A message that takes about `tokens` more tokens after `before`.
    ///
    /// Errors: it does not fit.
    pub fn conversation(&self, before: &[Message], tokens: usize) -> anyhow::Result<Vec<Message>> {
        let seed = self.next.replace(self.next.get() + 1);
        let of_words = |words: usize| {
            let message = message(Role::User, words_of(seed, words));
            [before, &[message]].concat()
        };
        let length = |words| Ok::<_, anyhow::Error>(self.ids(&of_words(words))?.len());
        let wanted = tokens + if before.is_empty() { 0 } else { self.ids(before)?.len() };
        // A word has at least one token, and all words have about the same.
        let few = 8;
        let per_word = (length(2 * few)? - length(few)?) as f64 / few as f64;
        let rest = wanted.saturating_sub(length(few)?) as f64 / per_word;
        let words = few + rest as usize;
        // Some words are longer than those that were measured.
        let off = (wanted as f64 - length(words)? as f64) / per_word;
        Ok(of_words((words as f64 + off).max(1.0) as usize))
    }

    /// Tokens of a conversation.
    ///
    /// Errors: it does not fit.
    pub fn ids(&self, messages: &[Message]) -> anyhow::Result<Vec<TokenId>> {
        let prompt = self
            .engine
            .fit(messages, &TemplateExtras::default(), Some(1))
            .context("a conversation")?;
        anyhow::ensure!(prompt.dropped_messages == 0, "the conversation does not fit");
        Ok(prompt.ids)
    }

    /// Asks for an answer of exactly `tokens` tokens, unless the model ends it.
    ///
    /// Errors: the engine refuses.
    pub fn ask(&self, messages: Vec<Message>, tokens: usize) -> anyhow::Result<Generation> {
        let seed = self.next.replace(self.next.get() + 1);
        let request = GenerateRequest {
            sampling: SamplingParams { seed: Some(seed), ..SamplingParams::default() },
            max_tokens: Some(tokens),
            ..GenerateRequest::new(messages)
        };
        match self.engine.submit(request) {
            Submit::Accepted(generation) => Ok(generation),
            other => bail!("expected an answer, found {other:?}"),
        }
    }

    /// Asks, and reads the answer to its end.
    pub fn answer(&self, messages: Vec<Message>, tokens: usize) -> anyhow::Result<Heard> {
        Ok(hear(self.ask(messages, tokens)?))
    }

    /// The message and its answer, for the next request.
    pub fn answered(&self, messages: Vec<Message>, tokens: usize) -> anyhow::Result<Vec<Message>> {
        let heard = self.answer(messages.clone(), tokens)?;
        Ok([messages, vec![message(Role::Assistant, heard.text)]].concat())
    }
}

impl Heard {
    /// From the request to the first word, in milliseconds.
    pub fn first_word_ms(&self) -> anyhow::Result<f64> {
        let first = self.finished.timings.first_token_ms;
        first.map(f64::from).with_context(|| format!("no word came: {:?}", self.finished))
    }
}

/// Reads an answer to its end.
pub fn hear(mut generation: Generation) -> Heard {
    let (mut text, mut at) = (String::new(), Vec::new());
    loop {
        match generation.next_blocking().expect("an answer is told its end") {
            // Tokens alone, whose text is held back.
            Event::Delta { text: delta, .. } if delta.is_empty() => {}
            Event::Delta { text: delta, .. } => {
                at.push(Instant::now());
                text.push_str(&delta);
            }
            Event::Finished(finished) => return Heard { text, finished, at },
            Event::Queued { .. } | Event::Prefill { .. } => {}
        }
    }
}

/// A duration in milliseconds, the unit of the figures.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A message.
pub fn message(role: Role, content: String) -> Message {
    Message::new(role, content)
}

/// Words that no other seed gives.
fn words_of(seed: u64, words: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut letter = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 59) as u8 % 26)
    };
    let mut word = || (0..5).map(|_| letter()).collect::<String>();
    (0..words).map(|_| word()).collect::<Vec<String>>().join(" ")
}
