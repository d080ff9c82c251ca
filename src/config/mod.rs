//! What a node was told to be: file and flags, merged, checked, with a default for everything that can have one.
//!
//! The way of a setting: [`flags`] or [`mod@file`] say it, [`resolve`] decides which counts and whether it fits with the
//! others, [`Settings`] holds the outcome. Whether the machine allows it (ports, io_uring) is asked later, at the start.

mod checks;
pub(crate) mod cores;
pub(crate) mod file;
pub(crate) mod flags;
pub(crate) mod keyspaces;
mod members;
pub(crate) mod nodes;
pub(crate) mod print;
pub(crate) mod problem;
pub(crate) mod resolve;
pub(crate) mod sourced;

use std::net::SocketAddr;
use std::time::Duration;

use rondo_shards::NodeConfig;

use crate::jobs::ScrubSchedule;

pub(crate) use file::LoadedFile;
pub(crate) use flags::ServeFlags;
pub(crate) use problem::Problems;

/// All that `rondo serve` runs by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the shards are told.
    pub(crate) node: NodeConfig,
    /// Where HTTP is served.
    pub(crate) admin_listen: SocketAddr,
    /// Whether addresses beyond loopback were allowed.
    pub(crate) insecure_no_auth: bool,
    /// How long a stopping node waits for requests in flight.
    pub(crate) drain_limit: Duration,
    /// The scrubs that nobody asks for.
    pub(crate) scrub: ScrubSchedule,
    /// The log filter.
    pub(crate) log: String,
}

impl Settings {
    /// Reads the file that `flags` name, if any, and puts `flags` on top.
    pub(crate) fn load(flags: &ServeFlags) -> Result<Settings, Problems> {
        let file = flags.config.as_deref().map(LoadedFile::read).transpose()?;
        let machine = resolve::Machine { cores: cores::usable(), memory: rondo_shards::memory_of_machine() };
        resolve::resolve(flags, file.as_ref(), &machine)
    }

    /// Addresses that anybody beyond this machine could reach.
    pub(crate) fn exposed(&self) -> Vec<SocketAddr> {
        let all = [self.node.listen, self.node.peer_listen, self.admin_listen];
        all.into_iter().filter(|address| !address.ip().is_loopback()).collect()
    }
}
