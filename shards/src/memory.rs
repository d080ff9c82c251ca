//! How much memory a node may take: the sum of its bounds, before it starts, and what it has, while it runs.
//!
//! The sum is what all parts may hold at once at their fullest. What comes and goes with the connections (their buffers, and
//! the outboxes of slow peers) has bounds of its own and is not in it.

use core::fmt;
use std::fs;

use rondo_storage::limits::BATCH_BYTES_MAX;
use rondo_storage::{Engine, StoreLimits};

use crate::config::NodeConfig;

/// What an engine takes beside its cache, for buffers and its own tables, in bytes.
const ENGINE_BYTES_BESIDE_CACHE: u64 = 24 << 20;
/// An executor, its rings, its read buffers and its counters, in bytes.
const SHARD_BYTES: u64 = 16 << 20;
/// The program, its admin thread and what the allocator keeps, in bytes.
const PROCESS_BYTES: u64 = 48 << 20;

/// The parts of a node's memory, in bytes, for all its shards together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryBound {
    /// Records on their way to the log, and the batch that is being written.
    pub log: u64,
    /// Two memtables a shard: one is filled while the other one is on its way into the sorted store.
    pub memtables: u64,
    /// The object caches.
    pub cache: u64,
    /// The filters before the sorted stores.
    pub filter: u64,
    /// The engines: their caches, a third more for what they do not count, and their buffers.
    pub engine: u64,
    /// The same once more while a store is rewritten, if it can be.
    pub rewrite: u64,
    /// Everything that does not depend on the settings.
    pub fixed: u64,
}

impl MemoryBound {
    /// What a node with these settings may take.
    pub fn of(config: &NodeConfig) -> MemoryBound {
        let limits = config.store_limits();
        let shards = u64::from(config.shards.get());
        let buffers = match config.engine {
            Engine::Sled => 0,
            // The tree's own memtable has a checkpoint once more.
            Engine::Lsm => limits.memtable_bytes_max as u64,
        };
        let engine = config.store_cache_bytes as u64 * 13 / 10 + ENGINE_BYTES_BESIDE_CACHE + buffers;
        let filter = match config.engine {
            Engine::Sled => config.filter_bytes as u64,
            Engine::Lsm => 0,
        };
        MemoryBound {
            log: shards * (limits.pending_bytes_max + BATCH_BYTES_MAX) as u64,
            memtables: shards * 2 * limits.memtable_bytes_max as u64,
            cache: shards * limits.cache_bytes_max as u64,
            filter: shards * filter,
            engine: shards * engine,
            rewrite: if config.store_rewrite.is_possible(config.engine) { shards * engine } else { 0 },
            fixed: shards * SHARD_BYTES + PROCESS_BYTES,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let MemoryBound { log, memtables, cache, filter, engine, rewrite, fixed } = *self;
        log + memtables + cache + filter + engine + rewrite + fixed
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let MemoryBound { log, memtables, cache, filter, engine, rewrite, fixed } = *self;
        write!(
            f,
            "{} MiB: log {}, memtables {}, cache {}, filter {}, engine {}, rewrite {}, fixed {}",
            mib(self.total()),
            mib(log),
            mib(memtables),
            mib(cache),
            mib(filter),
            mib(engine),
            mib(rewrite),
            mib(fixed),
        )
    }
}

impl NodeConfig {
    /// The bounds of one shard's memory.
    pub(crate) fn store_limits(&self) -> StoreLimits {
        let defaults = StoreLimits::default();
        StoreLimits {
            memtable_bytes_max: self.memtable_bytes,
            cache_bytes_max: self.cache_bytes,
            filter_bytes_max: self.filter_bytes,
            // More than a memtable of records would wait for a log that does not move.
            pending_bytes_max: defaults.pending_bytes_max.min(self.memtable_bytes),
            ..defaults
        }
    }
}

/// Bytes of memory that the process may use: the machine's, or what its control group leaves of them. `None` where the
/// system does not say.
pub fn memory_of_machine() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_of(&text, "MemTotal:"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = group_limit_files(&groups).filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// Bytes that the process has in memory now; 0 where the system does not say.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib_of(&status, "VmRSS:").unwrap_or(0)
}

/// Bytes that the process has had written to disks since it started; 0 where the system does not say.
pub(crate) fn disk_written_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// The bytes that a line of this name gives in KiB.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Where the limits of the control groups would stand: of the process' own group and of those above it, versions 2 and 1.
fn group_limit_files(groups: &str) -> impl Iterator<Item = String> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let ancestors = std::path::Path::new(group).ancestors().map(|group| group.display().to_string());
        let files = ancestors.map(|group| format!("{root}{}/{file}", group.trim_end_matches('/')));
        Some(files.collect::<Vec<_>>())
    };
    groups.lines().filter_map(of_line).flatten().collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_the_groups_above_a_process_are_asked() {
        let meminfo = "MemTotal:       16384 kB\nMemFree: 1 kB\n";
        assert_eq!(kib_of(meminfo, "MemTotal:"), Some(16384 << 10));
        let files: Vec<_> = group_limit_files("4:cpu,memory:/a\n1:cpuset:/b\n0::/x/y\n").collect();
        assert_eq!(
            files,
            [
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/x/y/memory.max",
                "/sys/fs/cgroup/x/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert!(memory_of_machine().is_some_and(|bytes| bytes > 1 << 20));
        assert!(resident_bytes() > 1 << 20);
    }
}
