//! What the machine must allow, asked before anything is touched.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::boot::bind_patiently;
use crate::config::NodeConfig;
use crate::limits::{DESCRIPTORS_BESIDE_CONNECTIONS, MEMORY_LOCKED_BYTES_MIN};
use crate::runtime;

/// Connections of each shard without which a node is of no use.
const CONNECTIONS_AT_LEAST: u64 = 128;

/// The machine does not allow what a node needs. Nothing was changed; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// io_uring is forbidden here.
    #[error(
        "io_uring is blocked here ({error}). In Docker: --security-opt seccomp=PROFILE with io_uring_setup, \
         io_uring_enter and io_uring_register allowed; in Kubernetes: seccompProfile Localhost or Unconfined; \
         elsewhere: sysctl kernel.io_uring_disabled must be 0"
    )]
    IoUringBlocked {
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The kernel has no io_uring.
    #[error("this kernel has no io_uring ({error}): Linux 5.15 or later is needed, and gVisor does not have it")]
    IoUringMissing {
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Too little memory may be locked.
    #[error(
        "only {found} bytes of memory may be locked, {needed} are needed: ulimit -l unlimited, or LimitMEMLOCK=infinity \
         in the systemd unit, or --ulimit memlock=-1 in Docker"
    )]
    MemoryLock {
        /// The limit.
        found: u64,
        /// What is needed.
        needed: u64,
    },
    /// Too few descriptors may be open.
    #[error(
        "only {found} files may be open, {needed} are needed: ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit"
    )]
    Descriptors {
        /// The hard limit.
        found: u64,
        /// What is needed.
        needed: u64,
    },
    /// A port is taken or an address is not ours.
    #[error(
        "cannot listen for {purpose} on {address}: {error}. Is another node running? Choose another port or stop it"
    )]
    Port {
        /// Clients or peers.
        purpose: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: std::io::Error,
    },
}

/// Checks io_uring, the locked-memory limit, the descriptor limit (raising the soft one as far as it goes) and that the
/// ports are free.
pub fn preflight(config: &NodeConfig) -> Result<(), PreflightError> {
    check_io_uring()?;
    check_memory_lock()?;
    check_descriptors(config)?;
    check_port("clients", config.listen)?;
    check_port("peers", config.peer_listen)
}

/// Client connections that each shard may hold, as far as the descriptor limit allows.
pub(crate) fn connections_max(config: &NodeConfig) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let each = limit.saturating_sub(DESCRIPTORS_BESIDE_CONNECTIONS) / u64::from(config.shards.get());
    config.connections_max.min(usize::try_from(each).unwrap_or(usize::MAX))
}

fn check_io_uring() -> Result<(), PreflightError> {
    runtime::probe_io_uring().map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => PreflightError::IoUringMissing { error },
        _ => PreflightError::IoUringBlocked { error },
    })
}

fn check_memory_lock() -> Result<(), PreflightError> {
    let found = raise(Resource::Memlock, MEMORY_LOCKED_BYTES_MIN);
    if found < MEMORY_LOCKED_BYTES_MIN {
        return Err(PreflightError::MemoryLock { found, needed: MEMORY_LOCKED_BYTES_MIN });
    }
    Ok(())
}

fn check_descriptors(config: &NodeConfig) -> Result<(), PreflightError> {
    let shards = u64::from(config.shards.get());
    let wanted = DESCRIPTORS_BESIDE_CONNECTIONS + shards * config.connections_max as u64;
    // Fewer connections than configured are no reason not to start; see `connections_max`.
    let needed = DESCRIPTORS_BESIDE_CONNECTIONS + shards * (config.connections_max as u64).min(CONNECTIONS_AT_LEAST);
    let found = raise(Resource::Nofile, wanted);
    if found < needed {
        return Err(PreflightError::Descriptors { found, needed });
    }
    Ok(())
}

/// Raises the soft limit towards `wanted` as far as the hard one allows, and returns what it is then.
fn raise(resource: Resource, wanted: u64) -> u64 {
    let limits = getrlimit(resource);
    let current = limits.current.unwrap_or(u64::MAX);
    let reachable = wanted.min(limits.maximum.unwrap_or(u64::MAX));
    if reachable <= current {
        return current;
    }
    match setrlimit(resource, Rlimit { current: Some(reachable), maximum: limits.maximum }) {
        Ok(()) => reachable,
        Err(_) => current, // Then the limit stays, and the caller judges it.
    }
}

fn check_port(purpose: &'static str, address: SocketAddr) -> Result<(), PreflightError> {
    // Bound without SO_REUSEPORT: a socket that shares its port would let a second node in unseen.
    let probe = bind_patiently(address).map(drop);
    probe.map_err(|error| PreflightError::Port { purpose, address, error })
}
