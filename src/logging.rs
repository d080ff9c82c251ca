//! Log lines, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Whether `filter` can be used.
pub(crate) fn check(filter: &str) -> Result<(), String> {
    filter.parse::<EnvFilter>().map(drop).map_err(|error| error.to_string())
}

/// Starts logging by `filter`, which [`check`] has seen. A second call changes nothing.
pub(crate) fn start(filter: &str) {
    let filter = filter.parse::<EnvFilter>().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // An error means that a subscriber is there already, which serves as well.
    let _ = subscriber.try_init();
}
