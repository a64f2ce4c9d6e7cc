//! The names of our engine's counters.

use banter_engine::engine::{Counters, GAP_BOUNDS};
use banter_seam::{Metric, MetricKind};

/// The counters of our engine.
pub(super) fn of_engine(counters: &Counters) -> Vec<Metric> {
    use MetricKind::{Counter, Gauge};
    let one = |kind, name, help, value: f64| {
        vec![Metric { name, help, kind, labels: String::new(), value }]
    };
    let several = |kind, name, help, label: &str, values: &[(&str, f64)]| {
        let metric = |&(is, value): &(&str, f64)| {
            let labels = format!("{{{label}=\"{is}\"}}");
            Metric { name, help, kind, labels, value }
        };
        values.iter().map(metric).collect::<Vec<Metric>>()
    };
    let count = |number: u64| number as f64;
    let blocks = [
        ("free", counters.free_blocks as f64),
        ("used", (counters.total_blocks - counters.free_blocks) as f64),
        ("disk", counters.disk_blocks as f64),
    ];
    let sequences = [("running", counters.running as f64), ("waiting", counters.waiting as f64)];
    let prompt_tokens =
        [("computed", count(counters.prompt_tokens)), ("reused", count(counters.cached_tokens))];
    let guesses = [
        ("held", count(counters.guesses_accepted)),
        ("wrong", count(counters.guesses - counters.guesses_accepted)),
    ];
    let drafted = [
        ("computed", count(counters.drafts_computed)),
        ("used", count(counters.drafts_used)),
        ("wasted", count(counters.drafts_wasted)),
    ];
    let seconds = [
        ("planning", counters.planning.as_secs_f64()),
        ("computing", counters.computing.as_secs_f64()),
        ("delivering", counters.delivering.as_secs_f64()),
    ];
    [
        several(Gauge, "banter_sequences", "Answers that are computed, and requests that wait to be admitted.", "state", &sequences),
        several(Gauge, "banter_cache_blocks", "Blocks with the keys and values of 16 tokens: free, leased, and on disk.", "state", &blocks),
        several(Counter, "banter_prompt_tokens_total", "Tokens of prompts that were computed, and that were reused from the cache.", "source", &prompt_tokens),
        one(Counter, "banter_fetched_blocks_total", "Blocks that were read from disk.", count(counters.fetched_blocks)),
        several(Counter, "banter_guesses_total", "Tokens that were guessed and computed: those that held, and those that were wrong.", "outcome", &guesses),
        several(Counter, "banter_drafted_tokens_total", "Tokens that were computed while somebody typed: all, those that a request then used, and those that were wasted.", "outcome", &drafted),
        one(Counter, "banter_steps_total", "Steps of the engine.", count(counters.steps)),
        several(Counter, "banter_step_seconds_total", "Time that steps took, by part.", "part", &seconds),
        one(Counter, "banter_slow_steps_total", "Steps with more tokens of prompts than --max-gap-ms, or the time of the answers themselves, allows.", count(counters.slow_steps)),
        one(Gauge, "banter_step_level_seconds", "What a step of one token is estimated to take now; prompts and guesses are paced by it.", counters.step_level.as_secs_f64()),
        one(Gauge, "banter_tried_step_sizes", "Step sizes of answers and guesses that were tried lately, so that their time is known.", counters.tried_sizes as f64),
        gaps(counters),
    ]
    .concat()
}

/// Pauses between two words of an answer.
fn gaps(counters: &Counters) -> Vec<Metric> {
    let help = "Pauses between two words of an answer.";
    let metric =
        |name, labels, value| Metric { name, help, kind: MetricKind::Histogram, labels, value };
    let name = "banter_gap_seconds";
    let mut below = 0;
    let mut metrics = Vec::new();
    for (bound, gaps) in GAP_BOUNDS.iter().zip(counters.gaps) {
        below += gaps;
        let labels = format!("_bucket{{le=\"{}\"}}", bound.as_secs_f64());
        metrics.push(metric(name, labels, below as f64));
    }
    let all: u64 = counters.gaps.iter().sum();
    metrics.push(metric(name, "_bucket{le=\"+Inf\"}".to_owned(), all as f64));
    metrics.push(metric(name, "_sum".to_owned(), counters.gap_sum.as_secs_f64()));
    metrics.push(metric(name, "_count".to_owned(), all as f64));
    metrics
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
            layers_after_stop: 6,
            guesses: 15,
            guesses_accepted: 7,
            prompt_tokens: 9,
            cached_tokens: 10,
            drafts_computed: 11,
            drafts_used: 12,
            drafts_wasted: 13,
            gaps: [1; GAP_BOUNDS.len() + 1],
            gap_sum: Duration::from_millis(1_500),
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
            ("banter_sequences", "{state=\"running\"}", 4.0),
            ("banter_sequences", "{state=\"waiting\"}", 5.0),
            ("banter_cache_blocks", "{state=\"free\"}", 1.0),
            ("banter_cache_blocks", "{state=\"used\"}", 2.0),
            ("banter_cache_blocks", "{state=\"disk\"}", 17.0),
            ("banter_prompt_tokens_total", "{source=\"computed\"}", 9.0),
            ("banter_prompt_tokens_total", "{source=\"reused\"}", 10.0),
            ("banter_fetched_blocks_total", "", 18.0),
            ("banter_guesses_total", "{outcome=\"held\"}", 7.0),
            ("banter_guesses_total", "{outcome=\"wrong\"}", 8.0),
            ("banter_drafted_tokens_total", "{outcome=\"computed\"}", 11.0),
            ("banter_drafted_tokens_total", "{outcome=\"used\"}", 12.0),
            ("banter_drafted_tokens_total", "{outcome=\"wasted\"}", 13.0),
            ("banter_steps_total", "", 19.0),
            ("banter_step_seconds_total", "{part=\"planning\"}", 20.0),
            ("banter_step_seconds_total", "{part=\"computing\"}", 21.0),
            ("banter_step_seconds_total", "{part=\"delivering\"}", 22.0),
            ("banter_slow_steps_total", "", 14.0),
            ("banter_step_level_seconds", "", 0.0025),
            ("banter_tried_step_sizes", "", 16.0),
        ];
        let metrics = of_engine(&counters);
        let (told, gaps) = metrics.split_at(expected.len());
        let told: Vec<_> =
            told.iter().map(|told| (told.name, told.labels.as_str(), told.value)).collect();
        assert_eq!(told, expected);
        for metric in &metrics {
            let is_total = metric.name.ends_with("_total");
            assert_eq!(metric.kind == MetricKind::Counter, is_total, "{}", metric.name);
        }
        let of = |labels: &str| gaps.iter().find(|gap| gap.labels == labels).map(|gap| gap.value);
        assert!(gaps.iter().all(|gap| gap.name == "banter_gap_seconds"));
        assert_eq!(of("_bucket{le=\"0.05\"}"), Some(2.0));
        assert_eq!((of("_sum"), of("_count")), (Some(1.5), Some(8.0)));
    }
}
