//! A backend that plays a script: the newest message decides what the answer will be.
//!
//! The server's own tests and the browser tests use it. It follows the rules of every backend: a
//! stop is followed by `Finished`, and dropping a generation stops it.
//!
//! Each piece of the script is one token, and its id is its place in the script. So an answer that
//! was cut off goes on with the piece behind its last token.

use banter_protocol::plain::PARAMETERS;
use banter_seam::{
    Backend, BackendInfo, Continuation, ConversationNumber, Defaults, DraftRequest, EmbedRequest,
    Embeddings, EndReason, Event, Failure, FinishReason, Finished, Fit, GenerateRequest,
    Generation, Health, Message, Role, Tenant, TextInput, Timings, Usage,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::Instant;

const CONTEXT_TOKENS: usize = 4_096;

/// The backend; see the module.
pub struct ScriptedBackend {
    info: BackendInfo,
    counters: Arc<ScriptedCounters>,
}

/// What a scripted backend has done, for tests that wait for it.
#[derive(Default)]
pub struct ScriptedCounters {
    /// Generations that have neither finished nor been dropped.
    pub running: AtomicUsize,
    /// Deltas given, by all generations.
    pub pieces: AtomicUsize,
    /// The newest draft.
    pub draft: Mutex<Option<DraftRequest>>,
    /// What was forgotten last.
    pub forgotten: Mutex<Option<(Tenant, Option<ConversationNumber>)>>,
}

/// The seed of an answer whose request has none.
const SEED: u64 = 7;

impl Default for ScriptedBackend {
    fn default() -> Self {
        let info = BackendInfo {
            name: "scripted".into(),
            is_demo: false,
            licence: Some("Apache-2.0".into()),
            parameters: Some(0),
            weights_bytes: Some(0),
            context_tokens: Some(CONTEXT_TOKENS),
            defaults: Defaults {
                max_tokens: 2_048,
                temperature: Some(0.7),
                top_p: Some(0.8),
                repetition_penalty: Some(1.05),
            },
            engine: None,
            known_parameters: PARAMETERS.to_vec(),
            family: None,
            weight_types: None,
            loaded_at: SystemTime::UNIX_EPOCH,
        };
        ScriptedBackend { info, counters: Arc::default() }
    }
}

impl ScriptedBackend {
    /// The same, as if it were the demo model.
    pub fn demo() -> ScriptedBackend {
        let mut backend = ScriptedBackend::default();
        backend.info.is_demo = true;
        backend
    }

    /// The same under another name.
    pub fn named(name: &str) -> ScriptedBackend {
        let mut backend = ScriptedBackend::default();
        name.clone_into(&mut backend.info.name);
        backend
    }

    /// Its counters, which go on counting.
    pub fn counters(&self) -> Arc<ScriptedCounters> {
        self.counters.clone()
    }
}

impl Backend for ScriptedBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn health(&self) -> Health {
        Health::Ready
    }

    fn generate(
        &self,
        request: Box<GenerateRequest>,
    ) -> BoxFuture<'static, Result<Box<dyn Generation>, Failure>> {
        let script = script(request.prompt.messages());
        let counters = self.counters.clone();
        async move {
            let mut script = script?;
            let begun = match &request.continues {
                Some(continuation) => script.resume(continuation)?,
                None => 0,
            };
            counters.running.fetch_add(1, Ordering::SeqCst);
            let generation = ScriptedGeneration {
                script,
                seed: request.parameters.seed.unwrap_or(SEED),
                prompt_tokens: tokens_of(request.prompt.messages()) + begun,
                max_pieces: usize::try_from(request.parameters.max_tokens).unwrap_or(usize::MAX),
                begun,
                sent: 0,
                due: Instant::now(),
                stop: Arc::default(),
                finished: false,
                counters,
            };
            Ok(Box::new(generation) as Box<dyn Generation>)
        }
        .boxed()
    }

    fn can_continue(&self) -> bool {
        true
    }

    fn draft(&self, draft: DraftRequest) {
        *self.counters.draft.lock().unwrap_or_else(PoisonError::into_inner) = Some(draft);
    }

    fn forget(&self, tenant: Tenant, conversation: Option<ConversationNumber>) {
        let mut forgotten = self.counters.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        *forgotten = Some((tenant, conversation));
    }

    fn tokenize(&self, text: String) -> BoxFuture<'static, Result<Option<Vec<u32>>, Failure>> {
        async move { Ok(Some(text.bytes().map(u32::from).collect())) }.boxed()
    }

    /// The vector of a text tells its length. "fail" fails.
    fn embed(
        &self,
        request: EmbedRequest,
    ) -> BoxFuture<'static, Result<Option<Embeddings>, Failure>> {
        let mut embeddings = Embeddings { vectors: Vec::new(), tokens: 0 };
        for input in request.inputs {
            let tokens = match input {
                TextInput::Text(text) if text == "fail" => {
                    let failed = Failure::Internal { reason: "it was asked to fail".into() };
                    return ready(Err(failed)).boxed();
                }
                TextInput::Text(text) => text.len(),
                TextInput::Tokens(tokens) => tokens.len(),
            };
            let angle = tokens as f32;
            embeddings.vectors.push(vec![angle.cos(), angle.sin()]);
            embeddings.tokens += tokens;
        }
        ready(Ok(Some(embeddings))).boxed()
    }

    fn fit(
        &self,
        messages: Vec<Message>,
        _max_tokens: usize,
    ) -> BoxFuture<'static, Result<Option<Fit>, Failure>> {
        let (tokens, context_tokens) = (tokens_of(&messages), CONTEXT_TOKENS);
        let fit = match script(&messages) {
            Ok(Script { dropped_messages, .. }) => {
                Ok(Some(Fit { tokens, context_tokens, dropped_messages }))
            }
            Err(failure @ Failure::TooLong { .. }) => Err(failure),
            // Other refusals are not about the length.
            Err(_) => Ok(Some(Fit { tokens, context_tokens, dropped_messages: 0 })),
        };
        ready(fit).boxed()
    }
}

/// One for each byte.
fn tokens_of(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.content.len()).sum()
}

/// What an answer will be.
struct Script {
    pieces: Vec<Piece>,
    /// Time before each piece.
    pause: Duration,
    end: End,
    dropped_messages: usize,
}

#[derive(Clone)]
enum Piece {
    Thought(String),
    Text(String),
    Call(String),
    Arguments(String),
}

enum End {
    For(EndReason),
    /// Only a stop ends it.
    Never,
    Failed,
}

/// Reads the newest message as a command.
fn script(messages: &[Message]) -> Result<Script, Failure> {
    let newest = messages.last().map_or("", |message| message.content.as_str());
    let (command, rest) = newest.split_once(' ').unwrap_or((newest, ""));
    let numbers: Vec<u64> = rest.split(' ').map_while(|word| word.parse().ok()).collect();
    Ok(match command {
        "echo" => Script::done(vec![rest.into()]),
        "echo-chars" => Script::done(rest.chars().map(String::from).collect()),
        // A pause in milliseconds, and the text that comes character by character.
        "paced" => {
            let (pause_ms, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let pause = Duration::from_millis(pause_ms.parse().unwrap_or(0));
            Script { pause, ..Script::done(text.chars().map(String::from).collect()) }
        }
        "tokens" => Script::words(numbers.first(), numbers.get(1).copied().unwrap_or(5)),
        "slow" => Script::words(numbers.first(), 200),
        "pieces" => Script::pieces(&numbers),
        "ends" => {
            let (reason, text) = rest.split_once(' ').unwrap_or((rest, ""));
            Script { end: End::For(end_reason(reason)), ..Script::done(vec![text.into()]) }
        }
        "thinks" => {
            let (thought, answer) = rest.split_once(" | ").unwrap_or((rest, ""));
            let thoughts = thought.split_inclusive(' ').map(|word| Piece::Thought(word.into()));
            let mut script = Script::done(vec![answer.into()]);
            script.pieces.splice(0..0, thoughts);
            script
        }
        // A text, the name of a function, and its arguments, which come word by word.
        "calls" => {
            let (text, call) = rest.split_once(" | ").unwrap_or(("", rest));
            let (name, arguments) = call.split_once(' ').unwrap_or((call, ""));
            let arguments =
                arguments.split_inclusive(' ').map(|word| Piece::Arguments(word.into()));
            let mut script = Script::done(vec![text.into()]);
            script.pieces.push(Piece::Call(name.into()));
            script.pieces.extend(arguments);
            script
        }
        "hang" => Script { end: End::Never, ..Script::done(Vec::new()) },
        "fail" => Script { end: End::Failed, ..Script::words(Some(&3), 0) },
        "history" => Script::done(vec![history_as_json(messages)]),
        "dropped" | "dropped-hang" => {
            let text = rest.split_once(' ').map_or("", |(_, text)| text);
            let dropped = numbers.first().copied().unwrap_or(0);
            let done = Script::done(vec![text.into()]);
            Script {
                dropped_messages: usize::try_from(dropped).unwrap_or(usize::MAX),
                end: if command == "dropped" { done.end } else { End::Never },
                ..done
            }
        }
        "busy" => {
            let reason = "too many answers are waiting".into();
            return Err(Failure::Busy { reason, position: 7, estimate_ms: Some(9_000) });
        }
        "late" => {
            return Err(Failure::Timeout { seconds: 120, while_doing: Failure::IN_THE_QUEUE });
        }
        "too-long" => return Err(Failure::TooLong { tokens: 5_000, limit: 4_096 }),
        _ => {
            let words = newest.split_inclusive(' ').map(String::from);
            Script::done(std::iter::once("You said: ".to_owned()).chain(words).collect())
        }
    })
}

impl Script {
    fn done(pieces: Vec<String>) -> Script {
        // An event never carries an empty piece.
        let pieces =
            pieces.into_iter().filter(|piece| !piece.is_empty()).map(Piece::Text).collect();
        let end = End::For(EndReason::End);
        Script { pieces, pause: Duration::ZERO, end, dropped_messages: 0 }
    }

    /// Goes on with an answer: takes away what was shown of it. Says how many pieces that were.
    ///
    /// Errors: the answer is not the beginning of this one.
    fn resume(&mut self, continuation: &Continuation) -> Result<usize, Failure> {
        let Continuation { tokens, text_bytes } = continuation;
        let wrong = |expected: &str, found: String| Failure::InvalidParameter {
            field: "continue".into(),
            expected: expected.into(),
            found,
        };
        let last = tokens.last().map_or(Ok(0), |last| usize::try_from(*last).map(|last| last + 1));
        let begun = last.unwrap_or(usize::MAX);
        if begun > self.pieces.len() {
            return Err(wrong("tokens of this answer", format!("{tokens:?}")));
        }
        let text = |piece: &Piece| match piece {
            Piece::Thought(_) | Piece::Call(_) | Piece::Arguments(_) => String::new(),
            Piece::Text(text) => text.clone(),
        };
        let spelled: String = self.pieces[..begun].iter().map(text).collect();
        let unshown = spelled
            .get(*text_bytes..)
            .ok_or_else(|| wrong("a place in its text", format!("byte {text_bytes}")))?;
        if !unshown.is_empty() {
            // The next piece brings what was not shown.
            match self.pieces.get_mut(begun) {
                Some(Piece::Text(next)) => next.insert_str(0, unshown),
                _ => return Err(wrong("all of its text", format!("{text_bytes} bytes"))),
            }
        }
        Ok(begun)
    }

    /// `count` pieces of `bytes` each; the two numbers of the command.
    fn pieces(numbers: &[u64]) -> Script {
        const MOST_BYTES: u64 = 64 << 20;
        let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let bytes = number(1).min(MOST_BYTES);
        let count = number(0).min(MOST_BYTES / bytes.max(1));
        let piece = "a".repeat(usize::try_from(bytes).expect("at most 64 MiB"));
        Script::done((0..count).map(|_| piece.clone()).collect())
    }

    fn words(count: Option<&u64>, pause_ms: u64) -> Script {
        const MOST: u64 = 1_000_000;
        let count = count.copied().unwrap_or(0).min(MOST);
        let pieces = (0..count).map(|index| format!("word{index} ")).collect();
        Script { pause: Duration::from_millis(pause_ms), ..Script::done(pieces) }
    }
}

fn end_reason(name: &str) -> EndReason {
    let reasons = [
        EndReason::End,
        EndReason::StopString,
        EndReason::Length,
        EndReason::Stopped,
        EndReason::Filtered,
        EndReason::Unavailable,
    ];
    reasons.into_iter().find(|reason| reason.name() == name).unwrap_or(EndReason::End)
}

fn history_as_json(messages: &[Message]) -> String {
    let role = |role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let entries = messages.iter().map(
        |message| serde_json::json!({ "role": role(message.role), "content": message.content }),
    );
    serde_json::Value::Array(entries.collect()).to_string()
}

struct ScriptedGeneration {
    script: Script,
    seed: u64,
    prompt_tokens: usize,
    /// The request's `max_tokens`: each piece counts as a token.
    max_pieces: usize,
    /// Pieces that the answer had before it went on.
    begun: usize,
    /// Pieces sent since then.
    sent: usize,
    /// When the last piece was due. The next is due a pause later.
    due: Instant,
    stop: Arc<Notify>,
    finished: bool,
    counters: Arc<ScriptedCounters>,
}

impl ScriptedGeneration {
    async fn advance(&mut self) -> Option<Event> {
        if self.finished {
            return None;
        }
        let due = self.due + self.script.pause;
        let reason = if self.sent == self.max_pieces {
            FinishReason::Ended(EndReason::Length)
        } else if let Some(piece) = self.script.pieces.get(self.begun + self.sent) {
            let token = u32::try_from(self.begun + self.sent).expect("scripts are short");
            tokio::select! {
                biased;
                () = self.stop.notified() => FinishReason::Ended(EndReason::Stopped),
                () = tokio::time::sleep_until(due) => {
                    self.due = due;
                    self.sent += 1;
                    self.counters.pieces.fetch_add(1, Ordering::SeqCst);
                    return Some(match piece.clone() {
                        Piece::Thought(text) => Event::Thinking(text),
                        Piece::Text(text) => {
                            Event::Delta { text, tokens: vec![token], logprobs: Vec::new() }
                        }
                        Piece::Call(name) => Event::Call { id: format!("call_{token}"), name },
                        Piece::Arguments(piece) => Event::Arguments(piece),
                    });
                }
            }
        } else {
            match self.script.end {
                End::For(reason) => FinishReason::Ended(reason),
                End::Failed => {
                    let reason = "the script says so".into();
                    FinishReason::Failed(Failure::Internal { reason })
                }
                End::Never => {
                    self.stop.notified().await;
                    FinishReason::Ended(EndReason::Stopped)
                }
            }
        };
        self.finished = true;
        let usage = Usage { completion_tokens: Some(self.sent), ..Usage::default() };
        let (stop_string, timings) = (None, Timings::default());
        Some(Event::Finished(Finished { reason, stop_string, usage, timings }))
    }
}

impl Generation for ScriptedGeneration {
    fn next_event(&mut self) -> BoxFuture<'_, Option<Event>> {
        self.advance().boxed()
    }

    fn stop(&self) {
        self.stop.notify_one();
    }

    fn dropped_messages(&self) -> usize {
        self.script.dropped_messages
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn prompt_tokens(&self) -> Option<usize> {
        Some(self.prompt_tokens)
    }
}

impl Drop for ScriptedGeneration {
    fn drop(&mut self) {
        self.counters.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_protocol::plain::{self, ClientMessage};
    use banter_seam::Asker;

    /// The text and the tokens of an answer, or why there is none.
    async fn told(
        message: &str,
        continues: Option<Continuation>,
    ) -> Result<(String, Vec<u32>), Failure> {
        let fields = serde_json::json!({ "message": message }).to_string();
        let Ok(ClientMessage::Ask(ask)) = plain::parse(&fields) else { panic!("it is right") };
        let mut request = ask.into_request(Asker::default());
        request.continues = continues;
        let mut generation = ScriptedBackend::default().generate(Box::new(request)).await?;
        let (mut text, mut all) = (String::new(), Vec::new());
        while let Some(event) = generation.next_event().await {
            if let Event::Delta { text: delta, tokens, .. } = event {
                text.push_str(&delta);
                all.extend(tokens);
            }
        }
        Ok((text, all))
    }

    fn after(tokens: &[u32], text_bytes: usize) -> Option<Continuation> {
        Some(Continuation { tokens: tokens.to_vec(), text_bytes })
    }

    #[tokio::test]
    async fn an_answer_goes_on_with_the_next_piece() {
        let whole = told("tokens 3 0", None).await;
        assert_eq!(whole, Ok(("word0 word1 word2 ".into(), vec![0, 1, 2])));
        let rest = |continues| told("tokens 3 0", continues);
        assert_eq!(rest(after(&[], 0)).await, whole);
        assert_eq!(rest(after(&[0], 6)).await, Ok(("word1 word2 ".into(), vec![1, 2])));
        assert_eq!(rest(after(&[0], 4)).await, Ok(("0 word1 word2 ".into(), vec![1, 2])));
        assert_eq!(rest(after(&[0, 1, 2], 18)).await, Ok((String::new(), vec![])));
        let thinks = told("thinks one two | answer", after(&[2], 6)).await;
        assert_eq!(thinks, Ok((String::new(), vec![])), "thoughts are pieces too");
        for wrong in [after(&[3], 6), after(&[0], 7), after(&[u32::MAX], 0)] {
            let refusal = rest(wrong).await.expect_err("it is another answer's");
            assert_eq!(refusal.code(), "invalid_parameter");
        }
    }
}
