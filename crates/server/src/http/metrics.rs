//! `GET /metrics`: figures of the backend, in the text format of Prometheus.

use super::error::ApiError;
use super::state::{Http, connection_of, view_of};
use crate::access::AccessLevel;
use crate::backend::Readiness;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, header};
use banter_seam::{Metric, MetricKind};
use banter_store::KeyUsage;
use std::fmt::Write;
use std::sync::Arc;

/// Version 0.0.4 of the format, which every collector reads.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

pub(super) async fn metrics(
    State(http): State<Arc<Http>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let metrics = match http.slot.readiness() {
        Readiness::Loaded(backend) => backend.metrics(),
        Readiness::Loading(_) | Readiness::Unreachable(_) => Vec::new(),
    };
    // Who has which key, and what was done with it, is not for everybody who has one.
    let connection = connection_of(&request);
    let view = view_of(&connection, request.uri(), request.headers());
    let of_keys = match http.access.admit(&view, AccessLevel::Admin) {
        Ok(_) => of_keys(&http),
        Err(_) => Vec::new(),
    };
    let metrics: Vec<Metric> = metrics.into_iter().chain(of_keys).collect();
    let mut response = Response::new(Body::from(text(&metrics)));
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    Ok(response)
}

/// What was done with each key that was made by command.
fn of_keys(http: &Http) -> Vec<Metric> {
    type Count = fn(&KeyUsage) -> u64;
    let counts: [(&'static str, &'static str, Count); 3] = [
        ("banter_key_requests_total", "Requests with a key.", |usage| usage.requests),
        ("banter_key_prompt_tokens_total", "Tokens of prompts.", |usage| usage.prompt_tokens),
        ("banter_key_answer_tokens_total", "Tokens of answers.", |usage| usage.answer_tokens),
    ];
    let usage = http.access.made().usage();
    let metric = |(name, help, count): (&'static str, &'static str, Count)| {
        usage.iter().map(move |(key, usage)| Metric {
            name,
            help,
            kind: MetricKind::Counter,
            labels: format!("{{key=\"{key}\"}}"),
            value: count(usage) as f64,
        })
    };
    counts.into_iter().flat_map(metric).collect()
}

/// The metrics as text. Those of one name follow each other below one description.
fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut described = "";
    for metric in metrics {
        let Metric { name, help, kind, labels, value } = metric;
        if described != *name {
            described = name;
            let kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string");
        }
        writeln!(text, "{name}{labels} {value}").expect("a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_described_once() {
        let metric = |name, labels: &str, value| Metric {
            name,
            help: "What it is.",
            kind: MetricKind::Counter,
            labels: labels.to_owned(),
            value,
        };
        let metrics =
            [metric("a", "{is=\"x\"}", 1.0), metric("a", "{is=\"y\"}", 2.5), metric("b", "", 0.0)];
        let expected = "# HELP a What it is.\n# TYPE a counter\na{is=\"x\"} 1\na{is=\"y\"} 2.5\n\
            # HELP b What it is.\n# TYPE b counter\nb 0\n";
        assert_eq!(text(&metrics), expected);
    }
}
