//! A disk whose power can be cut: ext4 on a sparse file, mounted through a loop device.
//!
//! ```text
//! create ──► mounted ──cut──► dead: every call fails, nothing more reaches the image ──restore──► mounted again, journal replayed
//! ```
//! The cut is ext4's own shutdown call with the flag "no log flush": what the page cache holds and the journal has not
//! committed is gone, as after a pulled plug. The image lies in a directory of its own, and both go when the value is dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// How often taking a mount apart is tried: a process that was just killed may still hold it for a moment.
const UNMOUNT_TRIES: u32 = 100;
/// Opens each directory and shuts its file system down, when a line comes in.
const CUT: &str = "import fcntl,os,struct,sys
fds=[os.open(p,os.O_RDONLY) for p in sys.argv[1:]]
print('armed',flush=True)
sys.stdin.readline()
for fd in fds: fcntl.ioctl(fd,0x8004587d,struct.pack('I',2))
print('cut',flush=True)";

/// A mounted image.
#[derive(Debug)]
pub struct Image {
    directory: TempDir,
    is_mounted: bool,
}

/// Where images are made unless told otherwise: in memory if there is such a place, because what is lost in a cut is the
/// page cache above the image, and what the image itself lies on only makes the rounds slower.
pub fn usual_parent() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Why power cannot be cut on this machine, or `None` if it can: tried, not guessed.
pub fn why_not(parent: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let tried = Image::create(parent, 32).and_then(|mut image| {
        let cutter = Cutter::arm(&[&image])?;
        cutter.cut()?;
        image.restore()
    });
    tried.err()
}

impl Image {
    /// Makes a file system of `mib` MiB in a new directory below `parent` and mounts it.
    ///
    /// # Errors
    /// What the tools said.
    pub fn create(parent: &Path, mib: u64) -> Result<Image, String> {
        let directory = tempfile::Builder::new().prefix("rondo-faults-").tempdir_in(parent);
        let directory = directory.map_err(|error| format!("no directory below {}: {error}", parent.display()))?;
        let mut image = Image { directory, is_mounted: false };
        let file = File::create(image.file()).map_err(|error| format!("cannot create the image: {error}"))?;
        file.set_len(mib << 20).map_err(|error| format!("cannot make the image {mib} MiB large: {error}"))?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.file().as_os_str()])?;
        fs::create_dir(image.path()).map_err(|error| format!("cannot create the mount point: {error}"))?;
        image.mount()?;
        Ok(image)
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("disk.img")
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mnt")
    }

    /// What is on the device at this moment, as a disk of its own: what a power cut now would leave. Nothing is cut.
    ///
    /// # Errors
    /// What the tools said.
    pub fn as_on_the_device(&self) -> Result<Image, String> {
        let parent = self.directory.path().parent().expect("the directory lies in another");
        let directory = tempfile::Builder::new().prefix("rondo-faults-").tempdir_in(parent);
        let directory = directory.map_err(|error| format!("no directory below {}: {error}", parent.display()))?;
        let mut copy = Image { directory, is_mounted: false };
        fs::copy(self.file(), copy.file()).map_err(|error| format!("cannot copy the image: {error}"))?;
        fs::create_dir(copy.path()).map_err(|error| format!("cannot create the mount point: {error}"))?;
        copy.mount()?;
        Ok(copy)
    }

    fn mount(&mut self) -> Result<(), String> {
        let (file, path) = (self.file(), self.path());
        run("mount", &["-o".as_ref(), "loop".as_ref(), file.as_os_str(), path.as_os_str()])?;
        self.is_mounted = true;
        Ok(())
    }

    /// After a cut, when no process uses it any more: the power comes back.
    ///
    /// # Errors
    /// It is still in use, or the journal could not be replayed.
    pub fn restore(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn unmount(&mut self) -> Result<(), String> {
        let path = self.path();
        let mut outcome = Ok(());
        for _ in 0..UNMOUNT_TRIES {
            outcome = run("umount", &[path.as_os_str()]);
            if outcome.is_ok() {
                self.is_mounted = false;
                return Ok(());
            }
            std::thread::park_timeout(core::time::Duration::from_millis(50));
        }
        outcome
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_mounted && self.unmount().is_err() {
            // Lazily, so that at least the loop device goes when its last user does.
            let _ = run("umount", &["-l".as_ref(), self.path().as_os_str()]);
        }
    }
}

fn run(program: &str, arguments: &[&OsStr]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A hand at the plug: all images that it holds lose power within the same millisecond.
#[derive(Debug)]
pub struct Cutter {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Cutter {
    /// Gets ready.
    ///
    /// # Errors
    /// python3, which makes the call, could not be started.
    pub fn arm(images: &[&Image]) -> Result<Cutter, String> {
        let mut process = Command::new("python3")
            .args(["-c", CUT])
            .args(images.iter().map(|image| image.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run python3: {error}"))?;
        let answers = BufReader::new(process.stdout.take().expect("its output was asked to be piped"));
        let mut cutter = Cutter { process, answers };
        cutter.expect("armed")?;
        Ok(cutter)
    }

    /// Cuts.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn cut(mut self) -> Result<(), String> {
        let plug = self.process.stdin.as_mut().expect("its input was asked to be piped");
        writeln!(plug).map_err(|error| format!("the hand at the plug is gone: {error}"))?;
        self.expect("cut")
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        if read.is_ok() && line.trim() == word {
            return Ok(());
        }
        Err(format!("the file system could not be shut down (expected {word:?}, got {line:?})"))
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        // Its input closes, so it ends by itself; but an unarmed one must not go on to cut.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
