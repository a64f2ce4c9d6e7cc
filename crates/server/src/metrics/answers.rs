//! How answers go: how long each part takes, and how they end.

use super::trace::Notes;
use banter_seam::{Event, Finished, TraceParent, Tracer, Usage};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::time::Instant;

/// Upper bounds of the buckets, in seconds. Waits for a first word reach from a cached prompt to a
/// long one behind a queue.
const WAITS: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// People notice pauses from a tenth of a second on.
const PAUSES: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5.0];
/// Stops are promised within 50 ms.
const HALTS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 5.0];

/// The metrics of all answers that somebody waits for. Clones are the same.
#[derive(Clone)]
pub(crate) struct AnswerMetrics {
    shared: Arc<Shared>,
    tracer: Option<Arc<dyn Tracer>>,
}

struct Shared {
    queued: Histogram,
    first_token: Histogram,
    between_deltas: Histogram,
    halt: Histogram,
    live: Gauge,
    ended: Family<Ended, Counter>,
    tokens: Family<OfKind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

impl AnswerMetrics {
    pub(super) fn in_registry(
        registry: &mut Registry,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> AnswerMetrics {
        let mut seconds = |name: &str, help: &str, bounds: &[f64]| {
            let histogram = Histogram::new(bounds.iter().copied());
            registry.register(name, help, histogram.clone());
            histogram
        };
        let queued = seconds(
            "banter_queue_seconds",
            "Time from a request for an answer until its computation began",
            &WAITS,
        );
        let first_token = seconds(
            "banter_time_to_first_token_seconds",
            "Time from a request for an answer until its first word",
            &WAITS,
        );
        let between_deltas = seconds(
            "banter_time_between_deltas_seconds",
            "Time from one delta of an answer to the next, before it goes to a reader",
            &PAUSES,
        );
        let halt = seconds(
            "banter_halt_seconds",
            "Time from a stop until the computation has halted",
            &HALTS,
        );
        let (live, ended, tokens) = (Gauge::default(), Family::default(), Family::default());
        registry.register("banter_live_answers", "Answers that wait or are written", live.clone());
        registry.register(
            "banter_answers",
            "Answers that have ended, by the reason",
            Family::clone(&ended),
        );
        registry.register(
            "banter_tokens",
            "Tokens of prompts, those of them that were found in the cache, and tokens of answers",
            Family::clone(&tokens),
        );
        let shared = Shared { queued, first_token, between_deltas, halt, live, ended, tokens };
        AnswerMetrics { shared: Arc::new(shared), tracer }
    }

    /// The answer with this number in the log is asked for now, by a client with this span.
    pub(crate) fn begin(&self, id: u64, parent: Option<TraceParent>) -> OneAnswer {
        self.shared.live.inc();
        let notes = |tracer: &Arc<dyn Tracer>| Notes::begin(tracer.clone(), id, parent);
        OneAnswer {
            shared: self.shared.clone(),
            notes: self.tracer.as_ref().map(notes),
            asked: Instant::now(),
            begun: false,
            last_delta: None,
            stopped: None,
        }
    }
}

/// Measures one answer, until it is dropped.
pub(crate) struct OneAnswer {
    shared: Arc<Shared>,
    /// For whoever records traces, until the answer has ended.
    notes: Option<Notes>,
    asked: Instant,
    /// Its computation has begun.
    begun: bool,
    last_delta: Option<Instant>,
    stopped: Option<Instant>,
}

impl OneAnswer {
    /// The backend has told something.
    pub(crate) fn saw(&mut self, event: &Event) {
        if let Some(notes) = &mut self.notes {
            notes.saw(event);
        }
        match event {
            Event::Queued { .. } | Event::Alive => {}
            Event::Prefill { .. } => self.has_begun(),
            Event::Finished(finished) => {
                self.has_begun();
                self.count_tokens(&finished.usage);
            }
            Event::Delta { .. } | Event::Thinking(_) | Event::Call { .. } | Event::Arguments(_) => {
                self.has_begun();
                self.has_word();
            }
        }
    }

    fn has_begun(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.shared.queued.observe(self.asked.elapsed().as_secs_f64());
        }
    }

    fn has_word(&mut self) {
        let now = Instant::now();
        match self.last_delta.replace(now) {
            None => self.shared.first_token.observe((now - self.asked).as_secs_f64()),
            Some(before) => self.shared.between_deltas.observe((now - before).as_secs_f64()),
        }
    }

    fn count_tokens(&self, usage: &Usage) {
        let counts = [
            ("prompt", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("answer", usage.completion_tokens),
        ];
        for (kind, count) in counts {
            let counter = self.shared.tokens.get_or_create(&OfKind { kind });
            counter.inc_by(count.unwrap_or_default() as u64);
        }
    }

    /// The computation is asked to halt.
    pub(crate) fn stop(&mut self) {
        self.stopped.get_or_insert_with(Instant::now);
    }

    /// The answer of this model has ended, for this reason.
    pub(crate) fn end(&mut self, reason: &'static str, finished: &Finished, model: Option<String>) {
        self.shared.ended.get_or_create(&Ended { reason }).inc();
        if let Some(notes) = self.notes.take() {
            notes.end(reason, finished, model);
        }
    }

    /// The computation has halted.
    pub(crate) fn halted(&mut self) {
        if let Some(stopped) = self.stopped {
            self.shared.halt.observe(stopped.elapsed().as_secs_f64());
        }
    }
}

impl Drop for OneAnswer {
    fn drop(&mut self) {
        self.shared.live.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banter_seam::{AnswerTrace, EndReason, FinishReason, Timings};
    use prometheus_client::encoding::text;
    use std::sync::Mutex;
    use std::time::Duration;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Keeps what it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<AnswerTrace>>);

    impl Tracer for Told {
        fn answered(&self, answer: AnswerTrace) {
            self.0.lock().expect("nobody has failed").push(answer);
        }
    }

    fn delta() -> Event {
        Event::Delta { text: "a".into(), tokens: vec![1], logprobs: Vec::new() }
    }

    fn finished() -> Event {
        let count = |tokens| Some(tokens);
        let usage = Usage {
            prompt_tokens: count(10),
            cached_tokens: count(4),
            completion_tokens: count(2),
        };
        let reason = FinishReason::Ended(EndReason::Stopped);
        Event::Finished(Finished { reason, stop_string: None, usage, timings: Timings::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn each_part_of_an_answer_is_measured_once() {
        let mut registry = Registry::default();
        let tracer = Arc::new(Told::default());
        let metrics = AnswerMetrics::in_registry(&mut registry, Some(tracer.clone()));
        let mut answer = metrics.begin(7, TraceParent::parse(PARENT));
        let wait = async |ms| tokio::time::advance(Duration::from_millis(ms)).await;
        answer.saw(&Event::Queued { ahead: 1, estimate_ms: None });
        wait(500).await;
        for done in [5, 10] {
            answer.saw(&Event::Prefill { done, total: 10, cached: 4 });
            wait(250).await;
        }
        for _ in 0..3 {
            answer.saw(&delta());
            wait(125).await;
        }
        answer.stop();
        wait(25).await;
        let Event::Finished(end) = finished() else { panic!("it is the end") };
        answer.saw(&finished());
        answer.end("stopped", &end, Some("model".to_owned()));
        answer.halted();
        let read = || {
            let mut written = String::new();
            text::encode(&mut written, &registry).expect("a string");
            written
        };
        let expected = [
            "banter_queue_seconds_sum 0.5",
            "banter_queue_seconds_count 1",
            "banter_time_to_first_token_seconds_sum 1.0",
            "banter_time_to_first_token_seconds_bucket{le=\"0.5\"} 0",
            "banter_time_to_first_token_seconds_bucket{le=\"1.0\"} 1",
            "banter_time_between_deltas_seconds_sum 0.25",
            "banter_time_between_deltas_seconds_count 2",
            "banter_halt_seconds_sum 0.025",
            "banter_answers_total{reason=\"stopped\"} 1",
            "banter_tokens_total{kind=\"prompt\"} 10",
            "banter_tokens_total{kind=\"cached\"} 4",
            "banter_tokens_total{kind=\"answer\"} 2",
            "banter_live_answers 1",
        ];
        let written = read();
        for line in expected {
            assert!(written.lines().any(|is| is == line), "{line} is not in\n{written}");
        }
        let told = tracer.0.lock().expect("nobody has failed").pop().expect("it is told once");
        assert_eq!((told.id, told.reason, told.has_failed), (7, "stopped", false));
        assert_eq!(told.parent, TraceParent::parse(PARENT));
        assert_eq!(told.model.as_deref(), Some("model"));
        assert_eq!(told.usage, end.usage);
        let (begun, first) = (told.begun.expect("it has"), told.first_word.expect("it came"));
        assert!(told.asked <= begun && begun <= first && first <= told.ended);
        drop(answer);
        assert!(read().contains("\nbanter_live_answers 0\n"));
    }
}
