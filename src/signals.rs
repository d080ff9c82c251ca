//! SIGTERM, SIGINT and SIGHUP, as messages.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::exit::Exit;

/// Listens from now on: the first signal arrives at the receiver, a second one ends the process at once.
pub(crate) fn listen() -> io::Result<flume::Receiver<&'static str>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    // One signal is sent, and one place is enough for it.
    let (sender, receiver) = flume::bounded(1);
    let pass_on = move || {
        let mut received = signals.forever();
        if let Some(first) = received.next() {
            // The receiver is gone only when the process is about to end anyway.
            let _ = sender.try_send(name_of(first));
        }
        if received.next().is_some() {
            tracing::warn!("second signal: ending at once");
            signal_hook::low_level::exit(Exit::Interrupted as i32);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(pass_on)?;
    Ok(receiver)
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
        SIGHUP => "SIGHUP",
        _ => "signal",
    }
}
