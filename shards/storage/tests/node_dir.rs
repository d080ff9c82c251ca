//! A data directory belongs to one node, and says so when somebody else comes.

use rondo_storage::node_dir::{NodeDir, NodeDirError, NodeDirOptions};
use std::fs;
use tempfile::TempDir;

fn options() -> NodeDirOptions {
    NodeDirOptions { cluster_id: 0xC1, node_name: "alpha".to_owned(), shards: 2, unix_seconds: 1000 }
}

fn refusal(dir: &TempDir, options: &NodeDirOptions) -> String {
    NodeDir::open(dir.path(), options).expect_err("refused").to_string()
}

#[test]
fn an_incarnation_stays_after_a_clean_stop_and_grows_after_any_other() {
    let dir = TempDir::new().expect("a directory");
    let first = NodeDir::open(dir.path(), &options()).expect("fresh");
    assert_eq!(first.identity().incarnation, 1000);
    first.close_clean().expect("closed");
    let second = NodeDir::open(dir.path(), &NodeDirOptions { unix_seconds: 2000, ..options() }).expect("clean");
    assert_eq!(second.identity().incarnation, 1000);
    drop(second); // No clean stop.
    let third = NodeDir::open(dir.path(), &NodeDirOptions { unix_seconds: 5, ..options() }).expect("unclean");
    assert_eq!(third.identity().incarnation, 1001, "a clock that ran backwards does not matter");
    drop(third);
    let fourth = NodeDir::open(dir.path(), &NodeDirOptions { unix_seconds: 3000, ..options() }).expect("unclean");
    assert_eq!(fourth.identity().incarnation, 3000);
}

#[test]
fn a_second_process_is_refused_while_the_first_one_runs() {
    let dir = TempDir::new().expect("a directory");
    let held = NodeDir::open(dir.path(), &options()).expect("fresh");
    assert!(matches!(NodeDir::open(dir.path(), &options()), Err(NodeDirError::InUse { .. })));
    drop(held);
    NodeDir::open(dir.path(), &options()).expect("free again");
}

#[test]
fn strangers_are_refused_by_name_with_the_remedy() {
    let dir = TempDir::new().expect("a directory");
    NodeDir::open(dir.path(), &options()).expect("fresh").close_clean().expect("closed");
    let other_cluster = NodeDirOptions { cluster_id: 0xC2, ..options() };
    assert!(refusal(&dir, &other_cluster).contains("belongs to cluster 000000000000000000000000000000c1"));
    let other_name = NodeDirOptions { node_name: "beta".to_owned(), ..options() };
    assert!(refusal(&dir, &other_name).contains("belongs to node alpha, not to beta"));
    let other_shards = NodeDirOptions { shards: 8, ..options() };
    assert!(refusal(&dir, &other_shards).contains("start with --shards 2"));
    let clean = NodeDir::open(dir.path(), &options()).expect("the right one");
    assert_eq!(clean.identity().incarnation, 1000, "refusals changed nothing, the clean mark neither");
}

#[test]
fn every_flipped_bit_of_the_identity_is_noticed() {
    let dir = TempDir::new().expect("a directory");
    NodeDir::open(dir.path(), &options()).expect("fresh").close_clean().expect("closed");
    let path = dir.path().join("identity");
    let good = fs::read(&path).expect("readable");
    for at in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        fs::write(&path, bad).expect("writable");
        assert!(refusal(&dir, &options()).contains("damaged"), "bit {at}");
    }
}

#[test]
fn a_file_or_a_directory_of_something_else_is_no_data_directory() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("thesis.txt"), "chapter one").expect("writable");
    assert!(refusal(&dir, &options()).contains("holds thesis.txt but no identity"));
    let file = dir.path().join("thesis.txt");
    assert!(matches!(NodeDir::open(&file, &options()), Err(NodeDirError::NotADirectory { .. })));
}
