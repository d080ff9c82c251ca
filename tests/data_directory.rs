//! Data directories that a node must not use, or must wonder about: each is named, with what to do.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rondo_client::Options;
use rondo_client::blocking::Client;
use serde_json::Value;
use support::{TestCluster, TestNode, rondo, skip};

const BAD_INPUT: i32 = 2;
const CONFIG: i32 = 78;

/// Starts the node on `data`; it must end at once, and say `words`.
fn refused(node: &mut TestNode, data: &Path, words: &[&str]) {
    let before = node.log().len();
    node.set("--data", &data.display().to_string());
    node.launch();
    let code = node.wait().code();
    let said = node.log().split_off(before);
    assert!(matches!(code, Some(BAD_INPUT | CONFIG)), "{code:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

fn show(data: &Path) -> Value {
    let output = rondo(&["engine", "show", "--json", "--data", &data.display().to_string()]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// A file system in memory, mounted as long as this lives.
struct Mount(PathBuf);

impl Mount {
    /// `None` where this user may not mount.
    fn tmpfs(place: &Path, options: &str) -> Option<Mount> {
        fs::create_dir_all(place).expect("made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "rondo-test"]).arg(place).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Mount(place.to_owned()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status().expect("mount starts");
        assert!(status.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_is_no_directory_or_nobody_elses_business_is_refused_by_name() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let place = cluster.directory.path().to_owned();
    let node = cluster.node(0);
    fs::write(place.join("file"), "text").expect("written");
    refused(node, &place.join("file"), &["is not a directory"]);
    symlink("/nowhere/at/all", place.join("link")).expect("a link");
    refused(node, &place.join("link"), &["is a link to /nowhere/at/all, which is not there"]);
    fs::create_dir(place.join("thesis")).expect("made");
    fs::write(place.join("thesis/chapter-1"), "text").expect("written");
    refused(node, &place.join("thesis"), &["holds chapter-1 but no identity"]);
    fs::create_dir(place.join("open")).expect("made");
    fs::set_permissions(place.join("open"), fs::Permissions::from_mode(0o777)).expect("ours");
    refused(node, &place.join("open"), &["everybody on this machine may write", "chmod 700"]);
    assert_eq!(fs::read_dir(place.join("open")).expect("readable").count(), 0, "nothing was touched");
}

#[test]
fn the_directory_of_another_node_or_cluster_or_ring_is_refused_by_name() {
    let mut cluster = TestCluster::start(1, 1);
    let data = cluster.directory.path().join("n0");
    let node = cluster.node(0);
    node.kill();
    node.set("--cluster", "elsewhere");
    refused(node, &data, &["belongs to cluster", "check --data and the cluster's name"]);
    node.set("--cluster", "rondo");
    let nodes = format!("other={}@r0", node.peer);
    let listed = node.arguments().iter().position(|argument| argument == "--nodes").expect("it is said");
    let before = node.arguments()[listed + 1].clone();
    node.set("--nodes", &nodes);
    node.set("--name", "other");
    refused(node, &data, &["belongs to node n0, not to other"]);
    node.set("--nodes", &before);
    node.set("--name", "n0");
    node.set("--engine", "lsm");
    refused(node, &data, &["keeps its objects in sled, not in lsm", "rondo engine migrate"]);
    node.set("--engine", "sled");
    node.restart();
}

#[test]
fn a_directory_that_others_may_read_is_used_with_a_warning_and_through_a_link() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let place = cluster.directory.path().to_owned();
    fs::create_dir(place.join("readable")).expect("made");
    fs::set_permissions(place.join("readable"), fs::Permissions::from_mode(0o755)).expect("ours");
    symlink(place.join("readable"), place.join("link")).expect("a link");
    let node = cluster.node(0);
    node.set("--data", &place.join("link").display().to_string());
    node.restart();
    assert!(node.log().contains("may look into"), "{}", node.log());
    assert!(place.join("readable/identity.copy").exists());
}

#[test]
fn a_copy_of_a_running_nodes_directory_starts_as_a_new_incarnation_with_all_that_was_acknowledged() {
    let mut original = TestCluster::start(1, 2);
    for key in 0..50 {
        assert!(original.rondo(&["put", &format!("k{key}"), "before the copy"]).status.success());
    }
    let mut copy = TestCluster::lay_out(1, 2);
    let (from, to) = (original.directory.path().join("n0"), copy.directory.path().join("n0"));
    let load = Load::start(&original);
    let copied = Command::new("cp").arg("-a").arg(&from).arg(&to).status().expect("cp starts");
    assert!(copied.success());
    assert!(load.end() > 0, "it was written while it was copied");
    let incarnation = show(&from)["incarnation"].clone();
    original.node(0).kill();
    copy.node(0).restart();
    assert!(copy.node(0).log().contains("was copied, restored or moved"), "{}", copy.node(0).log());
    assert_ne!(show(&to)["incarnation"], incarnation);
    for key in 0..50 {
        assert_eq!(copy.rondo(&["get", &format!("k{key}")]).stdout, b"before the copy");
    }
}

/// Writes other keys until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Load {
    fn start(cluster: &TestCluster) -> Load {
        let client = Client::connect(&cluster.addresses()).expect("a node answers");
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let write = move || {
            let options = Options::new().timeout(Duration::from_secs(20));
            (0..).take_while(|_| !told.load(Ordering::Relaxed)).fold(0, |written, number| {
                client.put(format!("load-{number}"), vec![7; 10_000], &options).expect("stored");
                written + 1
            })
        };
        Load { stop, thread: std::thread::spawn(write) }
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every write is acknowledged")
    }
}

#[test]
fn what_a_crash_leaves_behind_is_swept_away_and_hides_nothing() {
    let mut cluster = TestCluster::start(1, 1);
    let data = cluster.directory.path().join("n0");
    for key in 0..50 {
        assert!(cluster.rondo(&["put", &format!("k{key}"), "acknowledged"]).status.success());
    }
    cluster.node(0).kill();
    let shard = data.join("layout-0001/shard-000");
    let left = [
        data.join("identity.new"),
        data.join("layout-0002/shard-000/wal/new"),
        shard.join("manifest.new"),
        shard.join("wal/new"),
        shard.join("wal/spare"),
        shard.join("sled-0002/db"),
        shard.join("keys-0002"),
    ];
    for path in &left {
        fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("made");
        fs::write(path, "half of it").expect("written");
    }
    cluster.node(0).restart();
    for key in 0..50 {
        assert_eq!(cluster.rondo(&["get", &format!("k{key}")]).stdout, b"acknowledged");
    }
    cluster.node(0).stop();
    // What means nothing by its name may stay until its file is written the next time.
    let is_as_it_was = |path: &&PathBuf| fs::read(path).is_ok_and(|bytes| bytes == b"half of it");
    let stayed: Vec<_> = left.iter().filter(|path| path.extension().is_none()).filter(is_as_it_was).collect();
    assert!(stayed.is_empty(), "{stayed:?}");
}

#[test]
fn a_directory_where_this_user_may_not_write_is_refused() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let data = cluster.directory.path().join("roots");
    if !rustix::process::geteuid().is_root() {
        return skip("starting a node as another user: root is needed");
    }
    fs::create_dir(&data).expect("made");
    fs::set_permissions(cluster.directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let node = cluster.node(0);
    node.set("--data", &data.display().to_string());
    let nobody = Command::new(env!("CARGO_BIN_EXE_rondo"))
        .args(node.arguments())
        .uid(65534)
        .gid(65534)
        .stdin(Stdio::null())
        .output();
    // The binary may lie where nobody else may look.
    let Ok(output) = nobody else { return skip("starting a node as another user: it may not run the binary") };
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(CONFIG), "{said}");
    assert!(said.contains("Permission denied") && said.contains("name another directory with --data"), "{said}");
}

#[test]
fn a_disk_that_is_full_or_read_only_is_told_apart_with_the_remedy() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let place = cluster.directory.path().join("disk");
    let Some(mount) = Mount::tmpfs(&place, "size=128k,mode=0700") else {
        return skip("a full disk: this user may not mount one");
    };
    fs::write(place.join("filler"), vec![0; 128 << 10]).expect("it just fits");
    let node = cluster.node(0);
    refused(node, &place.join("data"), &["No space left on device", "Free some room on that disk"]);
    fs::remove_file(place.join("filler")).expect("removed");
    mount.remount("ro");
    refused(node, &place.join("data"), &["Read-only file system", "Mount it writable"]);
}

#[test]
fn without_room_for_both_layouts_a_move_is_refused_before_it_begins() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let place = cluster.directory.path().join("disk");
    let Some(_mount) = Mount::tmpfs(&place, "size=200m,mode=0700") else {
        return skip("a disk without room: this user may not mount one");
    };
    let data = place.join("data");
    cluster.node(0).set("--data", &data.display().to_string());
    cluster.node(0).restart();
    assert!(cluster.rondo(&["put", "key", "value"]).status.success());
    cluster.node(0).kill();
    let room = rustix::fs::statvfs(&place).expect("mounted");
    let filler = (room.f_bavail * room.f_frsize).saturating_sub(3 << 20);
    fs::write(place.join("filler"), vec![7; filler as usize]).expect("it fits");
    cluster.node(0).set_shards(2);
    refused(
        cluster.node(0),
        &data,
        &["cannot move the vnodes of 1 shards to 2", "make room on that disk", "--shards 1"],
    );
    fs::remove_file(place.join("filler")).expect("removed");
    cluster.node(0).restart();
    assert_eq!(cluster.rondo(&["get", "key"]).stdout, b"value");
    assert_eq!(show(&data)["shards"].as_array().map(Vec::len), Some(2));
}
