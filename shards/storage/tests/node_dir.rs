//! A data directory belongs to one node, and says so when somebody else comes.

use rondo_storage::{DirNotice, Engine, Identity, NodeDir, NodeDirError, NodeDirOptions};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

const NAMES: [&str; 2] = ["identity", "identity.copy"];

/// A directory for this user alone, whatever the umask says.
fn private_dir() -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().expect("a directory")
}

fn options() -> NodeDirOptions {
    NodeDirOptions {
        cluster_id: 0xC1,
        node_name: "alpha".to_owned(),
        shards: 2,
        engine: Engine::Sled,
        vnode_bits: 10,
        unix_seconds: 1000,
    }
}

fn at(unix_seconds: u64) -> NodeDirOptions {
    NodeDirOptions { unix_seconds, ..options() }
}

/// A directory that a node has used and left cleanly, in incarnation 1000.
fn used() -> TempDir {
    let dir = private_dir();
    NodeDir::open(dir.path(), &options()).expect("fresh").close_clean().expect("closed");
    dir
}

fn refusal(path: &Path, options: &NodeDirOptions) -> String {
    NodeDir::open(path, options).expect_err("refused").to_string()
}

fn incarnation(path: &Path, options: &NodeDirOptions) -> u32 {
    NodeDir::open(path, options).expect("it opens").identity().incarnation
}

#[test]
fn an_incarnation_stays_after_a_clean_stop_and_grows_after_any_other() {
    let dir = used();
    assert_eq!(incarnation(dir.path(), &at(2000)), 1000, "after a clean stop");
    assert_eq!(incarnation(dir.path(), &at(5)), 1001, "a clock that ran backwards does not matter");
    assert_eq!(incarnation(dir.path(), &at(3000)), 3000);
}

#[test]
fn a_node_that_lost_something_takes_a_new_incarnation_even_after_a_clean_stop() {
    let dir = used();
    let mut held = NodeDir::open(dir.path(), &at(2000)).expect("clean");
    assert_eq!(held.renew_incarnation(2000).expect("durable"), 2000);
    assert_eq!(held.renew_incarnation(2000).expect("durable"), 2001);
    held.close_clean().expect("closed");
    assert_eq!(Identity::read(dir.path()).expect("readable").incarnation, 2001);
}

#[test]
fn a_second_process_is_refused_while_the_first_one_runs_under_whatever_name_it_comes() {
    let dir = used();
    let link = dir.path().with_extension("link");
    symlink(dir.path(), &link).expect("a link");
    let held = NodeDir::open(dir.path(), &options()).expect("free");
    for path in [dir.path(), link.as_path()] {
        assert!(matches!(NodeDir::open(path, &options()), Err(NodeDirError::InUse { .. })));
        assert!(matches!(NodeDir::open_for_tool(path, 0), Err(NodeDirError::InUse { .. })));
    }
    drop(held);
    NodeDir::open(&link, &options()).expect("free again, and a link to a directory is a directory");
    fs::remove_file(link).expect("removable");
}

#[test]
fn strangers_are_refused_by_name_with_the_remedy() {
    let dir = used();
    let cases = [
        (NodeDirOptions { cluster_id: 0xC2, ..options() }, "belongs to cluster 000000000000000000000000000000c1"),
        (NodeDirOptions { node_name: "beta".to_owned(), ..options() }, "belongs to node alpha, not to beta"),
        (NodeDirOptions { engine: Engine::Lsm, ..options() }, "rondo engine migrate --data DIR --to lsm"),
        (NodeDirOptions { vnode_bits: 11, ..options() }, "set vnode-bits = 10"),
    ];
    for (stranger, words) in cases {
        let said = refusal(dir.path(), &stranger);
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(incarnation(dir.path(), &at(2000)), 1000, "refusals changed nothing, the clean mark neither");
}

#[test]
fn a_tool_keeps_the_identity_and_the_clean_mark_only_as_long_as_nothing_was_lost() {
    let dir = used();
    NodeDir::open_for_tool(dir.path(), 2000).expect("held").close_as_found(false).expect("closed");
    assert_eq!(incarnation(dir.path(), &at(2000)), 1000, "nothing happened");
    NodeDir::open_for_tool(dir.path(), 3000).expect("held").close_as_found(false).expect("closed");
    assert_eq!(incarnation(dir.path(), &at(4000)), 4000, "the mark was not set before either");

    let dir = used();
    drop(NodeDir::open_for_tool(dir.path(), 2000).expect("held"));
    assert_eq!(incarnation(dir.path(), &at(2000)), 2000, "the tool was killed");
    let dir = used();
    NodeDir::open_for_tool(dir.path(), 2000).expect("held").close_as_found(true).expect("closed");
    assert_eq!(incarnation(dir.path(), &at(2000)), 2000, "the tool found losses");
}

#[test]
fn a_tool_makes_no_directories() {
    let dir = private_dir();
    assert!(matches!(NodeDir::open_for_tool(dir.path(), 0), Err(NodeDirError::Empty { .. })));
    let absent = dir.path().join("absent");
    assert!(matches!(NodeDir::open_for_tool(&absent, 0), Err(NodeDirError::Missing { .. })));
    assert!(!absent.exists());
}

#[test]
fn every_flipped_bit_of_one_identity_costs_nothing_and_is_set_aside() {
    let dir = used();
    let good = NAMES.map(|name| fs::read(dir.path().join(name)).expect("readable"));
    for (name, good) in NAMES.iter().zip(&good) {
        for bit in (0..good.len() * 8).step_by(3) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(dir.path().join(name), &bad).expect("writable");
            let read = Identity::read(dir.path()).expect("the other copy is good");
            assert_eq!((read.incarnation, read.is_clean), (1000, true), "{name}, bit {bit}");
        }
        let held = NodeDir::open(dir.path(), &at(2000)).expect("the other copy is good");
        assert_eq!(held.identity().incarnation, 1000);
        let aside = format!("{name}.damaged-2000-checksum");
        let is_told =
            |notice: &DirNotice| matches!(notice, DirNotice::IdentitySetAside { aside: told, .. } if *told == aside);
        assert!(held.notices().iter().any(is_told), "{:?}", held.notices());
        assert!(dir.path().join(aside).exists());
        held.close_clean().expect("closed");
        let held = NodeDir::open(dir.path(), &at(3000)).expect("made anew");
        assert_eq!(held.notices(), [], "both are good again");
        held.close_clean().expect("closed");
    }
}

#[test]
fn one_missing_identity_costs_nothing_and_two_bad_ones_are_refused() {
    for name in NAMES {
        let dir = used();
        fs::remove_file(dir.path().join(name)).expect("removable");
        let held = NodeDir::open(dir.path(), &at(2000)).expect("the other is enough");
        assert_eq!((held.identity().incarnation, held.notices()), (1000, &[DirNotice::IdentityMissing][..]));
    }
    let dir = used();
    for name in NAMES {
        fs::write(dir.path().join(name), format!("RONDONOD{}: rot", name.len())).expect("writable");
    }
    let said = refusal(dir.path(), &options());
    assert!(said.contains("identity:") && said.contains("identity.copy:") && said.contains("backup"), "{said}");
}

#[test]
fn of_two_identities_the_younger_one_counts() {
    let dir = used();
    let old = fs::read(dir.path().join("identity.copy")).expect("readable");
    let mut held = NodeDir::open(dir.path(), &at(2000)).expect("clean");
    held.renew_incarnation(2000).expect("durable");
    drop(held);
    // As after a crash between the two.
    fs::write(dir.path().join("identity.copy"), old).expect("writable");
    let read = Identity::read(dir.path()).expect("readable");
    assert_eq!((read.incarnation, read.is_clean), (2000, false));
}

/// Gives both identities another version, with the right checksum or as they are.
fn claim_version(dir: &TempDir, version: u16, has_checksum: bool) {
    for name in NAMES {
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).expect("readable");
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        if has_checksum {
            let end = bytes.len() - 4;
            let crc = crc32c::crc32c(&bytes[..end]);
            bytes[end..].copy_from_slice(&crc.to_le_bytes());
        }
        fs::write(path, bytes).expect("writable");
    }
}

#[test]
fn other_versions_are_refused_by_name_whatever_their_checksum_may_be() {
    for has_checksum in [true, false] {
        let dir = used();
        claim_version(&dir, 9, has_checksum);
        assert!(matches!(NodeDir::open(dir.path(), &options()), Err(NodeDirError::NewerFormat { found: 9, known: 3 })));
        claim_version(&dir, 2, has_checksum);
        assert!(matches!(NodeDir::open(dir.path(), &options()), Err(NodeDirError::OlderFormat { found: 2, known: 3 })));
    }
}

/// Copies the files of the top of a directory, as `cp` does.
fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}

#[test]
fn a_copy_is_recognised_and_takes_a_new_incarnation_for_whoever_opens_it_first() {
    let dir = used();
    let copy = private_dir();
    copy_files(dir.path(), copy.path());
    let tool = NodeDir::open_for_tool(copy.path(), 2000).expect("a copy is a directory");
    assert_eq!(tool.notices(), [DirNotice::Copied]);
    tool.close_as_found(false).expect("closed");
    assert_eq!(incarnation(copy.path(), &at(2000)), 2000, "a tool in between does not hide it");
    assert_eq!(incarnation(dir.path(), &at(2000)), 1000, "the original goes on");
}

#[test]
fn a_backup_that_is_copied_over_the_same_files_is_recognised_too() {
    let dir = used();
    let backup = private_dir();
    copy_files(dir.path(), backup.path());
    for second in [2000, 3000] {
        NodeDir::open(dir.path(), &at(second)).expect("clean").close_clean().expect("closed");
    }
    copy_files(backup.path(), dir.path());
    let held = NodeDir::open(dir.path(), &at(4000)).expect("restored");
    assert_eq!((held.identity().incarnation, held.notices()), (4000, &[DirNotice::Copied][..]));
}

#[test]
fn a_directory_that_was_renamed_is_the_same_one() {
    let dir = used();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    NodeDir::open(&here, &options()).expect("fresh").close_clean().expect("closed");
    fs::rename(&here, &there).expect("renamed");
    let held = NodeDir::open(&there, &at(2000)).expect("clean");
    assert_eq!((held.identity().incarnation, held.notices()), (1000, &[][..]));
}

#[test]
fn a_file_a_link_to_nothing_or_a_directory_of_something_else_is_no_data_directory() {
    let dir = private_dir();
    let file = dir.path().join("thesis.txt");
    fs::write(&file, "chapter one").expect("writable");
    assert!(refusal(dir.path(), &options()).contains("holds thesis.txt but no identity"));
    assert!(!dir.path().join("LOCK").exists(), "nothing was changed");
    assert!(matches!(NodeDir::open(&file, &options()), Err(NodeDirError::NotADirectory { .. })));
    assert!(matches!(NodeDir::open(&file.join("below"), &options()), Err(NodeDirError::NotADirectory { .. })));
    let link = dir.path().join("link");
    symlink("/nowhere/to/be/found", &link).expect("a link");
    let said = refusal(&link, &options());
    assert!(said.contains("is a link to /nowhere/to/be/found, which is not there"), "{said}");
    fs::remove_file(&link).expect("removable");
    symlink(&file, &link).expect("a link");
    assert!(matches!(NodeDir::open(&link, &options()), Err(NodeDirError::NotADirectory { .. })));
}

#[test]
fn what_others_may_change_is_refused_and_what_they_may_read_is_told() {
    let dir = used();
    let set = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("ours");
    for mode in [0o777, 0o1777, 0o702] {
        set(mode);
        let said = refusal(dir.path(), &options());
        assert!(said.contains("chmod 700") && said.contains(&format!("{mode:04o}")), "{said}");
    }
    set(0o755);
    let held = NodeDir::open(dir.path(), &options()).expect("readable for all");
    assert!(matches!(held.notices(), [DirNotice::OthersMayLook { mode: 0o755, .. }]));
    drop(held);
    set(0o750);
    assert_eq!(NodeDir::open(dir.path(), &options()).expect("a group may").notices(), []);
}

#[test]
fn a_new_directory_is_for_its_user_alone_and_so_are_those_above_it() {
    let dir = private_dir();
    let deep = dir.path().join("a/b");
    NodeDir::open(&deep, &options()).expect("made");
    for path in [deep.clone(), dir.path().join("a")] {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", path.display());
    }
}

#[test]
fn layouts_that_are_not_in_force_are_leftovers_and_what_was_set_aside_is_not() {
    let dir = used();
    let held = NodeDir::open(dir.path(), &options()).expect("clean");
    held.create_shard_dirs(1, 2).expect("made");
    held.create_shard_dirs(2, 5).expect("made");
    fs::create_dir(dir.path().join("layout-0003.damaged-7-rot")).expect("made");
    assert_eq!(held.remove_leftovers().expect("removed"), [2]);
    assert!(held.shard_path(1).is_dir() && dir.path().join("layout-0003.damaged-7-rot").is_dir());
}

#[test]
fn on_a_full_disk_the_identity_is_written_over_in_place() {
    let dir = private_dir();
    let mount = |arguments: &[&str]| {
        let output = std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(dir.path()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "rondo-test"]) {
        use std::io::Write;
        let _ = writeln!(std::io::stdout().lock(), "SKIPPED an identity on a full disk: this user may not mount one");
        return;
    }
    let tried = std::panic::catch_unwind(|| {
        NodeDir::open(dir.path(), &options()).expect("fresh").close_clean().expect("closed");
        let filled = fs::write(dir.path().join("filler"), vec![1; 64 << 10]);
        assert!(filled.is_err(), "the disk is full");
        let mut held = NodeDir::open(dir.path(), &at(2000)).expect("no room is needed");
        assert_eq!((held.identity().incarnation, held.notices()), (1000, &[][..]));
        held.renew_incarnation(2000).expect("durable");
        held.close_clean().expect("closed");
        let read = Identity::read(dir.path()).expect("readable");
        assert_eq!((read.incarnation, read.is_clean), (2000, true));
    });
    assert!(mount(&["umount", "-l"]), "unmounted");
    tried.expect("the story holds");
}
