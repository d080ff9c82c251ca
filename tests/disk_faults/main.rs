//! Real disks that get full, fail, hang and slow down under a real node, which says so, goes on with what it can, and is
//! well again by itself when they are.
//!
//! Needs root and loop devices; where they are not to be had each test says `SKIPPED`.

#[path = "../support/mod.rs"]
mod support;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rondo_client::blocking::Client;
use rondo_client::{Error, Options, Refusal};
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits, shard_of};
use rustix::process::Signal;
use support::{TestCluster, TestNode, eventually, http_get, skip};
use volume::{Volume, run, why_not};

/// Within this time of its cause's end a state is over: what operations.md promises.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// One node on disks of the test's choice, and what it has acknowledged.
struct Patient {
    cluster: TestCluster,
    client: Client,
    written: BTreeMap<String, usize>,
    deleted: BTreeSet<String>,
    /// Writes whose outcome nobody knows: they may be there or not.
    unknown: BTreeSet<String>,
}

/// Starts a node of one shard in a directory on `volume`; `settings` are further lines of its configuration.
fn patient_on(volume: &Volume, settings: &str) -> Patient {
    let mut cluster = TestCluster::lay_out(1, 1);
    cluster.configure(settings);
    let data = volume.path().join("n0");
    let node = cluster.node(0);
    node.set_argument("--data", &data.display().to_string());
    node.restart();
    Patient::of(cluster)
}

impl Patient {
    fn of(cluster: TestCluster) -> Patient {
        let client = Client::connect(&cluster.addresses()).expect("the node answers");
        let (written, deleted, unknown) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Patient { cluster, client, written, deleted, unknown }
    }

    fn node(&mut self) -> &mut TestNode {
        self.cluster.node(0)
    }

    fn put(&mut self, key: &str, bytes: usize) -> Result<(), Error> {
        match self.client.put(key, value(key, bytes), &options()) {
            Ok(_) => {
                self.written.insert(key.to_owned(), bytes);
                self.deleted.remove(key);
                Ok(())
            }
            Err(error) => {
                if !matches!(error, Error::Refused { .. }) {
                    self.unknown.insert(key.to_owned());
                }
                Err(error)
            }
        }
    }

    fn put_many(&mut self, prefix: &str, count: usize, bytes: usize) {
        for number in 0..count {
            self.put(&format!("{prefix}-{number}"), bytes).unwrap_or_else(|error| panic!("{prefix}-{number}: {error}"));
        }
    }

    fn delete(&mut self, key: &str) {
        if let Err(error) = self.client.delete(key, &options()) {
            panic!("delete {key}: {error}; the node's log:\n{}", self.node().log());
        }
        self.written.remove(key);
        self.deleted.insert(key.to_owned());
    }

    /// Puts again and again until the answer is one of these refusals.
    fn put_until_refused(&mut self, prefix: &str, bytes: usize, wanted: &[Refusal]) {
        let mut number = 0;
        let mut last = None;
        let is_refused = eventually(|| {
            number += 1;
            last = self.put(&format!("{prefix}-{number}"), bytes).err();
            matches!(last, Some(Error::Refused { refusal, .. }) if wanted.contains(&refusal))
        });
        assert!(is_refused, "not refused with {wanted:?} but {last:?}; the node's log:\n{}", self.node().log());
    }

    /// Waits until puts are taken again; how long that took.
    fn put_until_taken(&mut self, prefix: &str) -> Duration {
        let began = Instant::now();
        let mut number = 0;
        let is_taken = eventually(|| {
            number += 1;
            self.put(&format!("{prefix}-{number}"), 100).is_ok()
        });
        assert!(is_taken, "writes did not come back; the node's log:\n{}", self.node().log());
        began.elapsed()
    }

    /// The reason why the node is not ready, once it contains `words`.
    fn unready(&mut self, words: &str) -> String {
        let admin = self.node().admin;
        let mut said = String::new();
        let is_said = eventually(|| {
            said = http_get(admin, "/health/ready").map(|(_, body)| body).unwrap_or_default();
            said.contains(words)
        });
        assert!(is_said, "expected {words:?}, the node says {said:?}; its log:\n{}", self.node().log());
        said
    }

    /// Reads everything that was acknowledged.
    fn check_all(&self) {
        for (key, bytes) in &self.written {
            let found = match self.client.get(key, &options()) {
                // Its newest version waits for the disk, and is not told before it is durable.
                Err(Error::Refused { refusal: Refusal::DiskFailed, .. }) if self.unknown.contains(key) => continue,
                found => found.unwrap_or_else(|error| panic!("get {key}: {error}")),
            };
            let found = found.value().unwrap_or_else(|| panic!("{key} was acknowledged and is gone"));
            assert!(found.as_ref() == value(key, *bytes).as_bytes(), "{key} holds something else");
        }
        for key in &self.deleted {
            let found = self.client.get(key, &options()).unwrap_or_else(|error| panic!("get {key}: {error}"));
            assert!(!found.is_found() || self.unknown.contains(key), "{key} was deleted and is there");
        }
    }

    /// `kill -9`, whatever `between` does, and a start; then everything acknowledged must be there.
    fn survive(&mut self, between: impl FnOnce()) {
        self.node().kill();
        between();
        self.node().restart();
        self.client = Client::connect(&self.cluster.addresses()).expect("the node answers");
        self.check_all();
    }
}

fn value(key: &str, bytes: usize) -> String {
    key.chars().cycle().take(bytes).collect()
}

fn options() -> Options {
    Options::new().timeout(Duration::from_secs(2))
}

fn came_back(what: &str, after: Duration) {
    println!("{what}: writes were taken again {:.1} s after", after.as_secs_f64());
    assert!(after < BACK_WITHIN, "{what}: it took {after:?}");
}

/// True, and said, if these tests cannot run here.
fn cannot_run(test: &str) -> bool {
    let why = why_not();
    if let Some(why) = &why {
        skip(&format!("{test}: no file systems of its own here ({why})"));
    }
    why.is_some()
}

#[test]
fn a_disk_with_little_room_takes_deletes_until_there_is_room() {
    if cannot_run("a_disk_with_little_room_takes_deletes_until_there_is_room") {
        return;
    }
    let volume = Volume::create(512, &[]).expect("a volume");
    let mut patient = patient_on(&volume, "");
    patient.put_many("before", 200, 1000);
    let filler = volume.fill(20);
    patient.put_until_refused("refused", 1000, &[Refusal::DiskFull]);
    patient.unready("the disk of shard 0 is full: ");
    (0..100).for_each(|number| patient.delete(&format!("before-{number}")));
    patient.check_all();
    std::fs::remove_file(filler).expect("the filler goes");
    came_back("little room", patient.put_until_taken("after"));
    patient.survive(|| {});
}

#[test]
fn a_disk_without_any_room_takes_deletes_from_the_reserve() {
    if cannot_run("a_disk_without_any_room_takes_deletes_from_the_reserve") {
        return;
    }
    let volume = Volume::create(512, &[]).expect("a volume");
    // Nothing is watched, so that the log itself meets the end.
    let mut patient = patient_on(&volume, "disk-free-min-mib = 0\n");
    patient.put_many("before", 300, 1000);
    let filler = volume.fill(0);
    // The open segment goes on until it is full, and then no other can be made.
    patient.put_until_refused("filling", 500_000, &[Refusal::DiskFull]);
    (0..200).for_each(|number| patient.delete(&format!("before-{number}")));
    patient.check_all();
    std::fs::remove_file(filler).expect("the filler goes");
    came_back("no room", patient.put_until_taken("after"));
    patient.survive(|| {});
}

#[test]
fn a_disk_without_inodes_is_full() {
    if cannot_run("a_disk_without_inodes_is_full") {
        return;
    }
    let volume = Volume::create(512, &["-N", "256"]).expect("a volume");
    let mut patient = patient_on(&volume, "");
    patient.put_many("before", 50, 1000);
    let names: Vec<_> = (0..1000).map(|number| volume.path().join(format!("name-{number}"))).collect();
    let made = names.iter().take_while(|name| std::fs::File::create(name).is_ok()).count();
    assert!(made < names.len(), "the inodes did not run out");
    patient.put_until_refused("refused", 1000, &[Refusal::DiskFull]);
    patient.unready("inodes are left");
    patient.delete("before-7");
    patient.check_all();
    names.iter().take(made).for_each(|name| std::fs::remove_file(name).expect("it goes"));
    came_back("no inodes", patient.put_until_taken("after"));
    patient.survive(|| {});
}

#[test]
fn a_disk_whose_writes_fail_is_written_again_elsewhere_and_nothing_acknowledged_is_lost() {
    if cannot_run("a_disk_whose_writes_fail_is_written_again_elsewhere_and_nothing_acknowledged_is_lost") {
        return;
    }
    // Without a journal: its failure would make the file system read-only for good, which is the next test.
    let mut volume = Volume::create_starved(2048, 400, &["-O", "^has_journal"]).expect("a volume");
    let mut patient = patient_on(&volume, "disk-free-min-mib = 0\n");
    patient.put_many("before", 200, 1000);
    let filler = volume.starve(0);
    // The kernel says ENOSPC or EIO, as it likes: the file system believes that it has room in either case. A page each: of a
    // write across the end of what the image can hold, a loop device says that it was done (Linux 6.18, tried by hand:
    // 64 KiB "written", 16 KiB there). No log can make up for a disk that lies.
    patient.put_until_refused("refused", 3_000, &[Refusal::DiskFailed, Refusal::DiskFull]);
    println!("failing writes: {}", patient.unready("the disk of shard 0 ").trim());
    patient.check_all();
    std::fs::remove_file(filler).expect("the filler goes");
    came_back("failing writes", patient.put_until_taken("after"));
    patient.put_many("later", 200, 1000);
    patient.survive(|| volume.remount().expect("it mounts again"));
}

#[test]
fn a_file_system_that_turned_read_only_gives_reads_and_all_of_it_after_it_was_mounted_again() {
    if cannot_run("a_file_system_that_turned_read_only_gives_reads_and_all_of_it_after_it_was_mounted_again") {
        return;
    }
    let mut volume = Volume::create(512, &["-e", "remount-ro"]).expect("a volume");
    let mut patient = patient_on(&volume, "");
    patient.put_many("before", 200, 1000);
    // The kernel refuses to remount while a file is open for writing; an error it finds turns the file system read-only.
    let trigger = Path::new("/sys/fs/ext4").join(volume.device()).join("trigger_fs_error");
    if let Err(error) = std::fs::write(&trigger, "1") {
        return skip(&format!("a file system that turned read-only: {}: {error}", trigger.display()));
    }
    patient.put_until_refused("refused", 1000, &[Refusal::DiskFailed]);
    patient.unready("the disk of shard 0 fails: ");
    patient.check_all();
    patient.survive(|| volume.remount().expect("it mounts again"));
    patient.put_many("after", 50, 1000);
}

impl Patient {
    /// The directory of the second shard moves to a volume of its own.
    fn move_second_shard_to(&mut self, volume: &mut Volume) {
        self.node().stop();
        let shard = self.cluster.directory.path().join("n0/layout-0001/shard-001");
        let copy = [shard.join(".").into_os_string(), volume.path().into()];
        run("cp", &[&["-a".into()], &copy[..]].concat()).expect("the shard is copied");
        volume.move_to(&shard).expect("it mounts");
        self.node().restart();
        self.client = Client::connect(&self.cluster.addresses()).expect("the node answers");
    }
}

/// The shard that a key lives in, in a cluster of the one node.
fn shard_of_key(key: &str) -> u16 {
    let ring = Ring::lay_out(VNodeBits::DEFAULT, vec![RingNode::new("n0", "r0")]).expect("a ring");
    let key = ObjectKey::new(b"default", key.as_bytes()).expect("a good key");
    shard_of(ring.vnode(key.token()), 2.try_into().expect("two")).0
}

#[test]
fn a_disk_that_hangs_is_its_shards_trouble_alone_and_over_when_it_answers() {
    if cannot_run("a_disk_that_hangs_is_its_shards_trouble_alone_and_over_when_it_answers") {
        return;
    }
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return skip("a disk that hangs: one core is too few for two shards");
    }
    // In this order, so that what is mounted in the node's directory goes before the directory does.
    let mut patient = Patient::of(TestCluster::start(1, 2));
    let mut volume = Volume::create(512, &[]).expect("a volume");
    patient.move_second_shard_to(&mut volume);
    let keys: Vec<String> = (0..400).map(|number| format!("key-{number}")).collect();
    let (well, hung): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| shard_of_key(key) == 0);
    well.iter().chain(&hung).for_each(|key| patient.put(key, 500).expect("all is well"));
    volume.freeze_for(Duration::from_secs(8));
    let frozen = Instant::now();
    // Its outcome is unknown: it waits for the disk. The next ones are refused, once the shard has noticed.
    let short = Options::new().timeout(Duration::from_millis(300));
    let first = patient.client.put(&hung[1], value(&hung[1], 500), &short).err();
    patient.unknown.insert(hung[1].clone());
    let on_hung = hung[0].clone();
    patient.put_until_refused_on(&on_hung, Refusal::DiskFailed);
    let said = patient.unready("the disk of shard 1 has not answered for ");
    println!(
        "hung: {first:?} at first; {:.1} s after the freeze the node says {said:?}",
        frozen.elapsed().as_secs_f64()
    );
    for key in well.iter().take(100) {
        patient.put(key, 500).unwrap_or_else(|error| panic!("{key} of the shard that is well: {error}"));
    }
    patient.check_all();
    assert!(frozen.elapsed() < Duration::from_secs(8), "the test was slower than the thaw");
    volume.wait_for_thaw();
    let thawed = Instant::now();
    let is_back = eventually(|| patient.put(&on_hung, 500).is_ok());
    assert!(is_back, "the shard did not come back; the node's log:\n{}", patient.node().log());
    came_back("hung", thawed.elapsed());
    let log = patient.node().log();
    assert!(!log.contains("aborting"), "{log}");
    patient.survive(|| {});
    patient.node().kill();
}

#[test]
fn a_disk_that_hangs_is_noticed_though_nobody_writes() {
    if cannot_run("a_disk_that_hangs_is_noticed_though_nobody_writes") {
        return;
    }
    let mut volume = Volume::create(512, &[]).expect("a volume");
    let mut patient = patient_on(&volume, "");
    patient.put_many("before", 20, 1000);
    volume.freeze_for(Duration::from_secs(8));
    let frozen = Instant::now();
    let said = patient.unready("the disk of shard 0 has not answered for ");
    println!("hung and idle: {:.1} s after the freeze the node says {said:?}", frozen.elapsed().as_secs_f64());
    assert!(frozen.elapsed() < Duration::from_secs(8), "it was noticed only when it was over");
    let refused = patient.put("meanwhile", 100).expect_err("it cannot be kept");
    assert!(matches!(refused, Error::Refused { refusal: Refusal::DiskFailed, .. }), "{refused}");
    patient.check_all();
    volume.wait_for_thaw();
    let thawed = Instant::now();
    patient.put_until_taken("after");
    came_back("hung and idle", thawed.elapsed());
    patient.survive(|| {});
    patient.node().kill();
}

#[test]
fn a_node_that_is_to_stop_while_its_disk_hangs_says_so_within_its_limit_and_loses_nothing() {
    if cannot_run("a_node_that_is_to_stop_while_its_disk_hangs_says_so_within_its_limit_and_loses_nothing") {
        return;
    }
    let mut volume = Volume::create(512, &[]).expect("a volume");
    let mut patient = patient_on(&volume, "drain-seconds = 1\n");
    patient.put_many("before", 20, 1000);
    volume.freeze_for(Duration::from_secs(25));
    let frozen = Instant::now();
    let waits = patient.put("waits", 100).expect_err("it waits for the disk");
    patient.node().signal(Signal::TERM);
    let said = "the disk does not answer, and the shards that wait for it are left";
    let is_said = eventually(|| patient.node().log().contains(said));
    println!("hung and stopping: {waits}; {:.1} s after the freeze it is given up", frozen.elapsed().as_secs_f64());
    assert!(is_said, "{}", patient.node().log());
    assert!(frozen.elapsed() < Duration::from_secs(25), "it waited for the disk");
    // A process whose thread waits for a frozen disk inside the kernel is gone only when that answers.
    volume.wait_for_thaw();
    let code = patient.node().wait().code();
    assert_eq!(code, Some(75), "{}", patient.node().log());
    patient.node().restart();
    patient.client = Client::connect(&patient.cluster.addresses()).expect("the node answers");
    patient.check_all();
    patient.node().kill();
}

impl Patient {
    /// Puts one key again and again until the answer is this refusal.
    fn put_until_refused_on(&mut self, key: &str, wanted: Refusal) {
        let bytes = self.written[key];
        let short = Options::new().timeout(Duration::from_millis(300));
        let mut last = None;
        let is_refused = eventually(|| {
            last = self.client.put(key, value(key, bytes), &short).err();
            self.unknown.insert(key.to_owned());
            matches!(last, Some(Error::Refused { refusal, .. }) if refusal == wanted)
        });
        assert!(is_refused, "{key} was not refused with {wanted:?} but {last:?}");
    }
}

#[test]
fn a_slow_disk_slows_writes_and_not_reads_of_what_is_in_memory() {
    if cannot_run("a_slow_disk_slows_writes_and_not_reads_of_what_is_in_memory") {
        return;
    }
    let group = Path::new("/sys/fs/cgroup/blkio").join(format!("rondo-test-{}", std::process::id()));
    if !group.parent().is_some_and(|blkio| blkio.join("blkio.throttle.write_bps_device").exists()) {
        return skip("a slow disk: no blkio controller of cgroup v1 here");
    }
    let volume = Volume::create(512, &[]).expect("a volume");
    let mut patient = patient_on(&volume, "");
    patient.put_many("before", 200, 1000);
    if let Err(error) = std::fs::create_dir(&group) {
        return skip(&format!("a slow disk: {}: {error}", group.display()));
    }
    let _gone = GroupGuard(&group);
    let numbers =
        std::fs::read_to_string(format!("/sys/block/{}/dev", volume.device())).expect("the device has numbers");
    let limit = format!("{} 200000", numbers.trim());
    std::fs::write(group.join("blkio.throttle.write_bps_device"), limit).expect("the limit is taken");
    let pid = patient.node().pid().to_string();
    std::fs::write(group.join("cgroup.procs"), pid).expect("the node goes in");
    let (mut puts, mut times, began) = (0, Vec::new(), Instant::now());
    while began.elapsed() < Duration::from_secs(6) {
        puts += u32::from(patient.put(&format!("slow-{puts}"), 50_000).is_ok());
        for number in 0..50 {
            let asked = Instant::now();
            patient.client.get(format!("before-{number}"), &options()).expect("a read of what is in memory");
            times.push(asked.elapsed());
        }
    }
    times.sort();
    println!("slow disk: {puts} puts of 50 kB in 6 s; gets P99 {:?} of {}", times[times.len() * 99 / 100], times.len());
    let log = patient.node().log();
    assert!(!log.contains("aborting"), "{log}");
    patient.survive(|| {});
}

/// Removes the group when the test ends; its processes have ended by then or go back to the root group.
struct GroupGuard<'a>(&'a Path);

impl Drop for GroupGuard<'_> {
    fn drop(&mut self) {
        let root = self.0.parent().expect("it lies below the root").join("cgroup.procs");
        for pid in std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = std::fs::write(&root, pid);
        }
        let _ = std::fs::remove_dir(self.0);
    }
}
