//! Backups of real nodes: made under load, verified, put back through the ring of another cluster and as a directory.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rondo_client::Options;
use rondo_client::blocking::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{TestCluster, rondo, skip};

fn options(keyspace: &str) -> Options {
    Options::new().keyspace(keyspace).timeout(Duration::from_secs(20))
}

fn connect(cluster: &TestCluster) -> Client {
    Client::connect(&cluster.addresses()).expect("a node answers")
}

/// Runs a command with `--json` and gives its exit code and its object.
fn json(arguments: &[&str]) -> (i32, Value) {
    let output = rondo(&[arguments, &["--json"]].concat());
    let object = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    if object.is_null() {
        panic!("{arguments:?} printed no object: {output:?}");
    }
    (output.status.code().expect("it ended by itself"), object)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Makes a backup and gives its name.
fn create(cluster: &mut TestCluster, to: &Path, more: &[&str]) -> Value {
    let (admin, to) = (cluster.node(0).admin.to_string(), to.display().to_string());
    let (code, made) = json(&[&["backup", "create", "--admin", &admin, "--to", &to], more].concat());
    assert_eq!(code, 0, "{made}");
    made["result"].clone()
}

fn restore(cluster: &TestCluster, to: &Path, id: &str, more: &[&str]) -> (i32, Value) {
    let (addresses, to) = (cluster.addresses().join(","), to.display().to_string());
    json(&[&["backup", "restore", &to, id, "--addr", &addresses, "--timeout", "20s"], more].concat())
}

/// What a cluster should hold: key, then value; `None` where it was deleted.
type Expected = BTreeMap<String, Option<String>>;

fn assert_holds(client: &Client, expected: &Expected) {
    for (key, value) in expected {
        let got = client.get(key, &options("default")).unwrap_or_else(|error| panic!("{key}: {error}"));
        let got = got.value().map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(&got, value, "{key}");
    }
}

/// Some values, some of them large, some overwritten, some deleted.
fn fill(client: &Client, round: usize) -> Expected {
    let mut expected = Expected::new();
    for number in 0..300 {
        let key = format!("key-{number}");
        if number % 3 != round % 3 && round > 0 {
            continue;
        }
        let bytes = if number % 50 == 0 { 300_000 } else { 20 };
        let value = format!("round {round} of {key} {}", "x".repeat(bytes));
        client.put(&key, value.clone(), &options("default")).expect("stored");
        expected.insert(key, Some(value));
    }
    for number in (round * 10)..(round * 10 + 5) {
        let key = format!("key-{number}");
        client.delete(&key, &options("default")).expect("deleted");
        expected.insert(key, None);
    }
    expected
}

/// Writes and overwrites keys of its own until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Load {
    fn start(client: Client) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let write = move || {
            let mut number = 0;
            while !told.load(Ordering::Relaxed) {
                let key = format!("load-{}", number % 500);
                client.put(&key, format!("{number:08}").repeat(100), &options("default")).expect("stored");
                number += 1;
            }
            number
        };
        Load { stop, thread: std::thread::spawn(write) }
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every write is acknowledged")
    }
}

#[test]
fn a_backup_under_load_and_its_increment_restore_every_key_into_a_larger_cluster() {
    let mut cluster = TestCluster::start(1, 2);
    let backups = cluster.directory.path().join("backups");
    let client = connect(&cluster);
    let mut expected = fill(&client, 0);
    for value in ["apples", "pears"] {
        client.put("cart", value, &options("carts")).expect("stored");
    }
    let load = Load::start(connect(&cluster));
    let full = create(&mut cluster, &backups, &[]);
    assert_eq!((&full["parent"], full["losses"].as_array().map(Vec::len)), (&Value::Null, Some(0)));
    expected.extend(fill(&client, 1));
    let increment = create(&mut cluster, &backups, &[]);
    assert!(load.end() > 0);
    assert_eq!(increment["parent"], full["backup"]);
    let last = create(&mut cluster, &backups, &[]);
    let idle = create(&mut cluster, &backups, &[]);
    let records = |of: &Value| of["records"].as_u64().expect("a number");
    assert!(records(&increment) >= 100, "what was rewritten is in it: {increment}");
    assert!(records(&last) <= 500, "only the load wrote since: {last}");
    assert_eq!((records(&idle), &idle["parent"]), (0, &last["backup"]), "nothing was written since: {idle}");

    let (code, verified) = json(&["backup", "verify", &backups.display().to_string()]);
    assert_eq!((code, &verified["sound"]), (0, &Value::Bool(true)), "{verified}");
    cluster.node(0).kill();

    let fresh = TestCluster::start(3, 1);
    let id = idle["backup"].as_str().expect("a name");
    let (code, restored) = restore(&fresh, &backups, id, &[]);
    assert_eq!((code, restored["refused"].as_u64()), (0, Some(0)), "{restored}");
    let deleted = expected.values().filter(|value| value.is_none()).count() as u64;
    assert_eq!(restored["deleted"].as_u64(), Some(deleted), "{restored}");
    let client = connect(&fresh);
    assert_holds(&client, &expected);
    let cart = client.get("cart", &options("carts")).expect("readable");
    let mut values: Vec<_> = cart.values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    values.sort();
    assert_eq!(values, ["apples", "pears"], "siblings come back as siblings");

    let (code, again) = restore(&fresh, &backups, id, &[]);
    assert_eq!((code, again["restored"].as_u64()), (0, Some(0)), "a second restore finds everything there: {again}");
    client.put("key-100", "newer than the backup", &options("default")).expect("stored");
    let (_, skipped) = restore(&fresh, &backups, id, &[]);
    assert_eq!(skipped["left_alone"].as_u64(), Some(1), "{skipped}");
    let (_, replaced) = restore(&fresh, &backups, id, &["--existing", "overwrite"]);
    assert_eq!(replaced["restored"].as_u64(), Some(1), "{replaced}");
    assert_holds(&client, &expected);
}

#[test]
fn the_backups_of_all_nodes_merge_into_what_the_cluster_held() {
    let mut cluster = TestCluster::start(3, 1);
    let backups = cluster.directory.path().join("backups");
    let client = connect(&cluster);
    let mut expected = fill(&client, 0);
    let mut sources = Vec::new();
    for node in 0..3 {
        let (admin, to) = (cluster.node(node).admin.to_string(), backups.display().to_string());
        let (code, made) = json(&["backup", "create", "--admin", &admin, "--to", &to]);
        assert_eq!(code, 0, "{made}");
        sources.push(made["result"]["backup"].as_str().expect("a name").to_owned());
        // What is written between the backups of two nodes is in one of them and not in the other.
        expected.extend(fill(&client, 0));
    }
    let fresh = TestCluster::start(1, 1);
    let with: Vec<String> = sources[1..].iter().map(|id| format!("{}:{id}", backups.display())).collect();
    let (code, restored) = restore(&fresh, &backups, &sources[0], &["--with", &with[0], "--with", &with[1]]);
    assert_eq!(code, 0, "{restored}");
    assert_holds(&connect(&fresh), &expected);
}

#[test]
fn a_lost_data_directory_is_rebuilt_under_a_new_incarnation_with_other_shards() {
    let mut cluster = TestCluster::start(1, 2);
    let backups = cluster.directory.path().join("backups");
    let expected = fill(&connect(&cluster), 0);
    let made = create(&mut cluster, &backups, &["--full"]);
    let incarnation = incarnation_of(&mut cluster);
    cluster.node(0).kill();
    let data = cluster.directory.path().join("n0");
    let (dir, id) = (backups.display().to_string(), made["backup"].as_str().expect("a name").to_owned());
    let target = data.display().to_string();
    let full = rondo(&["backup", "restore", &dir, &id, "--to-data", &target]);
    assert_eq!(full.status.code(), Some(2), "a directory that holds something is left alone: {full:?}");
    fs::rename(&data, data.with_extension("lost")).expect("moved away");
    let other = rondo(&["backup", "restore", &dir, &id, "--to-data", &target, "--name", "n7"]);
    assert_eq!(other.status.code(), Some(2), "another node's name: {other:?}");
    let (code, restored) =
        json(&["backup", "restore", &dir, &id, "--to-data", &target, "--name", "n0", "--shards", "2"]);
    assert_eq!(code, 0, "{restored}");
    cluster.node(0).restart();
    assert!(incarnation < incarnation_of(&mut cluster), "a dot must never be given twice");
    assert_holds(&connect(&cluster), &expected);
    let next = create(&mut cluster, &backups, &[]);
    assert!(next["full_because"].as_str().is_some_and(|why| why.contains("anew")), "{next}");
}

fn incarnation_of(cluster: &mut TestCluster) -> u64 {
    let (_, body) = support::http_get(cluster.node(0).admin, "/status").expect("it answers");
    let status: Value = serde_json::from_str(&body).expect("JSON");
    status["incarnation"].as_u64().expect("a number")
}

#[test]
fn of_a_damaged_backup_everything_else_is_restored_and_what_is_not_is_told_exactly() {
    let mut cluster = TestCluster::start(1, 1);
    let backups = cluster.directory.path().join("backups");
    let expected = fill(&connect(&cluster), 0);
    let made = create(&mut cluster, &backups, &[]);
    let id = made["backup"].as_str().expect("a name");
    let file = backups.join(id).join("shard-000.data");
    let mut bytes = fs::read(&file).expect("readable");
    let needle = b"round 0 of key-77 ";
    let at = bytes.windows(needle.len()).position(|bytes| bytes == needle).expect("the value lies there");
    bytes[at] ^= 1;
    fs::write(&file, bytes).expect("writable");
    let dir = backups.display().to_string();
    let verified = rondo(&["backup", "verify", &dir, id]);
    assert_eq!(verified.status.code(), Some(5), "{verified:?}");
    assert!(words(&verified).contains("shard-000.data is damaged at byte"), "{verified:?}");

    let fresh = TestCluster::start(1, 1);
    let (code, restored) = restore(&fresh, &backups, id, &[]);
    let number = |field: &str| restored[field].as_u64().expect("a number");
    assert_eq!(code, 5, "{restored}");
    assert!(number("lost_records") > 0 && restored["lost"][0]["places"][0]["offset"].as_u64() > Some(0), "{restored}");
    assert_eq!(number("restored") + number("deleted") + number("lost_records"), expected.len() as u64, "{restored}");
    let client = connect(&fresh);
    let mut missing = 0;
    for (key, value) in expected.iter().filter(|(_, value)| value.is_some()) {
        let got = client.get(key, &options("default")).expect("readable");
        let got = got.value().map(|value| String::from_utf8_lossy(value).into_owned());
        assert!(got.is_none() || got == *value, "{key}");
        missing += u64::from(got.is_none());
    }
    assert!((1..=number("lost_records")).contains(&missing), "{missing} are missing: {restored}");

    cluster.node(0).kill();
    let data = cluster.directory.path().join("n0");
    fs::remove_dir_all(&data).expect("removed");
    let (code, rebuilt) = json(&["backup", "restore", &dir, id, "--to-data", &data.display().to_string()]);
    assert_eq!((code, &rebuilt["lost_records"]), (5, &restored["lost_records"]), "{rebuilt}");
    cluster.node(0).restart();
    let lost = client_error(&cluster, "key-77");
    assert!(lost.contains("could not read the stored bytes"), "what is missing is not answered as absent: {lost}");
    let there = expected.iter().filter(|(_, value)| value.is_some());
    let client = connect(&cluster);
    let readable = there.filter(|(key, value)| {
        client
            .get(key.as_str(), &options("default"))
            .is_ok_and(|got| got.value().map(|v| v.to_vec()) == value.as_ref().map(|text| text.clone().into_bytes()))
    });
    assert_eq!(readable.count() as u64, number("restored"));
}

fn client_error(cluster: &TestCluster, key: &str) -> String {
    connect(cluster).get(key, &options("default")).expect_err("it is lost").to_string()
}

#[test]
fn a_backup_with_a_missing_a_changed_or_a_foreign_file_is_named_and_used_as_far_as_it_goes() {
    let mut cluster = TestCluster::start(1, 1);
    let backups = cluster.directory.path().join("backups");
    fill(&connect(&cluster), 0);
    let made = create(&mut cluster, &backups, &[]);
    let id = made["backup"].as_str().expect("a name");
    let (dir, place) = (backups.display().to_string(), backups.join(id));
    let addresses = cluster.addresses().join(",");
    let check = |words_of_verify: &str, exit_of_restore: i32| {
        let verified = rondo(&["backup", "verify", &dir]);
        assert_eq!(verified.status.code(), Some(5), "{verified:?}");
        assert!(words(&verified).contains(words_of_verify), "{verified:?}");
        let restored = rondo(&["backup", "restore", &dir, id, "--addr", &addresses]);
        assert_eq!(restored.status.code(), Some(exit_of_restore), "{restored:?}");
        words(&restored)
    };
    fs::write(place.join("notes.txt"), "mine").expect("writable");
    assert!(check("notes.txt is foreign", 0).contains("0 are damaged"), "it hides nothing");
    fs::remove_file(place.join("notes.txt")).expect("removable");

    let manifest = fs::read_to_string(place.join("manifest")).expect("text");
    fs::write(place.join("manifest"), manifest.replacen("\"records\": ", "\"records\": 1", 1)).expect("writable");
    assert!(check("manifest is damaged: checksum", 5).contains("use another backup"), "nothing can be believed");
    fs::write(place.join("manifest"), manifest).expect("writable");

    fs::remove_file(place.join("shard-000.data")).expect("removable");
    let said = check("shard-000.data is missing", 5);
    assert!(said.contains("not restored: ") && said.contains("it is missing"), "{said}");
}

#[test]
fn orders_that_cannot_be_right_are_refused_and_touch_nothing() {
    let mut cluster = TestCluster::start(1, 1);
    let admin = cluster.node(0).admin.to_string();
    let home = cluster.directory.path().to_owned();
    let at = |name: &str| home.join(name).display().to_string();
    fs::create_dir(home.join("photos")).expect("created");
    fs::write(home.join("photos/cat.jpg"), "cat").expect("written");
    let ask = |more: &[&str]| rondo(&[&["backup", "create", "--admin", &admin, "--to"], more].concat());
    for (order, why) in [
        (vec![at("photos")], "cat.jpg"),
        (vec![at("n0/backups")], "inside the data directory"),
        (vec![at("b"), "--keyspace".to_owned(), "none".to_owned()], "no keyspace"),
        (vec![at("b"), "--parent".to_owned(), "20261125T195117.123Z-n0".to_owned()], "there is no backup"),
        (vec![at("photos/cat.jpg")], "cat.jpg"),
    ] {
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        let refused = ask(&order);
        assert_eq!(refused.status.code(), Some(2), "{order:?}: {refused:?}");
        assert!(words(&refused).contains(why), "{order:?}: {refused:?}");
    }
    assert_eq!(fs::read_dir(home.join("photos")).expect("readable").count(), 1);
    let gone = rondo(&["backup", "create", "--admin", "127.0.0.1:1", "--to", &at("b")]);
    assert_eq!(gone.status.code(), Some(3), "{gone:?}");
    let list = rondo(&["backup", "list", &at("photos")]);
    assert_eq!(list.status.code(), Some(2), "{list:?}");
}

#[test]
fn a_web_page_cannot_give_orders_and_an_unknown_job_is_not_found() {
    let mut cluster = TestCluster::start(1, 1);
    let admin = cluster.node(0).admin;
    let page = "origin: http://evil.example\r\ncontent-type: application/json\r\n";
    assert_eq!(post(admin, "/admin/scrub", page, "{}"), 403);
    assert_eq!(post(admin, "/admin/scrub", "content-type: text/plain\r\n", "{}"), 400);
    assert_eq!(post(admin, "/admin/backup", "content-type: application/json\r\n", "{\"too\": 1}"), 400);
    assert_eq!(post(admin, "/admin/jobs/77/cancel", "", ""), 404);
    let (status, jobs) = support::http_get(admin, "/admin/jobs").expect("it answers");
    assert_eq!((status, jobs.trim()), (200, "{\"jobs\":[]}"));
}

#[test]
fn a_cancelled_backup_leaves_nothing_and_the_next_one_is_not_hindered() {
    let mut cluster = TestCluster::start(1, 1);
    fill(&connect(&cluster), 0);
    let (admin, to) = (cluster.node(0).admin, cluster.directory.path().join("backups"));
    let headers = "content-type: application/json\r\n";
    let order = serde_json::json!({ "to": to }).to_string();
    assert_eq!(post(admin, "/admin/backup", headers, &order), 202);
    assert_eq!(post(admin, "/admin/jobs/1/cancel", headers, ""), 202);
    let state = || {
        let (_, jobs) = support::http_get(admin, "/admin/jobs").expect("it answers");
        let jobs: Value = serde_json::from_str(&jobs).expect("JSON");
        jobs["jobs"][0]["state"].as_str().expect("a word").to_owned()
    };
    assert!(support::eventually(|| state() != "running"));
    let ended = state();
    let (_, listed) = json(&["backup", "list", &to.display().to_string()]);
    let count = |what: &str| listed[what].as_array().map(Vec::len);
    // It may have been done before it was told.
    let whole = usize::from(ended == "done");
    assert!(ended == "cancelled" || ended == "done", "{ended}");
    assert_eq!((count("backups"), count("partial")), (Some(whole), Some(0)), "{ended}");
    create(&mut cluster, &to, &["--full"]);
}

/// Enough that a job takes its time.
fn fill_much(cluster: &TestCluster) {
    let client = connect(cluster);
    for number in 0..150 {
        let value = format!("{number} ").repeat(60_000);
        client.put(format!("much-{number}"), value, &options("default")).expect("stored");
    }
}

fn jobs(admin: std::net::SocketAddr) -> Value {
    let (_, jobs) = support::http_get(admin, "/admin/jobs").expect("it answers");
    serde_json::from_str(&jobs).expect("JSON")
}

/// Starts the command and sends it Ctrl-C once its job runs. `None` if the job was done before that.
fn interrupt(admin: std::net::SocketAddr, arguments: &[&str]) -> Option<Output> {
    let before = jobs(admin)["jobs"][0]["id"].clone();
    let child = Command::new(env!("CARGO_BIN_EXE_rondo"))
        .args(arguments)
        .args(["--admin", &admin.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the rondo binary starts");
    let is_begun = support::eventually(|| jobs(admin)["jobs"][0]["id"] != before);
    assert!(is_begun, "no job of {arguments:?} was begun");
    let pid = Pid::from_raw(child.id() as i32).expect("a process id is not zero");
    kill_process(pid, Signal::INT).expect("it is ours");
    let output = child.wait_with_output().expect("our own child can be waited for");
    (output.status.code() != Some(0)).then_some(output)
}

#[test]
fn ctrl_c_ends_the_job_of_a_backup_or_scrub_and_leaves_nothing_that_counts() {
    let mut cluster = TestCluster::start(1, 1);
    fill_much(&cluster);
    let admin = cluster.node(0).admin;
    let to = cluster.directory.path().join("backups");
    let dir = to.display().to_string();
    let backup = ["backup", "create", "--full", "--to", &dir];
    for (kind, arguments) in [("backup", &backup[..]), ("scrub", &["scrub", "--share", "1"])] {
        // A job may be done before the signal comes.
        let cancelled = (0..10).find_map(|_| interrupt(admin, arguments)).expect("one was slow enough");
        assert_eq!(cancelled.status.code(), Some(130), "{kind}: {cancelled:?}");
        assert!(words(&cancelled).contains("cancelling"), "{kind}: {cancelled:?}");
        let last = &jobs(admin)["jobs"][0];
        assert_eq!((&last["kind"], &last["state"]), (&kind.into(), &"cancelled".into()), "{last}");
    }
    let (_, listed) = json(&["backup", "list", &dir]);
    assert_eq!(listed["partial"].as_array().map(Vec::len), Some(0), "{listed}");
    create(&mut cluster, &to, &["--full"]);
    let (code, verified) = json(&["backup", "verify", &dir]);
    assert_eq!(code, 0, "{verified}");
    let (code, scrubbed) = json(&["scrub", "--admin", &admin.to_string(), "--share", "100"]);
    assert_eq!(code, 0, "{scrubbed}");
}

#[test]
fn a_node_that_is_killed_amid_a_backup_leaves_none_and_makes_the_next_one() {
    let mut cluster = TestCluster::start(1, 1);
    fill_much(&cluster);
    let admin = cluster.node(0).admin;
    let to = cluster.directory.path().join("backups");
    let dir = to.display().to_string();
    let first = create(&mut cluster, &to, &[]);
    let child = Command::new(env!("CARGO_BIN_EXE_rondo"))
        .args(["backup", "create", "--full", "--to", &dir, "--admin", &admin.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the rondo binary starts");
    let half_done = || -> Option<PathBuf> {
        let paths = fs::read_dir(&to).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| path.extension().is_some_and(|end| end == "partial")).last()
    };
    assert!(support::eventually(|| half_done().is_some()), "no backup was begun");
    cluster.node(0).kill();
    assert!(half_done().is_some(), "it was done before the node was killed: make it larger");
    let ended = child.wait_with_output().expect("our own child can be waited for");
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(words(&ended).contains("does not answer"), "{ended:?}");
    let (code, listed) = json(&["backup", "list", &dir]);
    let count = |of: &str| listed[of].as_array().map(Vec::len);
    assert_eq!((code, count("backups"), count("partial")), (0, Some(1), Some(1)), "{listed}");
    cluster.node(0).restart();
    let next = create(&mut cluster, &to, &[]);
    assert_eq!(next["parent"], first["backup"], "it goes on where the last whole one ended: {next}");
    let (code, verified) = json(&["backup", "verify", &dir]);
    assert_eq!((code, verified["backups"].as_array().map(Vec::len)), (0, Some(2)), "{verified}");
    assert!(half_done().is_none(), "the leftover is gone");
}

fn post(admin: std::net::SocketAddr, path: &str, headers: &str, body: &str) -> u16 {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(admin).expect("it listens");
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.0\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[test]
fn a_full_backup_disk_is_said_and_leaves_no_backup_behind() {
    let mut cluster = TestCluster::start(1, 1);
    fill(&connect(&cluster), 0);
    let Some(small) = SmallDisk::mount(cluster.directory.path().join("small")) else {
        return skip("a small tmpfs cannot be mounted here");
    };
    let (admin, to) = (cluster.node(0).admin.to_string(), small.0.join("backups").display().to_string());
    let full = rondo(&["backup", "create", "--admin", &admin, "--to", &to]);
    assert_eq!(full.status.code(), Some(70), "{full:?}");
    assert!(words(&full).contains("free some room"), "{full:?}");
    let (_, listed) = json(&["backup", "list", &to]);
    assert_eq!(
        (listed["backups"].as_array().map(Vec::len), listed["partial"].as_array().map(Vec::len)),
        (Some(0), Some(0))
    );
    client_still_writes(&cluster);
}

fn client_still_writes(cluster: &TestCluster) {
    connect(cluster).put("after", "all", &options("default")).expect("the node goes on");
}

/// A file system of one MiB, for as long as it is kept.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Option<SmallDisk> {
        fs::create_dir(&path).expect("created");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&path).output().ok()?;
        mounted.status.success().then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_scrub_of_a_sound_node_ends_well_and_a_damaged_identity_is_named() {
    let mut cluster = TestCluster::start(1, 2);
    fill(&connect(&cluster), 0);
    let admin = cluster.node(0).admin;
    let (code, scrubbed) = json(&["scrub", "--admin", &admin.to_string(), "--share", "100"]);
    assert_eq!((code, scrubbed["result"]["damaged"].as_u64()), (0, Some(0)), "{scrubbed}");
    assert_eq!(scrubbed["result"]["objects"].as_u64(), Some(300), "{scrubbed}");
    let (_, metrics) = support::http_get(admin, "/metrics").expect("it answers");
    assert!(metrics.contains("rondo_scrub_objects_total 300\n"), "{metrics}");
    let (_, status) = support::http_get(admin, "/status").expect("it answers");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["last_scrub"]["state"], "done");
    let copy = cluster.directory.path().join("n0/identity.copy");
    let mut bytes = fs::read(&copy).expect("readable");
    bytes[20] ^= 1;
    fs::write(&copy, bytes).expect("writable");
    let (code, scrubbed) = json(&["scrub", "--admin", &admin.to_string(), "--share", "100"]);
    assert_eq!((code, scrubbed["result"]["damaged"].as_u64()), (5, Some(1)), "{scrubbed}");
    assert!(scrubbed["message"].as_str().is_some_and(|said| said.contains("identity.copy")), "{scrubbed}");
}

#[test]
fn a_scrub_that_is_due_begins_by_itself_and_is_noted() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let data = cluster.directory.path().join("n0");
    cluster.node(0).restart();
    cluster.node(0).kill();
    fs::write(data.join("last-scrub"), "1000\n").expect("writable");
    cluster.node(0).restart();
    let admin = cluster.node(0).admin;
    let is_noted = support::eventually(|| {
        let text = fs::read_to_string(data.join("last-scrub")).unwrap_or_default();
        text.trim().parse::<u64>().is_ok_and(|at| at > 1000)
    });
    assert!(is_noted, "{:?}", support::http_get(admin, "/admin/jobs"));
    let (_, jobs) = support::http_get(admin, "/admin/jobs").expect("it answers");
    let jobs: Value = serde_json::from_str(&jobs).expect("JSON");
    assert_eq!((&jobs["jobs"][0]["kind"], &jobs["jobs"][0]["state"]), (&"scrub".into(), &"done".into()), "{jobs}");
}

#[test]
fn planted_damage_in_a_store_is_found_by_a_scrub_and_stays_known() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let config = cluster.directory.path().join("keyspaces.toml");
    let keyspaces = fs::read_to_string(&config).expect("readable");
    // Damage in a page of sled may keep the whole store from opening, which is another story.
    fs::write(&config, format!("engine = \"lsm\"\n{keyspaces}")).expect("writable");
    cluster.node(0).restart();
    let client = connect(&cluster);
    fill(&client, 0);
    let (mut state, mut value) = (1_u64, Vec::new());
    for _ in 0..1000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value.push((state >> 33) as u8); // Nothing that compresses.
    }
    client.put("victim", value.clone(), &options("default")).expect("stored");
    let admin = cluster.node(0).admin.to_string();
    // Its checkpoint carries everything into the store.
    assert_eq!(json(&["scrub", "--admin", &admin]).0, 0);
    cluster.node(0).kill();
    assert!(spoil(&cluster.directory.path().join("n0"), &value[500..520]) > 0, "the value lies in the store");
    cluster.node(0).restart();
    let (code, scrubbed) = json(&["scrub", "--admin", &admin, "--share", "100"]);
    assert_eq!(code, 5, "{scrubbed}");
    assert!(scrubbed["result"]["damaged"].as_u64() > Some(0), "{scrubbed}");
    let unreadable =
        |client: &Client| client.get("victim", &options("default")).expect_err("it is damaged").to_string();
    let said = unreadable(&connect(&cluster));
    cluster.node(0).signal(Signal::TERM);
    cluster.node(0).wait();
    cluster.node(0).restart();
    assert_eq!(unreadable(&connect(&cluster)), said, "a restart makes nothing of it");
    let to = cluster.directory.path().join("backups").display().to_string();
    let (code, made) = json(&["backup", "create", "--admin", &admin, "--to", &to]);
    assert_eq!(code, 5, "the backup says what is not in it: {made}");
}

/// Changes a byte wherever `pattern` stands in the files of the sorted stores; how often that was.
fn spoil(directory: &Path, pattern: &[u8]) -> usize {
    let mut spoilt = 0;
    for entry in fs::read_dir(directory).expect("listable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            spoilt += spoil(&path, pattern);
        } else if path.to_string_lossy().contains("lsm-") {
            let mut bytes = fs::read(&path).expect("readable");
            let places: Vec<usize> = (0..bytes.len().saturating_sub(pattern.len()))
                .filter(|&at| bytes[at] == pattern[0] && bytes[at..].starts_with(pattern))
                .collect();
            places.iter().for_each(|&at| bytes[at] ^= 1);
            spoilt += places.len();
            fs::write(&path, bytes).expect("writable");
        }
    }
    spoilt
}
