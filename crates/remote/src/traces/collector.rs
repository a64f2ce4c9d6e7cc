//! Spans for the collector. They wait in a queue that drops the newest when it is
//! full, and a thread of its own sends them, so no answer waits for the collector.
//!
//! The attributes are those that OpenTelemetry has defined for generative models
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/>). No span has what anybody has written.

use std::time::{Duration, SystemTime};

use banter_seam::{AnswerTrace, TraceParent, Tracer};
use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, TracerProvider,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tracing::warn;

use super::{is_wanted, set};
use crate::client::set_cryptography;

/// How long the end of the program waits for spans that were not sent yet.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// Records the traces of a server.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Why traces cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector is to be spoken to in another way.
    #[error(
        "{variable}: expected http/protobuf or http/json, found {found}; name the address at which \
         the collector takes HTTP, usually port 4318"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
    },
    /// Another variable is wrong, or https cannot be used.
    #[error("OpenTelemetry: {0}; mend the variable, or unset it to start without traces")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What the collector is spoken to in, unless a variable says it.
///
/// Errors: a variable names another protocol.
fn protocol() -> Result<Option<Protocol>, TracesError> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match set(variable) {
            None => {}
            Some(found) if found == "http/protobuf" || found == "http/json" => return Ok(None),
            Some(found) => return Err(TracesError::Protocol { variable, found }),
        }
    }
    Ok(Some(Protocol::HttpBinary))
}

/// What every span says of the program.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    let attributes = set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_named = set("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=");
    if is_named { builder.build() } else { builder.with_service_name("banter").build() }
}

impl Traces {
    /// Records traces if the environment names a collector. It is not asked now.
    ///
    /// Errors: a variable is wrong.
    pub fn from_environment() -> Result<Option<Traces>, TracesError> {
        if !is_wanted(set) {
            return Ok(None);
        }
        set_cryptography();
        let mut exporter = opentelemetry_otlp::SpanExporter::builder().with_http();
        if let Some(protocol) = protocol()? {
            exporter = exporter.with_protocol(protocol);
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(Outspoken(exporter.build()?))
            .build();
        let tracer = provider.tracer("banter");
        Ok(Some(Traces { provider, tracer }))
    }

    /// A part of an answer.
    fn part(&self, name: &'static str, times: (SystemTime, SystemTime), parent: &Context) {
        let builder = SpanBuilder::from_name(name).with_start_time(times.0);
        builder.start_with_context(&self.tracer, parent).end_with_timestamp(times.1);
    }
}

impl Tracer for Traces {
    fn answered(&self, answer: AnswerTrace) {
        let parent = answer.parent.map_or_else(Context::new, context_of);
        let name = match &answer.model {
            Some(model) => format!("chat {model}"),
            None => "chat".to_owned(),
        };
        let mut span = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Server)
            .with_start_time(answer.asked)
            .with_attributes(attributes(&answer))
            .start_with_context(&self.tracer, &parent);
        if answer.has_failed {
            span.set_status(Status::error(answer.reason));
        }
        let within = Context::new().with_remote_span_context(span.span_context().clone());
        let begun = answer.begun.unwrap_or(answer.ended);
        self.part("queue", (answer.asked, begun), &within);
        if answer.begun.is_some() {
            self.part("prompt", (begun, answer.first_word.unwrap_or(answer.ended)), &within);
        }
        if let Some(first_word) = answer.first_word {
            self.part("words", (first_word, answer.ended), &within);
        }
        span.end_with_timestamp(answer.ended);
    }

    fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_SPANS) {
            warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The client's span as OpenTelemetry has it.
fn context_of(parent: TraceParent) -> Context {
    let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(parent.trace_id), SpanId::from(parent.span_id));
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    Context::new().with_remote_span_context(context)
}

fn attributes(answer: &AnswerTrace) -> Vec<KeyValue> {
    let reasons: Vec<StringValue> = vec![answer.reason.into()];
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", "banter"),
        KeyValue::new("gen_ai.response.finish_reasons", Value::Array(Array::String(reasons))),
        KeyValue::new("banter.answer.id", i64::try_from(answer.id).unwrap_or(i64::MAX)),
    ];
    if let Some(model) = &answer.model {
        attributes.push(KeyValue::new("gen_ai.response.model", model.clone()));
    }
    let counts = [
        ("gen_ai.usage.input_tokens", answer.usage.prompt_tokens),
        ("gen_ai.usage.cache_read.input_tokens", answer.usage.cached_tokens),
        ("gen_ai.usage.output_tokens", answer.usage.completion_tokens),
    ];
    for (name, count) in counts {
        if let Some(count) = count.and_then(|count| i64::try_from(count).ok()) {
            attributes.push(KeyValue::new(name, count));
        }
    }
    if answer.has_failed {
        attributes.push(KeyValue::new("error.type", answer.reason));
    }
    attributes
}

/// An exporter whose failures are in our log. The library tells its own log of them, which may hold
/// what people write and is not shown.
#[derive(Debug)]
struct Outspoken(opentelemetry_otlp::SpanExporter);

impl SpanExporter for Outspoken {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.0.export(batch).await;
        if let Err(error) = &exported {
            warn!(%error, spans, "traces could not be sent to the collector, so they are lost");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
