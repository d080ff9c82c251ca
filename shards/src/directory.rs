//! The node's data directory: whose it is, and that it has as many shards as the node.

use rondo_storage::{NodeDir, NodeDirOptions};

use crate::boot::unix_time;
use crate::config::NodeConfig;
use crate::start_error::StartError;

/// Locks the data directory, says what is odd about it, and makes sure that it has the shards of `config`.
pub(crate) fn open(config: &NodeConfig, cluster_id: u64) -> Result<NodeDir, StartError> {
    let directory = NodeDir::open(&config.data, &options(config, cluster_id))?;
    for notice in directory.notices() {
        tracing::warn!(data = %directory.path().display(), "{notice}");
    }
    for layout in directory.remove_leftovers()? {
        tracing::info!(layout, "removed what an interrupted move had left behind");
    }
    let (found, wanted) = (directory.identity().shards, config.shards.get());
    if found != wanted {
        let reason = format!("the data directory has {found} shards, not {wanted}; start with --shards {found}");
        return Err(StartError::Config { reason });
    }
    directory.create_shard_dirs(directory.identity().layout, wanted)?;
    Ok(directory)
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
