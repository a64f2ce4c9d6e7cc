//! Metrics that are asked for when somebody reads them.

use banter_seam::{Label, Metric, MetricKind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// What they were when they were asked for.
#[derive(Debug)]
pub(super) struct Snapshot(pub(super) Vec<Metric>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|metric| encode(metric, &mut encoder))
    }
}

/// Writes one metric with its description.
pub(super) fn encode(metric: &Metric, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Metric { name, help, kind, values } = metric;
    let of_type = match kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
    };
    let mut encoder = encoder.encode_descriptor(name, help, None, of_type)?;
    for (label, value) in values {
        match label {
            None => encode_value(*kind, *value, &mut encoder)?,
            Some(Label { name, value: which }) => {
                let labels = [(*name, which.as_str())];
                encode_value(*kind, *value, &mut encoder.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

fn encode_value(kind: MetricKind, value: f64, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match kind {
        MetricKind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        MetricKind::Gauge => encoder.encode_gauge(&value),
    }
}
