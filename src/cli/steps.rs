//! How far a long command is, on standard error: a bar for people, a line every ten percent for files.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU16, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::data::eprint_line;

/// Tells how far it is, from any thread.
pub(crate) struct Steps {
    what: String,
    bar: Option<ProgressBar>,
    /// Tenths of the way that were told in lines.
    told: AtomicU16,
}

impl Steps {
    /// Nothing is done yet of `what`.
    pub(crate) fn new(what: &str) -> Steps {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:40} {percent} % {msg} {elapsed}, {eta} left");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1000).with_style(style).with_prefix(what.to_owned())
        });
        Steps { what: what.to_owned(), bar, told: AtomicU16::new(0) }
    }

    /// So many thousandths are done, with so much in them.
    pub(crate) fn tell(&self, permille: u16, objects: u64, bytes: u64) {
        let amount = || format!("{objects} objects, {} MiB", bytes >> 20);
        match &self.bar {
            Some(bar) => {
                bar.set_message(amount());
                bar.set_position(permille.into());
            }
            None if self.told.fetch_max(permille / 100, Ordering::Relaxed) < permille / 100 => {
                eprint_line(&format!("{}: {} %, {}", self.what, permille / 10, amount()));
            }
            None => {}
        }
    }

    /// Says something in between.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprint_line(line),
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
