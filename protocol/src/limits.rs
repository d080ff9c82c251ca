//! Every bound of the protocol, with its unit and its reason.

use core::time::Duration;

/// Longest key, in bytes (the product's promise).
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest value, in bytes (the product's promise).
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Longest keyspace name, in bytes.
pub const KEYSPACE_NAME_BYTES_MAX: usize = 64;
/// Longest name of a node or rack, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;
/// Longest causal context, in bytes: room for 1,000 actors.
pub const CONTEXT_BYTES_MAX: usize = 16 * 1024 + 64;
/// Actors that one version vector may name; a write that would need more is refused.
pub const ACTORS_MAX: usize = 1000;
/// Longest client frame body, in bytes: a batch of one largest value and then some.
pub const FRAME_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest peer frame body, in bytes: one object at its largest.
pub const PEER_BODY_BYTES_MAX: usize = OBJECT_BYTES_MAX + KEY_BYTES_MAX + 1024;
/// Largest object (all siblings together), in bytes: with its context and receipt it still fits a client's frame.
pub const OBJECT_BYTES_MAX: usize = 7 * 1024 * 1024;
/// Largest object that a put may leave, in bytes; one that would exceed it is refused. Two siblings of the largest value
/// fit, and what three replicas took in while they were apart is together still an object.
pub const OBJECT_PUT_BYTES_MAX: usize = OBJECT_BYTES_MAX / 3;
/// Items of one batch.
pub const BATCH_ITEMS_MAX: usize = 1024;
/// Siblings from which on a warning is counted.
pub const SIBLINGS_WARN: usize = 25;
/// Siblings at which further ones are refused.
pub const SIBLINGS_MAX: usize = 100;
/// Siblings of one stored object: what the largest set of replicas can have taken in while they were apart.
pub const SIBLINGS_STORED_MAX: usize = SIBLINGS_MAX * REPLICAS_MAX;
/// Bytes by which the arena of encoded objects grows; an object larger than a quarter of it gets memory of its own.
pub const ARENA_CHUNK_BYTES: usize = 64 * 1024;
/// Replicas of one key.
pub const REPLICAS_MAX: usize = 16;
/// Requests in flight inside one core; beyond it the answer is `Busy`.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 16 * 1024;
/// Of these, how many there may be when a write is let in: when the disk hangs, writes pile up, and reads still find room.
pub const WRITES_IN_FLIGHT_MAX: usize = REQUESTS_IN_FLIGHT_MAX / 4 * 3;
/// A peer's fetch or version that is not answered by then is refused: as long as a client waits that does not say.
pub const PEER_WAIT_MAX: Duration = REQUEST_TIMEOUT_DEFAULT;
/// Writers that may wait for one key; beyond it the answer is `Busy`.
pub const WRITERS_PER_KEY_MAX: usize = 256;
/// Requests of one client connection that may be unanswered; beyond it reading stops.
pub const CONNECTION_IN_FLIGHT_MAX: usize = 1024;
/// Longest time a client may give a request.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The time a request gets when it does not say.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How far a clock may be off from the cluster before its node refuses to coordinate writes.
pub const CLOCK_DRIFT_MAX: Duration = Duration::from_millis(500);
/// How far ahead of the clock the durable bound is written: one log record for each half of it while writes arrive.
pub const HLC_BOUND_AHEAD: Duration = Duration::from_millis(400);
/// A read that has not its quorum after this time asks the replicas it has not asked yet.
pub const READ_HEDGE_AFTER: Duration = Duration::from_millis(20);

/// When a client that was told `Busy` may come again: a few group commits later.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_millis(20);
/// A peer's clock counts in the judgement of ours if the peer was heard from within this time.
pub const CLOCK_HEARD_WITHIN: Duration = Duration::from_secs(10);
/// The least delayed message of this time tells a peer's clock offset: long enough to hold one that met no queue.
pub const CLOCK_WINDOW: Duration = Duration::from_millis(500);
/// Peers whose clocks are compared with ours: as many as a cluster has nodes.
pub const CLOCK_PEERS_MAX: usize = 1024;
/// Writer queues kept for reuse, so that a write that has to load allocates nothing.
pub const WRITER_QUEUES_SPARE: usize = 256;
/// Longest echo of a ping, in bytes.
pub const PING_BYTES_MAX: usize = 64;
/// Longest body of the first frame, in bytes: before it, nobody has shown that they mean us.
pub const HELLO_BODY_BYTES_MAX: usize = 4 * 1024;
/// Longest body of a hello or its answer, in bytes.
pub const PEER_HELLO_BODY_BYTES_MAX: usize = 8 * 1024;
/// Longest name that a client gives itself, in bytes.
pub const CLIENT_NAME_BYTES_MAX: usize = 64;
/// Longest text of an error or a rejection, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// Longest name of a node, a rack, and longest address, in bytes: one byte counts them.
pub const TEXT_BYTES_MAX: usize = 255;
/// Nodes of one topology.
pub const NODES_MAX: usize = 4096;
/// Keyspaces of one topology.
pub const KEYSPACES_MAX: usize = 1024;

const _: () = assert!(VALUE_BYTES_MAX + KEY_BYTES_MAX + CONTEXT_BYTES_MAX < FRAME_BODY_BYTES_MAX / 4);
const _: () = assert!(2 * VALUE_BYTES_MAX + CONTEXT_BYTES_MAX < OBJECT_PUT_BYTES_MAX);
const _: () = assert!(OBJECT_BYTES_MAX + CONTEXT_BYTES_MAX + 1024 < FRAME_BODY_BYTES_MAX);
// A merge of all replicas' objects still counts within the object's 16-bit fields.
const _: () = assert!(SIBLINGS_STORED_MAX * REPLICAS_MAX <= u16::MAX as usize);
const _: () = assert!(ACTORS_MAX * REPLICAS_MAX <= u16::MAX as usize);
