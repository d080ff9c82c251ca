//! Real file systems that can be filled, starved, frozen and throttled: ext4 on a sparse image behind a loop device.
//!
//! All of it lies in a directory of its own, and goes, thawed and unmounted, when the value is dropped, also in a panic.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// How often taking a mount apart is tried: a process that was just ended may still hold it for a moment.
const UNMOUNT_TRIES: u32 = 100;

/// A mounted ext4.
pub struct Volume {
    mount: PathBuf,
    device: String,
    is_mounted: bool,
    image: PathBuf,
    /// A tmpfs that the image lies on, if it is to run out of room below the file system.
    below: Option<PathBuf>,
    thaw: Option<Child>,
    /// Goes last.
    _directory: TempDir,
}

/// Where images lie: in memory if there is such a place.
fn parent() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Why such file systems cannot be made here, or `None` if they can: tried, not guessed.
pub fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    Volume::create(32, &[]).err()
}

impl Volume {
    /// A file system of `mib` MiB, made with these further options of mkfs.ext4.
    pub fn create(mib: u64, options: &[&str]) -> Result<Volume, String> {
        Volume::create_on(mib, options, None)
    }

    /// The same, on an image for which only `below_mib` MiB of memory are left: what goes beyond fails as a broken disk does.
    pub fn create_starved(mib: u64, below_mib: u64, options: &[&str]) -> Result<Volume, String> {
        Volume::create_on(mib, options, Some(below_mib))
    }

    fn create_on(mib: u64, options: &[&str], below_mib: Option<u64>) -> Result<Volume, String> {
        let directory = tempfile::Builder::new().prefix("rondo-disk-").tempdir_in(parent()).map_err(text)?;
        let mount = directory.path().join("mnt");
        std::fs::create_dir(&mount).map_err(text)?;
        let mut volume = Volume {
            mount,
            device: String::new(),
            is_mounted: false,
            image: directory.path().join("image"),
            below: None,
            thaw: None,
            _directory: directory,
        };
        if let Some(below_mib) = below_mib {
            let below = volume._directory.path().join("below");
            std::fs::create_dir(&below).map_err(text)?;
            run("mount", &["-t", "tmpfs", "-o", &format!("size={below_mib}m"), "none", path(&below)])?;
            volume.image = below.join("image");
            volume.below = Some(below);
        }
        let file = std::fs::File::create(&volume.image).map_err(text)?;
        file.set_len(mib << 20).map_err(text)?;
        run("mkfs.ext4", &[&["-q", "-F"], options, &[path(&volume.image)]].concat())?;
        volume.device = run("losetup", &["-f", "--show", path(&volume.image)])?.trim().to_owned();
        volume.mount()?;
        Ok(volume)
    }

    fn mount(&mut self) -> Result<(), String> {
        let mount = self.mount.clone();
        self.mount_at(&mount)
    }

    /// Mounts it at `place`, which exists, instead of where it is.
    pub fn move_to(&mut self, place: &Path) -> Result<(), String> {
        self.unmount()?;
        self.mount_at(place)
    }

    fn mount_at(&mut self, place: &Path) -> Result<(), String> {
        run("mount", &[&self.device, path(place)])?;
        self.mount = place.to_owned();
        self.is_mounted = true;
        Ok(())
    }

    /// Unmounts and mounts it, as a machine that starts anew does: what only the page cache held is gone.
    pub fn remount(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn unmount(&mut self) -> Result<(), String> {
        let mut outcome = Ok(String::new());
        for _ in 0..UNMOUNT_TRIES {
            outcome = run("umount", &[path(&self.mount)]);
            if outcome.is_ok() {
                self.is_mounted = false;
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        outcome.map(drop)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// The loop device's name below `/dev`.
    pub fn device(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }

    /// Takes all room but about `left_mib` MiB, with a file that is given back.
    pub fn fill(&self, left_mib: u64) -> PathBuf {
        fill(&self.mount, left_mib)
    }

    /// Takes the memory below the image, all but about `left_mib` MiB: what is written then fails as on a broken disk.
    pub fn starve(&self, left_mib: u64) -> PathBuf {
        fill(self.below.as_deref().expect("made with memory below"), left_mib)
    }

    /// Freezes it for `time`: a process of its own thaws it, whatever becomes of the test.
    pub fn freeze_for(&mut self, time: Duration) {
        let script = "sleep \"$1\"; fsfreeze -u \"$2\"";
        let seconds = time.as_secs().to_string();
        let thaw = Command::new("sh").args(["-c", script, "thaw", &seconds, path(&self.mount)]).spawn();
        self.thaw = Some(thaw.expect("the thaw timer starts"));
        run("fsfreeze", &["-f", path(&self.mount)]).expect("it freezes");
    }

    /// Waits until it is thawed.
    pub fn wait_for_thaw(&mut self) {
        if let Some(mut thaw) = self.thaw.take() {
            thaw.wait().expect("our own child can be waited for");
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.wait_for_thaw();
        if self.is_mounted && self.unmount().is_err() {
            // Lazily, so that it goes when its last user does.
            let _ = run("umount", &["-l", path(&self.mount)]);
        }
        if !self.device.is_empty() {
            let _ = run("losetup", &["-d", &self.device]);
        }
        if let Some(below) = &self.below {
            let _ = run("umount", &["-l", path(below)]);
        }
    }
}

fn free_bytes(place: &Path) -> u64 {
    let said = rustix::fs::statvfs(place).expect("a mounted file system");
    said.f_bavail * said.f_frsize
}

fn fill(place: &Path, left_mib: u64) -> PathBuf {
    let filler = place.join("filler");
    let file = std::fs::File::create(&filler).expect("there is room for a name");
    let bytes = free_bytes(place).saturating_sub(left_mib << 20);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).expect("the room is there");
    filler
}

/// Runs a program to its end and gives what it printed.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
