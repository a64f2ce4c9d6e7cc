//! Engines that others run: vLLM, SGLang, llama-server, Ollama, whatever speaks OpenAI's language.
//!
//! Reading order:
//! - [`RemoteEngine`] below: an engine at an address, and one request to it.
//! - `finding`: which engine and which model answer there.
//! - [`kind`]: the known engines, and what each calls its parameters.
//! - `history`: what goes when a conversation does not fit.
//! - [`answer`]: the pieces of an answer; `sse` and `chunk`: how they are written.
//! - `breaker`: leaving a failing engine alone; [`error`]: what can go wrong.
//!
//! The address is the operator's: it comes from the configuration, is read by
//! [`Address`], and no answer of the engine leads anywhere else.

pub mod answer;
mod breaker;
mod chunk;
pub mod error;
mod finding;
mod history;
pub mod kind;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use banter_protocol::plain::{Ask, Role, Turn};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::address::Address;
use crate::client;
use breaker::{Breaker, Failure};
use history::History;
use kind::Counting;

pub use answer::{Answer, AnswerUsage, End, EndReason, Step};
pub use error::EngineError;
pub use kind::{EngineDefaults, KINDS, Kind};

/// Longest response to anything but a conversation.
const MAX_RESPONSE_BYTES: usize = 8 << 20;
/// An answer is given this part of the context at least, as far as it asks for it.
const ANSWER_PART: usize = 4;
/// The context that an engine is taken to have if it does not say, when a conversation is too long
/// for it.
const ASSUMED_CONTEXT: usize = 4_096;

/// Which engine to use.
#[derive(Clone)]
pub struct EngineSettings {
    /// Its address, with or without `/v1` at the end.
    pub address: Address,
    /// The key it asks for.
    pub key: Option<String>,
    /// What kind it is; found out if left out.
    pub kind: Option<Kind>,
    /// Its model; may be left out if it has one.
    pub model: Option<String>,
    /// How long to wait.
    pub patience: EnginePatience,
}

/// How long an engine may take.
#[derive(Clone, Copy, Debug)]
pub struct EnginePatience {
    /// Until a connection stands.
    pub connect: Duration,
    /// For everything but an answer.
    pub control: Duration,
    /// Until an answer's headers come.
    pub headers: Duration,
}

impl Default for EnginePatience {
    fn default() -> Self {
        EnginePatience {
            connect: Duration::from_secs(5),
            control: Duration::from_secs(10),
            headers: Duration::from_secs(120),
        }
    }
}

/// What is known about an engine and its model.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// What kind of engine it is.
    pub kind: Kind,
    /// The model's name, for people.
    pub model: String,
    /// Prompt and answer together can have this many tokens.
    pub context_tokens: Option<usize>,
    /// How many parameters the model has.
    pub parameters: Option<u64>,
    /// Bytes of its weights.
    pub weights_bytes: Option<u64>,
}

/// An engine at an address. Cheap to clone.
#[derive(Clone)]
pub struct RemoteEngine(Arc<Inner>);

struct Inner {
    line: Line,
    about: About,
    /// What requests call the model; a server with a single one may have no word for it.
    model: Option<String>,
    breaker: Arc<Breaker>,
    /// For engines that break off one answer for another: they get one request at a time.
    turn: Option<Arc<Semaphore>>,
}

/// The way to an engine.
struct Line {
    client: Client,
    address: Address,
    authorization: Option<HeaderValue>,
    patience: EnginePatience,
}

/// What is sent of a conversation.
struct Cut<'a> {
    history: &'a History<'a>,
    dropped_turns: usize,
    max_tokens: usize,
}

impl RemoteEngine {
    /// Asks an engine what it is and has.
    ///
    /// Errors: it cannot be reached, wants a key, is no engine, or the model is not to be told.
    pub async fn find(settings: &EngineSettings) -> Result<RemoteEngine, EngineError> {
        let line = Line::to(settings)?;
        let (about, model) = finding::find(&line, settings).await?;
        let breaker = Arc::default();
        let turn = about.kind.breaks_off().then(|| Arc::new(Semaphore::new(1)));
        Ok(RemoteEngine(Arc::new(Inner { line, about, model, breaker, turn })))
    }

    /// What it is and has.
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.0.line.address
    }

    /// Whether it says that it is well.
    ///
    /// Errors: it cannot be reached, or says that it is not.
    pub async fn probe(&self) -> Result<(), EngineError> {
        let url = self.0.line.url(self.0.about.kind.health_path());
        self.0.line.control(self.0.line.client.get(url)).await?;
        self.0.breaker.reached();
        Ok(())
    }

    /// Starts an answer. Dropping the future, or the answer it yields, closes the connection.
    ///
    /// The oldest turns go when the conversation does not fit, as far as the engine lets on.
    ///
    /// Errors: a parameter that it does not have; a message that does not fit alone; whatever else
    /// [`EngineError`] names.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, EngineError> {
        let sampling = self.0.about.kind.translate(&ask.parameters)?;
        let turn = match self.0.turn.clone() {
            Some(turn) => Some(turn.acquire_owned().await.expect("it is never closed")),
            None => None,
        };
        self.0.breaker.admit().map_err(|retry_in| EngineError::Resting { retry_in })?;
        let asked = Instant::now();
        let wanted = ask.parameters.max_tokens as usize;
        let history = History::new(&ask.turns);
        let mut cut = self.cut(&history, wanted).await.inspect_err(|error| self.note(error))?;
        loop {
            let mut body = sampling.clone();
            body.insert("messages".to_owned(), messages(history.without(cut.dropped_turns)));
            body.insert("max_tokens".to_owned(), json!(cut.max_tokens));
            body.insert("stream".to_owned(), json!(true));
            if let Some(model) = &self.0.model {
                body.insert("model".to_owned(), json!(model));
            }
            if let Some(options) = self.0.about.kind.stream_options() {
                body.insert("stream_options".to_owned(), options);
            }
            match self.begin(&Value::Object(body)).await {
                Ok(response) => {
                    let dropped = history.messages_of(cut.dropped_turns);
                    return Ok(Answer::new(response, asked, dropped, self.0.breaker.clone(), turn));
                }
                Err(error @ EngineError::TooLong { limit, .. }) => {
                    let context = limit.or(self.0.about.context_tokens);
                    if !cut.shorten(context.unwrap_or(ASSUMED_CONTEXT)) {
                        return Err(error);
                    }
                }
                Err(error) => {
                    self.note(&error);
                    return Err(error);
                }
            }
        }
    }

    /// The ids of a text; `None` if the engine cannot say.
    pub async fn tokenize(&self, text: &str) -> Result<Option<Vec<u32>>, EngineError> {
        let body = match self.0.about.kind.counting() {
            Counting::Messages => {
                json!({"model": self.0.model, "prompt": text, "add_special_tokens": false})
            }
            Counting::Prompt => {
                json!({"content": text, "add_special": false, "parse_special": false})
            }
            Counting::None => return Ok(None),
        };
        Ok(Some(self.0.line.ask::<Tokens>(&["tokenize"], &body).await?.tokens))
    }

    /// How many tokens of the context a conversation takes beside an answer of `max_tokens`, and how
    /// many messages would be left out; `None` if the engine cannot say.
    pub async fn fit(
        &self,
        turns: &[Turn],
        max_tokens: usize,
    ) -> Result<Option<(usize, usize)>, EngineError> {
        if self.0.about.kind.counting() == Counting::None || self.0.about.context_tokens.is_none() {
            return Ok(None);
        }
        let history = History::new(turns);
        let cut = self.cut(&history, max_tokens).await?;
        let tokens = self.count(&history, cut.dropped_turns).await?;
        Ok(Some((tokens, history.messages_of(cut.dropped_turns))))
    }

    /// Cuts a conversation to what fits, if the engine counts tokens. What fits surely is not counted.
    async fn cut<'a>(
        &self,
        history: &'a History<'a>,
        wanted: usize,
    ) -> Result<Cut<'a>, EngineError> {
        let whole = Cut { history, dropped_turns: 0, max_tokens: wanted };
        let Some(context) = self.0.about.context_tokens else { return Ok(whole) };
        if self.0.about.kind.counting() == Counting::None
            || history.most_tokens().saturating_add(wanted) <= context
        {
            return Ok(whole);
        }
        let reserve = wanted.min(context / ANSWER_PART);
        // The fewest dropped turns that leave enough room, by halves.
        let (mut enough, mut too_few) = (history.droppable_turns(), 0);
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
        Ok(Cut { history, dropped_turns: enough, max_tokens: wanted.min(context - tokens) })
    }

    /// The tokens of a conversation without its oldest turns.
    async fn count(&self, history: &History<'_>, dropped: usize) -> Result<usize, EngineError> {
        let messages = messages(history.without(dropped));
        if self.0.about.kind.counting() == Counting::Messages {
            let body = json!({
                "model": self.0.model, "messages": messages, "add_generation_prompt": true,
            });
            return Ok(self.0.line.ask::<Tokens>(&["tokenize"], &body).await?.tokens.len());
        }
        let body = json!({"messages": messages});
        let Prompt { prompt } = self.0.line.ask(&["apply-template"], &body).await?;
        let body = json!({"content": prompt, "add_special": false, "parse_special": true});
        Ok(self.0.line.ask::<Tokens>(&["tokenize"], &body).await?.tokens.len())
    }

    /// Sends a request for an answer, and waits until it begins.
    async fn begin(&self, body: &Value) -> Result<Response, EngineError> {
        let request = self.0.line.client.post(self.0.line.url(&["v1", "chat", "completions"]));
        let request = self.0.line.signed(with_json(request, body));
        let patience = self.0.line.patience.headers;
        let response = timeout(patience, request.send())
            .await
            .map_err(|_| EngineError::Silent(patience))?
            .map_err(|error| EngineError::of_connection(&error))?;
        let response = self.0.line.checked(response).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            let what = format!("expected a stream of events, found {kind:?}");
            return Err(EngineError::Strange(what));
        }
        Ok(response)
    }

    /// Tells the breaker, if it is the engine's failure and not the request's.
    fn note(&self, error: &EngineError) {
        match error {
            EngineError::Connection(_) => self.0.breaker.failed(Failure::Connection),
            EngineError::Silent(_) | EngineError::Strange(_) | EngineError::Failed(_) => {
                self.0.breaker.failed(Failure::Answer);
            }
            EngineError::Status { status, .. } if *status >= 500 => {
                self.0.breaker.failed(Failure::Answer);
            }
            _ => {}
        }
    }
}

impl Cut<'_> {
    /// Asks for less, after the engine has refused: a shorter answer first, then half of the turns.
    /// Whether there is anything left to go.
    fn shorten(&mut self, context: usize) -> bool {
        let reserve = context / ANSWER_PART;
        if self.max_tokens > reserve {
            self.max_tokens = reserve.max(1);
            return true;
        }
        let kept = self.history.droppable_turns() - self.dropped_turns;
        self.dropped_turns += kept.div_ceil(2);
        kept > 0
    }
}

impl Line {
    fn to(settings: &EngineSettings) -> Result<Line, EngineError> {
        let patience = settings.patience;
        let client = client::for_engine(&settings.address, patience.connect);
        let bearer = |key: &String| HeaderValue::from_str(&format!("Bearer {key}"));
        let authorization = settings.key.as_ref().map(bearer).transpose();
        let mut authorization = authorization
            .map_err(|_| EngineError::Strange("a key that is no header".to_owned()))?;
        if let Some(authorization) = &mut authorization {
            authorization.set_sensitive(true);
        }
        Ok(Line {
            client: client.map_err(EngineError::Connection)?,
            address: settings.address.without_last("v1"),
            authorization,
            patience,
        })
    }

    fn url(&self, segments: &[&str]) -> url::Url {
        self.address.below(segments.iter().copied())
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// Asks something, and reads JSON.
    async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, EngineError> {
        let request = with_json(self.client.post(self.url(path)), body);
        self.read(&self.control(request).await?, path)
    }

    /// Gets something, and reads JSON.
    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, EngineError> {
        self.read(&self.control(self.client.get(self.url(path))).await?, path)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8], path: &[&str]) -> Result<T, EngineError> {
        serde_json::from_slice(body).map_err(|error| {
            let path = path.join("/");
            let kind = error.classify();
            EngineError::Strange(format!(
                "/{path}: expected an engine's JSON, found other ({kind:?})"
            ))
        })
    }

    /// The body of a response that must come soon.
    async fn control(&self, request: RequestBuilder) -> Result<Vec<u8>, EngineError> {
        let patience = self.patience.control;
        let exchange = async {
            let response = self.signed(request).send().await;
            let response = response.map_err(|error| EngineError::of_connection(&error))?;
            read_body(self.checked(response).await?).await
        };
        timeout(patience, exchange).await.unwrap_or(Err(EngineError::Silent(patience)))
    }

    /// The response, if its status is one of success.
    async fn checked(&self, response: Response) -> Result<Response, EngineError> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        // What it says helps to understand the status; without it the status alone must do.
        let words = timeout(self.patience.control, read_body(response)).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        Err(EngineError::of_status(status.as_u16(), retry_after, &words))
    }
}

#[derive(serde::Deserialize)]
struct Tokens {
    tokens: Vec<u32>,
}

#[derive(serde::Deserialize)]
struct Prompt {
    prompt: String,
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, EngineError> {
    let mut body = Vec::new();
    loop {
        let piece = response.chunk().await.map_err(|error| EngineError::of_connection(&error))?;
        let Some(piece) = piece else { return Ok(body) };
        if body.len() + piece.len() > MAX_RESPONSE_BYTES {
            let what = format!("a response of more than {MAX_RESPONSE_BYTES} bytes");
            return Err(EngineError::Strange(what));
        }
        body.extend_from_slice(&piece);
    }
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_string())
}

fn messages<'a>(turns: impl Iterator<Item = &'a Turn>) -> Value {
    let message = |turn: &Turn| {
        let role = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json!({"role": role, "content": turn.content})
    };
    turns.map(message).collect()
}
