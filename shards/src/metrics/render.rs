//! From the shards' reports to Prometheus' text.
//!
//! Counters and gauges go through handles that are resolved once, when the node starts; histograms are written out here,
//! because their buckets are ours and no sample of theirs was ever kept.

use core::fmt::Write;
use std::sync::Arc;

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use rondo_protocol::now::Instant;

use super::catalogue::{
    COUNTERS, DISK_WRITTEN, GAUGES, HISTOGRAMS, HistogramMetric, MEMORY_BOUND, PEER_LINK_UP, RESIDENT, TICK_AGE,
};
use crate::memory;
use crate::node::Node;
use crate::watch::ShardReport;

const METADATA: Metadata<'static> = Metadata::new("rondo_shards", Level::INFO, None);

/// All metrics of the node in Prometheus' text format. Takes about a millisecond of the calling thread and no time of a
/// shard.
pub fn render_metrics(node: &Node) -> String {
    node.render_metrics()
}

/// The handles of one node's series.
pub(crate) struct Publisher {
    handle: PrometheusHandle,
    process: ProcessHandles,
    shards: Vec<ShardHandles>,
}

/// What is not of one core.
struct ProcessHandles {
    memory_bound: Gauge,
    resident: Gauge,
    disk_written: Counter,
}

struct ShardHandles {
    counters: Vec<Counter>,
    gauges: Vec<Gauge>,
    tick_age: Gauge,
    peer_links: Vec<Gauge>,
}

impl core::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Publisher").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Resolves every handle, for so many shards and these peers, of a node with this bound of its memory in bytes.
    pub(crate) fn new<'a>(shards: usize, peers: impl Iterator<Item = &'a str> + Clone, memory_bound: u64) -> Publisher {
        let recorder = PrometheusBuilder::new().build_recorder();
        describe(&recorder);
        let shards = (0..shards).map(|core| ShardHandles::resolve(&recorder, core, peers.clone())).collect();
        let process = ProcessHandles::resolve(&recorder);
        process.memory_bound.set(memory_bound as f64);
        Publisher { handle: recorder.handle(), process, shards }
    }

    /// Renders these reports, one a shard, with the times at which the shards last ticked.
    pub(crate) fn render(&self, reports: &[(Arc<ShardReport>, Instant)], now: Instant) -> String {
        for (handles, (report, ticked_at)) in self.shards.iter().zip(reports) {
            handles.publish(report, *ticked_at, now);
        }
        self.process.publish();
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        append_histograms(reports, &mut text);
        text
    }
}

impl ProcessHandles {
    fn resolve(recorder: &PrometheusRecorder) -> ProcessHandles {
        let gauge = |name: &'static str| recorder.register_gauge(&Key::from_static_name(name), &METADATA);
        ProcessHandles {
            memory_bound: gauge(MEMORY_BOUND.0),
            resident: gauge(RESIDENT.0),
            disk_written: recorder.register_counter(&Key::from_static_name(DISK_WRITTEN.0), &METADATA),
        }
    }

    /// Asks the system; called by the thread that renders, never by a shard.
    fn publish(&self) {
        self.resident.set(memory::resident_bytes() as f64);
        self.disk_written.absolute(memory::disk_written_bytes());
    }
}

impl ShardHandles {
    fn resolve<'a>(recorder: &PrometheusRecorder, core: usize, peers: impl Iterator<Item = &'a str>) -> ShardHandles {
        let key = |name: &'static str, label: Option<(&'static str, String)>| {
            let core = Label::new("core", core.to_string());
            let labels = core::iter::once(core).chain(label.map(|(name, value)| Label::new(name, value)));
            Key::from_parts(name, labels.collect::<Vec<_>>())
        };
        let counter = |metric: &super::catalogue::CounterMetric| {
            let label = metric.label.map(|(name, value)| (name, value.to_owned()));
            recorder.register_counter(&key(metric.name, label), &METADATA)
        };
        let link =
            |peer: &str| recorder.register_gauge(&key(PEER_LINK_UP.0, Some(("peer", peer.to_owned()))), &METADATA);
        ShardHandles {
            counters: COUNTERS.iter().map(counter).collect(),
            gauges: GAUGES.iter().map(|gauge| recorder.register_gauge(&key(gauge.name, None), &METADATA)).collect(),
            tick_age: recorder.register_gauge(&key(TICK_AGE.0, None), &METADATA),
            peer_links: peers.map(link).collect(),
        }
    }

    fn publish(&self, report: &ShardReport, ticked_at: Instant, now: Instant) {
        for (handle, metric) in self.counters.iter().zip(COUNTERS) {
            handle.absolute((metric.read)(report));
        }
        for (handle, metric) in self.gauges.iter().zip(GAUGES) {
            handle.set((metric.read)(report, now));
        }
        for (handle, peer) in self.peer_links.iter().zip(&report.peers) {
            handle.set(f64::from(u8::from(peer.is_up)));
        }
        self.tick_age.set((now - ticked_at).as_secs_f64());
    }
}

fn describe(recorder: &PrometheusRecorder) {
    recorder.describe_counter(DISK_WRITTEN.0.into(), None, SharedString::const_str(DISK_WRITTEN.1));
    for metric in COUNTERS {
        recorder.describe_counter(metric.name.into(), None, SharedString::const_str(metric.help));
    }
    let gauges =
        GAUGES.iter().map(|metric| (metric.name, metric.help)).chain([PEER_LINK_UP, TICK_AGE, MEMORY_BOUND, RESIDENT]);
    for (name, help) in gauges {
        recorder.describe_gauge(name.into(), None, SharedString::const_str(help));
    }
}

fn append_histograms(reports: &[(Arc<ShardReport>, Instant)], text: &mut String) {
    let mut last_name = "";
    for metric in HISTOGRAMS {
        if metric.name != last_name {
            append(text, format_args!("# HELP {0} {1}\n# TYPE {0} histogram\n", metric.name, metric.help));
            last_name = metric.name;
        }
        for (core, (report, _)) in reports.iter().enumerate() {
            append_histogram(metric, core, report, text);
        }
    }
}

fn append_histogram(metric: &HistogramMetric, core: usize, report: &ShardReport, text: &mut String) {
    let name = metric.name;
    let histogram = (metric.read)(&report.counters);
    let labels = match metric.label {
        None => format!("core=\"{core}\""),
        Some((label, value)) => format!("core=\"{core}\",{label}=\"{value}\""),
    };
    for (end, count) in histogram.cumulative() {
        match end {
            Some(end) => append(text, format_args!("{name}_bucket{{{labels},le=\"{end}\"}} {count}\n")),
            None => append(text, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n")),
        }
    }
    append(text, format_args!("{name}_sum{{{labels}}} {}\n", histogram.sum().as_secs_f64()));
    append(text, format_args!("{name}_count{{{labels}}} {}\n", histogram.count()));
}

fn append(text: &mut String, line: core::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::collections::BTreeSet;

    fn rendered() -> String {
        let publisher = Publisher::new(2, ["b", "c"].into_iter(), 7 << 20);
        let mut report = ShardReport::default();
        report.counters.latency[0].record(Duration::from_micros(100));
        report.stats.gets = 7;
        let report = Arc::new(report);
        publisher.render(&[(Arc::clone(&report), Instant(0)), (report, Instant(0))], Instant(2_000_000_000))
    }

    #[test]
    fn every_series_names_its_core_or_is_of_the_whole_process_and_none_occurs_twice() {
        let text = rendered();
        let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names: Vec<_> = series.map(|line| line.rsplit_once(' ').expect("a value follows").0).collect();
        let whole = [MEMORY_BOUND.0, RESIDENT.0, DISK_WRITTEN.0];
        assert!(names.iter().all(|name| name.contains("core=\"") || whole.contains(name)), "{text}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn numbers_of_the_report_arrive_under_their_names() {
        let text = rendered();
        for line in [
            "rondo_requests_total{core=\"1\",kind=\"get\"} 7",
            "rondo_peer_link_up{core=\"0\",peer=\"c\"} 0",
            "rondo_core_tick_age_seconds{core=\"0\"} 2",
            "rondo_memory_bound_bytes 7340032",
            "rondo_request_latency_seconds_bucket{core=\"0\",kind=\"get\",le=\"+Inf\"} 1",
            "rondo_request_latency_seconds_count{core=\"1\",kind=\"get\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
