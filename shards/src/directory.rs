//! The node's data directory: whose it is, and that it has as many shards as the node.

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicU16, Ordering};

use rondo_protocol::ring::{VNode, shard_of};
use rondo_storage::{NodeDir, NodeDirOptions, RelayoutError, RelayoutOptions, RelayoutPhase, WalLimits, relayout};

use crate::boot::{salt, unix_time};
use crate::config::NodeConfig;
use crate::start_error::StartError;

/// What a starting node is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartStep {
    /// The directory had another number of shards: the vnodes move to `shards` of them.
    Moving {
        /// Shards of this node.
        shards: u16,
        /// How far it is, in tenths of a percent.
        permille: u16,
    },
    /// The shards read their logs.
    Recovering,
}

/// Is told what a starting node is at, from any thread; `Break` ends the start, with nothing changed.
pub type OnStep<'a> = &'a (dyn Fn(StartStep) -> ControlFlow<()> + Sync);

/// Locks the data directory, says what is odd about it, and makes sure that it has the shards of `config`.
pub(crate) fn open(config: &NodeConfig, cluster_id: u64, on_step: OnStep<'_>) -> Result<NodeDir, StartError> {
    let mut directory = NodeDir::open(&config.data, &options(config, cluster_id))?;
    for notice in directory.notices() {
        tracing::warn!(data = %directory.path().display(), "{notice}");
    }
    for layout in directory.remove_leftovers()? {
        tracing::info!(layout, "removed what an interrupted move had left behind");
    }
    if directory.identity().shards != config.shards.get() {
        move_vnodes(config, &mut directory, on_step)?;
    }
    directory.create_shard_dirs(directory.identity().layout, config.shards.get())?;
    Ok(directory)
}

/// Moves the vnodes to the shards of `config`; what was in force stays so until all of it is done.
fn move_vnodes(config: &NodeConfig, directory: &mut NodeDir, on_step: OnStep<'_>) -> Result<(), StartError> {
    let (found, shards) = (directory.identity().shards, config.shards.get());
    tracing::info!(from = found, to = shards, "moving vnodes to another number of shards");
    let (logged, is_opening) = (AtomicU16::new(0), RelayoutPhase::Opening);
    let on_progress = |progress: &rondo_storage::RelayoutProgress| {
        let tenth = progress.permille / 100;
        if progress.phase != is_opening && logged.fetch_max(tenth, Ordering::Relaxed) < tenth {
            let percent = progress.permille / 10;
            tracing::info!(percent, objects = progress.objects, bytes = progress.bytes, "moving vnodes");
        }
        on_step(StartStep::Moving { shards, permille: progress.permille })
    };
    let means = RelayoutOptions {
        shards,
        engine: config.engine,
        salt: salt(),
        unix_seconds: unix_time().as_secs(),
        limits: config.store_limits(),
        wal: WalLimits::default(),
        cache_bytes: config.store_cache_bytes as u64,
    };
    let owner = |vnode: u32, shards: u16| {
        let shards = core::num::NonZeroU16::new(shards).expect("no layout has 0 shards");
        shard_of(VNode(vnode as u16), shards).0
    };
    let report = relayout(directory, &means, &owner, &on_progress).map_err(|error| match error {
        RelayoutError::Interrupted => StartError::Interrupted,
        error => StartError::Move { from: found, to: shards, error: Box::new(error) },
    })?;
    tracing::info!(?report, "moved all vnodes");
    if let Some(reason) = &report.leftover {
        tracing::warn!(reason, "the old layout could not be removed; the next start tries again");
    }
    if report.has_lost {
        renew_incarnation(directory)?;
    }
    Ok(())
}

/// After a loss: a dot that was given may be forgotten, and must not be given again.
pub(crate) fn renew_incarnation(directory: &mut NodeDir) -> Result<(), StartError> {
    let incarnation = directory.renew_incarnation(unix_time().as_secs())?;
    tracing::warn!(incarnation, "something that was acknowledged is missing here: the node takes a new incarnation");
    Ok(())
}

/// Who wants to use the data directory.
fn options(config: &NodeConfig, cluster_id: u64) -> NodeDirOptions {
    NodeDirOptions {
        cluster_id: cluster_id.into(),
        node_name: config.name.clone(),
        shards: config.shards.get(),
        engine: config.engine,
        vnode_bits: config.vnode_bits.get(),
        unix_seconds: unix_time().as_secs(),
    }
}
