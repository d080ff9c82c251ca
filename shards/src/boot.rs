//! From a data directory to shards that may serve: recovery, before any executor exists.
//!
//! Every shard is recovered on a thread of its own, all at once, because a large store takes seconds to open. The threads
//! are not pinned: those that the sorted stores start inherit where they may run.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rondo_protocol::node::ShardIndex;
use rondo_storage::{Companion, NodeDir, OpenOptions, Recovered, RewriteRule, ShardReopener, StoreConfig, WalLimits};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{NodeConfig, StoreRewrite};
use crate::limits::{PORT_FREE_WITHIN, PORT_LOOK_INTERVAL};
use crate::start_error::StartError;
use crate::upkeep::Upkeep;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// A shard whose state is in memory and whose companion runs.
#[derive(Debug)]
pub(crate) struct OpenShard {
    pub(crate) recovered: Recovered,
    pub(crate) companion: Companion,
    pub(crate) upkeep: Upkeep,
}

/// Recovers every shard of the directory.
pub(crate) fn open_shards(config: &NodeConfig, directory: &NodeDir) -> Result<Vec<OpenShard>, StartError> {
    thread::scope(|scope| {
        let open = |index| scope.spawn(move || open_shard(config, &directory.shard_path(index), ShardIndex(index)));
        let opening: Vec<_> = (0..config.shards.get()).map(open).collect();
        let joined = opening.into_iter().zip(0..).map(|(thread, index)| {
            thread.join().unwrap_or_else(|_| {
                let reason = "opening it panicked; its files may be damaged: see the message above".to_owned();
                Err(StartError::Store { shard: ShardIndex(index), reason })
            })
        });
        joined.collect()
    })
}

/// The core that a shard is pinned to.
pub(crate) fn core_of(config: &NodeConfig, shard: usize) -> Option<usize> {
    config.cores.get(shard % config.cores.len().max(1)).copied()
}

fn open_shard(config: &NodeConfig, path: &Path, shard: ShardIndex) -> Result<OpenShard, StartError> {
    let failed = |error: &dyn core::fmt::Display| StartError::Store { shard, reason: error.to_string() };
    let options = OpenOptions {
        shard: shard.0,
        salt: salt(),
        unix_seconds: unix_time().as_secs(),
        vnode_bits: config.vnode_bits.get(),
        limits: config.store_limits(),
        wal: WalLimits::default(),
        store: StoreConfig { engine: config.engine, cache_bytes: config.store_cache_bytes as u64 },
    };
    let rondo_storage::OpenShard { recovered, sorted, generation } =
        rondo_storage::open_shard(path, &options).map_err(|error| failed(&error))?;
    tracing::info!(shard = shard.0, report = ?recovered.report, "recovered");
    let core = core_of(config, shard.0.into()).map(|id| core_affinity::CoreId { id });
    let reopener = Box::new(ShardReopener::new(path, options.store, options.vnode_bits));
    let companion = Companion::spawn(format!("companion-{}", shard.0), sorted, generation, core, reopener);
    let companion = companion.map_err(|error| failed(&error))?;
    let StoreRewrite { ratio, bytes_min } = config.store_rewrite;
    let ratio = if config.store_rewrite.is_possible(config.engine) { ratio } else { 0 };
    let upkeep = Upkeep::new(path.to_owned(), options.store, generation, RewriteRule { ratio, bytes_min });
    Ok(OpenShard { recovered, companion, upkeep })
}

pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Differs from start to start, which is all that is asked of it.
pub(crate) fn salt() -> u64 {
    (unix_time().as_nanos() as u64) ^ (u64::from(std::process::id()) << 32)
}

/// Listens without `SO_REUSEPORT`: a second node on the port must fail, not share it.
pub(crate) fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listen = || {
        let listener = TcpListener::from(bind_patiently(address)?);
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listen().map_err(|error| StartError::Listen { address, error })
}

/// Binds `address`; where it is taken, tries again for [`PORT_FREE_WITHIN`]. The kernel takes a node's rings apart after
/// the node has ended, and until then their accept holds the port: a node started at once after a `kill -9` meets that.
pub(crate) fn bind_patiently(address: SocketAddr) -> io::Result<Socket> {
    let until = Instant::now() + PORT_FREE_WITHIN;
    loop {
        match bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(PORT_LOOK_INTERVAL);
            }
            outcome => return outcome,
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Only listening shows that nobody else does.
    socket.listen(BACKLOG)?;
    Ok(socket)
}
