//! Every bound of the client, with its unit and its reason.

use core::time::Duration;

/// Requests that one connection may have unanswered: the server stops reading beyond it.
pub const IN_FLIGHT_MAX: usize = rondo_protocol::limits::CONNECTION_IN_FLIGHT_MAX;
/// Requests that may wait inside this process for one connection; a caller beyond it waits its turn (until its timeout).
pub const QUEUED_PER_CONNECTION_MAX: usize = 1024;
/// Bytes of requests gathered for one write; what comes later goes with the next.
pub const WRITE_BYTES_MAX: usize = 256 * 1024;
/// Bytes asked from the socket at a time.
pub const READ_BYTES: usize = 64 * 1024;
/// Time to open a connection and finish the handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time beyond its timeout that an answer is still waited for: the server says `Unknown` or `Refused` at the timeout
/// itself, and that answer knows more than our silence.
pub const ANSWER_GRACE: Duration = Duration::from_millis(250);
/// A connection that owes an answer this long past its timeout, and has said nothing since, is taken for dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(2);
/// After a failed connect or a lost connection, an address is tried last for this long; after an answer that did not come,
/// for as long as the caller waited, but no shorter.
pub const ADDRESS_SHUNNED: Duration = Duration::from_secs(1);
/// The topology is asked for again at most this often.
pub const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Connections that one client holds; beyond it a request for a further shard goes to a shard already connected, which
/// forwards it.
pub const CONNECTIONS_MAX: usize = 4096;
/// Attempts of one request, whatever the budget says.
pub const ATTEMPTS_MAX: u32 = 16;
/// Bytes of requests that go into one batch frame, well below the frame's own bound.
pub const BATCH_FRAME_BYTES: usize = rondo_protocol::limits::FRAME_BODY_BYTES_MAX / 4;

const _: () = assert!(rondo_protocol::limits::VALUE_BYTES_MAX < BATCH_FRAME_BYTES);
