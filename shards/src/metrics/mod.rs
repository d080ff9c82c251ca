//! What a node measures: its counters, its histograms, and the one catalogue of their names.

mod catalogue;
mod counters;
mod histogram;
mod render;

pub use counters::{Counters, RequestKind};
pub use histogram::Histogram;
pub use render::render_metrics;

pub(crate) use render::Publisher;
