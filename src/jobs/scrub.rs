//! A scrub of this node: every shard's store by a job on its companion, every shard's other files from here.

use std::path::PathBuf;
use std::sync::Arc;

use rondo_shards::{JobStart, ShardJob};
use rondo_storage::scrub::{ScrubJob, Scrubbed, check_shard_files, check_shard_log, rest_times};
use rondo_storage::{Identity, JobMoment, JobStep, SortedStore, StoreJob};
use serde::Deserialize;
use serde_json::json;

use super::{Ended, Job, JobState, NotBegun, unix_millis};
use crate::limits::SCRUB_SHARE_PERCENT;
use crate::supervisor::Lifeline;

/// What an operator asks for.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScrubOrder {
    /// How much of the companions' time it may take, 1 to 100; not said: the default of the schedule.
    pub(crate) share_percent: Option<u8>,
}

/// What is to be done, all of it checked.
pub(super) struct Plan {
    rest_times: u32,
    shards: usize,
    data: PathBuf,
}

/// Checks the order.
pub(super) fn plan(lifeline: &Lifeline, order: ScrubOrder) -> Result<Plan, NotBegun> {
    let share = order.share_percent.unwrap_or(SCRUB_SHARE_PERCENT.default as u8);
    if !(1..=100).contains(&share) {
        return Err(NotBegun::Bad(format!("a share of {share} percent; say 1 to 100")));
    }
    let seen = lifeline.with_node(|node| (node.lineages().len(), node.data().to_owned()));
    let (shards, data) = seen.ok_or(NotBegun::NotServing)?;
    Ok(Plan { rest_times: rest_times(share), shards, data })
}

/// A job that does nothing: it is the checkpoint before it that is wanted.
#[derive(Debug)]
struct Nothing;

impl StoreJob for Nothing {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn step(&mut self, _: &mut dyn SortedStore, _: JobMoment) -> JobStep {
        JobStep::Done
    }
}

/// Scrubs. After a checkpoint, so that the log holds little that the stores do not.
pub(super) fn run(lifeline: &Lifeline, plan: Plan, job: &Job) -> Ended {
    let windows = job.follow(plan.shards);
    let (begun_in, begun) = flume::bounded(plan.shards);
    let (results_in, results) = flume::bounded(plan.shards);
    let is_serving = lifeline.with_node(|node| {
        node.run_on_shards(|shard| {
            let (begun, results) = (begun_in.clone(), results_in.clone());
            let (progress, stop) = (Arc::clone(&windows[usize::from(shard.0)]), Arc::clone(&job.stop));
            let rest = plan.rest_times;
            let begin = move |start: JobStart| -> Box<dyn StoreJob> {
                let (of_shard_in, of_shard) = flume::bounded(1);
                // There is room for each shard.
                let _ = begun.try_send(start.directory);
                let _ = results.try_send((shard, of_shard));
                Box::new(ScrubJob::new(rest, start.wounds, unix_millis() / 1000, of_shard_in, progress, stop))
            };
            ShardJob::new(Arc::clone(&job.stop), begin).after_checkpoint()
        });
    });
    drop((begun_in, results_in));
    if is_serving.is_none() {
        return Ended::failed("the node is stopping");
    }
    let mut found = Scrubbed::default();
    check_identity(&plan, &mut found);
    let mut ended = 0;
    for (shard, of_shard) in results.iter() {
        let Ok(of_shard) = of_shard.recv() else { continue };
        ended += 1;
        if !of_shard.wounds.is_empty() {
            lifeline.with_node(|node| node.add_wounds(shard, of_shard.wounds.clone()));
        }
        found.add(of_shard);
    }
    for directory in begun.iter() {
        found.add(check_shard_files(&directory));
        let of_log = check_shard_log(&directory, plan.rest_times, &job.stop);
        if of_log.damaged > 0 {
            save_from_memory(lifeline, job);
        }
        found.add(of_log);
    }
    conclude(&plan, job, found, ended)
}

/// The log of a shard is damaged, and its records are still in memory: a checkpoint carries them into the store, and the
/// segment goes.
fn save_from_memory(lifeline: &Lifeline, job: &Job) {
    let (done_in, done) = flume::bounded::<()>(0);
    lifeline.with_node(|node| {
        node.run_on_shards(|_| {
            let done = done_in.clone();
            let begin = move |_: JobStart| -> Box<dyn StoreJob> {
                drop(done);
                Box::new(Nothing)
            };
            ShardJob::new(Arc::clone(&job.stop), begin).after_checkpoint()
        });
    });
    drop(done_in);
    // It ends when the last shard has begun, or dropped, its job.
    let _ = done.recv();
}

fn check_identity(plan: &Plan, found: &mut Scrubbed) {
    match Identity::damaged_copies(&plan.data) {
        Ok(damaged) => {
            found.files += 2;
            damaged.into_iter().for_each(|(name, what)| found.note(plan.data.join(name).display().to_string(), what));
        }
        Err(error) => found.note(plan.data.join("identity").display().to_string(), error.to_string()),
    }
}

fn conclude(plan: &Plan, job: &Job, found: Scrubbed, ended: usize) -> Ended {
    let damage: Vec<_> =
        found.damage.iter().map(|damage| json!({ "place": damage.place, "what": damage.what })).collect();
    let result = json!({
        "objects": found.objects,
        "files": found.files,
        "bytes": found.bytes,
        "damaged": found.damaged,
        "damage": damage,
    });
    let first = found.damage.first().map(|damage| format!("{}: {}", damage.place, damage.what));
    for damage in &found.damage {
        tracing::error!(place = damage.place, what = damage.what, "a scrub has found damage");
    }
    let (state, message) = match (job.is_cancelled(), found.cut_short, first) {
        (true, _, _) => (JobState::Cancelled, "it was cancelled; what it had found by then is counted".to_owned()),
        (false, Some(why), _) => (JobState::Failed, why),
        (false, None, _) if ended < plan.shards => (JobState::Failed, "a shard ended before its scrub did".to_owned()),
        (false, None, Some(first)) => (JobState::Damaged, format!("{} damaged places: {first}", found.damaged)),
        (false, None, None) => (JobState::Done, String::new()),
    };
    Ended { state, message, result }
}
