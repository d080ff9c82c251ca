//! The moments at which the power is cut, as rows of the matrix.

use crate::power::summary::Summary;
use rondo_storage::Engine;
use std::fmt::Write;

/// What loses its power, and the moments that are told apart.
const MOMENTS: [(&str, &[&str]); 3] = [
    ("shard", &["opening", "load", "checkpoint", "stopping", "stopped"]),
    (
        "1 node",
        &[
            "starting",
            "load",
            "load and checkpoint",
            "stopping",
            "stopped",
            "migrating",
            "migrated",
            "moving to other cores",
        ],
    ),
    ("3 nodes", &["starting", "load", "load and checkpoint", "stopping", "stopped"]),
];

/// The head of [`markdown`].
pub const HEAD: &str = "| engine | what | moment | cuts |\n|---|---|---|---|\n";

/// All rows: engine, what, moment.
pub fn rows(engine: Engine) -> Vec<[String; 3]> {
    let moments = MOMENTS.into_iter().flat_map(|(what, moments)| moments.iter().map(move |moment| (what, *moment)));
    moments.map(|(what, moment)| [engine.to_string(), what.to_owned(), moment.to_owned()]).collect()
}

/// Rows of Markdown, one a moment.
///
/// # Panics
/// If the power was cut at a moment that is no row.
pub fn markdown(engine: Engine, summary: &Summary) -> String {
    let mut text = String::new();
    let mut shown = 0;
    for [engine, what, moment] in rows(engine) {
        let cuts = summary.moments.get(&format!("{what}: {moment}")).copied().unwrap_or(0);
        shown += cuts;
        writeln!(text, "| {engine} | {what} | {moment} | {cuts} |").expect("a string takes everything");
    }
    assert_eq!(shown, summary.cuts, "every moment is a row: {:?}", summary.moments);
    text
}
