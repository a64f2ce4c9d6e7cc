//! Figures for programs that watch the server, as `GET /metrics` gives them.
//!
//! What happens in the server is counted when it happens (`answers`, `requests`). What can be asked
//! for at any time is asked for when somebody reads the metrics (`process`, `snapshot`). `trace` tells each
//! answer to whoever records traces.

mod answers;
mod process;
mod requests;
mod snapshot;
mod trace;

pub(crate) use answers::{AnswerMetrics, OneAnswer};
pub(crate) use requests::{RequestMetrics, SocketLanguage};

use crate::backend::Readiness;
use banter_protocol::http::Status;
use banter_seam::{Label, Metric, MetricKind, Tracer};
use banter_store::KeyUsage;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The metrics of one server.
pub(crate) struct Metrics {
    pub(crate) answers: AnswerMetrics,
    pub(crate) requests: RequestMetrics,
    registry: Registry,
}

/// What is asked for when the metrics are read.
pub(crate) struct Asked {
    pub(crate) readiness: Readiness,
    pub(crate) status: Status,
    /// What was done with each key that was made by command; empty for those who may not know.
    pub(crate) usage: Vec<(String, KeyUsage)>,
}

impl Metrics {
    /// New metrics, for a server whose answers are told to `tracer`.
    pub(crate) fn new(tracer: Option<Arc<dyn Tracer>>) -> Metrics {
        let mut registry = Registry::default();
        let answers = AnswerMetrics::in_registry(&mut registry, tracer);
        let requests = RequestMetrics::in_registry(&mut registry);
        registry.register_collector(Box::new(process::Process));
        Metrics { answers, requests, registry }
    }

    /// All of them as OpenMetrics text.
    pub(crate) fn text(&self, asked: &Asked) -> String {
        let mut now = Registry::default();
        let metrics = [of_server(asked), of_backend(&asked.readiness), of_keys(&asked.usage)];
        now.register_collector(Box::new(snapshot::Snapshot(metrics.concat())));
        let mut written = String::new();
        let text = text::encode_registry(&mut written, &self.registry)
            .and_then(|()| text::encode_registry(&mut written, &now))
            .and_then(|()| text::encode_eof(&mut written));
        text.expect("a string takes everything");
        written
    }
}

/// Which program this is, and whether it can answer.
fn of_server(asked: &Asked) -> Vec<Metric> {
    let version = Label { name: "version", value: env!("CARGO_PKG_VERSION").into() };
    let is_ready = asked.status == Status::Ready;
    vec![
        Metric {
            name: "banter_build_info",
            help: "Always 1; its label is the version of the program.",
            kind: MetricKind::Gauge,
            values: vec![(Some(version), 1.0)],
        },
        Metric {
            name: "banter_ready",
            help: "1 if the server can answer, as /ready says; otherwise 0.",
            kind: MetricKind::Gauge,
            values: vec![(None, f64::from(u8::from(is_ready)))],
        },
    ]
}

/// Which model is loaded, and what its backend counts.
fn of_backend(readiness: &Readiness) -> Vec<Metric> {
    let Readiness::Loaded(backend) = readiness else { return Vec::new() };
    let info = backend.info();
    let gauge = |name, help, value| Metric { name, help, kind: MetricKind::Gauge, values: value };
    let name = Label { name: "name", value: info.name.clone() };
    let mut metrics = vec![gauge(
        "banter_model_info",
        "Always 1; its label is the name of the loaded model.",
        vec![(Some(name), 1.0)],
    )];
    if let Some(bytes) = info.weights_bytes {
        let help = "Memory of the weights of the loaded model.";
        metrics.push(gauge("banter_weights_bytes", help, vec![(None, bytes as f64)]));
    }
    metrics.extend(backend.metrics());
    metrics
}

/// What was done with each key that was made by command.
fn of_keys(usage: &[(String, KeyUsage)]) -> Vec<Metric> {
    if usage.is_empty() {
        return Vec::new();
    }
    type Count = fn(&KeyUsage) -> u64;
    let counts: [(&'static str, &'static str, Count); 3] = [
        ("banter_key_requests", "Requests with a key.", |usage| usage.requests),
        ("banter_key_prompt_tokens", "Tokens of the prompts of a key.", |usage| {
            usage.prompt_tokens
        }),
        ("banter_key_answer_tokens", "Tokens of the answers of a key.", |usage| {
            usage.answer_tokens
        }),
    ];
    let metric = |(name, help, count): (&'static str, &'static str, Count)| {
        let value = |(key, usage): &(String, KeyUsage)| {
            (Some(Label { name: "key", value: key.clone() }), count(usage) as f64)
        };
        let values = usage.iter().map(value).collect();
        Metric { name, help, kind: MetricKind::Counter, values }
    };
    counts.into_iter().map(metric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(usage: Vec<(String, KeyUsage)>) -> Asked {
        Asked {
            readiness: Readiness::Loading(0.5),
            status: Status::Loading { progress: 0.5 },
            usage,
        }
    }

    #[test]
    fn a_name_is_described_once_and_the_text_has_an_end() {
        let usage = |requests| KeyUsage { requests, ..KeyUsage::default() };
        let keys = vec![("wiki".into(), usage(2)), ("a \"b\" \\ c\n".into(), usage(3))];
        let text = Metrics::new(None).text(&asked(keys));
        let described = text.lines().filter(|line| line.starts_with("# TYPE banter_key_requests "));
        assert_eq!(described.collect::<Vec<_>>(), ["# TYPE banter_key_requests counter"]);
        assert!(text.contains("\nbanter_key_requests_total{key=\"wiki\"} 2.0\n"), "{text}");
        let escaped = "\nbanter_key_requests_total{key=\"a \\\"b\\\" \\\\ c\\n\"} 3.0\n";
        assert!(text.contains(escaped), "{text}");
        assert!(text.contains("\nbanter_ready 0.0\n"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn nothing_is_said_of_keys_where_there_are_none() {
        let text = Metrics::new(None).text(&asked(Vec::new()));
        assert!(!text.contains("banter_key_"), "{text}");
    }
}
