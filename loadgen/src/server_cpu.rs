//! How much processor time the servers spent, from `/proc`: the cost of an operation, which swings far less with the
//! neighbours on a shared machine than any rate does.

use core::time::Duration;
use std::io;

/// The processor time of some processes, read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub(crate) struct CpuTime {
    /// Microseconds in user mode.
    pub(crate) user_micros: u64,
    /// Microseconds in the kernel.
    pub(crate) system_micros: u64,
}

/// What `/proc` counts in: a hundredth of a second on every architecture that rondo runs on.
const TICKS_PER_SECOND: u64 = 100;

impl CpuTime {
    /// What `pids` have spent together since they started, all threads counted.
    pub(crate) fn of(pids: &[u32]) -> io::Result<CpuTime> {
        let mut sum = CpuTime::default();
        for pid in pids {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_err(|error| io::Error::new(error.kind(), format!("process {pid}: {error}")))?;
            let (user, system) = parse_stat(&stat).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not readable"))
            })?;
            sum.user_micros += user * 1_000_000 / TICKS_PER_SECOND;
            sum.system_micros += system * 1_000_000 / TICKS_PER_SECOND;
        }
        Ok(sum)
    }

    /// What was spent since `earlier`.
    pub(crate) fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            user_micros: self.user_micros.saturating_sub(earlier.user_micros),
            system_micros: self.system_micros.saturating_sub(earlier.system_micros),
        }
    }

    /// User and system together.
    pub(crate) fn total(self) -> Duration {
        Duration::from_micros(self.user_micros + self.system_micros)
    }
}

/// User and system ticks of a `/proc/PID/stat` line. The process's name stands in parentheses and may hold anything, so
/// fields are counted from the last closing one.
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(parse_stat(stat), Some((250, 50)));
    }

    #[test]
    fn a_cut_line_is_no_answer() {
        assert_eq!(parse_stat("42 (rondo) S 1 42"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_has_spent_some_time_and_a_missing_one_is_named() {
        assert!(CpuTime::of(&[std::process::id()]).is_ok());
        let error = CpuTime::of(&[u32::MAX]).expect_err("no such process");
        assert!(error.to_string().contains("4294967295"));
    }
}
