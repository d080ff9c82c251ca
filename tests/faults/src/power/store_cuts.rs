//! A sorted store alone, right after it has said that it is durable.
//!
//! Under a whole shard a store that forgets its sync may be saved by the log beside it: one sync of any file commits the
//! journal for all of them. Here there is no log, and the moment is the worst one. Two ways to find out: cut the power; or
//! cut nothing, and mount a copy of what the device has.

use super::child::STORE_CACHE_BYTES;
use super::image::{Cutter, Image};
use crate::content::{Sizes, Version, routed, token};
use rondo_storage::{Engine, Lsn, SortedStore, StoreConfig, open_store};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Size of the disk.
const IMAGE_MIB: u64 = 64;
/// Keys of a store that must keep everything: several of sled's segments, and large values.
pub const KEYS: u32 = 300;
/// Keys of a store that is to be caught: so few that its file grows once, at the flush. What sled writes over blocks that
/// the file had before is on a device without a cache of its own whether somebody synced it or not.
pub const KEYS_TO_BE_CAUGHT: u32 = 60;

/// How it is found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreCut {
    /// The file system is shut down under the store.
    PowerCut,
    /// The image is copied and the copy mounted.
    LookAtTheDevice,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct StoreCuts {
    /// The program whose child process fills the store: this one.
    pub program: PathBuf,
    /// Where images are made.
    pub parent: PathBuf,
    /// The engine.
    pub engine: Engine,
    /// Keys that the child puts into the store.
    pub keys: u32,
    /// Name of a bug to plant in the child.
    pub planted: Option<String>,
}

impl StoreCuts {
    /// One round on a disk of its own: what the store lacks of what it had said was durable, or `None`.
    ///
    /// # Errors
    /// The experiment could not be made.
    pub fn violation(&self, how: StoreCut) -> Result<Option<String>, String> {
        let mut image = Image::create(&self.parent, IMAGE_MIB)?;
        let shard = image.path().join("shard");
        std::fs::create_dir(&shard).map_err(|error| format!("cannot create {}: {error}", shard.display()))?;
        // The directory was there before the store was: its own syncs do not make it so.
        let root = File::open(image.path()).map_err(|error| format!("cannot open {}: {error}", shard.display()))?;
        rustix::fs::syncfs(&root).map_err(|error| format!("cannot sync {}: {error}", shard.display()))?;
        drop(root);
        let cutter = Cutter::arm(&[&image])?;
        let mut child = self.spawn(&shard)?;
        wait_for_flush(&mut child)?;
        match how {
            StoreCut::PowerCut => {
                cutter.cut()?;
                end(child);
                image.restore()?;
                Ok(self.missing(&shard).map(|what| format!("after a power cut {what}")))
            }
            StoreCut::LookAtTheDevice => {
                stop(&child)?;
                let copy = image.as_on_the_device()?;
                end(child);
                drop(cutter);
                let missing = self.missing(&copy.path().join("shard"));
                Ok(missing.map(|what| format!("on the device {what}")))
            }
        }
    }

    fn spawn(&self, shard: &Path) -> Result<Child, String> {
        let mut command = Command::new(&self.program);
        command.args(["child", "fill", "--engine", self.engine.name(), "--keys", &self.keys.to_string(), "--data"]);
        command.arg(shard).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(bug) = &self.planted {
            command.args(["--plant", bug]);
        }
        command.spawn().map_err(|error| format!("cannot start {}: {error}", self.program.display()))
    }

    /// What the store lacks.
    fn missing(&self, shard: &Path) -> Option<String> {
        let config = StoreConfig { engine: self.engine, cache_bytes: STORE_CACHE_BYTES };
        let store = match open_store(shard, 1, &config) {
            Ok(store) => store,
            Err(error) => return Some(format!("the store cannot be opened: {error}")),
        };
        let upto = store.durable_upto().unwrap_or(Lsn(0));
        let lost = (0..self.keys).filter(|&key| !has(&*store, key)).count();
        (lost > 0 || upto < Lsn(self.keys.into()))
            .then(|| format!("{lost} of {} keys are gone, and the note says {upto}", self.keys))
    }
}

fn has(store: &dyn SortedStore, key: u32) -> bool {
    let version = Version { key, number: 1 + u64::from(key) };
    let found = store.get(token(key), &routed(key));
    found.is_ok_and(|found| found.is_some_and(|found| found.object == version.object(Sizes::FULL)))
}

fn wait_for_flush(child: &mut Child) -> Result<(), String> {
    let mut line = String::new();
    let output = child.stdout.as_mut().expect("its output was asked to be piped");
    let read = BufReader::new(output).read_line(&mut line);
    if read.is_ok() && line.trim() == "flushed" {
        return Ok(());
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("the child did not fill its store: it said {line:?}"))
}

/// Makes all its threads stand still: a copy of the device takes a while, and what is copied must be of one moment.
fn stop(child: &Child) -> Result<(), String> {
    let pid = Pid::from_child(child);
    let stopped = kill_process(pid, Signal::STOP).and_then(|()| waitpid(Some(pid), WaitOptions::UNTRACED));
    match stopped {
        Ok(Some((_, status))) if status.stopped() => Ok(()),
        other => Err(format!("the child cannot be stopped: {other:?}")),
    }
}

fn end(mut child: Child) {
    // It may have ended by itself when its disk went.
    let _ = child.kill();
    let _ = child.wait();
}
