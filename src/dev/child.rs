//! One node process of `rondo dev`.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::plan::PlannedNode;
use crate::cli::exit::{Exit, Failure};

/// The process of a node. It ends with its parent, however that ends.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) node: PlannedNode,
    process: std::process::Child,
    is_told: bool,
}

impl Child {
    /// Starts it; what it says goes to its log.
    pub(super) fn start(node: &PlannedNode) -> Result<Child, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(Exit::Failed, format!("cannot {what} {}: {error}", node.name))
        };
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&node.log)
            .map_err(|error| failed("open the log of", error))?;
        let also = log.try_clone().map_err(|error| failed("share the log of", error))?;
        let process = Command::new(&node.program)
            .arg("serve")
            .arg("--config")
            .arg(&node.config)
            .args(["--stop-with-parent", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(also)
            .stderr(log)
            // Ctrl-C goes to a whole group; we pass it on ourselves, once, so that it does not count as a second signal.
            .process_group(0)
            .spawn()
            .map_err(|error| failed("start", error))?;
        Ok(Child { node: node.clone(), process, is_told: false })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it has.
    pub(super) fn end(&mut self) -> Option<String> {
        match self.process.try_wait() {
            Ok(status) => status.map(|status| status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// As [`Child::end`], but told only once.
    pub(super) fn end_once(&mut self) -> Option<String> {
        if self.is_told {
            return None;
        }
        let end = self.end();
        self.is_told = end.is_some();
        end
    }

    /// SIGTERM.
    pub(super) fn ask_to_stop(&mut self) {
        if self.end().is_none()
            && let Some(pid) = Pid::from_raw(self.process.id().cast_signed())
        {
            // It may end in between, which is what we want.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// SIGKILL, and waits.
    pub(super) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
