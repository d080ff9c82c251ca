//! The world: everything that exists in a run, and the one loop that lets things happen to it.
//!
//! Think of a stage with one actor at a time. The loop takes the next planned thing off the schedule, whoever it concerns
//! acts, and what follows is planned. `nodes` starts, stops and breaks machines, `shards` lets cores act,
//! `traffic` carries client bytes, `clients` asks, and `answers` writes down what came of it.

mod answers;
mod clients;
mod nodes;
mod shards;
mod traffic;

use bytes::Bytes;
use core::num::NonZeroU16;
use core::time::Duration;

use rondo_protocol::node::{NodeId, PeerShard, ShardIndex};
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Origin;
use rondo_protocol::wire::reply::DataReply;
use rondo_protocol::wire::request::DataRequest;

use crate::checkers::Violation;
use crate::checkers::dots::Dots;
use crate::client::SimClient;
use crate::cluster::Cluster;
use crate::coverage::Coverage;
use crate::disk::SimDisk;
use crate::fault::{Fault, Seat};
use crate::history::History;
use crate::network::Network;
use crate::node::Node;
use crate::profile::Profile;
use crate::random::Random;
use crate::schedule::Schedule;
use crate::trace::Trace;
use crate::workload::Workload;

/// Things that may happen in one run: a run that needs more goes in circles.
const OCCURRENCES_MAX: u64 = 3_000_000;

/// Everything that exists.
pub struct World {
    pub(crate) profile: Profile,
    pub(crate) cluster: Cluster,
    pub(crate) schedule: Schedule<Occurrence>,
    pub(crate) trace: Trace,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<SimClient>,
    pub(crate) workload: Workload,
    pub(crate) history: History,
    pub(crate) dots: Dots,
    pub(crate) coverage: Coverage,
    pub(crate) violation: Option<Violation>,
    pub(crate) random: Random,
    pub(crate) faults_on: bool,
    connections: u64,
    occurrences: u64,
}

/// A shard in one life of its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ShardLife {
    pub seat: Seat,
    pub life: u64,
    pub shard: ShardIndex,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Occurrence {
    /// A step of the script.
    Fault(Fault),
    /// Somebody looks at a link.
    Look { from: Seat, to: Seat },
    /// A peer's bytes arrive.
    PeerBytes { from: PeerShard, to: ShardLife, bytes: Bytes },
    /// A link came up or went down.
    LinkNews { to: ShardLife, peer: NodeId, shards: Option<NonZeroU16> },
    /// A disk operation ends.
    Disk { of: ShardLife, operation: u64 },
    /// A shard looks at its disk.
    DiskLook { of: ShardLife },
    /// A companion does a piece of its work.
    Companion { of: ShardLife },
    /// A core's deadline comes.
    Deadline { of: ShardLife },
    /// A request reaches the shard that owns its key.
    Request { to: ShardLife, origin: Origin, arrived: Instant, request: DataRequest },
    /// A reply reaches the connection that waits for it.
    Reply { from: ShardLife, origin: Origin, reply: DataReply },
    /// A core goes on after it stood still.
    Resume { of: ShardLife },
    /// Is a stopping node drained?
    Drained { seat: Seat, life: u64 },
    /// A client's bytes arrive.
    ToServer { connection: u64, seat: Seat, life: u64, bytes: Bytes },
    /// A node's bytes arrive; `None`: the connection broke.
    ToClient { client: usize, target: (Seat, u16), connection: u64, bytes: Option<Bytes> },
    /// A client wakes up.
    Wake { client: usize, waking: u64 },
}

impl World {
    /// A world in which nothing runs yet.
    pub fn new(profile: Profile, seed: u64, readable: bool) -> World {
        let mut random = Random::from_seed(seed ^ 0x0057_0a1d);
        let cluster = Cluster::new(&profile);
        let mut nodes = Vec::new();
        for seat in cluster.seats() {
            let shards = cluster.shards(seat);
            let disks = (0..shards.get()).map(|_| SimDisk::new(profile.disk, random.fork())).collect();
            let mut node = Node::new(seat, shards, disks);
            let skew = profile.clock_skew.as_millis() as u64;
            node.clock_off_millis = random.between(0, 2 * skew) as i64 - skew as i64;
            nodes.push(node);
        }
        World {
            network: Network::new(nodes.len(), profile.network, random.fork()),
            workload: Workload::new(profile.workload, random.fork()),
            clients: (0..=profile.workload.clients).map(SimClient::new).collect(),
            cluster,
            profile,
            schedule: Schedule::new(),
            trace: Trace::new(readable),
            nodes,
            history: History::default(),
            dots: Dots::default(),
            coverage: Coverage { runs: 1, ..Coverage::default() },
            violation: None,
            random,
            faults_on: true,
            connections: 0,
            occurrences: 0,
        }
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        self.schedule.now()
    }

    /// Lets things happen for `time`, or until `done`, or until a promise is broken.
    pub fn run(&mut self, time: Duration, done: impl Fn(&World) -> bool) -> Result<(), Violation> {
        let limit = self.now() + time;
        while self.violation.is_none() && !done(self) {
            let Some(occurrence) = self.schedule.next_until(limit) else { break };
            self.occurrences += 1;
            if self.occurrences > OCCURRENCES_MAX {
                self.broken("limits", format!("more than {OCCURRENCES_MAX} things happened: the run goes in circles"));
                break;
            }
            self.happen(occurrence);
        }
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// A promise was broken. The first one counts.
    pub(crate) fn broken(&mut self, checker: &'static str, what: String) {
        if self.violation.is_none() {
            let now = self.now();
            self.trace.note(now, "violation", &[], || format!("{checker}: {what}"));
            self.violation = Some(Violation::new(checker, what));
        }
    }

    fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Fault(fault) => self.suffer(&fault),
            Occurrence::Look { from, to } => self.look(from, to),
            Occurrence::Drained { seat, life } => self.stop_if_drained(seat, life),
            Occurrence::ToServer { connection, seat, life, bytes } => {
                self.arrive_at_server(connection, seat, life, &bytes)
            }
            Occurrence::Reply { from, origin, reply } => self.reply(from, origin, reply),
            Occurrence::ToClient { client, target, connection, bytes } => {
                self.arrive_at_client(client, target, connection, bytes);
            }
            Occurrence::Wake { client, waking } => self.wake(client, waking),
            Occurrence::Resume { of } => self.resume(of),
            Occurrence::PeerBytes { to: of, .. }
            | Occurrence::LinkNews { to: of, .. }
            | Occurrence::Request { to: of, .. }
            | Occurrence::Disk { of, .. }
            | Occurrence::Companion { of }
            | Occurrence::DiskLook { of }
            | Occurrence::Deadline { of } => self.at_shard(of, occurrence),
        }
    }
}
