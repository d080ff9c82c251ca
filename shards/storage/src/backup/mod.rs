//! Backups of one node: made while it serves, kept in a directory, read in ring order.
//!
//! ```text
//! CopyJob (companion) ──pieces──► write_data_file (a thread) ──► DIR/ID.partial ──all shards──► manifest, rename: DIR/ID
//! Chain::resolve ──► ChainReader: each key's newest record, in ring order ──► whoever restores
//! ```
//! Knows bytes, not objects: what a record means, and how two nodes' records of one key meet, is the restorer's affair.

mod chain;
mod error;
mod fill;
pub(crate) mod format;
mod job;
mod manifest;
mod reader;
mod repository;
mod verify;
mod writer;

pub use chain::{Chain, ChainReader};
pub use error::BackupError;
pub use fill::{FillTarget, Filled, fill_shards};
pub use job::{Copied, CopyJob, CopyWish, JobProgress, Piece};
pub use manifest::{BackupManifest, DataFile, Gap, KeyspaceRule, LostBefore, Run};
pub use repository::{Listed, Listing, Partial, Repository, backup_id};
pub use verify::{Verified, verify_backup};
pub use writer::{FileFacts, write_data_file};
