//! `rondo engine`: what a stopped node's directory keeps its objects in, and how to change that.
//!
//! The conversion builds the next layout beside the one in force (`rondo_storage::relayout`), so whatever interrupts it,
//! the directory is as it was.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rondo_protocol::ring::{VNode, shard_of};
use rondo_storage::sorted_store::UnknownEngine;
use rondo_storage::{
    Engine, Identity, NodeDir, NodeDirError, RelayoutError, RelayoutOptions, RelayoutReport, StoreLimits, WalLimits,
    relayout,
};
use serde_json::{Value, json};

use super::exit::{Exit, Failure, Outcome};
use super::files::{set_aside_in, tree_bytes};
use super::steps::Steps;
use crate::signals;

/// `rondo engine`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum EngineCommand {
    /// Convert a stopped node's directory to the other engine
    #[command(after_help = MIGRATE_HELP)]
    Migrate(MigrateArguments),
    /// Show engine, shards and sizes of a data directory
    #[command(after_help = SHOW_HELP)]
    Show(ShowArguments),
}

const MIGRATE_HELP: &str = "Examples:
  rondo engine migrate --data /var/lib/rondo --to lsm
  rondo engine migrate --data ./data --to sled --json

The node must be stopped. Everything is copied beside what is there, read back and compared, and only then put in force: Ctrl-C,
kill -9 or a power cut leave the old engine in force, and the same command begins again. It needs free room for about the live
data (twice that for sled). Then start the node with --engine, or engine in its file.";

const SHOW_HELP: &str = "Examples:
  rondo engine show --data /var/lib/rondo
  rondo engine show --data ./data --json";

/// `rondo engine migrate`.
#[derive(clap::Args, Debug)]
pub(crate) struct MigrateArguments {
    /// The data directory of a stopped node
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The engine to convert to: sled or lsm
    #[arg(long, value_name = "ENGINE")]
    to: String,
    /// Memory for each store's cache meanwhile, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65536))]
    store_cache_mib: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// `rondo engine show`.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowArguments {
    /// The data directory; a node may be running on it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does what `command` says.
pub(crate) fn run(command: EngineCommand) -> Outcome {
    match command {
        EngineCommand::Migrate(arguments) => migrate(&arguments),
        EngineCommand::Show(arguments) => show(&arguments),
    }
}

fn migrate(arguments: &MigrateArguments) -> Outcome {
    let unknown = |error: UnknownEngine| Failure::new(Exit::BadInput, error);
    let engine = Engine::from_str(&arguments.to).map_err(unknown)?;
    let stop =
        signals::listen().map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}")))?;
    let mut directory =
        NodeDir::open_for_tool(&arguments.data, unix_time().as_secs()).map_err(|error| refused(&error))?;
    let from = directory.identity().engine;
    if from == engine {
        // Nothing was done: the mark that it was left cleanly stays.
        directory.close_as_found(false).map_err(|error| refused(&error))?;
        let what = format!("{} keeps its objects in {engine} already", arguments.data.display());
        return Err(Failure::new(Exit::Refused, what));
    }
    let steps = Steps::new(&format!("{from} -> {engine}"));
    notices(&directory, &steps);
    let means = means(&directory, engine, arguments.store_cache_mib << 20);
    let on_progress = |progress: &rondo_storage::RelayoutProgress| {
        steps.tell(progress.permille, progress.objects, progress.bytes);
        if stop.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let moved = relayout(&mut directory, &means, &owner, &on_progress);
    steps.end();
    let has_lost = moved.as_ref().is_ok_and(|report| report.has_lost);
    directory.close_as_found(has_lost).map_err(|error| refused(&error))?;
    let report = moved.map_err(|error| failure_of(&error))?;
    print_report(arguments, from, engine, &report)?;
    Ok(Exit::Done)
}

/// As the node deals its vnodes.
fn owner(vnode: u32, shards: u16) -> u16 {
    shard_of(VNode(vnode as u16), shards.try_into().expect("no layout has 0 shards")).0
}

fn means(directory: &NodeDir, engine: Engine, cache_bytes: u64) -> RelayoutOptions {
    RelayoutOptions {
        shards: directory.identity().shards,
        engine,
        salt: unix_time().as_nanos() as u64 ^ (u64::from(std::process::id()) << 32),
        unix_seconds: unix_time().as_secs(),
        limits: StoreLimits::default(),
        wal: WalLimits::default(),
        cache_bytes,
    }
}

fn notices(directory: &NodeDir, steps: &Steps) {
    directory.notices().iter().for_each(|notice| steps.say(&format!("warning: {notice}")));
}

fn print_report(
    arguments: &MigrateArguments,
    from: Engine,
    to: Engine,
    report: &RelayoutReport,
) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let RelayoutReport { copied, wounds, has_lost, leftover } = report;
    if arguments.json {
        let object = json!({
            "data": arguments.data.display().to_string(), "from": from.name(), "to": to.name(), "objects": copied.objects,
            "bytes": copied.bytes, "checksum": format!("{:016x}", copied.checksum), "wounds": wounds,
            "has_lost": has_lost, "leftover": leftover,
        });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let (objects, bytes) = (copied.objects, copied.bytes);
    writeln!(out, "{objects} objects ({bytes} bytes) now lie in {to}, read back and compared; {from} is gone")?;
    if *wounds > 0 {
        writeln!(out, "{wounds} ranges of keys are missing something: see rondo damage list")?;
    }
    if let Some(reason) = leftover {
        writeln!(out, "the old files could not be removed ({reason}); the next start tries again")?;
    }
    writeln!(out, "start the node with --engine {to}, or engine = \"{to}\" in its file")?;
    Ok(())
}

fn show(arguments: &ShowArguments) -> Outcome {
    let identity = Identity::read(&arguments.data).map_err(|error| refused(&error))?;
    let layout = arguments.data.join(format!("layout-{:04}", identity.layout));
    let shards: Vec<Value> = (0..identity.shards).map(|shard| sizes_of(&layout, shard, identity.engine)).collect();
    let aside = set_aside_in(&arguments.data);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let object = json!({
            "data": arguments.data.display().to_string(), "node": identity.node_name,
            "cluster_id": format!("{:016x}", identity.cluster_id), "incarnation": identity.incarnation,
            "is_clean": identity.is_clean, "engine": identity.engine.name(), "layout": identity.layout,
            "vnode_bits": identity.vnode_bits, "shards": shards,
            "set_aside": aside.iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes })).collect::<Vec<_>>(),
        });
        writeln!(out, "{object}")?;
        return Ok(Exit::Done);
    }
    let left = if identity.is_clean { "left cleanly" } else { "in use, or not left cleanly" };
    writeln!(out, "node {} (incarnation {}), {left}", identity.node_name, identity.incarnation)?;
    writeln!(out, "engine {}, {} shards, layout {}", identity.engine, identity.shards, identity.layout)?;
    for shard in &shards {
        let (number, store, log) = (&shard["shard"], &shard["store_bytes"], &shard["log_bytes"]);
        writeln!(out, "shard {number}: store {store} bytes, log {log} bytes on disk")?;
    }
    for (path, bytes) in &aside {
        writeln!(out, "damaged and set aside: {} ({bytes} bytes)", path.display())?;
    }
    Ok(Exit::Done)
}

/// What a shard takes on disk.
fn sizes_of(layout: &Path, shard: u16, engine: Engine) -> Value {
    let path = layout.join(format!("shard-{shard:03}"));
    let prefix = format!("{engine}-");
    let stores = std::fs::read_dir(&path).into_iter().flatten().flatten().filter(|file| {
        let name = file.file_name();
        name.to_str().is_some_and(|name| name.starts_with(&prefix) && !rondo_storage::is_set_aside(name))
    });
    let store_bytes: u64 = stores.map(|store| tree_bytes(&store.path())).sum();
    let (log_bytes, disk_bytes) = (tree_bytes(&path.join("wal")), tree_bytes(&path));
    json!({ "shard": shard, "store_bytes": store_bytes, "log_bytes": log_bytes, "disk_bytes": disk_bytes })
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The directory cannot be used so; nothing happened.
pub(crate) fn refused(error: &NodeDirError) -> Failure {
    Failure::new(Exit::Refused, error)
}

fn failure_of(error: &RelayoutError) -> Failure {
    let exit = match error {
        RelayoutError::Interrupted => Exit::Interrupted,
        RelayoutError::NoRoom { .. } | RelayoutError::Source { .. } => Exit::Refused,
        RelayoutError::Directory(_)
        | RelayoutError::Target { .. }
        | RelayoutError::Mismatch { .. }
        | RelayoutError::Panicked { .. } => Exit::Failed,
    };
    Failure::new(exit, error)
}
