//! The result, as a table for people and as JSON for programs.

use comfy_table::Table;
use core::time::Duration;
use serde_json::{Value, json};

use crate::limits::BAD_KEYS_SHOWN;
use crate::plan::{Plan, Work};
use crate::slo::{Quantile, Verdict, show_duration};
use crate::tally::Kind;
use crate::watch::Result;

/// The points of the distribution that are shown.
const QUANTILES: [(&str, Quantile); 5] = [
    ("p50", Quantile::Share(0.5)),
    ("p90", Quantile::Share(0.9)),
    ("p99", Quantile::Share(0.99)),
    ("p99.9", Quantile::Share(0.999)),
    ("max", Quantile::Max),
];

const KINDS: [Kind; 2] = [Kind::Get, Kind::Put];

/// For people.
pub(crate) fn as_text(plan: &Plan, result: &Result, verdicts: &[Verdict]) -> String {
    let mut text = format!("{}\n{}\n", title(plan, result), latencies(result));
    let tally = &result.measured;
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for (kind, failure, count) in tally.failures() {
        line(format!("failed: {} {failure} {count}", kind.name()));
    }
    for (what, count) in [
        ("gets that found nothing", tally.not_found),
        ("retries", tally.retries),
        ("late answers", tally.late_answers),
        ("connections lost", tally.connections_lost),
        ("requests due and never sent", result.unsent),
    ] {
        if count != 0 {
            line(format!("{what}: {count}"));
        }
    }
    if let Some((cpu, micros)) = cpu_per_operation(result) {
        line(format!(
            "server processor time: {} ({cpu:.1}% of one core), {micros:.2} us an operation",
            show_duration(result.server_cpu.unwrap_or_default().total())
        ));
    }
    if let Work::Verify { keys, record } = &plan.work {
        let acknowledged = record.as_ref().map_or(keys.len() as u64, |record| record.acknowledged_keys());
        line(format!(
            "{} keys read, {acknowledged} of them must hold something, {} wrong",
            keys.len(),
            result.bad_keys.len()
        ));
        for (key, what) in result.bad_keys.iter().take(BAD_KEYS_SHOWN) {
            line(format!("wrong: {}{key:012} {what}", plan.prefix));
        }
    }
    for verdict in verdicts {
        let word = if verdict.is_met { "met" } else { "NOT MET" };
        line(format!("objective {}: {word} ({})", verdict.slo, verdict.found));
    }
    text
}

fn title(plan: &Plan, result: &Result) -> String {
    let what = match &plan.work {
        Work::Run(run) => {
            let loop_kind = run.rate.map_or("closed loop".to_owned(), |rate| format!("open loop at {rate}/s"));
            format!("run: {loop_kind}, {} keys, {}, {}% reads", run.keys, run.choice, run.reads * 100.0)
        }
        Work::Load { keys } => format!("load: {keys} keys"),
        Work::Verify { keys, .. } => format!("verify: {} keys", keys.len()),
    };
    let values = if plan.value_bytes == 0 { String::new() } else { format!(", values of {} B", plan.value_bytes) };
    format!("{what}{values}, in {}", show_duration(result.took))
}

fn latencies(result: &Result) -> Table {
    let mut table = Table::new();
    let names = QUANTILES.iter().map(|(name, _)| *name);
    table.set_header(["", "done", "per second", "failed", "mean"].into_iter().chain(names));
    let tally = &result.measured;
    for kind in KINDS.into_iter().filter(|kind| tally.done(*kind) + tally.failed(*kind) != 0) {
        let shown = |latency: Option<Duration>| latency.map_or("-".to_owned(), show_duration);
        let points = QUANTILES.iter().map(|(_, quantile)| shown(tally.latency(Some(kind), *quantile)));
        let done = tally.done(kind);
        let rate = format!("{:.0}", done as f64 / result.took.as_secs_f64());
        let start =
            [kind.name().to_owned(), done.to_string(), rate, tally.failed(kind).to_string(), shown(tally.mean(kind))];
        table.add_row(start.into_iter().chain(points));
    }
    table
}

/// Percent of one core, and microseconds an operation.
fn cpu_per_operation(result: &Result) -> Option<(f64, f64)> {
    let spent = result.server_cpu?.total().as_secs_f64();
    let done = result.measured.done_total();
    (done != 0).then(|| (spent / result.took.as_secs_f64() * 100.0, spent * 1e6 / done as f64))
}

/// For programs. Times are in microseconds.
pub(crate) fn as_json(plan: &Plan, result: &Result, verdicts: &[Verdict]) -> Value {
    let tally = &result.measured;
    let micros = |latency: Option<Duration>| latency.map(|latency| latency.as_nanos() as f64 / 1e3);
    let mut kinds = serde_json::Map::new();
    for kind in KINDS {
        let mut fields = serde_json::Map::new();
        fields.insert("done".to_owned(), json!(tally.done(kind)));
        fields.insert("failed".to_owned(), json!(tally.failed(kind)));
        fields.insert("per_second".to_owned(), json!(tally.done(kind) as f64 / result.took.as_secs_f64()));
        fields.insert("mean_micros".to_owned(), json!(micros(tally.mean(kind))));
        for (name, quantile) in QUANTILES {
            fields.insert(format!("{name}_micros"), json!(micros(tally.latency(Some(kind), quantile))));
        }
        kinds.insert(kind.name().to_owned(), Value::Object(fields));
    }
    let failures: Vec<Value> = tally
        .failures()
        .map(|(kind, failure, count)| json!({ "kind": kind.name(), "failure": failure, "count": count }))
        .collect();
    let cpu = cpu_per_operation(result);
    json!({
        "what": title(plan, result),
        "seconds": result.took.as_secs_f64(),
        "done": tally.done_total(),
        "failed": tally.failed_total(),
        "error_share": tally.error_share(),
        "get": kinds["get"],
        "put": kinds["put"],
        "failures": failures,
        "not_found": tally.not_found,
        "retries": tally.retries,
        "late_answers": tally.late_answers,
        "connections_lost": tally.connections_lost,
        "unsent": result.unsent,
        "server_cpu": result.server_cpu,
        "server_cpu_micros_per_operation": cpu.map(|(_, micros)| micros),
        "wrong_keys": result.bad_keys.len(),
        "objectives": verdicts,
        "timeline": result.timeline,
    })
}
