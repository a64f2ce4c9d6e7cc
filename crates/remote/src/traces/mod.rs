//! How answers went, for a collector of OpenTelemetry.
//!
//! The variables that all programs with OpenTelemetry read say where the collector is and what it
//! gets. Without them nothing is recorded. Only builds with the feature `opentelemetry` can record:
//! `collector`.

#[cfg(feature = "opentelemetry")]
mod collector;

#[cfg(feature = "opentelemetry")]
pub use collector::{Traces, TracesError};

/// Whether the environment of this process names a collector.
pub fn are_wanted() -> bool {
    is_wanted(set)
}

/// The same for any environment; `variable` reads one of its variables.
fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str, value: &str| variable(name).is_some_and(|found| found == value);
    let is_off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
    let addresses = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    !is_off && addresses.iter().any(|name| variable(name).is_some_and(|found| !found.is_empty()))
}

/// A variable of this process, if it is set.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_recorded_only_for_a_named_collector() {
        let wanted = |variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
            is_wanted(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces");
        assert!(!wanted(&[]));
        assert!(wanted(&[address]) && wanted(&[of_traces]));
        assert!(!wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(!wanted(&[address, ("OTEL_SDK_DISABLED", "true")]));
        assert!(!wanted(&[address, ("OTEL_TRACES_EXPORTER", "none")]));
    }
}
