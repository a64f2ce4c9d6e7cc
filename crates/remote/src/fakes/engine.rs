//! A fake engine with OpenAI's interface, which fails on demand.
//!
//! It writes its responses byte by byte, because real failures happen there, and it knows exactly
//! when the other side has closed the connection.
//!
//! The newest message decides the answer: `tokens N` streams N words without a pause, `slow N` one
//! word every 20 ms, and any other message comes back word by word.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::engine_trick::{EngineTrick, event};
use crate::engine::Kind;

/// A request as the engine saw it.
#[derive(Clone, Debug)]
pub struct EngineRequest {
    /// Method and path.
    pub line: String,
    /// Its `Authorization`.
    pub authorization: Option<String>,
    /// Its body.
    pub body: Value,
}

/// A running fake engine. It ends when dropped.
pub struct FakeEngine {
    shared: Arc<Shared>,
    address: SocketAddr,
    _end: oneshot::Sender<()>,
}

struct Shared {
    kind: Kind,
    context_tokens: usize,
    state: Mutex<State>,
    changed: Condvar,
    /// llama-cpp-python ends an answer when another request below `/v1/` comes.
    asked_again: Notify,
}

#[derive(Default)]
struct State {
    tricks: VecDeque<EngineTrick>,
    /// Paths with another status and body than usual.
    pages: BTreeMap<String, (u16, String)>,
    requests: Vec<EngineRequest>,
    /// When the other side has closed the connection in the middle of an answer.
    hung_up: Vec<Instant>,
    /// Answers that were written to their end.
    finished: usize,
}

impl FakeEngine {
    /// Starts an engine of a kind on a free port of loopback.
    pub fn start(kind: Kind) -> FakeEngine {
        FakeEngine::with_context(kind, 4_096)
    }

    /// The same with another context. Each byte of content counts as a token, and each message as
    /// four more.
    pub fn with_context(kind: Kind, context_tokens: usize) -> FakeEngine {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        FakeEngine::listen(listener, kind, context_tokens)
    }

    /// The same on a listener.
    pub fn listen(listener: TcpListener, kind: Kind, context_tokens: usize) -> FakeEngine {
        let address = listener.local_addr().expect("a bound listener has an address");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let (state, changed, asked_again) = (Mutex::default(), Condvar::new(), Notify::new());
        let shared = Arc::new(Shared { kind, context_tokens, state, changed, asked_again });
        let (end, ended) = oneshot::channel::<()>();
        let serving = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("in a runtime");
                let accepting = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(connection(stream, serving.clone()));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = ended => {}
                }
            });
        });
        FakeEngine { shared, address, _end: end }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays a trick on each of the next answers.
    pub fn play(&self, tricks: impl IntoIterator<Item = EngineTrick>) {
        self.shared.state().tricks.extend(tricks);
    }

    /// Takes back the tricks that were not played yet.
    pub fn take_tricks(&self) -> Vec<EngineTrick> {
        self.shared.state().tricks.drain(..).collect()
    }

    /// Answers a path with this status from now on. With 200 it is as usual again.
    pub fn break_page(&self, path: &str, status: u16) {
        match status {
            200 => drop(self.shared.state().pages.remove(path)),
            _ => self.set_page(path, status, "{}"),
        }
    }

    /// Answers a path with this status and body from now on.
    pub fn set_page(&self, path: &str, status: u16, body: &str) {
        self.shared.state().pages.insert(path.to_owned(), (status, body.to_owned()));
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<EngineRequest> {
        std::mem::take(&mut self.shared.state().requests)
    }

    /// Waits until a request for this path has come, and returns the first.
    ///
    /// Panics if none has come for a minute.
    pub fn wait_for(&self, path: &str) -> EngineRequest {
        let is_it = |request: &&EngineRequest| request.line.ends_with(path);
        let state = self.wait(|state| state.requests.iter().any(|request| is_it(&request)));
        state.requests.iter().find(is_it).expect("it was just seen").clone()
    }

    /// Waits until the other side has closed the connection in the middle of this many answers, and
    /// returns when it did so last.
    ///
    /// Panics if it has not for a minute.
    pub fn wait_for_hang_up(&self, count: usize) -> Instant {
        let state = self.wait(|state| state.hung_up.len() >= count);
        state.hung_up[count - 1]
    }

    /// How many answers were written to their end.
    pub fn finished(&self) -> usize {
        self.shared.state().finished
    }

    fn wait(&self, is_so: impl Fn(&State) -> bool) -> std::sync::MutexGuard<'_, State> {
        let minute = Duration::from_secs(60);
        let waits = |state: &mut State| !is_so(state);
        let waiting = self.shared.changed.wait_timeout_while(self.shared.state(), minute, waits);
        let (state, waited) = waiting.expect("no holder panics");
        assert!(!waited.timed_out(), "it has not happened within a minute");
        state
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn models(&self) -> Value {
        let owner = match self.kind {
            Kind::Vllm => "vllm",
            Kind::SgLang => "sglang",
            Kind::LlamaServer => "llamacpp",
            Kind::Ollama => "library",
            Kind::LlamaCppPython => "me",
            Kind::Transformers | Kind::OpenAi => "somebody",
        };
        let mut model = json!({"id": "fakes/Fake-1B", "object": "model", "owned_by": owner});
        match self.kind {
            Kind::Vllm | Kind::SgLang => model["max_model_len"] = json!(self.context_tokens),
            Kind::LlamaServer => model["meta"] = json!({"n_params": 1_000_000_000u64}),
            _ => {}
        }
        json!({"object": "list", "data": [model]})
    }

    /// Responses to all requests except those for answers.
    fn page(&self, path: &str, body: &Value) -> Option<Value> {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        Some(match path {
            "/v1/models" => self.models(),
            "/health" => json!({"status": "ok"}),
            "/api/ps" if self.kind == Kind::Ollama => json!({"models": []}),
            "/props" if self.kind == Kind::LlamaServer => {
                json!({"default_generation_settings": {"n_ctx": self.context_tokens}})
            }
            "/openapi.json" if self.kind == Kind::LlamaCppPython => {
                json!({"info": {"title": "🦙 llama.cpp Python API"}, "paths": {}})
            }
            "/openapi.json" if self.kind == Kind::Transformers => {
                json!({"info": {"title": "FastAPI"}, "paths": {"/load_model": {}, "/v1/responses": {}}})
            }
            // The vector of a text has its length as the second number.
            "/v1/embeddings" => {
                let inputs = body.get("input").and_then(Value::as_array)?;
                let length = |input: &Value| match input {
                    Value::String(text) => text.len(),
                    input => input.as_array().map_or(0, Vec::len),
                };
                let entry = |(index, input): (usize, &Value)| json!({"index": index, "embedding": [3.0, length(input)]});
                // An order is not promised.
                let data: Vec<Value> = inputs.iter().enumerate().map(entry).rev().collect();
                let tokens: usize = inputs.iter().map(length).sum();
                json!({"data": data, "usage": {"prompt_tokens": tokens}})
            }
            "/apply-template" => json!({"prompt": "x".repeat(count(body))}),
            "/tokenize" => {
                let text = text("prompt").or_else(|| text("content"));
                let tokens = text.map_or_else(|| count(body), str::len);
                let ids: Vec<usize> = (0..tokens).collect();
                json!({"tokens": ids, "count": tokens})
            }
            _ => return None,
        })
    }
}

/// The tokens of a conversation, as this engine counts.
fn count(body: &Value) -> usize {
    const TEMPLATE: usize = 4;
    let messages = body.get("messages").and_then(Value::as_array);
    let content = |message: &Value| message["content"].as_str().map_or(0, str::len) + TEMPLATE;
    messages.into_iter().flatten().map(content).sum()
}

/// Answers requests until the other side closes the connection.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    drop(stream.set_nodelay(true));
    let mut stream = BufReader::new(stream);
    while let Some((request, path)) = read_request(&mut stream).await {
        let body = request.body.clone();
        if shared.kind == Kind::LlamaCppPython && path.starts_with("/v1/") {
            shared.asked_again.notify_waiters();
        }
        shared.change(|state| state.requests.push(request));
        if path == "/v1/chat/completions" || path == "/v1/completions" {
            // Answers end with their connection.
            return answer(stream.into_inner(), &shared, &body).await;
        }
        let set = shared.state().pages.get(&path).cloned();
        let page = path.split('?').next().unwrap_or_default();
        let (status, text) = match (set, shared.page(page, &body)) {
            (Some(set), _) => set,
            (None, Some(page)) => (200, page.to_string()),
            (None, None) => (404, "{}".to_owned()),
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        if stream.get_mut().write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(EngineRequest, String)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?, words.next()?.to_owned());
    let header = |name: &str| {
        let mut fields = lines.iter().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let request = EngineRequest {
        line: format!("{method} {path}"),
        authorization: header("authorization"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    Some((request, path))
}

/// Writes one answer, correct or not, and notices when the other side closes the connection.
async fn answer(stream: TcpStream, shared: &Shared, body: &Value) {
    let (mut reading, mut writing) = stream.into_split();
    let trick = shared.state().tricks.pop_front();
    let write = write_answer(&mut writing, shared, body, trick);
    let hang_up = async {
        let mut byte = [0];
        // A client sends nothing more, so whatever comes means the end.
        drop(reading.read(&mut byte).await);
    };
    let written = tokio::select! {
        biased;
        () = hang_up => None,
        () = shared.asked_again.notified() => Some(false),
        written = write => Some(written.is_ok()),
    };
    let is_whole = match written {
        // It ends as if nothing were missing.
        Some(false) => writing.write_all(b"data: [DONE]\n\n").await.is_ok(),
        Some(true) => true,
        None => false,
    };
    shared.change(|state| match is_whole {
        true => state.finished += 1,
        false => state.hung_up.push(Instant::now()),
    });
}

async fn write_answer(
    writing: &mut tokio::net::tcp::OwnedWriteHalf,
    shared: &Shared,
    body: &Value,
    trick: Option<EngineTrick>,
) -> std::io::Result<()> {
    const HEAD: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    let too_long = count(body) >= shared.context_tokens;
    match trick {
        None if too_long => {
            let text = format!(
                "{{\"error\": {{\"message\": \"This model's maximum context length is {} tokens, \
                 however you requested {} tokens\"}}}}",
                shared.context_tokens,
                count(body)
            );
            write_status(writing, 400, "", &text).await
        }
        None => {
            writing.write_all(HEAD).await?;
            let (pieces, pause) = honest(body);
            for piece in pieces {
                tokio::time::sleep(pause).await;
                writing.write_all(piece.as_bytes()).await?;
            }
            Ok(())
        }
        Some(EngineTrick::Status(status, headers, text)) => {
            write_status(writing, status, headers, text).await
        }
        Some(EngineTrick::Silence) => std::future::pending().await,
        Some(EngineTrick::Stream(pieces)) => {
            writing.write_all(HEAD).await?;
            write_pieces(writing, &pieces).await
        }
        Some(EngineTrick::StreamAndHang(pieces)) => {
            writing.write_all(HEAD).await?;
            write_pieces(writing, &pieces).await?;
            std::future::pending().await
        }
        Some(EngineTrick::Body(kind, pieces)) => {
            let kind = kind.map_or_else(String::new, |kind| format!("Content-Type: {kind}\r\n"));
            let head = format!("HTTP/1.1 200 OK\r\n{kind}Connection: close\r\n\r\n");
            writing.write_all(head.as_bytes()).await?;
            write_pieces(writing, &pieces).await
        }
        Some(EngineTrick::Endless(bytes)) => {
            writing.write_all(HEAD).await?;
            writing.write_all(b"data: ").await?;
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..bytes / piece.len() {
                writing.write_all(&piece).await?;
            }
            Ok(())
        }
        Some(EngineTrick::Drip(pause)) => {
            writing.write_all(HEAD).await?;
            let (pieces, _) = honest(body);
            for byte in pieces.concat().into_bytes() {
                tokio::time::sleep(pause).await;
                writing.write_all(&[byte]).await?;
            }
            Ok(())
        }
    }
}

/// Writes a status with a whole body; `headers` are lines with their ends.
async fn write_status(
    writing: &mut tokio::net::tcp::OwnedWriteHalf,
    status: u16,
    headers: &str,
    text: &str,
) -> std::io::Result<()> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{text}"
    );
    writing.write_all(head.as_bytes()).await
}

/// Writes pieces that arrive one by one.
async fn write_pieces(
    writing: &mut tokio::net::tcp::OwnedWriteHalf,
    pieces: &[Vec<u8>],
) -> std::io::Result<()> {
    for piece in pieces {
        writing.write_all(piece).await?;
        writing.flush().await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The events of a correct answer, and the pause before each.
fn honest(body: &Value) -> (Vec<String>, Duration) {
    let newest = body["messages"].as_array().and_then(|messages| messages.last());
    let text = newest.map_or(&body["prompt"], |message| &message["content"]);
    let text = text.as_str().unwrap_or_default();
    let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
    let number = |text: &str| text.parse().unwrap_or(0);
    let (count, pause) = match command {
        "tokens" => (number(rest), Duration::ZERO),
        "slow" => (number(rest), Duration::from_millis(20)),
        _ => (0, Duration::ZERO),
    };
    let mut words: Vec<String> = (0..count).map(|index| format!("word{index} ")).collect();
    if count == 0 {
        words = text.split_inclusive(' ').map(str::to_owned).collect();
    }
    let wanted = body["max_tokens"].as_u64().unwrap_or(u64::MAX) as usize;
    let reason = if words.len() > wanted { "length" } else { "stop" };
    words.truncate(wanted);
    let usage = json!({"prompt_tokens": self::count(body), "completion_tokens": words.len(),
                       "prompt_tokens_details": {"cached_tokens": 3}});
    let mut events =
        vec![event(&json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]}))];
    let piece = |word: &String| match newest {
        Some(_) => EngineTrick::piece(word),
        None => event(&json!({"choices": [{"index": 0, "text": word, "finish_reason": null}]})),
    };
    events.extend(words.iter().map(piece));
    events.push(event(&json!({"choices": [{"delta": {}, "finish_reason": reason}]})));
    if body["stream_options"]["include_usage"] == json!(true) {
        events.push(event(&json!({"choices": [], "usage": usage})));
    }
    events.push("data: [DONE]\n\n".to_owned());
    (events, pause)
}
