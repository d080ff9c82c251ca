//! A backup of this node: what to copy is decided first, then every shard is copied at once, each by a job on its companion
//! and a thread that writes its file, and at last the manifest makes it a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use rondo_protocol::node::ShardIndex;
use rondo_shards::{JobStart, ShardJob};
use rondo_storage::Lsn;
use rondo_storage::backup::{
    BackupError, BackupManifest, Chain, CopyJob, CopyWish, DataFile, FileFacts, JobProgress, KeyspaceRule, Partial,
    Piece, Repository, backup_id, write_data_file,
};
use rondo_storage::limits::{BACKUP_CHAIN_MAX, BACKUP_PIECES_MAX};
use serde::Deserialize;
use serde_json::json;

use super::{Ended, Job, JobState, NotBegun, unix_millis};
use crate::config::keyspaces::policy_word;
use crate::supervisor::Lifeline;

/// What an operator asks for.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupOrder {
    /// The directory of backups, an absolute path on the node's machine.
    to: PathBuf,
    /// Only this keyspace.
    keyspace: Option<String>,
    /// The backup that it is to be an increment of; not said: the newest one that fits, else a full one.
    parent: Option<String>,
    /// A full one in any case.
    #[serde(default)]
    full: bool,
}

/// What is to be done, all of it checked.
pub(super) struct Plan {
    repository: Repository,
    node: String,
    incarnation: u32,
    cluster_id: u128,
    vnode_bits: u8,
    keyspace: Option<String>,
    keyspaces: Vec<KeyspaceRule>,
    lineages: Vec<u64>,
    parent: Option<BackupManifest>,
    /// Why it is a full one, if that was not asked for.
    full_because: Option<String>,
}

/// Checks the order against the node and the directory.
pub(super) fn plan(lifeline: &Lifeline, order: BackupOrder) -> Result<Plan, NotBegun> {
    let bad = |error: &dyn std::fmt::Display| NotBegun::Bad(error.to_string());
    let seen = lifeline.with_node(|node| (node.status(), node.lineages().to_vec(), node.data().to_owned()));
    let (status, lineages, data) = seen.ok_or(NotBegun::NotServing)?;
    if !order.to.is_absolute() {
        return Err(bad(&format!("{} is not an absolute path", order.to.display())));
    }
    if resolve(&order.to).starts_with(&data) {
        return Err(bad(&"the backup directory lies inside the data directory; name one outside, on another disk"));
    }
    if order.full && order.parent.is_some() {
        return Err(bad(&"a full backup has no parent; say one or the other"));
    }
    if let Some(keyspace) = &order.keyspace
        && !status.view.keyspaces.iter().any(|known| known.name == *keyspace)
    {
        return Err(bad(&format!("there is no keyspace {keyspace:?}")));
    }
    let cluster_id = u128::from(status.view.cluster_id);
    let repository = Repository::create(&order.to, cluster_id).map_err(|error| bad(&error))?;
    let rule = |keyspace: &rondo_protocol::view::Keyspace| KeyspaceRule {
        name: keyspace.name.clone(),
        policy: policy_word(keyspace.policy).to_owned(),
    };
    let mut plan = Plan {
        repository,
        node: status.name,
        incarnation: status.incarnation,
        cluster_id,
        vnode_bits: status.view.ring.bits().get(),
        keyspace: order.keyspace,
        keyspaces: status.view.keyspaces.iter().map(rule).collect(),
        lineages,
        parent: None,
        full_because: None,
    };
    if order.full {
        return Ok(plan);
    }
    match order.parent {
        Some(id) => {
            let parent = plan.repository.manifest(&id).map_err(|error| bad(&error))?;
            if let Some(why) = plan.why_no_parent(&parent) {
                return Err(bad(&format!("{id} cannot be the parent: {why}; leave --parent away for another")));
            }
            plan.parent = Some(parent);
        }
        None => {
            let newest = plan.repository.newest(&plan.node, plan.keyspace.as_deref()).map_err(|error| bad(&error))?;
            if let Some(parent) = newest {
                plan.full_because = plan.why_no_parent(&parent).map(|why| format!("{}: {why}", parent.id));
                plan.parent = Some(parent).filter(|_| plan.full_because.is_none());
            }
        }
    }
    Ok(plan)
}

/// The path with its links resolved, as far as it exists.
fn resolve(path: &Path) -> PathBuf {
    let mut existing = path;
    loop {
        if let Ok(resolved) = existing.canonicalize() {
            let rest = path.strip_prefix(existing).expect("it was shortened from the end");
            return resolved.join(rest);
        }
        let Some(parent) = existing.parent() else { return path.to_owned() };
        existing = parent;
    }
}

impl Plan {
    /// Why the node's next backup cannot go on where that one ends.
    fn why_no_parent(&self, parent: &BackupManifest) -> Option<String> {
        if parent.node != self.node || parent.keyspace != self.keyspace {
            return Some("it is of another node or another choice of keyspaces".to_owned());
        }
        if !parent.losses().is_empty() {
            return Some("it is incomplete: objects were unreadable when it was made".to_owned());
        }
        let lineages: Vec<Option<u64>> = parent.files.iter().map(DataFile::lineage).collect();
        if lineages != self.lineages.iter().map(|&lineage| Some(lineage)).collect::<Vec<_>>()
            || parent.vnode_bits != self.vnode_bits
        {
            return Some("the node's shards were built anew since, and their records are numbered anew".to_owned());
        }
        match Chain::resolve(&self.repository, &parent.id) {
            Err(error) => Some(error.to_string()),
            Ok(chain) if chain.links().len() >= BACKUP_CHAIN_MAX => {
                Some(format!("its chain has {BACKUP_CHAIN_MAX} backups already"))
            }
            Ok(_) => None,
        }
    }

    fn after(&self, shard: usize) -> u64 {
        self.parent.as_ref().and_then(|parent| parent.files.get(shard)).map_or(0, |file| file.upto)
    }

    fn manifest(&self, id: String, created_unix: u64, files: Vec<DataFile>) -> BackupManifest {
        BackupManifest {
            id,
            parent: self.parent.as_ref().map(|parent| parent.id.clone()),
            created_unix,
            cluster: format!("{:032x}", self.cluster_id),
            node: self.node.clone(),
            incarnation: self.incarnation,
            vnode_bits: self.vnode_bits,
            keyspace: self.keyspace.clone(),
            keyspaces: self.keyspaces.clone(),
            files,
        }
    }
}

/// Makes the backup.
pub(super) fn run(lifeline: &Lifeline, plan: Plan, job: &Job) -> Ended {
    let millis = unix_millis();
    let id = backup_id(millis, &plan.node);
    let partial = match plan.repository.begin(&id, &plan.node) {
        Ok(partial) => partial,
        Err(error) => return Ended::failed(error),
    };
    match copy(lifeline, &plan, &partial, job) {
        Ok(files) => finish(&plan, plan.manifest(id, millis / 1000, files), partial),
        Err(error) => {
            partial.discard();
            let state = if job.is_cancelled() { JobState::Cancelled } else { JobState::Failed };
            Ended { state, ..Ended::failed(error) }
        }
    }
}

fn finish(plan: &Plan, manifest: BackupManifest, partial: Partial) -> Ended {
    let path = match partial.finish(&manifest) {
        Ok(path) => path,
        Err(error) => return Ended::failed(error),
    };
    let losses = manifest.losses();
    let result = json!({
        "backup": manifest.id,
        "parent": manifest.parent,
        "full_because": plan.full_because,
        "path": path.display().to_string(),
        "records": manifest.records(),
        "bytes": manifest.bytes(),
        "losses": losses,
    });
    let (state, message) = match losses.first() {
        None => (JobState::Done, String::new()),
        Some(first) => (JobState::Damaged, format!("not everything could be read ({} places): {first}", losses.len())),
    };
    Ended { state, message, result }
}

/// Copies every shard; the first error ends them all.
fn copy(lifeline: &Lifeline, plan: &Plan, partial: &Partial, job: &Job) -> Result<Vec<DataFile>, BackupError> {
    let windows = job.follow(plan.lineages.len());
    let (mut parts, mut writers) = (Vec::new(), Vec::new());
    for (shard, progress) in windows.into_iter().enumerate() {
        let (facts_in, facts) = flume::bounded(1);
        let (pieces_in, pieces) = flume::bounded(BACKUP_PIECES_MAX);
        writers.push(start_writer(partial, job, facts, pieces).map_err(|source| BackupError::Io {
            action: "start a thread for",
            path: partial.path().to_owned(),
            source,
        })?);
        parts.push(ShardPart { progress, facts: facts_in, pieces: pieces_in, after: plan.after(shard) });
    }
    let (prefix, vnode_bits) = (prefix_of(plan.keyspace.as_deref()), plan.vnode_bits);
    let is_serving = lifeline.with_node(|node| {
        node.run_on_shards(|shard| {
            let part = parts[usize::from(shard.0)].clone();
            let (prefix, stop) = (prefix.clone(), Arc::clone(&job.stop));
            let begin = move |start: JobStart| part.begin(start, vnode_bits, prefix, stop);
            ShardJob::new(Arc::clone(&job.stop), begin).after_checkpoint()
        });
    });
    drop(parts);
    if is_serving.is_none() {
        return Err(BackupError::Cut);
    }
    let files: Vec<_> = writers.into_iter().map(join).collect();
    // An error that came first may have cut the others short: it is the one to tell.
    let (cut, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| matches!(file, Err(BackupError::Cut)));
    others.into_iter().chain(cut).collect::<Result<Vec<_>, _>>()
}

/// What one shard's job is given.
#[derive(Clone)]
struct ShardPart {
    progress: Arc<JobProgress>,
    facts: flume::Sender<FileFacts>,
    pieces: flume::Sender<Piece>,
    after: u64,
}

impl ShardPart {
    fn begin(
        self,
        start: JobStart,
        vnode_bits: u8,
        prefix: Vec<u8>,
        stop: Arc<std::sync::atomic::AtomicBool>,
    ) -> Box<dyn rondo_storage::StoreJob> {
        let JobStart { shard: ShardIndex(shard), lineage, upto, hlc_bound, wounds, .. } = start;
        let seal = unix_millis().rotate_left(20) ^ lineage ^ u64::from(shard);
        let facts = FileFacts { shard, vnode_bits, seal, lineage, upto: upto.0, after: self.after, hlc_bound };
        // If the writer has gone, the job's first step notices.
        let _ = self.facts.try_send(facts);
        let wish = CopyWish { vnode_bits, prefix, after: Lsn(self.after), wounds };
        Box::new(CopyJob::new(wish, self.pieces, self.progress, stop))
    }
}

type Writer = JoinHandle<Result<DataFile, BackupError>>;

fn start_writer(
    partial: &Partial,
    job: &Job,
    facts: flume::Receiver<FileFacts>,
    pieces: flume::Receiver<Piece>,
) -> std::io::Result<Writer> {
    let (directory, stop) = (partial.path().to_owned(), Arc::clone(&job.stop));
    let write = move || {
        let facts = facts.recv().map_err(|_| BackupError::Cut);
        let written = facts.and_then(|facts| write_data_file(&directory, &facts, &pieces));
        if written.is_err() {
            stop.store(true, Ordering::Release);
        }
        written
    };
    std::thread::Builder::new().name("backup-writer".to_owned()).spawn(write)
}

fn join(writer: Writer) -> Result<DataFile, BackupError> {
    writer.join().unwrap_or(Err(BackupError::Cut))
}

/// How the routed keys of a keyspace begin.
fn prefix_of(keyspace: Option<&str>) -> Vec<u8> {
    let Some(name) = keyspace else { return Vec::new() };
    let length = u16::try_from(name.len()).expect("the name of a keyspace that exists is short");
    [&length.to_le_bytes()[..], name.as_bytes()].concat()
}
