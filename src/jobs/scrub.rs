//! A scrub of this node: every shard's store by a job on its companion, every shard's other files from here.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rondo_shards::{JobStart, ShardJob};
use rondo_storage::Identity;
use rondo_storage::scrub::{ScrubJob, Scrubbed, check_shard_files, rest_times};
use serde::Deserialize;
use serde_json::json;

use super::{Ended, Job, JobState, NotBegun};
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

/// Scrubs. After a checkpoint, so that the log holds little that the stores do not.
pub(super) fn run(lifeline: &Lifeline, plan: Plan, job: &Job) -> Ended {
    let windows = job.follow(plan.shards);
    let (results_in, results) = flume::bounded(plan.shards);
    let directories = Arc::new(Mutex::new(Vec::new()));
    let is_serving = lifeline.with_node(|node| {
        node.run_on_shards(|shard| {
            let (results, progress) = (results_in.clone(), Arc::clone(&windows[usize::from(shard.0)]));
            let (stop, rest, directories) = (Arc::clone(&job.stop), plan.rest_times, Arc::clone(&directories));
            let begin = move |start: JobStart| -> Box<dyn rondo_storage::StoreJob> {
                directories.lock().unwrap_or_else(PoisonError::into_inner).push(start.directory);
                Box::new(ScrubJob::new(rest, results, progress, stop))
            };
            ShardJob::new(Arc::clone(&job.stop), begin).after_checkpoint()
        });
    });
    drop(results_in);
    if is_serving.is_none() {
        return Ended::failed("the node is stopping");
    }
    let mut found = Scrubbed::default();
    check_identity(&plan, &mut found);
    let of_stores: Vec<Scrubbed> = results.iter().collect();
    let ended = of_stores.len();
    of_stores.into_iter().for_each(|of_store| found.add(of_store));
    let directories = core::mem::take(&mut *directories.lock().unwrap_or_else(PoisonError::into_inner));
    for directory in directories {
        found.add(check_shard_files(&directory, plan.rest_times, &job.stop));
    }
    conclude(&plan, job, found, ended)
}

fn check_identity(plan: &Plan, found: &mut Scrubbed) {
    match Identity::read(&plan.data) {
        Ok(_) => found.files += 1,
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
