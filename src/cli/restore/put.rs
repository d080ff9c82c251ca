//! Puts what the backups hold through the ring, a group of keys at a time, several groups at once.
//!
//! ```text
//! read (a thread) ──group──► [few] ──► look what is there ──► put what is missing ──► look again at what is uncertain
//! ```
//! Every round begins with a look, so that a put whose outcome is unknown is not done twice, and a restore that was
//! interrupted can simply be run again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indicatif::ProgressBar;
use rondo_client::{Changed, Client, Error, Get, Operation, Options, Outcome as Answer};
use rondo_protocol::view::ConflictPolicy;
use rondo_protocol::wire::reply::Refusal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Existing;
use super::groups::{Group, read_groups};
use super::merged::{Merged, Restored};
use super::tally::{Tally, report};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::jobs::bar_of;
use crate::cli::target::Target;
use crate::limits::{RESTORE_GROUPS_AT_ONCE, RESTORE_PAUSE, RESTORE_ROUNDS_MAX};

/// Restores through the ring and reports.
pub(super) fn restore(merged: Merged, existing: Existing, target: &Target) -> Outcome {
    let bar = bar_of(merged.records(), "{bar:40} {pos}/{len} records {per_sec} {eta} left");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start a runtime: {error}")))?;
    let tally = runtime.block_on(run(merged, existing, target, &bar))?;
    bar.finish_and_clear();
    report(&tally, target.json)
}

async fn run(merged: Merged, existing: Existing, target: &Target, bar: &ProgressBar) -> Result<Tally, Failure> {
    let client = Client::connect(&target.addr).await.map_err(|error| Failure::of_read(&error))?;
    let (groups_in, groups) = flume::bounded(1);
    let reading_bar = bar.clone();
    let reader = std::thread::spawn(move || read_groups(merged, &groups_in, &reading_bar));
    let (mut working, mut tally) = (JoinSet::new(), Tally::default());
    let room = Arc::new(Semaphore::new(RESTORE_GROUPS_AT_ONCE));
    while let Ok(group) = groups.recv_async().await {
        let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        let worker = Worker { client: client.clone(), existing, timeout: target.timeout };
        working.spawn(async move {
            let _place = place;
            worker.restore(group).await
        });
        while let Some(done) = working.try_join_next() {
            tally.add(join(done)??);
        }
    }
    while let Some(done) = working.join_next().await {
        tally.add(join(done)??);
    }
    let read = reader.join().map_err(|_| Failure::new(Exit::Failed, "the reader of the backup panicked"))??;
    tally.add(read);
    Ok(tally)
}

fn join<T>(done: Result<T, tokio::task::JoinError>) -> Result<T, Failure> {
    done.map_err(|error| Failure::new(Exit::Failed, format!("a part of the restore failed: {error}")))
}

/// Puts groups.
struct Worker {
    client: Client,
    existing: Existing,
    timeout: Duration,
}

/// What a look has shown about a key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Verdict {
    /// These are to be put, one after the other.
    Put(Vec<Operation>),
    Already,
    LeftAlone,
}

/// What is to be done about a key under which `found` was seen.
fn judge(restored: &Restored, found: &Get, existing: Existing) -> Verdict {
    let key = restored.key.key();
    let blind = |value: &Bytes| Operation::put(Bytes::copy_from_slice(key), value.clone());
    let wanted: &[Bytes] = match restored.policy {
        // Of several only the latest would stay.
        ConflictPolicy::Lww => &restored.values[restored.values.len() - 1..],
        ConflictPolicy::Siblings => &restored.values,
    };
    let missing: Vec<&Bytes> = wanted.iter().filter(|value| !found.values.contains(value)).collect();
    let has_others = found.values.iter().any(|value| !wanted.contains(value));
    match (has_others, existing) {
        (false, _) if missing.is_empty() => Verdict::Already,
        (false, _) => Verdict::Put(missing.into_iter().map(blind).collect()),
        (true, Existing::Skip) => Verdict::LeftAlone,
        (true, Existing::Overwrite) => {
            // The first replaces everything that was seen, the others stand beside it.
            let mut puts: Vec<Operation> = wanted.iter().map(blind).collect();
            puts[0] = puts[0].clone().seen(found.context.clone());
            Verdict::Put(puts)
        }
    }
}

impl Worker {
    async fn restore(&self, group: Group) -> Result<Tally, Failure> {
        let Some(first) = group.keys.first() else { return Ok(Tally::default()) };
        let options = Options::new().keyspace(first.key.keyspace()).timeout(self.timeout);
        let mut work = Work { left: group.keys, put_before: HashSet::new(), tally: Tally::default() };
        for round in 0..RESTORE_ROUNDS_MAX {
            let is_last = round + 1 == RESTORE_ROUNDS_MAX;
            self.round(&mut work, &options, is_last).await?;
            if work.left.is_empty() {
                break;
            }
            tokio::time::sleep(RESTORE_PAUSE * (1 << round.min(6))).await;
        }
        Ok(work.tally)
    }

    /// One look at what is left, and one put of what is missing.
    async fn round(&self, work: &mut Work, options: &Options, is_last: bool) -> Result<(), Failure> {
        let keys = core::mem::take(&mut work.left);
        let gets = keys.iter().map(|restored| Operation::get(Bytes::copy_from_slice(restored.key.key()))).collect();
        let looks = self.client.batch(gets, options).await;
        let mut puts = VecDeque::new();
        for (restored, look) in keys.into_iter().zip(looks) {
            let found = match look {
                Ok(Answer::Get(found)) => found,
                Ok(Answer::Written(_)) => unreachable!("a get is answered as one"),
                Err(error) => {
                    work.fail(restored, &error, is_last)?;
                    continue;
                }
            };
            match judge(&restored, &found, self.existing) {
                // Put by an earlier round whose answer was lost.
                Verdict::Already if work.put_before.contains(restored.key.routed()) => work.tally.restored += 1,
                Verdict::Already => work.tally.already += 1,
                Verdict::LeftAlone => work.tally.left_alone += 1,
                Verdict::Put(operations) => {
                    work.put_before.insert(restored.key.routed().clone());
                    puts.push_back((restored, operations.into_iter()));
                }
            }
        }
        self.put(work, puts, options, is_last).await
    }

    /// The n-th values of all keys at once, then the next ones: two puts of one key never travel together.
    async fn put(
        &self,
        work: &mut Work,
        mut puts: VecDeque<(Restored, std::vec::IntoIter<Operation>)>,
        options: &Options,
        is_last: bool,
    ) -> Result<(), Failure> {
        while !puts.is_empty() {
            let (mut going, mut operations) = (Vec::new(), Vec::new());
            for (restored, mut rest) in puts.drain(..) {
                match rest.next() {
                    Some(operation) => {
                        operations.push(operation);
                        going.push((restored, rest));
                    }
                    None => work.tally.restored += 1,
                }
            }
            let answers = self.client.batch(operations, options).await;
            for (answer, (restored, rest)) in answers.into_iter().zip(going) {
                match answer {
                    Ok(_) => puts.push_back((restored, rest)),
                    Err(error) => work.fail(restored, &error, is_last)?,
                }
            }
        }
        Ok(())
    }
}

/// A group at work.
struct Work {
    /// For the next round.
    left: Vec<Restored>,
    /// Keys that an earlier round tried to put.
    put_before: HashSet<Bytes>,
    tally: Tally,
}

impl Work {
    /// A key that got no good answer: once more, or counted, or the end of everything.
    fn fail(&mut self, restored: Restored, error: &Error, is_last: bool) -> Result<(), Failure> {
        if let Error::Refused { refusal: Refusal::UnknownKeyspace, .. } = error {
            let keyspace = restored.key.keyspace().escape_ascii();
            let text = format!("the cluster has no keyspace {keyspace}: declare it on every node, then restore again");
            return Err(Failure::new(Exit::Refused, text));
        }
        let may_help = error.is_retryable() || error.changed() == Changed::Perhaps;
        if may_help && !is_last {
            self.left.push(restored);
            return Ok(());
        }
        self.tally.refused += 1;
        self.tally.name(format!("{}: {error}", restored.key.key().escape_ascii()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::ring::ObjectKey;

    fn check(policy: ConflictPolicy, wanted: &[&'static str], found: &[&'static str], existing: Existing) -> String {
        let bytes = |values: &[&'static str]| values.iter().map(|value| Bytes::from_static(value.as_bytes())).collect();
        let key = ObjectKey::new(b"default", b"k").expect("valid");
        let restored = Restored { key, values: bytes(wanted), policy };
        let found = Get {
            values: bytes(found),
            context: rondo_client::Context::from_bytes(&b"seen"[..]),
            receipt: rondo_protocol::wire::reply::Receipt::default(),
        };
        match judge(&restored, &found, existing) {
            Verdict::Already => "already".to_owned(),
            Verdict::LeftAlone => "left alone".to_owned(),
            Verdict::Put(operations) => {
                let word = |operation: &Operation| match operation {
                    Operation::Put { value, context, .. } => {
                        format!("{}{}", value.escape_ascii(), if context.is_empty() { "" } else { "!" })
                    }
                    Operation::Get { .. } | Operation::Delete { .. } => panic!("only puts"),
                };
                operations.iter().map(word).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn a_key_is_put_where_there_is_none_and_left_alone_where_there_is_another() {
        use ConflictPolicy::{Lww, Siblings};
        use Existing::{Overwrite, Skip};
        for existing in [Skip, Overwrite] {
            assert_eq!(check(Lww, &["a"], &[], existing), "a");
            assert_eq!(check(Lww, &["a"], &["a"], existing), "already");
            assert_eq!(check(Siblings, &["a", "b"], &[], existing), "a b");
            assert_eq!(check(Siblings, &["a", "b"], &["b"], existing), "a", "an earlier restore was interrupted");
            assert_eq!(check(Siblings, &["a", "b"], &["b", "a"], existing), "already");
        }
        assert_eq!(check(Lww, &["a"], &["z"], Skip), "left alone");
        assert_eq!(check(Lww, &["a"], &["z"], Overwrite), "a!");
        assert_eq!(check(Lww, &["old", "new"], &[], Skip), "new", "only the last write counts");
        assert_eq!(check(Siblings, &["a", "b"], &["b", "z"], Skip), "left alone");
        assert_eq!(check(Siblings, &["a", "b"], &["b", "z"], Overwrite), "a! b");
    }
}
