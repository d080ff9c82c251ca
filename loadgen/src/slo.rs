//! What latency and how many errors are acceptable, and whether that was reached.
//!
//! `p99=10ms` speaks of gets and puts together, `get.p99=5ms` of one kind, `errors=0.01%` of the share of operations that failed.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::tally::{Kind, Tally};

/// One objective.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Slo {
    /// A latency quantile may be at most so long.
    Latency {
        /// `None`: gets and puts together.
        kind: Option<Kind>,
        /// Which point of the distribution.
        quantile: Quantile,
        /// The largest acceptable latency.
        max: Duration,
    },
    /// At most this share of the operations may fail.
    Errors {
        /// From 0 to 1.
        share_max: f64,
    },
}

/// A point of a distribution.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Quantile {
    /// This share of the operations was faster.
    Share(f64),
    /// The slowest.
    Max,
}

/// An objective and what was measured.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Verdict {
    /// The objective as it was given.
    pub(crate) slo: String,
    /// What was found, in the same unit.
    pub(crate) found: String,
    /// Whether it was met. An objective that nothing was measured for is not met.
    pub(crate) is_met: bool,
}

impl Slo {
    /// Compares with what was measured.
    pub(crate) fn judge(&self, tally: &Tally) -> Verdict {
        let (found, is_met) = match *self {
            Slo::Errors { share_max } => match tally.error_share() {
                Some(share) => (format!("{:.3}%", share * 100.0), share <= share_max),
                None => ("nothing was measured".to_owned(), false),
            },
            Slo::Latency { kind, quantile, max } => match tally.latency(kind, quantile) {
                Some(latency) => (show_duration(latency), latency <= max),
                None => ("nothing was measured".to_owned(), false),
            },
        };
        Verdict { slo: self.to_string(), found, is_met }
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Slo, String> {
        let (name, bound) = text.split_once('=').ok_or_else(|| format!("{text:?} has no '='; try p99=10ms"))?;
        if name == "errors" {
            return parse_share(bound).map(|share_max| Slo::Errors { share_max });
        }
        let (kind, quantile) = match name.split_once('.') {
            Some(("get", quantile)) => (Some(Kind::Get), quantile),
            Some(("put", quantile)) => (Some(Kind::Put), quantile),
            _ => (None, name),
        };
        Ok(Slo::Latency { kind, quantile: parse_quantile(quantile)?, max: parse_duration(bound)? })
    }
}

fn parse_quantile(text: &str) -> Result<Quantile, String> {
    let unknown = || format!("{text:?} is none of p50, p90, p99, p99.9 (any pNN), max, errors");
    if text == "max" {
        return Ok(Quantile::Max);
    }
    let percent: f64 = text.strip_prefix('p').and_then(|number| number.parse().ok()).ok_or_else(unknown)?;
    if percent > 0.0 && percent < 100.0 { Ok(Quantile::Share(percent / 100.0)) } else { Err(unknown()) }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').ok_or_else(|| format!("{text:?} is no percentage; try errors=0.01%"))?;
    match percent.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is not between 0% and 100%")),
    }
}

/// Reads `250us`, `10ms`, `1.5s`, `2m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let nanos = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return Err(format!("{text:?} is no time; give a number and one of ns, us, ms, s, m, as in 10ms")),
    };
    match number.parse::<f64>() {
        Ok(number) if number * nanos < 1e18 => Ok(Duration::from_nanos((number * nanos).round() as u64)),
        _ => Err(format!("{text:?} is no time that can be measured")),
    }
}

/// Shows a time with the unit that fits it, in at most four digits.
pub(crate) fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    let (number, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "us"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = if number < 10.0 {
        2
    } else if number < 100.0 {
        1
    } else {
        0
    };
    let shown = format!("{number:.digits$}");
    let shown = if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.') } else { &shown };
    format!("{shown}{unit}")
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slo::Errors { share_max } => write!(f, "errors={}%", share_max * 100.0),
            Slo::Latency { kind, quantile, max } => {
                if let Some(kind) = kind {
                    write!(f, "{}.", kind.name())?;
                }
                match quantile {
                    Quantile::Share(share) => write!(f, "p{}", (share * 1e5).round() / 1e3)?,
                    Quantile::Max => f.write_str("max")?,
                }
                write!(f, "={}", show_duration(*max))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally::new();
        for micros in 1..=1000u64 {
            tally.record_done(Kind::Get, Duration::from_micros(micros));
            tally.record_done(Kind::Put, Duration::from_micros(micros * 10));
        }
        tally.record_failed(Kind::Put, "unknown");
        tally
    }

    fn check(slo: &str, is_met: bool) {
        let parsed: Slo = slo.parse().expect("a valid objective");
        assert_eq!(parsed.to_string(), slo);
        let verdict = parsed.judge(&tally());
        assert_eq!(verdict.is_met, is_met, "{verdict:?}");
    }

    #[test]
    fn objectives_are_judged_by_kind_and_together() {
        check("get.p99=1ms", true);
        check("get.p99=900us", false);
        check("put.p50=5.1ms", true);
        check("put.max=9ms", false);
        check("p99.9=10.1ms", true);
        check("errors=0.05%", true);
        check("errors=0.01%", false);
    }

    #[test]
    fn an_objective_that_nothing_was_measured_for_is_not_met() {
        let slo: Slo = "p99=1s".parse().expect("valid");
        assert!(!slo.judge(&Tally::new()).is_met);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for wrong in [
            "p99",
            "p99=10",
            "p0=1ms",
            "p100=1ms",
            "q99=1ms",
            "del.p99=1ms",
            "errors=1",
            "errors=101%",
            "p99=-1ms",
            "p99=ms",
        ] {
            assert!(wrong.parse::<Slo>().is_err(), "{wrong}");
        }
    }
}
