//! What the system says of this process, by the names that the libraries of Prometheus use.

use super::snapshot;
use banter_seam::{Metric, MetricKind};
use procfs::process::{LimitValue, Process as OfSystem};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;

/// Asks the system whenever somebody reads the metrics. What it does not say is left out.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        metrics().iter().try_for_each(|metric| snapshot::encode(metric, &mut encoder))
    }
}

fn metrics() -> Vec<Metric> {
    let Ok(process) = OfSystem::myself() else { return Vec::new() };
    let Ok(stat) = process.stat() else { return Vec::new() };
    let metric = |name, help, kind, value| Metric { name, help, kind, values: vec![(None, value)] };
    let gauge = |name, help, value| metric(name, help, MetricKind::Gauge, value);
    let ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let mut metrics = vec![
        metric(
            "process_cpu_seconds",
            "Processor time that the process took.",
            MetricKind::Counter,
            ticks,
        ),
        gauge("process_threads", "Threads of the process.", stat.num_threads as f64),
        gauge(
            "process_resident_memory_bytes",
            "Memory that the process occupies.",
            (stat.rss * procfs::page_size()) as f64,
        ),
        gauge(
            "process_virtual_memory_bytes",
            "Addresses that the process has reserved.",
            stat.vsize as f64,
        ),
    ];
    let started = procfs::boot_time_secs()
        .map(|boot| boot as f64 + stat.starttime as f64 / procfs::ticks_per_second() as f64);
    if let Ok(started) = started {
        let help = "When the process was started, in seconds since 1970.";
        metrics.push(gauge("process_start_time_seconds", help, started));
    }
    if let Ok(open) = process.fd_count() {
        let help = "Files and connections that the process has open.";
        metrics.push(gauge("process_open_fds", help, open as f64));
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        let help = "Files and connections that the process may have open.";
        metrics.push(gauge("process_max_fds", help, most as f64));
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let metrics = metrics();
        let value = |name| {
            let metric = metrics.iter().find(|metric| metric.name == name);
            metric.unwrap_or_else(|| panic!("{name} is missing: {metrics:?}")).values[0].1
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") > value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age = now.expect("after 1970").as_secs_f64() - value("process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }
}
