//! Engines that others run: vLLM, SGLang, llama-server, Ollama, and any other with OpenAI's
//! interface.
//!
//! Reading order:
//! - [`RemoteEngine`] below: an engine at an address, and one request to it.
//! - `finding`: which engine and which model are at an address; `interface`: at which paths.
//! - [`kind`]: the known engines and the names of their parameters; `learned`: what this one
//!   refuses.
//! - `counting`: counting tokens, and leaving out what does not fit the context (`history`).
//! - `request`: a request for an answer as JSON; `http`: requests and responses.
//! - [`answer`]: the deltas of an answer. `body` (`sse`, `json_values`) turns its bytes into
//!   events, `chunk`, `calls`, `log_probabilities` and `finish` turn the events into deltas.
//! - `embedding`: texts that become vectors.
//! - `breaker`: sending nothing to a failing engine for a while.
//! - [`error`] and `words`: what can go wrong.
//! - [`parsers`]: the parsers of the engines' bytes, for fuzzing.
//!
//! Engines differ in many details. A field that is not needed may have any form. Text that is shown
//! must be read without doubt; otherwise the answer ends in an error.
//!
//! The address comes from the operator's configuration and is read by [`Address`]. No answer of the
//! engine leads to another address.

pub mod answer;
mod body;
mod breaker;
mod calls;
mod chunk;
mod counting;
mod embedding;
pub mod error;
mod finding;
mod finish;
mod history;
mod http;
mod interface;
mod json_values;
pub mod kind;
mod learned;
mod log_probabilities;
pub mod parsers;
mod request;
mod sse;
mod words;

pub(crate) use sse::EventReader;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banter_seam::{GenerateRequest, Prompt, Tenant};
use data_encoding::BASE64URL_NOPAD;
use reqwest::Response;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::address::Address;
use answer::Asked;
use breaker::Breaker;
use calls::CallRules;
use error::RefusalResponse;
use history::History;
use http::{EngineClient, NoResponse};
use learned::{Learned, Lesson};
use request::{Content, Request, Wish, passed_on, refuse_to_continue, template_fields, wishes};

pub use answer::{Answer, End, Ending, SilentCut, Step};
pub use error::EngineError;
pub use kind::{EngineDefaults, KINDS, Kind};

/// The context that is assumed if an engine refuses a conversation as too long and does not say its
/// context.
const ASSUMED_CONTEXT: usize = 4_096;
/// How many forms of one request are tried. Each refusal must have taught something new.
const MAX_FORMS: usize = 12;

/// Which engine to use.
#[derive(Clone)]
pub struct EngineSettings {
    /// Its address: of the server, of its interface (`…/v1`), or of a path there.
    pub address: Address,
    /// The key that it needs.
    pub key: Option<String>,
    /// Its kind; found out if `None`.
    pub kind: Option<Kind>,
    /// Its model; may be `None` if the engine has only one.
    pub model: Option<String>,
    /// How long to wait.
    pub patience: EnginePatience,
}

/// How long an engine may take.
#[derive(Clone, Copy, Debug)]
pub struct EnginePatience {
    /// Until a connection is established.
    pub connect: Duration,
    /// For every request except one for an answer.
    pub control: Duration,
    /// Until the headers of an answer come.
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
    client: EngineClient,
    about: About,
    /// The model's name in requests; an engine with only one model may have none.
    model: Option<String>,
    has_list: bool,
    /// The context with which Ollama has loaded the model; 0 before that. Another client can make
    /// it load the model again with another context.
    loaded_context: AtomicUsize,
    /// Until when it is not asked to count tokens, after it has shown that it cannot.
    uncountable_until: Mutex<Option<Instant>>,
    learned: Mutex<Learned>,
    breaker: Arc<Breaker>,
    /// For engines that serve only one request at a time.
    slot: Option<Arc<Semaphore>>,
    /// Makes the salts of tenants impossible to guess.
    secret: [u8; 32],
}

impl RemoteEngine {
    /// Asks an engine for its kind and its model.
    ///
    /// Errors: it cannot be reached, needs a key, is not an engine, or it is not clear which model
    /// to use.
    pub async fn find(settings: &EngineSettings) -> Result<RemoteEngine, EngineError> {
        let finding::Found { client, about, model, has_list } = finding::find(settings).await?;
        let slot = about.kind.serves_one_at_a_time().then(|| Arc::new(Semaphore::new(1)));
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the system has random numbers");
        Ok(RemoteEngine(Arc::new(Inner {
            client,
            about,
            model,
            has_list,
            loaded_context: AtomicUsize::new(0),
            uncountable_until: Mutex::default(),
            learned: Mutex::default(),
            breaker: Arc::default(),
            slot,
            secret,
        })))
    }

    /// What is known about it.
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        self.0.client.interface.root()
    }

    /// Asks whether it is well.
    ///
    /// Errors: it cannot be reached, or says that it is not well.
    pub async fn probe(&self) -> Result<(), EngineError> {
        let probed = self.ask_how_it_is().await;
        match &probed {
            Ok(()) => self.0.breaker.succeeded(),
            Err(_) => self.0.breaker.failed(),
        }
        probed
    }

    async fn ask_how_it_is(&self) -> Result<(), EngineError> {
        let client = &self.0.client;
        if let Some(path) = self.0.about.kind.health_path() {
            match client.reach(client.interface.own(path)).await {
                // A gateway may pass on only OpenAI's interface. Any answer is a sign of life.
                Err(error) if is_closed(&error) && self.0.about.kind.serves_one_at_a_time() => {
                    return Ok(());
                }
                Err(error) if is_closed(&error) => {}
                answer => return answer.map(|answer| self.take_note(&answer)),
            }
        }
        match client.reach(client.interface.open(&["models"])).await {
            Err(error) if is_closed(&error) && !self.0.has_list => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Remembers the context that Ollama says when it is asked whether it is well. Ollama loads a
    /// model only when it is first asked something, and its context is known only then.
    fn take_note(&self, answer: &[u8]) {
        if self.0.about.kind != Kind::Ollama {
            return;
        }
        let running = serde_json::from_slice(answer).unwrap_or(Value::Null);
        let model = self.0.model.as_deref().unwrap_or_default();
        let Some(context) = finding::context_of_loaded(&running, model) else { return };
        let before = self.context_tokens();
        self.0.loaded_context.store(context, Ordering::Relaxed);
        if before != Some(context) {
            info!(engine = %self.address(), context, "the engine has loaded its model with this context");
        }
    }

    /// Prompt and answer together can have this many tokens, as far as is known now.
    fn context_tokens(&self) -> Option<usize> {
        match self.0.loaded_context.load(Ordering::Relaxed) {
            0 => self.0.about.context_tokens,
            loaded => Some(loaded),
        }
    }

    /// Starts an answer. Dropping the future, or the answer it yields, closes the connection.
    ///
    /// If the conversation does not fit the context, as far as that is known, the oldest exchanges
    /// are left out.
    ///
    /// Errors: a parameter that the engine does not have; a message that does not fit even alone;
    /// everything else in [`EngineError`].
    pub async fn ask(&self, asked: &GenerateRequest) -> Result<Answer, EngineError> {
        let kind = self.0.about.kind;
        refuse_to_continue(asked)?;
        let template_fields = match &asked.prompt {
            Prompt::Conversation(conversation) => template_fields(kind, conversation)?,
            Prompt::Text(_) | Prompt::Tokens(_) => Map::new(),
        };
        let mut passed_on = passed_on(kind, asked)?;
        passed_on.extend(template_fields.clone());
        let wishes = wishes(kind, &asked.parameters, asked.is_exact, &passed_on);
        let mut fields = self.fields(kind.translate(&asked.parameters)?, asked.asker.tenant);
        fields.extend(passed_on);
        let max_tokens = asked.parameters.max_tokens as usize;
        let slot = self.slot().await;
        self.0.breaker.admit().map_err(|retry_in| EngineError::Resting { retry_in })?;
        let at = Instant::now();
        let history;
        let content = match &asked.prompt {
            Prompt::Conversation(conversation) => {
                history = History::of(conversation, template_fields);
                Content::Conversation(self.cut(&history, max_tokens).await?)
            }
            Prompt::Text(text) => Content::text(kind, text, max_tokens)?,
            Prompt::Tokens(tokens) => Content::tokens(kind, tokens, max_tokens)?,
        };
        let mut request = Request { fields, wishes, content };
        let mut learned = self.learned().clone();
        let mut refused = None;
        for _ in 0..MAX_FORMS {
            let sent = learned.apply(&request.form(), &request.wishes);
            refuse_what_was_left_out(&request.wishes, &sent)?;
            match self.begin(request.path(), &sent).await {
                Ok(response) => {
                    self.keep(learned, &sent, &request.wishes);
                    let begun = Asked {
                        at,
                        dropped_messages: request.dropped_messages(),
                        least: request.least_tokens(),
                        logprobs: asked.logprobs,
                        stop_strings: asked.parameters.stop_strings.clone(),
                        calls: asked.prompt.tools().map(CallRules::of),
                        slot,
                    };
                    return Ok(Answer::new(response, begun, self.0.breaker.clone()));
                }
                Err(NoResponse::Failed(error)) => return Err(error),
                Err(NoResponse::Refused(refusal)) => {
                    self.give_way(&refusal, &sent, &mut request, &mut learned)?;
                    refused = Some(EngineError::from(*refusal));
                }
            }
        }
        Err(refused.expect("every form before the last was refused"))
    }

    /// Sends a request for an answer, and waits until it begins.
    async fn begin(
        &self,
        path: &[&str],
        sent: &Map<String, Value>,
    ) -> Result<Response, NoResponse> {
        let url = self.0.client.interface.open(path);
        let begun = self.0.client.begin(url, sent).await;
        match &begun {
            Ok(_) => self.0.breaker.succeeded(),
            Err(NoResponse::Failed(EngineError::Connection(_))) => self.0.breaker.failed(),
            // It has read the request, whatever it says of it. Gateways answer with other statuses
            // for an engine that they cannot reach.
            Err(NoResponse::Refused(refusal)) if refusal.status < 500 => self.0.breaker.succeeded(),
            Err(_) => {}
        }
        begun
    }

    /// Changes the request after the engine has refused `sent`.
    ///
    /// Errors: nothing can be changed.
    fn give_way(
        &self,
        refusal: &RefusalResponse,
        sent: &Map<String, Value>,
        request: &mut Request<'_>,
        learned: &mut Learned,
    ) -> Result<(), EngineError> {
        let error = EngineError::from(refusal.clone());
        if let EngineError::TooLong { limit, .. } = error {
            let context = limit.or(self.context_tokens()).unwrap_or(ASSUMED_CONTEXT);
            return if request.shorten(context) { Ok(()) } else { Err(error) };
        }
        match learned.learn(refusal, sent, &request.wishes) {
            Lesson::SendAgain => Ok(()),
            Lesson::NotAsWanted(wish) => Err(not_as_wanted(wish, sent, &error)),
            Lesson::Nothing => Err(error),
        }
    }

    /// The fields of a request that do not depend on its length.
    fn fields(&self, sampling: Map<String, Value>, tenant: Tenant) -> Map<String, Value> {
        let mut fields = sampling;
        fields.insert("stream".to_owned(), json!(true));
        if let Some(model) = &self.0.model {
            fields.insert("model".to_owned(), json!(model));
        }
        if let Some(options) = self.0.about.kind.stream_options() {
            fields.insert("stream_options".to_owned(), options);
        }
        if self.0.about.kind == Kind::LlamaServer {
            // Without it the penalty covers only the last 64 tokens. Some versions take -1 for the
            // whole context, others take no number below 0.
            let context = self.context_tokens().unwrap_or(ASSUMED_CONTEXT);
            fields.insert("repeat_last_n".to_owned(), json!(context));
        }
        if self.0.about.kind.takes_cache_salt() {
            let hash = Sha256::new().chain_update(self.0.secret);
            let hash = hash.chain_update(tenant.0.to_le_bytes()).finalize();
            fields.insert("cache_salt".to_owned(), json!(BASE64URL_NOPAD.encode(&hash)));
        }
        fields
    }

    /// The permit for an engine that serves only one request at a time.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let slot = self.0.slot.clone()?;
        Some(slot.acquire_owned().await.expect("the semaphore is never closed"))
    }

    fn learned(&self) -> std::sync::MutexGuard<'_, Learned> {
        self.0.learned.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps what was learned, after the engine has answered the request.
    fn keep(&self, learned: Learned, sent: &Map<String, Value>, wishes: &[Wish]) {
        let news = self.learned().keep(learned, sent, wishes);
        if news.is_empty() {
            return;
        }
        let (engine, form) = (self.address(), news.join(", "));
        let is_wanted = |news: &String| wishes.iter().any(|wish| news.ends_with(wish.theirs));
        // A client gets less than it asked for, or tenants are not separated.
        if news.iter().any(|news| is_wanted(news) || news.ends_with("cache_salt")) {
            warn!(%engine, form, "the engine refuses a part of the request, so requests have another form from now on");
        } else {
            info!(%engine, form, "the engine refuses a part of the request, so requests have another form from now on");
        }
    }
}

/// The error for a field that the engine does not take as the client wants it.
fn not_as_wanted(wish: Wish, sent: &Map<String, Value>, error: &EngineError) -> EngineError {
    let words = error.words().unwrap_or("another value");
    let expected = format!("what the engine takes ({words})");
    let found = sent.get(wish.theirs).map_or_else(String::new, Value::to_string);
    EngineError::Parameter { field: wish.ours, expected, found }
}

/// Errors: the engine has refused a field before that this request must have.
fn refuse_what_was_left_out(wishes: &[Wish], sent: &Map<String, Value>) -> Result<(), EngineError> {
    match wishes.iter().find(|wish| wish.is_firm && !sent.contains_key(wish.theirs)) {
        None => Ok(()),
        Some(wish) => Err(EngineError::Parameter {
            field: wish.ours,
            expected: "nothing: the engine has refused it before".to_owned(),
            found: "a value".to_owned(),
        }),
    }
}

/// Whether an engine says that a path does not exist, or is not for everybody.
fn is_closed(error: &EngineError) -> bool {
    match error {
        EngineError::Status { status, .. } => matches!(status, 400..=499 | 501),
        EngineError::NotAllowed { .. } | EngineError::Redirect(_) => true,
        _ => false,
    }
}
