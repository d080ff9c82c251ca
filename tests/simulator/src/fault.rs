//! What can go wrong, one step at a time, in words.
//!
//! The same words are drawn from a seed ([`crate::nemesis`]) and written in scenario files, so the faults of a failing
//! seed can be read, and a story can be made of them.

use core::fmt;
use core::time::Duration;

/// A node's place in the cluster, counted from 0. Written `n1`, `n2`, ….
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seat(pub usize);

/// One step of misfortune, or of recovery from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing passes between the two groups.
    Partition {
        /// One group.
        left: Vec<Seat>,
        /// The other.
        right: Vec<Seat>,
    },
    /// Nothing passes from `from` to `to`; the other way is open.
    OneWay {
        /// Who is not heard.
        from: Seat,
        /// By whom.
        to: Seat,
    },
    /// The network is whole again.
    Mend,
    /// The power of these nodes fails: what was not synced is lost, kept or garbled, piece by piece.
    Crash {
        /// Which.
        nodes: Vec<Seat>,
    },
    /// These nodes stop in good order.
    Stop {
        /// Which.
        nodes: Vec<Seat>,
    },
    /// These nodes start again, unless they are up.
    Start {
        /// Which.
        nodes: Vec<Seat>,
    },
    /// Each disk operation of the node takes this many times as long; 1 is its usual speed.
    SlowDisk {
        /// Whose.
        node: Seat,
        /// How many times as long.
        times: u32,
    },
    /// The node's disks behave like this from now on, if it serves.
    Disk {
        /// Whose.
        node: Seat,
        /// How.
        mood: Mood,
    },
    /// The node's wall clock jumps by this many milliseconds, either way.
    ClockJump {
        /// Whose.
        node: Seat,
        /// By how much.
        millis: i64,
    },
    /// One core of the node does nothing for a while.
    Stall {
        /// Whose.
        node: Seat,
        /// Which of its cores.
        shard: u16,
        /// How long.
        time: Duration,
    },
    /// All client connections of the node break.
    Disconnect {
        /// Whose.
        node: Seat,
    },
}

/// How a disk behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// Every other write, sync or change of names fails; what a failed sync was to make durable never surely is.
    Failing,
    /// It has no room, and whoever looks sees that.
    Full,
    /// It has no room, and nobody is told before they ask for some.
    FullUnseen,
    /// Nothing comes back.
    Hung,
}

impl Mood {
    /// All of them.
    pub const ALL: [Mood; 5] = [Mood::Well, Mood::Failing, Mood::Full, Mood::FullUnseen, Mood::Hung];

    fn word(self) -> &'static str {
        match self {
            Mood::Well => "well",
            Mood::Failing => "fails",
            Mood::Full => "full",
            Mood::FullUnseen => "full-unseen",
            Mood::Hung => "hangs",
        }
    }
}

/// The kinds of misfortune that a run must show to have met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FaultKind {
    /// A peer message was lost on an open link.
    Drop,
    /// A peer message came twice.
    Duplicate,
    /// A peer message overtook another of its link.
    Reorder,
    /// A peer message took at least ten times as long as the quickest.
    Delay,
    /// A peer message met a partition.
    Partition,
    /// A peer message met a partition that was open the other way.
    OneWay,
    /// A node lost its power while it served.
    Crash,
    /// All nodes lost their power at once.
    CrashAll,
    /// A crash took bytes that were written and not yet synced.
    LostBytes,
    /// A crash garbled or kept only some pieces of what was not yet synced.
    TornWrite,
    /// A node stopped in good order and came back.
    CleanRestart,
    /// A disk operation took many times as long as usual.
    SlowDisk,
    /// A write failed on a disk that fails.
    FailedWrite,
    /// A sync failed on a disk that fails.
    FailedSync,
    /// A disk had no room for what was asked.
    FullDisk,
    /// A disk operation hung.
    HungDisk,
    /// A wall clock jumped under a serving node.
    ClockJump,
    /// An event had to wait for a stalled core.
    Stall,
    /// A client connection broke under a serving node.
    Disconnect,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 19] = [
        FaultKind::Drop,
        FaultKind::Duplicate,
        FaultKind::Reorder,
        FaultKind::Delay,
        FaultKind::Partition,
        FaultKind::OneWay,
        FaultKind::Crash,
        FaultKind::CrashAll,
        FaultKind::LostBytes,
        FaultKind::TornWrite,
        FaultKind::CleanRestart,
        FaultKind::SlowDisk,
        FaultKind::FailedWrite,
        FaultKind::FailedSync,
        FaultKind::FullDisk,
        FaultKind::HungDisk,
        FaultKind::ClockJump,
        FaultKind::Stall,
        FaultKind::Disconnect,
    ];
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Partition { left, right } => write!(f, "partition {} | {}", names(left), names(right)),
            Fault::OneWay { from, to } => write!(f, "partition {from} > {to}"),
            Fault::Mend => write!(f, "mend"),
            Fault::Crash { nodes } => write!(f, "crash {}", names(nodes)),
            Fault::Stop { nodes } => write!(f, "stop {}", names(nodes)),
            Fault::Start { nodes } => write!(f, "start {}", names(nodes)),
            Fault::SlowDisk { node, times } => write!(f, "slow-disk {node} {times}x"),
            Fault::Disk { node, mood } => write!(f, "disk {node} {}", mood.word()),
            Fault::ClockJump { node, millis } => write!(f, "clock {node} {millis:+}ms"),
            Fault::Stall { node, shard, time } => write!(f, "stall {node} {shard} {}ms", time.as_millis()),
            Fault::Disconnect { node } => write!(f, "disconnect {node}"),
        }
    }
}

impl Fault {
    /// Reads what [`fmt::Display`] writes. The error says which word was not understood.
    pub fn parse(words: &[&str]) -> Result<Fault, String> {
        let [verb, rest @ ..] = words else { return Err("there is nothing to do".into()) };
        match (*verb, rest) {
            ("partition", [from, ">", to]) => Ok(Fault::OneWay { from: seat(from)?, to: seat(to)? }),
            ("partition", groups) => {
                let bar = groups.iter().position(|word| *word == "|").ok_or("partition wants: A… | B…, or A > B")?;
                Ok(Fault::Partition { left: seats(&groups[..bar])?, right: seats(&groups[bar + 1..])? })
            }
            ("mend", []) => Ok(Fault::Mend),
            ("crash", nodes) => Ok(Fault::Crash { nodes: seats(nodes)? }),
            ("stop", nodes) => Ok(Fault::Stop { nodes: seats(nodes)? }),
            ("start", nodes) => Ok(Fault::Start { nodes: seats(nodes)? }),
            ("slow-disk", [node, times]) => {
                Ok(Fault::SlowDisk { node: seat(node)?, times: number(times.strip_suffix('x').unwrap_or(times))? })
            }
            ("disk", [node, word]) => {
                let mood = Mood::ALL.into_iter().find(|mood| mood.word() == *word);
                Ok(Fault::Disk { node: seat(node)?, mood: mood.ok_or_else(|| format!("no disk is {word}"))? })
            }
            ("clock", [node, jump]) => {
                Ok(Fault::ClockJump { node: seat(node)?, millis: number(jump.trim_end_matches("ms"))? })
            }
            ("stall", [node, shard, wait]) => {
                Ok(Fault::Stall { node: seat(node)?, shard: number(shard)?, time: time(wait)? })
            }
            ("disconnect", [node]) => Ok(Fault::Disconnect { node: seat(node)? }),
            (verb, _) => Err(format!("not a fault, or not with these words: {verb}")),
        }
    }
}

/// Reads `n1`, `n2`, ….
pub fn seat(word: &str) -> Result<Seat, String> {
    let place = word.strip_prefix('n').and_then(|digits| digits.parse::<usize>().ok()).filter(|place| *place > 0);
    place.map(|place| Seat(place - 1)).ok_or_else(|| format!("not a node: {word} (nodes are n1, n2, …)"))
}

/// Reads `250ms` or `2s`.
pub fn time(word: &str) -> Result<Duration, String> {
    match (word.strip_suffix("ms"), word.strip_suffix('s')) {
        (Some(millis), _) => number(millis).map(Duration::from_millis),
        (None, Some(seconds)) => number(seconds).map(Duration::from_secs),
        (None, None) => Err(format!("not a time: {word} (write 250ms or 2s)")),
    }
}

/// Reads a whole number.
pub fn number<N: core::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("not a number that fits here: {word}"))
}

fn seats(words: &[&str]) -> Result<Vec<Seat>, String> {
    match words {
        [] => Err("no nodes are named".into()),
        words => words.iter().map(|word| seat(word)).collect(),
    }
}

fn names(seats: &[Seat]) -> String {
    seats.iter().map(Seat::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(Fault::parse(&words).map(|fault| fault.to_string()).as_deref(), Ok(line));
    }

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        for line in [
            "partition n1 | n2 n3",
            "partition n1 > n2",
            "mend",
            "crash n1 n2",
            "stop n3",
            "start n1 n2 n3",
            "slow-disk n2 50x",
            "disk n2 fails",
            "disk n2 full",
            "disk n2 full-unseen",
            "disk n2 hangs",
            "disk n2 well",
            "clock n1 -300ms",
            "clock n1 +300ms",
            "stall n2 1 250ms",
            "disconnect n1",
        ] {
            check(line);
        }
    }

    #[test]
    fn a_word_that_is_not_understood_is_named() {
        assert!(Fault::parse(&["crash", "m1"]).is_err_and(|what| what.contains("m1")));
        assert!(Fault::parse(&["explode", "n1"]).is_err_and(|what| what.contains("explode")));
    }
}
