//! Backups: what comes out is what went in, a vnode is never caught half way, and whatever is wrong with the files is said.

use bytes::Bytes;
use proptest::prelude::*;
use rondo_storage::backup::{
    BackupError, BackupManifest, Chain, CopyJob, CopyWish, DataFile, FileFacts, FillTarget, JobProgress, Losses, Piece,
    Repository, backup_id, fill_shards, verify_backup, write_data_file,
};
use rondo_storage::{
    Engine, JobMoment, JobStep, Lsn, MemorySortedStore, OpenOptions, PageLimits, SortedEntry, SortedStore,
    StorageError, StoreConfig, StoreJob, StoreLimits, WalLimits, Wound, WoundCause, Wounds, open_shard,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BITS: u8 = 2;
const CLUSTER: u128 = 7;

/// Keys by token and name, each with its record and object.
type Contents = BTreeMap<(u128, Vec<u8>), (u64, Vec<u8>)>;

/// Key `n` of vnode `n % 4`.
fn key(n: u64) -> (u128, Vec<u8>) {
    (u128::from(n % 4) << 126 | u128::from(n) << 64, format!("\x01\0k{n}").into_bytes())
}

fn apply(store: &mut MemorySortedStore, job: Option<&mut CopyJob>, writes: &[(u64, u64, Vec<u8>)]) {
    let owned: Vec<_> = writes.iter().map(|(n, lsn, object)| (key(*n), *lsn, Bytes::from(object.clone()))).collect();
    let entry = |((token, routed), lsn, object): &'_ ((u128, Vec<u8>), u64, Bytes)| {
        (*token, routed.clone(), *lsn, object.clone())
    };
    let owned: Vec<_> = owned.iter().map(entry).collect();
    let entries: Vec<SortedEntry<'_>> = owned
        .iter()
        .map(|(token, routed, lsn, object)| SortedEntry { token: *token, routed, object, lsn: Lsn(*lsn) })
        .collect();
    store.apply(&entries).expect("memory takes everything");
    if let Some(job) = job {
        job.applied(&entries);
    }
}

/// Where a backup's data file of shard 0 is made, and what it is made of.
struct Maker {
    repository: Repository,
    seals: u64,
}

impl Maker {
    fn new(path: &Path) -> Maker {
        Maker { repository: Repository::create(path, CLUSTER).expect("an empty directory"), seals: 0 }
    }

    /// Makes a backup of `store`, with `meanwhile` called after each step (and `between` checkpoints as it says).
    fn make(
        &mut self,
        store: &mut MemorySortedStore,
        parent: Option<&BackupManifest>,
        upto: u64,
        meanwhile: impl FnMut(&mut MemorySortedStore, &mut CopyJob) -> bool,
    ) -> BackupManifest {
        self.seals += 1;
        let id = backup_id(1_000_000 * self.seals, "n1");
        let partial = self.repository.begin(&id, "n1").expect("there is room");
        let after = parent.map_or(0, |parent| parent.files[0].upto);
        let file = copy(store, partial.path(), self.seals, after, upto, meanwhile).expect("it is copied");
        let manifest = manifest(id, parent.map(|parent| parent.id.clone()), vec![file]);
        partial.finish(&manifest).expect("it is finished");
        manifest
    }
}

fn manifest(id: String, parent: Option<String>, files: Vec<DataFile>) -> BackupManifest {
    BackupManifest {
        id,
        parent,
        created_unix: 1000,
        cluster: format!("{CLUSTER:032x}"),
        node: "n1".to_owned(),
        incarnation: 5,
        vnode_bits: BITS,
        keyspace: None,
        keyspaces: Vec::new(),
        files,
    }
}

fn copy(
    store: &mut MemorySortedStore,
    directory: &Path,
    seal: u64,
    after: u64,
    upto: u64,
    mut meanwhile: impl FnMut(&mut MemorySortedStore, &mut CopyJob) -> bool,
) -> Result<DataFile, BackupError> {
    let (pieces_in, pieces) = flume::unbounded::<Piece>();
    let wish = CopyWish { vnode_bits: BITS, prefix: Vec::new(), after: Lsn(after), wounds: Wounds::default() };
    let mut job = CopyJob::new(wish, pieces_in, Arc::new(JobProgress::default()), Arc::default());
    let mut is_between_checkpoints = true;
    loop {
        match job.step(store, JobMoment { is_between_checkpoints }) {
            JobStep::Done => break,
            JobStep::More | JobStep::Later | JobStep::Hold => is_between_checkpoints = meanwhile(store, &mut job),
            JobStep::Replace { .. } => panic!("a backup replaces nothing"),
        }
    }
    drop(job);
    let facts = FileFacts { shard: 0, vnode_bits: BITS, seal, lineage: 9, upto, after, hlc_bound: 3 };
    write_data_file(directory, &facts, &pieces)
}

fn quiet(_: &mut MemorySortedStore, _: &mut CopyJob) -> bool {
    true
}

/// All of a backup, which must be whole.
fn read(repository: &Repository, id: &str) -> Result<Contents, BackupError> {
    let (contents, losses) = read_what_is_left(repository, id)?;
    assert_eq!(losses, Losses::default());
    Ok(contents)
}

/// What can be read of a backup, and what cannot.
fn read_what_is_left(repository: &Repository, id: &str) -> Result<(Contents, Losses), BackupError> {
    let mut reader = Chain::resolve(repository, id)?.read()?;
    let mut contents = Contents::new();
    let mut last = None;
    while let Some(entry) = reader.next_entry()? {
        let place = (entry.token, entry.routed.to_vec());
        assert!(last < Some(place.clone()), "ring order, each key once");
        last = Some(place.clone());
        contents.insert(place, (entry.lsn.0, entry.object.to_vec()));
    }
    Ok((contents, reader.losses().clone()))
}

/// Nothing was read that is not there, and whatever is not read lies in a place that is told.
fn check_what_is_left(expected: &Contents, left: &Contents, losses: &Losses) {
    for (key, value) in left {
        assert_eq!(expected.get(key), Some(value), "{key:x?}");
    }
    let is_told = |token: u128| {
        let mut places = losses.parts.iter().flat_map(|part| &part.places);
        places.any(|place| (place.from..=place.to).contains(&token))
    };
    for ((token, _), _) in expected.iter().filter(|(key, _)| !left.contains_key(*key)) {
        assert!(is_told(*token), "{token:032x} is missing in silence: {losses:?}");
    }
    let missing = (expected.len() - left.len()) as u64;
    assert!(missing <= losses.records + losses.withheld, "{missing} are missing: {losses:?}");
}

fn contents_of(store: &MemorySortedStore) -> Contents {
    let limits = rondo_storage::PageLimits { entries_max: usize::MAX, bytes_max: usize::MAX };
    let page = store.scan(&[], u128::MAX, limits).expect("memory is sound");
    page.entries.into_iter().map(|e| ((e.token, e.routed.to_vec()), (e.lsn.0, e.object.to_vec()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any writes, cut into a full backup and increments anywhere: the chain holds what the store holds.
    #[test]
    fn what_is_read_from_a_chain_is_what_was_in_the_store(
        rounds in proptest::collection::vec(
            proptest::collection::vec((0..40_u64, proptest::collection::vec(any::<u8>(), 0..300)), 0..60), 1..5)
    ) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut maker = Maker::new(directory.path());
        let mut store = MemorySortedStore::new();
        let (mut lsn, mut parent) = (0, None);
        for round in rounds {
            for (n, object) in round {
                lsn += 1;
                apply(&mut store, None, &[(n, lsn, object)]);
            }
            let manifest = maker.make(&mut store, parent.as_ref(), lsn, quiet);
            prop_assert_eq!(read(&maker.repository, &manifest.id).expect("it is sound"), contents_of(&store));
            let verified = verify_backup(&maker.repository, &manifest.id, &mut |_| ());
            prop_assert!(verified.is_sound(), "{:?}", verified.problems);
            parent = Some(manifest);
        }
    }

    /// Checkpoints of several pieces run between the steps of the copy: every vnode comes out as at the end of one of them,
    /// and no older than what was there when the backup began.
    #[test]
    fn a_vnode_is_as_it_was_at_the_end_of_one_checkpoint(
        first in proptest::collection::vec(0..400_u64, 0..500),
        checkpoints in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(0..400_u64, 1..40), 1..4), 0..12)
    ) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut maker = Maker::new(directory.path());
        let mut store = MemorySortedStore::new();
        let mut lsn = 0;
        for n in first {
            lsn += 1;
            apply(&mut store, None, &[(n, lsn, vec![lsn as u8; 2000])]);
        }
        let begun_at = lsn;
        let mut boundaries = vec![contents_of(&store)];
        let mut pieces = checkpoints.into_iter().flat_map(|checkpoint| {
            let pieces = checkpoint.len();
            checkpoint.into_iter().enumerate().map(move |(at, piece)| (piece, at + 1 == pieces))
        });
        let manifest = maker.make(&mut store, None, begun_at, |store, job| {
            let Some((piece, is_last)) = pieces.next() else { return true };
            for n in piece {
                lsn += 1;
                apply(store, Some(&mut *job), &[(n, lsn, vec![lsn as u8; 2000])]);
            }
            if is_last {
                boundaries.push(contents_of(store));
            }
            is_last
        });
        let copied = read(&maker.repository, &manifest.id).expect("it is sound");
        let part = |of: &Contents, vnode: u128| -> Contents {
            of.iter().filter(|((token, _), _)| token >> 126 == vnode).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        for vnode in 0..4 {
            let is_boundary = boundaries.iter().any(|boundary| part(boundary, vnode) == part(&copied, vnode));
            prop_assert!(is_boundary, "vnode {} is between checkpoints", vnode);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever stands in the files, reading them ends in an answer.
    #[test]
    fn hostile_files_are_refused_and_nothing_panics(
        manifest in proptest::collection::vec(any::<u8>(), 0..400),
        data in proptest::collection::vec(any::<u8>(), 0..400),
        header in any::<bool>(),
    ) {
        let (_directory, repository, [full, _]) = two_backups();
        if header {
            let mut bytes = fs::read(data_path(&repository, &full.id)).expect("readable");
            bytes.truncate(32);
            bytes.extend_from_slice(&data);
            bytes.resize(full.files[0].bytes as usize, 7);
            fs::write(data_path(&repository, &full.id), bytes).expect("writable");
        } else {
            let mut text = b"RONDOBAK 1\n".to_vec();
            text.extend_from_slice(&manifest);
            let crc = crc32c::crc32c(&text);
            text.extend_from_slice(format!("\ncrc32c {crc:08x}\n").as_bytes());
            fs::write(repository.backup_path(&full.id).join("manifest"), text).expect("writable");
        }
        prop_assert!(!verify_backup(&repository, &full.id, &mut |_| ()).is_sound());
        prop_assert!(read_what_is_left(&repository, &full.id).is_ok_and(|(_, losses)| losses.records > 0) == header);
    }
}

/// A directory with a full backup and an increment.
fn two_backups() -> (tempfile::TempDir, Repository, [BackupManifest; 2]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut maker = Maker::new(&directory.path().join("backups"));
    let mut store = MemorySortedStore::new();
    for n in 0..100 {
        apply(&mut store, None, &[(n, n + 1, vec![n as u8; 5000])]);
    }
    let full = maker.make(&mut store, None, 100, quiet);
    apply(&mut store, None, &[(3, 101, b"new".to_vec()), (200, 102, b"newer".to_vec())]);
    let increment = maker.make(&mut store, Some(&full), 102, quiet);
    assert_eq!((full.records(), increment.records()), (100, 2));
    (directory, maker.repository, [full, increment])
}

fn data_path(repository: &Repository, id: &str) -> PathBuf {
    repository.backup_path(id).join("shard-000.data")
}

/// What verifying `id` complains of, and that reading it does not give wrong records in silence.
fn problems(repository: &Repository, id: &str) -> String {
    let verified = verify_backup(repository, id, &mut |_| ());
    assert!(!verified.is_sound(), "the fault was not noticed");
    verified.problems.join("\n")
}

#[test]
fn a_changed_byte_anywhere_is_found_and_costs_the_records_of_its_block_alone() {
    let (_directory, repository, [full, _]) = two_backups();
    let path = data_path(&repository, &full.id);
    let (whole, expected) = (fs::read(&path).expect("readable"), read(&repository, &full.id).expect("sound"));
    for at in (0..whole.len()).step_by(4999) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).expect("writable");
        let said = problems(&repository, &full.id);
        assert!(said.contains("shard-000.data is damaged"), "{said}");
        let (left, losses) = read_what_is_left(&repository, &full.id).expect("it goes on");
        check_what_is_left(&expected, &left, &losses);
        assert_eq!((losses.records, losses.withheld), ((expected.len() - left.len()) as u64, 0), "byte {at}");
        assert!(losses.parts.len() <= 1 && left.len() >= 40, "byte {at} cost {} records", losses.records);
    }
}

#[test]
fn what_a_damaged_increment_may_have_replaced_is_not_taken_from_its_parent() {
    let (_directory, repository, [full, increment]) = two_backups();
    let expected = read(&repository, &increment.id).expect("sound");
    let path = data_path(&repository, &increment.id);
    let mut bytes = fs::read(&path).expect("readable");
    let at = bytes.windows(3).rposition(|bytes| bytes == b"new").expect("the block of the key that was written anew");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("writable");
    let (left, losses) = read_what_is_left(&repository, &increment.id).expect("it goes on");
    check_what_is_left(&expected, &left, &losses);
    assert!(!left.contains_key(&key(3)), "the parent has an old value of it");
    assert_eq!((losses.records, losses.withheld), (1, 25), "its block may have had any key of its vnode");
    let (from_parent, _) = read_what_is_left(&repository, &full.id).expect("sound");
    assert_eq!(from_parent.get(&key(3)), Some(&(4, vec![3; 5000])), "who wants the old value asks for the parent");
}

#[test]
fn without_its_file_a_shards_part_is_lost_and_the_other_shards_are_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let repository = Repository::create(directory.path(), CLUSTER).expect("there is room");
    let id = backup_id(1_000_000, "n1");
    let partial = repository.begin(&id, "n1").expect("there is room");
    let mut files = Vec::new();
    for shard in 0..2 {
        let mut store = MemorySortedStore::new();
        for n in (0..40).filter(|n| (key(*n).0 >> 126) as u16 % 2 == shard) {
            apply(&mut store, None, &[(n, n + 1, vec![n as u8; 5000])]);
        }
        let (pieces_in, pieces) = flume::unbounded::<Piece>();
        let wish = CopyWish { vnode_bits: BITS, prefix: Vec::new(), after: Lsn(0), wounds: Wounds::default() };
        let mut job = CopyJob::new(wish, pieces_in, Arc::default(), Arc::default());
        while !matches!(job.step(&mut store, JobMoment { is_between_checkpoints: true }), JobStep::Done) {}
        let seal = u64::from(shard) + 1;
        let facts = FileFacts { shard, vnode_bits: BITS, seal, lineage: 9, upto: 40, after: 0, hlc_bound: 0 };
        files.push(write_data_file(partial.path(), &facts, &pieces).expect("written"));
    }
    let counts = [files[0].records, files[1].records];
    partial.finish(&manifest(id.clone(), None, files)).expect("finished");
    let expected = read(&repository, &id).expect("sound");
    let data = repository.backup_path(&id).join("shard-001.data");
    let bytes = fs::read(&data).expect("readable");
    // Cut off: what is before the cut is there.
    fs::write(&data, &bytes[..bytes.len() - 1]).expect("writable");
    let (left, losses) = read_what_is_left(&repository, &id).expect("it goes on");
    check_what_is_left(&expected, &left, &losses);
    assert!(losses.records < counts[1] && (left.len() as u64) + losses.records == 40, "{losses:?}");
    fs::remove_file(&data).expect("removable");
    let (left, losses) = read_what_is_left(&repository, &id).expect("it goes on");
    check_what_is_left(&expected, &left, &losses);
    assert_eq!((left.len() as u64, losses.records), (counts[0], counts[1]));
    assert!(losses.parts.iter().all(|part| part.path == data && part.places[0].what == "it is missing"), "{losses:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Any bytes of any file of a chain, changed, zeroed or swapped.
    #[test]
    fn whatever_is_damaged_in_a_chain_nothing_false_is_read_and_nothing_is_missing_in_silence(
        faults in proptest::collection::vec((any::<bool>(), any::<proptest::sample::Index>(), 1..20_000_usize, 0..3), 1..4),
    ) {
        let (_directory, repository, [full, increment]) = two_backups();
        let expected = read(&repository, &increment.id).expect("sound");
        for (is_of_increment, at, length, kind) in faults {
            let path = data_path(&repository, if is_of_increment { &increment.id } else { &full.id });
            let mut bytes = fs::read(&path).expect("readable");
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => bytes[at] ^= 0x40,
                1 => bytes[at..end].fill(0),
                _ => bytes[at..end].rotate_left((end - at) / 2),
            }
            fs::write(&path, bytes).expect("writable");
        }
        let (left, losses) = read_what_is_left(&repository, &increment.id).expect("it goes on");
        check_what_is_left(&expected, &left, &losses);
    }
}

#[test]
fn a_missing_a_foreign_and_a_shortened_file_are_named() {
    let (_directory, repository, [full, increment]) = two_backups();
    fs::write(repository.backup_path(&full.id).join("notes.txt"), "mine").expect("writable");
    assert!(problems(&repository, &full.id).contains("notes.txt is foreign"));
    let path = data_path(&repository, &increment.id);
    let bytes = fs::read(&path).expect("readable");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("writable");
    assert!(problems(&repository, &increment.id).contains("expected"));
    fs::remove_file(&path).expect("removable");
    assert!(problems(&repository, &increment.id).contains("shard-000.data is missing"));
    let (_, losses) = read_what_is_left(&repository, &increment.id).expect("it goes on");
    assert_eq!(losses.records, 2, "{losses:?}");
}

#[test]
fn the_file_of_another_backup_does_not_pass() {
    let (_directory, repository, [full, increment]) = two_backups();
    fs::copy(data_path(&repository, &full.id), data_path(&repository, &increment.id)).expect("copied");
    let said = problems(&repository, &increment.id);
    assert!(said.contains("bytes, expected"), "{said}");
}

#[test]
fn a_parent_that_is_missing_is_named_and_the_increment_alone_is_not_read() {
    let (_directory, repository, [full, increment]) = two_backups();
    fs::rename(repository.backup_path(&full.id), repository.path().join("elsewhere")).expect("moved");
    let said = problems(&repository, &increment.id);
    assert!(said.contains(&full.id) && said.contains("missing"), "{said}");
    assert!(matches!(read(&repository, &increment.id), Err(BackupError::Chain { .. })));
    assert_eq!(repository.list().expect("readable").foreign, ["elsewhere"]);
}

#[test]
fn a_manifest_that_was_changed_or_is_newer_is_refused_by_name() {
    let (_directory, repository, [full, _]) = two_backups();
    let path = repository.backup_path(&full.id).join("manifest");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replace("\"n1\"", "\"n2\"")).expect("writable");
    assert!(problems(&repository, &full.id).contains("checksum"));
    let (body, _) = text.rsplit_once("crc32c ").expect("it ends with a checksum");
    let body = body.replace("RONDOBAK 1", "RONDOBAK 2");
    fs::write(&path, format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()))).expect("writable");
    assert!(problems(&repository, &full.id).contains("format version 2, this program knows 1"));
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("thesis.txt"), "dear").expect("writable");
    let refused = Repository::create(directory.path(), CLUSTER).expect_err("foreign");
    assert!(refused.to_string().contains("thesis.txt"), "{refused}");
    assert!(matches!(Repository::open(directory.path()), Err(BackupError::NotOurs { .. })));
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);
}

#[test]
fn backups_of_two_clusters_do_not_share_a_directory() {
    let (_directory, repository, _) = two_backups();
    let refused = Repository::create(repository.path(), CLUSTER + 1).expect_err("another cluster's");
    assert!(matches!(refused, BackupError::OtherCluster { found: CLUSTER, .. }), "{refused}");
}

#[test]
fn a_backup_that_was_interrupted_is_not_listed_and_the_next_one_cleans_up() {
    let (_directory, repository, _) = two_backups();
    let partial = repository.begin(&backup_id(9_000_000, "n1"), "n1").expect("there is room");
    let others = repository.begin(&backup_id(9_000_000, "n2"), "n2").expect("there is room");
    fs::write(partial.path().join("shard-000.data"), "half").expect("writable");
    let listing = repository.list().expect("readable");
    assert_eq!((listing.backups.len(), listing.partial.len()), (2, 2));
    let next = repository.begin(&backup_id(9_500_000, "n1"), "n1").expect("there is room");
    assert!(!partial.path().exists() && others.path().exists(), "only a node's own leftovers go");
    next.discard();
    let neighbour = repository.begin(&backup_id(9_000_000, "a-n1"), "a-n1").expect("there is room");
    repository.begin(&backup_id(9_600_000, "n1"), "n1").expect("there is room").discard();
    assert!(neighbour.path().exists(), "whose name ends alike is another node");
    neighbour.discard();
    assert_eq!(repository.list().expect("readable").partial.len(), 1);
}

#[test]
fn a_job_whose_writer_has_gone_ends_and_a_writer_whose_job_has_gone_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = MemorySortedStore::new();
    apply(&mut store, None, &[(1, 1, vec![1])]);
    let (pieces_in, pieces) = flume::bounded::<Piece>(1);
    let wish = CopyWish { vnode_bits: BITS, prefix: Vec::new(), after: Lsn(0), wounds: Wounds::default() };
    let mut job = CopyJob::new(wish, pieces_in, Arc::default(), Arc::default());
    let moment = JobMoment { is_between_checkpoints: true };
    assert!(matches!(job.step(&mut store, moment), JobStep::More));
    let facts = FileFacts { shard: 0, vnode_bits: BITS, seal: 1, lineage: 9, upto: 1, after: 0, hlc_bound: 0 };
    let writer_pieces = pieces.clone();
    drop(job);
    let cut = write_data_file(directory.path(), &facts, &writer_pieces).expect_err("nothing more comes");
    assert!(matches!(cut, BackupError::Cut), "{cut}");
    drop((pieces, writer_pieces));
    let (pieces_in, pieces) = flume::bounded::<Piece>(1);
    let wish = CopyWish { vnode_bits: BITS, prefix: Vec::new(), after: Lsn(0), wounds: Wounds::default() };
    let mut job = CopyJob::new(wish, pieces_in, Arc::default(), Arc::default());
    drop(pieces);
    let mut steps = 0;
    while !matches!(job.step(&mut store, moment), JobStep::Done) {
        steps += 1;
        assert!(steps < 100, "it goes on for nobody");
    }
}

#[test]
fn objects_that_cannot_be_read_are_counted_in_the_manifest() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut maker = Maker::new(directory.path());
    let mut store = MemorySortedStore::new();
    for n in 0..10 {
        apply(&mut store, None, &[(n, n + 1, vec![1])]);
    }
    let (token, routed) = key(4);
    assert!(store.damage(token, &routed));
    let manifest = maker.make(&mut store, None, 10, quiet);
    assert_eq!((manifest.records(), manifest.files[0].unreadable_keys), (9, 1));
    assert_eq!(manifest.losses(), ["shard 0: 1 unreadable objects"]);
    assert!(
        verify_backup(&maker.repository, &manifest.id, &mut |_| ()).is_sound(),
        "the backup itself is as it was written"
    );
}

/// A data directory of another shape is built from a chain; opened as a node opens it, it holds what the chain holds.
#[test]
fn shards_filled_from_a_chain_open_with_all_of_it_on_both_engines() {
    let (_directory, repository, [_, increment]) = two_backups();
    let expected = read(&repository, &increment.id).expect("sound");
    for engine in Engine::ALL {
        let home = tempfile::tempdir().expect("a temporary directory");
        let store = StoreConfig { engine, cache_bytes: 1 << 20 };
        let shards: Vec<PathBuf> = (0..3).map(|shard| home.path().join(format!("shard-{shard}"))).collect();
        let target = FillTarget { shards: shards.clone(), store, lineage: 0xABCD, hlc_bound: 44 };
        let mut reader = Chain::resolve(&repository, &increment.id).and_then(|chain| chain.read()).expect("sound");
        let next = || reader.next_entry().map_err(|_| StorageError::Poisoned { first: "the chain".to_owned() });
        let filled = fill_shards(&target, |token| ((token >> 126) % 3) as u16, next, |_| ()).expect("filled");
        let filled = filled.settle(&target, |_| Wounds::default()).expect("settled");
        assert_eq!(filled.records, expected.len() as u64);
        let mut found = Contents::new();
        for (shard, path) in (0..).zip(&shards) {
            let options = OpenOptions {
                shard,
                salt: 1,
                unix_seconds: 7,
                vnode_bits: BITS,
                limits: StoreLimits::default(),
                wal: WalLimits { segment_bytes: 64 * 1024, reserve_bytes: 0 },
                store,
            };
            let open = open_shard(path, &options).expect("it opens");
            assert_eq!((open.recovered.hlc_bound, open.recovered.report.wounds.len()), (44, 0));
            let limits = PageLimits { entries_max: usize::MAX, bytes_max: usize::MAX };
            for entry in open.sorted.scan(&[], u128::MAX, limits).expect("sound").entries {
                found.insert((entry.token, entry.routed.to_vec()), (0, entry.object.to_vec()));
            }
        }
        let objects =
            |of: &Contents| of.iter().map(|(key, (_, object))| (key.clone(), object.clone())).collect::<Vec<_>>();
        assert_eq!(objects(&found), objects(&expected), "{engine}");
    }
}

#[test]
fn what_a_wound_hides_is_left_out_and_the_wound_is_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = MemorySortedStore::new();
    for n in 0..10 {
        apply(&mut store, None, &[(n, n + 1, vec![1])]);
    }
    let mut wounds = Wounds::default();
    let ((from, _), (to, _)) = (key(1), key(1));
    let (cause, what) = (WoundCause::LogRot, "rot".to_owned());
    wounds.add(Wound { from, to, upto: Lsn(5), keys: Some(1), cause, what, found_at_unix: 7 });
    let (pieces_in, pieces) = flume::unbounded::<Piece>();
    let wish = CopyWish { vnode_bits: BITS, prefix: Vec::new(), after: Lsn(0), wounds };
    let mut job = CopyJob::new(wish, pieces_in, Arc::default(), Arc::default());
    while !matches!(job.step(&mut store, JobMoment { is_between_checkpoints: true }), JobStep::Done) {}
    let facts = FileFacts { shard: 0, vnode_bits: BITS, seal: 1, lineage: 9, upto: 10, after: 0, hlc_bound: 0 };
    let file = write_data_file(directory.path(), &facts, &pieces).expect("written");
    assert_eq!(file.records, 9, "what the wound hides may be old");
    let losses = manifest(backup_id(0, "n1"), None, vec![file]).losses();
    assert!(losses.len() == 1 && losses[0].contains("rot (log-rot)"), "{losses:?}");
}

/// The backup kept in `tests/golden/backup-v1`: made once by the code of version 1.
#[test]
fn a_backup_of_version_1_is_read_for_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backup-v1");
    if std::env::var_os("RONDO_MAKE_GOLDEN").is_some() {
        make_golden(&golden);
    }
    let repository = Repository::open(&golden).expect("a directory of backups");
    let listing = repository.list().expect("readable");
    let ids: Vec<&str> = listing.backups.iter().map(|backup| backup.id.as_str()).collect();
    assert_eq!(ids, ["19700101T001640.000Z-n1", "19700101T003320.000Z-n1"]);
    for id in &ids {
        let verified = verify_backup(&repository, id, &mut |_| ());
        assert!(verified.is_sound(), "{:?}", verified.problems);
    }
    assert_eq!(read(&repository, ids[0]).expect("sound"), golden_contents(false));
    assert_eq!(read(&repository, ids[1]).expect("sound"), golden_contents(true));
}

fn golden_contents(with_increment: bool) -> Contents {
    let mut contents: Contents = (0..8).map(|n| (key(n), (n + 1, vec![n as u8; 3]))).collect();
    if with_increment {
        contents.insert(key(3), (9, b"new".to_vec()));
    }
    contents
}

fn make_golden(path: &Path) {
    fs::create_dir_all(path).expect("created");
    let mut maker = Maker::new(path);
    let mut store = MemorySortedStore::new();
    for n in 0..8 {
        apply(&mut store, None, &[(n, n + 1, vec![n as u8; 3])]);
    }
    let full = maker.make(&mut store, None, 8, quiet);
    apply(&mut store, None, &[(3, 9, b"new".to_vec())]);
    maker.make(&mut store, Some(&full), 9, quiet);
}
