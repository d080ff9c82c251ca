//! Watches the shards: a silent one makes the node unready, and in the end ends it.
//!
//! Each executor ticks many times a second. Silence of a second means that requests of that core wait; silence of ten means
//! that only a restart helps, and that the replicas should take over. A shard that ended is not waited for at all.
//!
//! Deciding is [`Watchdog`]'s work, which is pure; the thread at the end of the file acts.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rondo_shards::{Node, StartStep};

use crate::limits::{FAILURE_GRACE, SUPERVISOR_INTERVAL, TICK_AGE_ABORT, TICK_AGE_UNREADY};

/// Where the node of this process is in its life; everybody who looks at the node looks through here.
#[derive(Debug)]
pub(crate) struct Lifeline {
    stage: RwLock<Stage>,
}

/// What can be looked at.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Not yet.
    Starting(StartStep),
    /// A node.
    Serving(Box<Node>),
    /// No longer.
    Stopped,
}

impl Lifeline {
    /// Before the node.
    pub(crate) fn starting() -> Lifeline {
        Lifeline { stage: RwLock::new(Stage::Starting(StartStep::Recovering)) }
    }

    /// Says what the starting node is at.
    pub(crate) fn starting_at(&self, step: StartStep) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = Stage::Starting(step);
    }

    /// The node has started.
    pub(crate) fn serving(&self, node: Node) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = Stage::Serving(Box::new(node));
    }

    /// Looks at the stage.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Stage) -> T) -> T {
        look(&self.stage.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the node, if there is one.
    pub(crate) fn with_node<T>(&self, look: impl FnOnce(&Node) -> T) -> Option<T> {
        self.look(|stage| match stage {
            Stage::Serving(node) => Some(look(node)),
            Stage::Starting(_) | Stage::Stopped => None,
        })
    }

    /// Drains the node, which can be looked at meanwhile; the number of requests left.
    pub(crate) fn drain(&self, limit: Duration) -> usize {
        self.with_node(|node| node.drain(limit)).unwrap_or(0)
    }

    /// Takes the node out, to stop it.
    pub(crate) fn take(&self) -> Option<Node> {
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *stage, Stage::Stopped) {
            Stage::Serving(node) => Some(*node),
            Stage::Starting(_) | Stage::Stopped => None,
        }
    }
}

/// Judges silence, but never longer than it has itself been awake to listen.
#[derive(Debug)]
struct Watchdog {
    /// Listening without a gap since then.
    awake_since: Instant,
    looked_at: Instant,
}

/// What is to be done about the shard that has been silent longest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// Nothing.
    Fine,
    /// It should be said.
    Silent { shard: usize, age: Duration },
    /// The process must end.
    Lost { shard: usize, age: Duration },
}

impl Watchdog {
    fn new(now: Instant) -> Watchdog {
        Watchdog { awake_since: now, looked_at: now }
    }

    /// Judges the ages of the shards' last ticks.
    fn judge(&mut self, now: Instant, ages: &[Duration]) -> Verdict {
        // Whoever was stopped or suspended himself has not heard the ticks of the others and judges nobody by that time.
        if now.duration_since(self.looked_at) >= TICK_AGE_UNREADY {
            self.awake_since = now;
        }
        self.looked_at = now;
        let heard = now.duration_since(self.awake_since);
        let silences = ages.iter().map(|&age| age.min(heard)).enumerate();
        match silences.max_by_key(|&(_, age)| age) {
            Some((shard, age)) if age >= TICK_AGE_ABORT => Verdict::Lost { shard, age },
            Some((shard, age)) if age >= TICK_AGE_UNREADY => Verdict::Silent { shard, age },
            Some(_) | None => Verdict::Fine,
        }
    }
}

/// Watches on a thread of its own until the node is taken out.
pub(crate) fn watch(lifeline: Arc<Lifeline>) -> io::Result<()> {
    let mut watchdog = Watchdog::new(Instant::now());
    let mut was_silent = false;
    let look = move || {
        while let Some((ages, failure)) = lifeline.with_node(|node| (node.tick_ages(), node.failures().try_recv().ok()))
        {
            if let Some(failure) = failure {
                end(&format!("{failure}; the other nodes take over"));
            }
            match watchdog.judge(Instant::now(), &ages) {
                Verdict::Fine => was_silent = false,
                Verdict::Silent { shard, age } if !was_silent => {
                    tracing::warn!(shard, ?age, "a shard is silent; the node is not ready");
                    was_silent = true;
                }
                Verdict::Silent { .. } => {}
                Verdict::Lost { shard, age } => {
                    end(&format!("shard {shard} has been silent for {age:.1?}; only a restart helps"))
                }
            }
            std::thread::sleep(SUPERVISOR_INTERVAL);
        }
    };
    std::thread::Builder::new().name("supervisor".to_owned()).spawn(look).map(drop)
}

/// Says why and aborts: a node with a hole in it is worse than none.
fn end(reason: &str) -> ! {
    tracing::error!(reason, "aborting");
    // Time for the probes to see the node fail, and for the line above to be collected.
    std::thread::sleep(FAILURE_GRACE);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKING: Duration = Duration::from_millis(10);

    /// Looks every tenth of a second for `seconds`, with shard 1 silent since the start, and gives the last verdict.
    fn watch_silence(watchdog: &mut Watchdog, start: Instant, seconds: u64) -> Verdict {
        let mut verdict = Verdict::Fine;
        for tenth in 1..=seconds * 10 {
            let silent = Duration::from_millis(tenth * 100);
            verdict = watchdog.judge(start + silent, &[TICKING, silent]);
        }
        verdict
    }

    #[test]
    fn a_ticking_node_is_fine_and_a_silent_shard_is_named() {
        let start = Instant::now();
        assert_eq!(Watchdog::new(start).judge(start, &[TICKING, TICKING]), Verdict::Fine);
        let verdict = watch_silence(&mut Watchdog::new(start), start, 1);
        assert_eq!(verdict, Verdict::Silent { shard: 1, age: Duration::from_secs(1) });
    }

    #[test]
    fn a_shard_silent_for_ten_seconds_is_lost() {
        let start = Instant::now();
        let verdict = watch_silence(&mut Watchdog::new(start), start, 10);
        assert_eq!(verdict, Verdict::Lost { shard: 1, age: Duration::from_secs(10) });
    }

    #[test]
    fn a_watchdog_that_was_suspended_blames_nobody_for_it() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start);
        let resumed = start + Duration::from_secs(60);
        assert_eq!(watchdog.judge(resumed, &[Duration::from_secs(60)]), Verdict::Fine);
        let later = resumed + Duration::from_millis(900);
        assert_eq!(watchdog.judge(later, &[TICKING]), Verdict::Fine);
    }
}
