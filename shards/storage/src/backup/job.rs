//! Copies a shard's sorted store while it goes on changing: a step of the scan between reads and checkpoints.
//!
//! ```text
//! find the next vnode ─► scan it, page by page ─► what changed behind the scan ─► (between checkpoints) next vnode
//! ```
//! Each vnode comes out as it was at the end of one checkpoint: what a checkpoint writes behind the scan's back is kept
//! aside and added at the vnode's end, and a vnode ends only between checkpoints. What is written ahead of the scan, the
//! scan finds by itself.

use super::format::BlockBuilder;
use crate::limits::{
    BACKUP_LOSSES_MAX, BACKUP_OVERLAY_BYTES_MAX, BACKUP_PAGE_BYTES, BACKUP_PAGE_ENTRIES, BACKUP_RUNS_MAX,
};
use crate::record::Lsn;
use crate::sorted_store::{
    KeyGap, PageLimits, SortedEntry, SortedStore, SortedStoreError, split_stored_key, stored_key,
};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use crate::wounds::Wounds;
use bytes::Bytes;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What is to be copied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyWish {
    /// b of the ring.
    pub vnode_bits: u8,
    /// Only routed keys that begin so; empty for all.
    pub prefix: Vec<u8>,
    /// Only records past this one.
    pub after: Lsn,
    /// What the shard has lost: what these wounds hide may be old, and is left out.
    pub wounds: Wounds,
}

/// How far a job is; others look at it.
#[derive(Debug, Default)]
pub struct JobProgress {
    /// Keys looked at.
    pub keys: AtomicU64,
    /// Bytes of keys and objects that were read.
    pub bytes: AtomicU64,
    /// How much of the work is done, in parts of [`JobProgress::WHOLE`].
    pub done: AtomicU64,
}

impl JobProgress {
    /// What `done` is at the end.
    pub const WHOLE: u64 = 1 << 16;
}

/// What the writer of the data file is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Records of one run of one vnode, in stored order.
    Block {
        /// The vnode.
        vnode: u16,
        /// The run's number within the vnode.
        run: u16,
        /// How many records.
        records: u32,
        /// Their bytes.
        payload: Vec<u8>,
    },
    /// That was all.
    Whole(Copied),
    /// The store could not go on.
    Failed(String),
}

/// What could not be copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Stored keys whose objects are damaged; the first [`BACKUP_LOSSES_MAX`].
    pub unreadable: Vec<Vec<u8>>,
    /// How many there are.
    pub unreadable_keys: u64,
    /// Ranges of stored keys that cannot be read.
    pub gaps: Vec<KeyGap>,
    /// What the shard had lost before.
    pub wounds: Wounds,
}

/// The job.
#[derive(Debug)]
pub struct CopyJob {
    wish: CopyWish,
    pieces: flume::Sender<Piece>,
    /// What the writer had no room for.
    outbox: VecDeque<Piece>,
    progress: Arc<JobProgress>,
    is_cancelled: Arc<AtomicBool>,
    copied: Copied,
    /// Where the search for the next vnode goes on; `None` at the end of the ring.
    search: Option<Vec<u8>>,
    scan: Option<VNodeScan>,
    has_ended: bool,
}

/// The vnode that is being copied.
#[derive(Debug)]
struct VNodeScan {
    vnode: u16,
    first: u128,
    last: u128,
    /// Where the scan goes on; `None` when it has seen all.
    cursor: Option<Vec<u8>>,
    run: u16,
    block: BlockBuilder,
    /// What was written behind the cursor, newest of each key.
    overlay: BTreeMap<Vec<u8>, (Lsn, Bytes)>,
    overlay_bytes: usize,
}

impl CopyJob {
    /// A job that copies what `wish` says into `pieces`.
    pub fn new(
        wish: CopyWish,
        pieces: flume::Sender<Piece>,
        progress: Arc<JobProgress>,
        is_cancelled: Arc<AtomicBool>,
    ) -> CopyJob {
        let copied = Copied { wounds: wish.wounds.clone(), ..Copied::default() };
        CopyJob {
            wish,
            pieces,
            outbox: VecDeque::new(),
            progress,
            is_cancelled,
            copied,
            search: Some(Vec::new()),
            scan: None,
            has_ended: false,
        }
    }

    /// Sends what waits; false if there was no room for all of it.
    fn send(&mut self) -> Result<bool, WriterGone> {
        while let Some(piece) = self.outbox.pop_front() {
            match self.pieces.try_send(piece) {
                Ok(()) => {}
                Err(flume::TrySendError::Full(piece)) => {
                    self.outbox.push_front(piece);
                    return Ok(false);
                }
                Err(flume::TrySendError::Disconnected(_)) => return Err(WriterGone),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, store: &mut dyn SortedStore, moment: JobMoment) -> Result<(), SortedStoreError> {
        let Some(mut scan) = self.scan.take() else { return self.find_vnode(store) };
        if scan.overlay_bytes > BACKUP_OVERLAY_BYTES_MAX {
            scan.spill(&mut self.outbox);
            // What follows is a run of its own: the scan goes on behind what the overlay may hold.
            scan.run += 1;
        }
        if usize::from(scan.run) > BACKUP_RUNS_MAX {
            let what =
                format!("vnode {} is written faster than it can be copied; try again at a quieter time", scan.vnode);
            return Err(SortedStoreError::Unreadable { what });
        }
        match scan.cursor.take() {
            Some(cursor) => {
                self.read_page(store, &mut scan, &cursor)?;
                self.scan = Some(scan);
            }
            None if moment.is_between_checkpoints => self.end_vnode(scan),
            None => self.scan = Some(scan),
        }
        Ok(())
    }

    fn find_vnode(&mut self, store: &mut dyn SortedStore) -> Result<(), SortedStoreError> {
        let Some(from) = self.search.take() else {
            self.outbox.push_back(Piece::Whole(core::mem::take(&mut self.copied)));
            self.has_ended = true;
            return Ok(());
        };
        let page = store.scan_keys(&from, u128::MAX, 1)?;
        self.note_gaps(page.gaps);
        let Some(key) = page.keys.into_iter().next() else {
            self.search = page.next;
            return Ok(());
        };
        let Some((token, _)) = split_stored_key(&key) else {
            return Err(SortedStoreError::Unreadable { what: format!("a stored key of {} bytes", key.len()) });
        };
        let shift = 128 - u32::from(self.wish.vnode_bits);
        let vnode = (token >> shift) as u16;
        let first = u128::from(vnode) << shift;
        self.scan = Some(VNodeScan {
            vnode,
            first,
            last: first | (u128::MAX >> self.wish.vnode_bits),
            cursor: Some(key),
            run: 0,
            block: BlockBuilder::default(),
            overlay: BTreeMap::new(),
            overlay_bytes: 0,
        });
        Ok(())
    }

    fn read_page(
        &mut self,
        store: &dyn SortedStore,
        scan: &mut VNodeScan,
        cursor: &[u8],
    ) -> Result<(), SortedStoreError> {
        let limits = PageLimits { entries_max: BACKUP_PAGE_ENTRIES, bytes_max: BACKUP_PAGE_BYTES };
        let page = store.scan(cursor, scan.last, limits)?;
        let mut bytes = 0;
        self.progress.keys.fetch_add(page.entries.len() as u64, Ordering::Relaxed);
        for entry in &page.entries {
            bytes += entry.routed.len() + entry.object.len();
            let is_wanted = entry.lsn > self.wish.after && entry.routed.starts_with(&self.wish.prefix);
            if is_wanted && !self.wish.wounds.hides(entry.token, entry.lsn) {
                scan.block.push(entry.token, &entry.routed, entry.lsn, &entry.object);
                scan.send_if_full(&mut self.outbox);
            }
        }
        self.progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(last) = page.entries.last() {
            self.progress.done.store((last.token >> 112) as u64, Ordering::Relaxed);
        }
        for key in page.unreadable {
            self.note_unreadable(key);
        }
        self.note_gaps(page.gaps);
        scan.cursor = page.next;
        Ok(())
    }

    /// All of the vnode is read, and no checkpoint is half applied.
    fn end_vnode(&mut self, mut scan: VNodeScan) {
        scan.spill(&mut self.outbox);
        self.search = scan.last.checked_add(1).map(|token| stored_key(token, &[]));
        self.progress.done.store((scan.last >> 112) as u64, Ordering::Relaxed);
    }

    fn note_gaps(&mut self, gaps: Vec<KeyGap>) {
        for gap in gaps {
            let is_known = self.copied.gaps.contains(&gap);
            if !is_known && self.copied.gaps.len() < BACKUP_LOSSES_MAX {
                self.copied.gaps.push(gap);
            }
        }
    }

    fn note_unreadable(&mut self, key: Vec<u8>) {
        let is_wanted = split_stored_key(&key).is_none_or(|(_, routed)| routed.starts_with(&self.wish.prefix));
        if is_wanted {
            self.copied.unreadable_keys += 1;
            if self.copied.unreadable.len() < BACKUP_LOSSES_MAX {
                self.copied.unreadable.push(key);
            }
        }
    }
}

/// The thread that writes the file has ended.
struct WriterGone;

impl VNodeScan {
    fn send_if_full(&mut self, outbox: &mut VecDeque<Piece>) {
        if self.block.is_full() {
            self.send_block(outbox);
        }
    }

    fn send_block(&mut self, outbox: &mut VecDeque<Piece>) {
        if self.block.is_empty() {
            return;
        }
        let (records, payload) = core::mem::take(&mut self.block).into_parts();
        outbox.push_back(Piece::Block { vnode: self.vnode, run: self.run, records, payload });
    }

    /// Ends the run, and writes the overlay as another one.
    fn spill(&mut self, outbox: &mut VecDeque<Piece>) {
        self.send_block(outbox);
        if self.overlay.is_empty() {
            return;
        }
        self.run += 1;
        self.overlay_bytes = 0;
        for (key, (lsn, object)) in core::mem::take(&mut self.overlay) {
            let (token, routed) = split_stored_key(&key).expect("it was put together here");
            self.block.push(token, routed, lsn, &object);
            self.send_if_full(outbox);
        }
        self.send_block(outbox);
    }

    /// Will the scan not come to this key any more?
    fn has_passed(&self, token: u128, key: &[u8]) -> bool {
        self.first <= token && token <= self.last && self.cursor.as_deref().is_none_or(|cursor| key < cursor)
    }
}

impl StoreJob for CopyJob {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn step(&mut self, store: &mut dyn SortedStore, moment: JobMoment) -> JobStep {
        if self.is_cancelled.load(Ordering::Acquire) {
            return JobStep::Done;
        }
        match self.send() {
            Err(WriterGone) => return JobStep::Done,
            Ok(false) => return JobStep::Later,
            Ok(true) if self.has_ended => {
                self.progress.done.store(JobProgress::WHOLE, Ordering::Relaxed);
                return JobStep::Done;
            }
            Ok(true) => {}
        }
        if let Err(error) = self.advance(store, moment) {
            self.outbox.push_back(Piece::Failed(error.to_string()));
            self.has_ended = true;
        }
        JobStep::More
    }

    fn applied(&mut self, entries: &[SortedEntry<'_>]) {
        let Some(scan) = &mut self.scan else { return };
        for entry in entries.iter().filter(|entry| entry.routed.starts_with(&self.wish.prefix)) {
            let key = stored_key(entry.token, entry.routed);
            if scan.has_passed(entry.token, &key) {
                scan.overlay_bytes += key.len() + entry.object.len();
                scan.overlay.insert(key, (entry.lsn, entry.object.clone()));
            }
        }
    }
}
