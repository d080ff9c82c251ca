//! Backups of one node: made while it serves, kept in a directory, read in ring order.
//!
//! ```text
//! CopyJob (companion) ──pieces──► write_data_file (a thread) ──► DIR/ID.partial ──all shards──► manifest, rename: DIR/ID
//! Chain::resolve ──► ChainReader: each key's newest record, in ring order ──► whoever restores
//! ```
//! Knows bytes, not objects: what a record means, and how two nodes' records of one key meet, is the restorer's affair.

mod chain;
mod chain_reader;
mod cursor;
mod error;
mod fill;
pub(crate) mod format;
mod job;
mod losses;
mod manifest;
mod reader;
mod repository;
mod verify;
mod writer;

pub use chain::Chain;
pub use chain_reader::ChainReader;
pub use error::BackupError;
pub use fill::{FillTarget, Filled, FilledShards, fill_shards};
pub use job::{Copied, CopyJob, CopyWish, JobProgress, Piece};
pub use losses::{Losses, LostPart, LostPlace};
pub use manifest::{BackupManifest, DataFile, Gap, KeyspaceRule, LostBefore, Run};
pub use repository::{Listed, Listing, Partial, Repository, backup_id};
pub use verify::{Verified, verify_backup};
pub use writer::{FileFacts, write_data_file};
