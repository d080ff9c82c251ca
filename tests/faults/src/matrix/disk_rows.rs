//! The troubles of a disk that tells the truth: what happens, and the test that makes it happen.

/// One trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskRow {
    /// What the disk does.
    pub fault: &'static str,
    /// What becomes of the node.
    pub outcome: &'static str,
    /// The test in `tests/disk_faults` that shows it.
    pub test: &'static str,
}

/// All of them.
pub const DISK_ROWS: &[DiskRow] = &[
    DiskRow {
        fault: "the disk is nearly full",
        outcome: "writes are refused as `disk full` before the engines meet the end; deletes and reads go on; service returns by itself",
        test: "a_disk_with_little_room_takes_deletes_until_there_is_room",
    },
    DiskRow {
        fault: "the disk is full",
        outcome: "as above; deletes go on from the log's reserve",
        test: "a_disk_without_any_room_takes_deletes_from_the_reserve",
    },
    DiskRow { fault: "no inodes are left", outcome: "as a full disk", test: "a_disk_without_inodes_is_full" },
    DiskRow {
        fault: "writes and syncs fail (EIO)",
        outcome: "the segment is given up and never synced again, its batch is written elsewhere; nothing acknowledged is lost",
        test: "a_disk_whose_writes_fail_is_written_again_elsewhere_and_nothing_acknowledged_is_lost",
    },
    DiskRow {
        fault: "the file system turns read-only",
        outcome: "writes are refused as failing; reads go on; everything is back once it is mounted writable again",
        test: "a_file_system_that_turned_read_only_gives_reads_and_all_of_it_after_it_was_mounted_again",
    },
    DiskRow {
        fault: "the disk hangs",
        outcome: "its shard is unhealthy, the node's other shards serve; over when the disk answers",
        test: "a_disk_that_hangs_is_its_shards_trouble_alone_and_over_when_it_answers",
    },
    DiskRow {
        fault: "the disk is slow",
        outcome: "writes wait; reads of what is in memory do not",
        test: "a_slow_disk_slows_writes_and_not_reads_of_what_is_in_memory",
    },
];

/// The head of [`markdown`].
pub const HEAD: &str = "| fault | outcome | test |\n|---|---|---|\n";

/// Rows of Markdown.
pub fn markdown() -> String {
    DISK_ROWS.iter().map(|row| format!("| {} | {} | `{}` |\n", row.fault, row.outcome, row.test)).collect()
}
