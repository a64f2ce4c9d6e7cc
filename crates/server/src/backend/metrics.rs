//! The names of our engine's counters.

use MetricKind::{Counter, Gauge};
use banter_engine::engine::Counters;
use banter_seam::{Label, Metric, MetricKind};

/// The counters of our engine.
pub(super) fn of_engine(counters: &Counters) -> Vec<Metric> {
    let mut metrics = of_queue_and_cache(counters);
    metrics.extend(of_tokens(counters));
    metrics.extend(of_steps(counters));
    metrics
}

fn of_queue_and_cache(counters: &Counters) -> Vec<Metric> {
    let used_blocks = counters.total_blocks - counters.free_blocks;
    let estimate = counters.wait_estimate_ms.map(|estimate_ms| {
        let help = "How long a request that comes now would wait, by how long others took.";
        one(Gauge, "banter_wait_estimate_seconds", help, estimate_ms as f64 / 1e3)
    });
    let mut metrics = vec![
        several(
            Gauge,
            "banter_sequences",
            "Answers that are computed, and requests that wait to be admitted.",
            "state",
            &[("running", counters.running as f64), ("waiting", counters.waiting as f64)],
        ),
        several(
            Gauge,
            "banter_cache_blocks",
            "Blocks with the keys and values of 16 tokens: free, leased, and on disk.",
            "state",
            &[
                ("free", counters.free_blocks as f64),
                ("used", used_blocks as f64),
                ("disk", counters.disk_blocks as f64),
            ],
        ),
    ];
    metrics.extend(estimate);
    metrics
}

fn of_tokens(counters: &Counters) -> Vec<Metric> {
    let wrong_guesses = counters.guesses - counters.guesses_accepted;
    vec![
        several(
            Counter,
            "banter_prompt_tokens",
            "Tokens of prompts that were computed, and that were reused from the cache.",
            "source",
            &[
                ("computed", counters.prompt_tokens as f64),
                ("reused", counters.cached_tokens as f64),
            ],
        ),
        one(
            Counter,
            "banter_fetched_blocks",
            "Blocks that were read from disk.",
            counters.fetched_blocks as f64,
        ),
        several(
            Counter,
            "banter_guesses",
            "Tokens that were guessed and computed: those that held, and those that were wrong.",
            "outcome",
            &[("held", counters.guesses_accepted as f64), ("wrong", wrong_guesses as f64)],
        ),
        several(
            Counter,
            "banter_drafted_tokens",
            "Tokens that were computed while somebody typed: all, those that a request then used, and those that were wasted.",
            "outcome",
            &[
                ("computed", counters.drafts_computed as f64),
                ("used", counters.drafts_used as f64),
                ("wasted", counters.drafts_wasted as f64),
            ],
        ),
    ]
}

fn of_steps(counters: &Counters) -> Vec<Metric> {
    vec![
        one(Counter, "banter_steps", "Steps of the engine.", counters.steps as f64),
        several(
            Counter,
            "banter_step_seconds",
            "Time that steps took, by part.",
            "part",
            &[
                ("planning", counters.planning.as_secs_f64()),
                ("computing", counters.computing.as_secs_f64()),
                ("delivering", counters.delivering.as_secs_f64()),
            ],
        ),
        one(
            Counter,
            "banter_slow_steps",
            "Steps with more tokens of prompts than --max-gap-ms, or the time of the answers themselves, allows.",
            counters.slow_steps as f64,
        ),
        one(
            Gauge,
            "banter_step_level_seconds",
            "What a step of one token is estimated to take now; prompts and guesses are paced by it.",
            counters.step_level.as_secs_f64(),
        ),
        one(
            Gauge,
            "banter_tried_step_sizes",
            "Step sizes of answers and guesses that were tried lately, so that their time is known.",
            counters.tried_sizes as f64,
        ),
    ]
}

fn one(kind: MetricKind, name: &'static str, help: &'static str, value: f64) -> Metric {
    Metric { name, help, kind, values: vec![(None, value)] }
}

/// A metric with a value for each of these.
fn several(
    kind: MetricKind,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: &[(&str, f64)],
) -> Metric {
    let value = |&(is, value): &(&str, f64)| (Some(Label { name: label, value: is.into() }), value);
    Metric { name, help, kind, values: values.iter().map(value).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_counter_has_its_name_and_unit() {
        let counters = Counters {
            free_blocks: 1,
            total_blocks: 3,
            running: 4,
            waiting: 5,
            wait_estimate_ms: Some(250),
            layers_after_stop: 6,
            guesses: 15,
            guesses_accepted: 7,
            prompt_tokens: 9,
            cached_tokens: 10,
            drafts_computed: 11,
            drafts_used: 12,
            drafts_wasted: 13,
            slow_steps: 14,
            step_level: Duration::from_micros(2_500),
            tried_sizes: 16,
            disk_blocks: 17,
            fetched_blocks: 18,
            steps: 19,
            planning: Duration::from_secs(20),
            computing: Duration::from_secs(21),
            delivering: Duration::from_secs(22),
        };
        let expected = [
            ("banter_sequences", "state=running", 4.0),
            ("banter_sequences", "state=waiting", 5.0),
            ("banter_cache_blocks", "state=free", 1.0),
            ("banter_cache_blocks", "state=used", 2.0),
            ("banter_cache_blocks", "state=disk", 17.0),
            ("banter_wait_estimate_seconds", "", 0.25),
            ("banter_prompt_tokens", "source=computed", 9.0),
            ("banter_prompt_tokens", "source=reused", 10.0),
            ("banter_fetched_blocks", "", 18.0),
            ("banter_guesses", "outcome=held", 7.0),
            ("banter_guesses", "outcome=wrong", 8.0),
            ("banter_drafted_tokens", "outcome=computed", 11.0),
            ("banter_drafted_tokens", "outcome=used", 12.0),
            ("banter_drafted_tokens", "outcome=wasted", 13.0),
            ("banter_steps", "", 19.0),
            ("banter_step_seconds", "part=planning", 20.0),
            ("banter_step_seconds", "part=computing", 21.0),
            ("banter_step_seconds", "part=delivering", 22.0),
            ("banter_slow_steps", "", 14.0),
            ("banter_step_level_seconds", "", 0.0025),
            ("banter_tried_step_sizes", "", 16.0),
        ];
        let metrics = of_engine(&counters);
        let values = metrics.iter().flat_map(|metric| {
            metric.values.iter().map(move |(label, value)| {
                let label = label.as_ref().map(|Label { name, value }| format!("{name}={value}"));
                (metric.name, label.unwrap_or_default(), *value)
            })
        });
        let expected = expected.map(|(name, label, value)| (name, label.to_owned(), value));
        assert_eq!(values.collect::<Vec<_>>(), expected);
    }
}
