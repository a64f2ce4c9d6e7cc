//! One event of an answer: what OpenAI's language calls a chunk.

use serde::Deserialize;
use serde_json::Value;

/// A chunk as far as it is looked at. Engines leave out what they like, or say `null`.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    choices: Option<Vec<Choice>>,
    pub(super) usage: Option<Usage>,
    pub(super) timings: Option<Timings>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

/// Tokens, as the engine counts them.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: Option<usize>,
    pub(super) completion_tokens: Option<usize>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<usize>,
}

impl Usage {
    pub(super) fn cached_tokens(&self) -> Option<usize> {
        self.prompt_tokens_details?.cached_tokens
    }
}

/// What llama-server measures.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Timings {
    pub(super) prompt_n: Option<usize>,
    pub(super) cache_n: Option<usize>,
    pub(super) predicted_n: Option<usize>,
    pub(super) predicted_per_second: Option<f64>,
}

impl Chunk {
    /// The text of the first choice, and why it has ended if it has.
    pub(super) fn into_first(self) -> (String, Option<String>) {
        let first = self.choices.unwrap_or_default().into_iter().next();
        let Some(choice) = first else { return (String::new(), None) };
        let text = choice.delta.and_then(|delta| delta.content).unwrap_or_default();
        (text, choice.finish_reason)
    }
}
