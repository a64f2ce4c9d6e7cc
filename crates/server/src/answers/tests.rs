//! Answers of the scripted backend: what followers read, and when an answer ends.

use super::{AnswerLimits, AnswerRequest, Answers, Begun, Follower, Update, Urgency};
use crate::backend::{BackendSlot, ScriptedBackend, ScriptedCounters};
use crate::metrics::Metrics;
use crate::quotas::Quotas;
use crate::shares::SharedBudget;
use banter_seam::{
    Asker, EndReason, Failure, FinishReason, Finished, GenerateRequest, Message, Parameters,
    ShareId,
};
use banter_store::KeyTerms;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LIMITS: AnswerLimits = AnswerLimits {
    queue_timeout: Duration::from_secs(9),
    step_timeout: Duration::from_secs(5),
    bytes: 100_000,
};

struct Server {
    answers: Answers,
    memory: SharedBudget,
    counters: Arc<ScriptedCounters>,
}

impl Server {
    fn new() -> Server {
        Server::with(Quotas::default())
    }

    fn with(quotas: Quotas) -> Server {
        let (slot, backend) = (BackendSlot::default(), ScriptedBackend::default());
        let counters = backend.counters();
        slot.fill(backend);
        Server {
            answers: Answers::new(slot, LIMITS, quotas, Metrics::new(None).answers),
            memory: SharedBudget::new(100),
            counters,
        }
    }

    fn ask(&self, message: &str) -> Follower {
        self.ask_with(message, Urgency::Now)
    }

    fn ask_with(&self, message: &str, urgency: Urgency) -> Follower {
        let parameters = Parameters {
            max_tokens: 1_000_000,
            temperature: None,
            top_p: None,
            repetition_penalty: None,
            top_k: None,
            min_p: None,
            presence_penalty: None,
            frequency_penalty: None,
            logit_bias: Vec::new(),
            seed: None,
            stop_strings: Vec::new(),
        };
        let messages = vec![Message::user(message)];
        let request = GenerateRequest::new(messages, parameters, Asker::default());
        let memory = self.memory.take(ShareId(1), 60).expect("memory");
        let request = AnswerRequest::passing(request, memory);
        self.answers.start(AnswerRequest { urgency, ..request })
    }
}

#[tokio::test]
async fn what_nobody_has_asked_for_takes_nothing_of_a_quota() {
    let quotas = Quotas::default();
    let terms = KeyTerms { requests_per_minute: Some(1), ..KeyTerms::default() };
    quotas.set([(Asker::default().share, &terms)].into_iter());
    let server = Server::with(quotas.clone());
    let mut title = server.ask_with("echo a title", Urgency::WhenIdle);
    assert_eq!(text_of(&read_all(&mut title).await), "a title");
    assert_eq!(text_of(&read_all(&mut server.ask("echo one")).await), "one");
    let refused = read_all(&mut server.ask("echo two")).await;
    let reason = &end_of(&refused).reason;
    assert!(matches!(reason, FinishReason::Failed(Failure::Busy { .. })), "{reason:?}");
    assert_eq!(quotas.of(Asker::default().share).expect("a quota").usage().requests, 1);
}

/// Everything that a follower reads, up to the halt.
async fn read_all(follower: &mut Follower) -> Vec<Update> {
    let mut updates = Vec::new();
    while updates.last() != Some(&Update::Halted) {
        updates.push(follower.next().await);
    }
    updates
}

fn text_of(updates: &[Update]) -> String {
    let text = |update: &Update| match update {
        Update::Delta(piece) => Some(piece.text.clone()),
        _ => None,
    };
    updates.iter().filter_map(text).collect()
}

fn end_of(updates: &[Update]) -> &Finished {
    let end = |update: &'_ Update| matches!(update, Update::Ended(_));
    match updates.iter().find(|update| end(update)) {
        Some(Update::Ended(ended)) => &ended.finished,
        _ => panic!("no end in {updates:?}"),
    }
}

#[tokio::test]
async fn a_follower_reads_what_happens_in_order_and_once() {
    let server = Server::new();
    let updates = read_all(&mut server.ask("thinks so it is | 你好")).await;
    let thoughts: String = updates
        .iter()
        .filter_map(|update| match update {
            Update::Thinking(piece) => Some(piece.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!((thoughts.as_str(), text_of(&updates).as_str()), ("so it is", "你好"));
    assert!(matches!(&updates[0], Update::Begun(Begun { dropped_messages: 0, .. })));
    assert_eq!(end_of(&updates).reason, FinishReason::Ended(EndReason::End));
    assert!(matches!(updates[updates.len() - 2], Update::Ended(_)), "{updates:?}");
    assert_eq!(server.memory.taken(), 0);
}

#[tokio::test]
async fn a_slow_follower_reads_more_at_once_but_only_whole_characters_and_bounded_pieces() {
    let server = Server::new();
    let long = "字".repeat(20_000);
    let mut follower = server.ask(&format!("echo-chars {long}"));
    while server.counters.running.load(Ordering::SeqCst) > 0
        || server.counters.pieces.load(Ordering::SeqCst) == 0
    {
        tokio::task::yield_now().await;
    }
    let updates = read_all(&mut follower).await;
    assert_eq!(text_of(&updates), long);
    let deltas = updates.iter().filter(|update| matches!(update, Update::Delta(_))).count();
    assert_eq!(deltas, 4, "60,000 bytes in pieces of 16 KiB");
    for update in &updates {
        assert!(!matches!(update, Update::Delta(piece) if piece.text.len() > 16 * 1024));
    }
}

#[tokio::test]
async fn a_stop_ends_the_answer_with_what_was_written() {
    let server = Server::new();
    let mut follower = server.ask("hang");
    assert!(matches!(follower.next().await, Update::Begun(_)));
    follower.answer().stop();
    follower.answer().stop();
    let updates = read_all(&mut follower).await;
    assert_eq!(end_of(&updates).reason, FinishReason::Ended(EndReason::Stopped));
    assert_eq!(updates.len(), 2, "{updates:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_follows_is_stopped() {
    let server = Server::new();
    let mut follower = server.ask("hang");
    follower.next().await;
    assert_eq!(server.counters.running.load(Ordering::SeqCst), 1);
    drop(follower);
    server.answers.shut_down().await;
    assert_eq!(server.counters.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_progress_ends_with_a_timeout_and_then_halts() {
    let server = Server::new();
    let mut follower = server.ask("hang");
    let updates = read_all(&mut follower).await;
    let expected = Failure::Timeout { seconds: 9, while_doing: Failure::IN_THE_QUEUE };
    assert_eq!(end_of(&updates).reason, FinishReason::Failed(expected));
}

#[tokio::test]
async fn a_refusal_is_the_end_of_the_answer() {
    let server = Server::new();
    let updates = read_all(&mut server.ask("too-long")).await;
    let expected = Failure::TooLong { tokens: 5_000, limit: 4_096 };
    assert_eq!(end_of(&updates).reason, FinishReason::Failed(expected));
    assert_eq!(updates.len(), 2, "{updates:?}");
}

#[tokio::test]
async fn an_answer_without_end_ends_at_its_limit_with_the_length_as_reason() {
    let server = Server::new();
    let updates = read_all(&mut server.ask("pieces 1000000 1000")).await;
    assert_eq!(end_of(&updates).reason, FinishReason::Ended(EndReason::Length));
    assert_eq!(text_of(&updates).len(), LIMITS.bytes);
    server.answers.shut_down().await;
    assert_eq!(server.counters.running.load(Ordering::SeqCst), 0);
}
