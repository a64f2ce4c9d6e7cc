//! Counting tokens by the engine, and leaving out the oldest exchanges of a conversation that has
//! too many.

use std::sync::MutexGuard;
use std::time::Duration;

use banter_seam::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::RemoteEngine;
use super::error::EngineError;
use super::history::{History, LeastTokens};
use super::kind::Counting;
use super::request::as_json;

/// An answer gets at least this part of the context, if it asks for so much.
const ANSWER_PART: usize = 4;

/// An engine that cannot count is asked again after this time.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The part of a conversation that is sent.
pub(super) struct Cut<'a> {
    history: &'a History<'a>,
    dropped_exchanges: usize,
    pub(super) max_tokens: usize,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
}

impl<'a> Cut<'a> {
    /// The messages that are sent.
    pub(super) fn kept(&self) -> impl Iterator<Item = &'a Message> + Clone {
        self.history.without(self.dropped_exchanges)
    }

    pub(super) fn dropped_messages(&self) -> usize {
        self.history.messages_of(self.dropped_exchanges)
    }

    pub(super) fn least_tokens(&self) -> LeastTokens {
        self.history.least_tokens(self.dropped_exchanges)
    }

    /// Asks for less after the engine has refused: first a shorter answer, then half of the
    /// exchanges. False if nothing more can be left out.
    pub(super) fn shorten(&mut self, context: usize) -> bool {
        if shorten_answer(&mut self.max_tokens, context) {
            return true;
        }
        let kept = self.history.droppable_exchanges() - self.dropped_exchanges;
        self.dropped_exchanges += kept.div_ceil(2);
        kept > 0
    }
}

/// Leaves more of the context to the prompt; false if the answer has its part already.
pub(super) fn shorten_answer(max_tokens: &mut usize, context: usize) -> bool {
    let reserve = (context / ANSWER_PART).max(1);
    let is_longer = *max_tokens > reserve;
    if is_longer {
        *max_tokens = reserve;
    }
    is_longer
}

impl RemoteEngine {
    /// Whether [`RemoteEngine::fit`] can count, as far as the engine has shown.
    pub fn counts_tokens(&self) -> bool {
        self.counting() != Counting::None && self.context_tokens().is_some()
    }

    /// The token ids of a text; `None` if the engine cannot count.
    pub async fn tokenize(&self, text: &str) -> Result<Option<Vec<u32>>, EngineError> {
        let model = &self.0.model;
        let body = match self.counting() {
            Counting::Messages => {
                json!({"model": model, "prompt": text, "add_special_tokens": false})
            }
            Counting::Prompt => {
                json!({"model": model, "content": text, "add_special": false, "parse_special": false})
            }
            Counting::None => return Ok(None),
        };
        match self.ask_own::<Tokens>("tokenize", &body).await {
            Ok(found) => Ok(Some(found.tokens)),
            Err(_) if self.counting() == Counting::None => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many tokens of the context a conversation takes beside an answer of `max_tokens`, and
    /// how many messages would be left out; `None` if the engine cannot count.
    pub async fn fit(
        &self,
        messages: &[Message],
        max_tokens: usize,
    ) -> Result<Option<(usize, usize)>, EngineError> {
        let Some(context) = self.context_tokens() else { return Ok(None) };
        if self.counting() == Counting::None {
            return Ok(None);
        }
        let history = History::new(messages);
        let counted = async {
            let cut = self.cut_counted(&history, max_tokens, context).await?;
            let tokens = self.count(&history, cut.dropped_exchanges).await?;
            Ok(Some((tokens, cut.dropped_messages())))
        };
        match counted.await {
            Err(_) if self.counting() == Counting::None => Ok(None),
            counted => counted,
        }
    }

    /// Leaves out the oldest exchanges until the conversation fits, as far as that is known. A
    /// conversation that surely fits is not counted.
    ///
    /// Errors: the newest message does not fit even alone.
    pub(super) async fn cut<'a>(
        &self,
        history: &'a History<'a>,
        wanted: usize,
    ) -> Result<Cut<'a>, EngineError> {
        let Some(context) = self.context_tokens() else {
            return Ok(Cut { history, dropped_exchanges: 0, max_tokens: wanted });
        };
        if self.counting() != Counting::None {
            match self.cut_counted(history, wanted, context).await {
                // The engine itself will say whether it fits.
                Err(error) if !matches!(error, EngineError::TooLong { .. }) => {}
                cut => return cut,
            }
        }
        cut_uncounted(history, wanted, context)
    }

    async fn cut_counted<'a>(
        &self,
        history: &'a History<'a>,
        wanted: usize,
        context: usize,
    ) -> Result<Cut<'a>, EngineError> {
        if history.most_tokens().saturating_add(wanted) <= context {
            return Ok(Cut { history, dropped_exchanges: 0, max_tokens: wanted });
        }
        let reserve = wanted.min(context / ANSWER_PART);
        // Finds the smallest number of left-out exchanges that is enough, by halving.
        let (mut enough, mut too_few) = (history.droppable_exchanges(), 0);
        let mut tokens = self.count(history, 0).await?;
        if tokens + reserve <= context {
            enough = 0;
        } else {
            tokens = self.count(history, enough).await?;
            while enough > too_few + 1 {
                let tried = usize::midpoint(enough, too_few);
                let counted = self.count(history, tried).await?;
                if counted + reserve <= context {
                    (enough, tokens) = (tried, counted);
                } else {
                    too_few = tried;
                }
            }
        }
        if tokens >= context {
            let (tokens, limit) = (Some(tokens), Some(context - 1));
            return Err(EngineError::TooLong { tokens, limit });
        }
        Ok(Cut { history, dropped_exchanges: enough, max_tokens: wanted.min(context - tokens) })
    }

    /// The tokens of a conversation without its oldest exchanges.
    async fn count(&self, history: &History<'_>, dropped: usize) -> Result<usize, EngineError> {
        let (model, messages) = (&self.0.model, as_json(history.without(dropped)));
        let mut body = history.template_fields().clone();
        body.insert("model".to_owned(), json!(model));
        body.insert("messages".to_owned(), messages);
        if self.counting() == Counting::Messages {
            body.insert("add_generation_prompt".to_owned(), json!(true));
            let counted = self.ask_own::<Tokens>("tokenize", &Value::Object(body)).await?;
            return Ok(counted.tokens.len());
        }
        let Prompt { prompt } = self.ask_own("apply-template", &Value::Object(body)).await?;
        let body =
            json!({"model": model, "content": prompt, "add_special": false, "parse_special": true});
        Ok(self.ask_own::<Tokens>("tokenize", &body).await?.tokens.len())
    }

    /// How the engine counts, as far as it has shown.
    fn counting(&self) -> Counting {
        match self.uncountable_until().is_some_and(|until| Instant::now() < until) {
            true => Counting::None,
            false => self.0.about.kind.counting(),
        }
    }

    fn uncountable_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.uncountable_until.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks a path of the engine's own interface, and remembers for a while if it does not exist:
    /// some gateways pass on only OpenAI's interface, others only while the engine starts.
    async fn ask_own<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        body: &Value,
    ) -> Result<T, EngineError> {
        let client = &self.0.client;
        let asked = client.ask(client.interface.own(&[name]), body).await;
        let is_missing = match &asked {
            Err(EngineError::Status { status, .. }) => matches!(status, 404 | 405 | 410 | 501),
            Err(EngineError::NotAllowed { .. } | EngineError::Unexpected(_)) => true,
            _ => false,
        };
        if is_missing {
            *self.uncountable_until() = Some(Instant::now() + ASK_AGAIN_AFTER);
        }
        asked
    }
}

/// Leaves out what surely does not fit. Whether the rest fits, the engine will say.
///
/// Errors: the newest message surely does not fit even alone.
fn cut_uncounted<'a>(
    history: &'a History<'a>,
    wanted: usize,
    context: usize,
) -> Result<Cut<'a>, EngineError> {
    let (mut enough, mut too_few) = (history.droppable_exchanges(), 0);
    let fits = |dropped: usize| history.least_tokens(dropped).all < context;
    if fits(0) {
        enough = 0;
    }
    while enough > too_few + 1 {
        let tried = usize::midpoint(enough, too_few);
        if fits(tried) { enough = tried } else { too_few = tried }
    }
    let least = history.least_tokens(enough).all;
    if least >= context {
        let (tokens, limit) = (Some(least), Some(context - 1));
        return Err(EngineError::TooLong { tokens, limit });
    }
    // A request for an answer as long as the whole context would be refused.
    let sure = context.saturating_sub(history.most_tokens()).max(context / ANSWER_PART).max(1);
    let max_tokens = if wanted < context { wanted } else { sure };
    Ok(Cut { history, dropped_exchanges: enough, max_tokens })
}
