//! What happens to an answer while it is written, and how it ended.

use crate::Failure;

/// What happens to an answer while it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits in the queue; sent again when its place changes. Some may be left out.
    Queued {
        /// How many requests are ahead of it.
        ahead: usize,
        /// How long it will wait; `None` if that cannot be estimated.
        estimate_ms: Option<u64>,
    },
    /// Its prompt is being computed. Some may be left out.
    Prefill {
        /// Prompt tokens computed so far.
        done: usize,
        /// Prompt tokens in all.
        total: usize,
        /// Prompt tokens that were found computed already.
        cached: usize,
    },
    /// A sign of life without new text.
    Alive,
    /// A delta of what the model thinks before it answers: whole characters, never empty. It is not
    /// a part of the answer.
    Thinking(String),
    /// A delta of the answer.
    ///
    /// A backend that knows tokens tells each one once and in order, except the token that ends the
    /// answer. Text may be held back, so the text of all tokens so far begins with the text so far,
    /// and the two are always enough for a [`Continuation`](crate::Continuation).
    Delta {
        /// Whole characters. Empty only if there are tokens whose text is still held back, or is a
        /// part of a call.
        text: String,
        /// The tokens since the delta before; empty if the backend does not know them.
        tokens: Vec<u32>,
        /// How likely the model found each of these tokens; empty if the request does not want it.
        logprobs: Vec<Logprobs>,
    },
    /// The answer calls a function. Its calls come one after the other.
    Call {
        /// The name of the call, which no other call has.
        id: String,
        /// The name of the function.
        name: String,
    },
    /// A delta of the arguments of the newest call: whole characters, never empty.
    Arguments(String),
    /// The end.
    Finished(Finished),
}

/// How likely the model found a token of an answer, before any sampling parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// The token of the answer.
    pub chosen: TokenLogprob,
    /// The likeliest tokens at its place, the likeliest first.
    pub top: Vec<TokenLogprob>,
}

/// A token with the logarithm of its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The bytes that the token spells; of a control token, its literal.
    pub bytes: Vec<u8>,
    /// The logarithm of its probability, at most 0.
    pub logprob: f32,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Why.
    pub reason: FinishReason,
    /// The stop string that it would have contained, if the backend says so.
    pub stop_string: Option<String>,
    /// Its tokens.
    pub usage: Usage,
    /// Its times.
    pub timings: Timings,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub enum FinishReason {
    /// It ended for one of the reasons that clients know.
    Ended(EndReason),
    /// It failed, for this reason.
    Failed(Failure),
}

impl FinishReason {
    /// One word for the log.
    pub fn name(&self) -> &'static str {
        match self {
            FinishReason::Ended(reason) => reason.name(),
            FinishReason::Failed(failure) => failure.code(),
        }
    }
}

/// Tokens of an answer; a number is absent if another engine does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, and of the answer so far if the request has gone on with one.
    pub prompt_tokens: Option<usize>,
    /// Those of them that were found in the cache.
    pub cached_tokens: Option<usize>,
    /// New tokens of the answer.
    pub completion_tokens: Option<usize>,
}

/// Times of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Time from the request to the first token, if there was one.
    pub first_token_ms: Option<f32>,
    /// Speed after the first token, if there were two.
    pub tokens_per_second: Option<f32>,
    /// Time from the stop to the halt of the computation.
    pub halt_ms: Option<f32>,
}

/// Why an answer ended. An answer that failed has a [`Failure`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The model has ended it.
    End,
    /// It would have contained one of the request's stop strings.
    StopString,
    /// It has as many tokens as it may have, or the context is full.
    Length,
    /// The client has stopped it.
    Stopped,
    /// A content filter of the engine has cut it off.
    Filtered,
    /// The engine has cut it off because it lacked resources.
    Unavailable,
}

impl EndReason {
    /// One word for it, which languages and the log use.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::End => "end",
            EndReason::StopString => "stop_string",
            EndReason::Length => "length",
            EndReason::Stopped => "stopped",
            EndReason::Filtered => "filtered",
            EndReason::Unavailable => "unavailable",
        }
    }
}
