//! Every bound of the shards at work, with its unit and its reason. Those of the protocol are in `rondo_protocol::limits`.

use core::time::Duration;

use rondo_protocol::limits::{CONNECTION_IN_FLIGHT_MAX, FRAME_BODY_BYTES_MAX};

/// A turn that takes longer is counted: whoever shares the core waits for it.
pub const LONG_TURN: Duration = Duration::from_millis(1);
/// Bytes read from a connection at once; one such buffer a shard, not a connection.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// Batches that may wait in a shard's inbox; beyond it the sender answers `Busy`.
pub const INBOX_BATCHES_MAX: usize = 256;
/// Batches of replies that may wait for a shard; beyond it they stay with the sender, who tries again each turn. What
/// waits there is bounded by the requests in flight.
pub const REPLY_BATCHES_MAX: usize = 256;
/// How long a thread outside waits for room in an inbox.
pub const TELL_LIMIT: Duration = Duration::from_secs(1);
/// Messages taken from an inbox before other tasks have their turn.
pub const INBOX_BATCHES_A_TURN: usize = 64;
/// Unsent bytes of replies at which reading from their connection stops.
pub const REPLY_BYTES_UNSENT_MAX: usize = 4 * 1024 * 1024;
/// A client that takes none of its replies for this long is disconnected.
pub const SLOW_READER_AFTER: Duration = Duration::from_secs(10);
/// Time that a new connection has to say HELLO.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Time that a connection which was told of an error has to take it and go.
pub const ENDING_LIMIT: Duration = Duration::from_secs(1);
/// Connections that have not yet said HELLO; beyond it new ones are closed at once.
pub const HANDSHAKES_MAX: usize = 1024;
/// Wait after a failed accept (descriptors run out), so that others may close some.
pub const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(50);
/// Unsent bytes of one peer link; beyond it the newest message is dropped and the peer's deadline does the rest. Room for
/// some largest objects.
pub const OUTBOX_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Unsent bytes kept for a peer link that is not up yet: enough for the answers of its first moments.
pub const OUTBOX_BYTES_DOWN_MAX: usize = 1024 * 1024;
/// Time between two link PINGs.
pub const LINK_PING_INTERVAL: Duration = Duration::from_secs(1);
/// A link whose peer has said nothing for this long is down: three lost PINGs.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
/// Time that connecting to a peer may take.
pub const LINK_CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// First wait before a link is connected anew; doubled up to the next bound.
pub const RECONNECT_AFTER_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a link is connected anew.
pub const RECONNECT_AFTER_MAX: Duration = Duration::from_secs(1);
/// Jobs that wait for a shard's companion: one of each kind and some more.
pub const JOBS_MAX: usize = 16;
/// How long a shard that stops goes on trying what the disk refuses.
pub const STOP_TRIES_FOR: Duration = Duration::from_secs(3);
/// How long a node that stops waits for executors, beyond the drain: what hangs with its disk is left to the system.
pub const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Time between two looks at a file system: its room, and whether it answers.
pub const SPACE_LOOK_INTERVAL: Duration = Duration::from_millis(750);
/// Inodes that are to be left: log segments and the files of a checkpoint need some.
pub const INODES_FREE_MIN: u64 = 32;
/// Time between two reports of a shard to those who watch it.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// Descriptors that a node needs beside its connections: rings, logs, stores, listeners, links.
pub const DESCRIPTORS_BESIDE_CONNECTIONS: u64 = 512;
/// Memory that io_uring must be allowed to lock, in bytes (what glommio asks for).
pub const MEMORY_LOCKED_BYTES_MIN: u64 = 512 * 1024;
/// When a client that was told `Busy` may try again: a few commits later.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_millis(20);
/// Items of a metrics bucket array; see [`crate::metrics::Histogram`].
pub const HISTOGRAM_BUCKETS: usize = 98;

const _: () = assert!(READ_BYTES_MAX < FRAME_BODY_BYTES_MAX);
const _: () = assert!(CONNECTION_IN_FLIGHT_MAX <= u16::MAX as usize);

/// Wounded vnodes that a line of the log names; the rest is counted.
pub const WOUNDED_VNODES_NAMED_MAX: usize = 64;
/// How long a start waits for a port that is taken: the kernel needs a moment to take apart what a killed node held.
pub const PORT_FREE_WITHIN: Duration = Duration::from_secs(3);
/// Time between two looks at it.
pub const PORT_LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// Time between two measurements of a shard's files, unless a checkpoint comes between: a few hundred files are looked at.
pub const SIZES_INTERVAL: Duration = Duration::from_secs(10);
/// A rewrite that was given up is not tried again for so long: what stood in its way seldom goes sooner.
pub const REWRITE_AGAIN_AFTER: Duration = Duration::from_secs(600);
