//! A node: its shards, started together and stopped together.

use core::ops::ControlFlow;
use core::time::Duration;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rondo_protocol::causality::{ActorId, Incarnation};
use rondo_protocol::node::ShardIndex;
use rondo_storage::{DiskCondition, NodeDir, Wound};

use crate::boot::{self, OpenShard};
use crate::config::NodeConfig;
use crate::directory::{self, OnStep, StartStep};
use crate::executor::{ExecutorParts, run_shard};
use crate::facts::{self, NodeFacts};
use crate::free_space::SpaceWatch;
use crate::jobs::ShardJob;
use crate::limits::{STOP_TRIES_FOR, STOP_WITHIN};
use crate::memory::MemoryBound;
use crate::mesh::{Inbound, Inbox, Mesh};
use crate::metrics::Publisher;
use crate::net::Door;
use crate::preflight::{connections_max, preflight};
use crate::runtime::{Executor, Pacemaker, ThreadDisk};
use crate::start_error::{ShardFailure, StartError};
use crate::status::Phase;
use crate::watch::ShardWatch;

/// Time between two looks at what is still unanswered.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How long an executor that ended may take to say why.
const FAILURE_REPORT_LIMIT: Duration = Duration::from_secs(5);

/// How a stop went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// True if everything acknowledged is durable and the data directory says so: the next start keeps the incarnation.
    pub is_clean: bool,
    /// Requests that were still unanswered when the limit passed.
    pub cut_short: usize,
    /// Shards that did not end, as when their disk does not answer, and were left.
    pub left: usize,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) incarnation: u32,
    pub(crate) listen: SocketAddr,
    pub(crate) peer_listen: SocketAddr,
    pub(crate) cores: Vec<Option<usize>>,
    pub(crate) watches: Vec<Arc<ShardWatch>>,
    lineages: Vec<u64>,
    mesh: Mesh,
    doors: Vec<TcpListener>,
    executors: Vec<JoinHandle<bool>>,
    pacemaker: (Arc<Pacemaker>, JoinHandle<()>),
    directory: NodeDir,
    failures: flume::Receiver<ShardFailure>,
    /// Keep the threads alive that look at the room of the file systems.
    spaces: Vec<SpaceWatch>,
    life: Arc<Life>,
    publisher: Publisher,
}

/// What the threads that watch the executors share with the node.
#[derive(Debug, Default)]
struct Life {
    is_draining: AtomicBool,
    is_stopping: AtomicBool,
    has_failed: AtomicBool,
}

impl Node {
    /// Locks the data directory, recovers every shard, starts the executors and returns when all of them serve.
    ///
    /// Call it from a thread that is not pinned: the threads of the stores inherit its cores.
    pub fn start(config: NodeConfig) -> Result<Node, StartError> {
        Node::start_watched(config, &|_| ControlFlow::Continue(()))
    }

    /// As [`Node::start`], and tells what it is at.
    pub fn start_watched(config: NodeConfig, on_step: OnStep<'_>) -> Result<Node, StartError> {
        let view = facts::view_of(&config)?;
        preflight(&config)?;
        let mut directory = directory::open(&config, view.cluster_id, on_step)?;
        if on_step(StartStep::Recovering).is_break() {
            return Err(StartError::Interrupted);
        }
        let open = boot::open_shards(&config, &directory)?;
        if open.iter().any(|shard| shard.recovered.report.has_lost()) {
            directory::renew_incarnation(&mut directory)?;
        }
        let (clients, listen) = boot::listen_on(config.listen)?;
        let (peers, peer_listen) = boot::listen_on(config.peer_listen)?;
        let advertised = config.advertise.unwrap_or(listen);
        let facts = Arc::new(NodeFacts::new(&config, view, advertised, connections_max(&config)));
        let shards = open.len();
        let pacemaker = Pacemaker::start(shards).map_err(StartError::Thread)?;
        let (mesh, inboxes) = Mesh::new(shards);
        let watch = |shard| SpaceWatch::start(shard, directory.shard_path(shard as u16), config.disk_free_min_bytes);
        let spaces = (0..shards).map(watch).collect::<Result<_, _>>().map_err(StartError::Thread)?;
        let (failed, failures) = flume::unbounded();
        let doors = [&clients, &peers].map(|door| door.try_clone()).into_iter().collect::<Result<_, _>>();
        let mut node = Node {
            incarnation: directory.identity().incarnation,
            listen,
            peer_listen,
            cores: (0..shards).map(|shard| boot::core_of(&config, shard)).collect(),
            lineages: open.iter().map(|shard| shard.recovered.manifest.lineage).collect(),
            watches: (0..shards).map(|_| Arc::new(ShardWatch::new(facts.clock.instant()))).collect(),
            mesh,
            doors: doors.map_err(StartError::Thread)?,
            executors: Vec::new(),
            pacemaker,
            directory,
            failures,
            spaces,
            life: Arc::default(),
            publisher: Publisher::new(
                shards,
                facts.peers.iter().map(|peer| peer.name.as_str()),
                MemoryBound::of(&config).total(),
            ),
            facts,
        };
        let listeners = vec![(Door::Clients, clients), (Door::Peers, peers)];
        match node.start_executors(open, inboxes, listeners, &failed) {
            Ok(()) => Ok(node),
            Err(error) => {
                node.stop(Duration::ZERO);
                Err(error)
            }
        }
    }

    /// Time since each executor last ran its tick, in the order of the shards: beyond a second it is stalled.
    pub fn tick_ages(&self) -> Vec<Duration> {
        let now = self.facts.clock.instant();
        self.watches.iter().map(|watch| now - watch.ticked_at()).collect()
    }

    /// The lineage of each shard's record numbers: while it stays, later records have higher numbers.
    pub fn lineages(&self) -> &[u64] {
        &self.lineages
    }

    /// The data directory; links are resolved.
    pub fn data(&self) -> &Path {
        self.directory.path()
    }

    /// Gives each shard a job for its companion. A shard that has no room within [`crate::limits::TELL_LIMIT`], or that ends
    /// before the job does, drops it.
    pub fn run_on_shards(&self, make: impl Fn(ShardIndex) -> ShardJob) {
        self.mesh.tell_each(|shard| Inbound::Run(Box::new(make(shard))));
    }

    /// Tells a shard what of it turned out to be damaged: it is answered as unreadable from then on, over restarts too.
    pub fn add_wounds(&self, shard: ShardIndex, wounds: Vec<Wound>) {
        self.mesh.tell(shard, Inbound::Wounds(wounds));
    }

    /// Where shards that end unexpectedly are reported.
    pub fn failures(&self) -> &flume::Receiver<ShardFailure> {
        &self.failures
    }

    /// Takes no new connections and refuses new requests, and returns when those in flight are answered or `limit` has
    /// passed, with the number of those that are left. The node still answers peers; [`Node::stop`] ends it.
    pub fn drain(&self, limit: Duration) -> usize {
        self.life.is_draining.store(true, Ordering::Release);
        self.mesh.tell_all(|| Inbound::Drain);
        for door in &self.doors {
            // Wakes the task that accepts, which sees that nothing more is to be accepted. It may have ended already.
            let _ = rustix::net::shutdown(door, rustix::net::Shutdown::Both);
        }
        let until = self.facts.clock.instant() + limit;
        while self.unanswered() > 0 && self.facts.clock.instant() < until && self.phase() != Phase::Failed {
            thread::sleep(DRAIN_LOOK_INTERVAL);
        }
        self.watches.iter().map(|watch| watch.in_flight()).sum()
    }

    /// Makes everything durable, closes every connection and joins the executors; drains first, for at most `limit`.
    pub fn stop(self, limit: Duration) -> Stopped {
        let cut_short = self.drain(limit);
        self.life.is_stopping.store(true, Ordering::Release);
        self.mesh.tell_all(|| Inbound::Stop);
        let wanted = self.watches.len();
        let began = self.facts.clock.instant();
        while self.executors.iter().any(|executor| !executor.is_finished()) {
            let waited = self.facts.clock.instant() - began;
            let is_vain = STOP_TRIES_FOR <= waited && self.only_stalled_shards_are_left();
            if is_vain || STOP_WITHIN <= waited {
                break;
            }
            thread::sleep(DRAIN_LOOK_INTERVAL);
        }
        let left = self.say_who_is_left();
        let ended = self.executors.into_iter().filter(JoinHandle::is_finished);
        let durable = ended.map(|executor| executor.join().unwrap_or(false));
        let is_durable = durable.filter(|durable| *durable).count() == wanted;
        let (pacemaker, thread) = self.pacemaker;
        pacemaker.end();
        // It has nothing to say.
        let _ = thread.join();
        let is_clean = is_durable && mark_clean(self.directory);
        Stopped { is_clean, cut_short, left }
    }

    /// Does everybody who has not ended wait for a disk that does not answer?
    fn only_stalled_shards_are_left(&self) -> bool {
        let left = self.executors.iter().zip(&self.watches).filter(|(executor, _)| !executor.is_finished());
        left.map(|(_, watch)| watch.report().disk.condition).all(|condition| condition == DiskCondition::Stalled)
    }

    /// Says how many shards have not ended, and gives their number.
    fn say_who_is_left(&self) -> usize {
        let shards = self.executors.iter().filter(|executor| !executor.is_finished()).count();
        match shards {
            0 => {}
            _ if self.only_stalled_shards_are_left() => tracing::error!(
                shards,
                "the disk does not answer, and the shards that wait for it are left; what was acknowledged is on it, and the \
                 process is gone when the kernel lets go of its threads"
            ),
            _ => tracing::error!(shards, "shards do not end; they are left"),
        }
        shards
    }

    pub(crate) fn render_metrics(&self) -> String {
        let reports: Vec<_> = self.watches.iter().map(|watch| (watch.report(), watch.ticked_at())).collect();
        self.publisher.render(&reports, self.facts.clock.instant())
    }

    fn start_executors(
        &mut self,
        open: Vec<OpenShard>,
        inboxes: Vec<Inbox>,
        mut listeners: Vec<(Door, TcpListener)>,
        failed: &flume::Sender<ShardFailure>,
    ) -> Result<(), StartError> {
        let (ready, readies) = flume::unbounded();
        for ((open, inbox), index) in open.into_iter().zip(inboxes).zip(0..) {
            let shard = ShardIndex(index);
            let directory = self.directory.shard_path(index);
            let disk = ThreadDisk::start(&directory, &format!("disk-{index}")).map_err(StartError::Thread)?;
            let parts = ExecutorParts {
                index: shard,
                facts: Arc::clone(&self.facts),
                watch: Arc::clone(&self.watches[usize::from(index)]),
                actor: ActorId { node: self.facts.node, incarnation: Incarnation(self.incarnation) },
                directory,
                disk,
                recovered: open.recovered,
                companion: open.companion,
                upkeep: open.upkeep,
                mesh: self.mesh.again(),
                space: Arc::clone(&self.spaces[usize::from(index)].space),
                inbox,
                listeners: core::mem::take(&mut listeners),
                pacemaker: Arc::clone(&self.pacemaker.0),
                ready: ready.clone(),
            };
            self.executors.push(self.start_executor(shard, parts, failed.clone())?);
        }
        drop(ready);
        self.await_ready(&readies)
    }

    /// Starts one executor and a thread that waits for its end: glommio says what went wrong only to whoever joins it.
    fn start_executor(
        &self,
        shard: ShardIndex,
        parts: ExecutorParts,
        failed: flume::Sender<ShardFailure>,
    ) -> Result<JoinHandle<bool>, StartError> {
        let name = format!("shard-{}", shard.0);
        let core = self.cores[usize::from(shard.0)];
        let executor = Executor::spawn(&name, core, move || run_shard(parts)).map_err(StartError::Thread)?;
        let life = Arc::clone(&self.life);
        let watch = move || {
            let ended = executor.join();
            if !life.is_stopping.load(Ordering::Acquire) {
                life.has_failed.store(true, Ordering::Release);
                let reason = ended.as_ref().err().cloned().unwrap_or_else(|| "it returned".to_owned());
                tracing::error!(shard = shard.0, reason, "an executor has ended");
                // If nobody listens, nobody is left to be told.
                let _ = failed.send(ShardFailure { shard, reason });
            }
            ended.unwrap_or(false)
        };
        thread::Builder::new().name(format!("watch-{}", shard.0)).spawn(watch).map_err(StartError::Thread)
    }

    fn await_ready(&self, readies: &flume::Receiver<ShardIndex>) -> Result<(), StartError> {
        let mut missing = self.watches.len();
        while missing > 0 {
            match readies.recv() {
                Ok(_) => missing -= 1,
                Err(flume::RecvError::Disconnected) => return Err(self.first_failure()),
            }
        }
        Ok(())
    }

    /// Why not all executors got ready. The thread that watches the one that did not reports it in a moment.
    fn first_failure(&self) -> StartError {
        match self.failures.recv_timeout(FAILURE_REPORT_LIMIT) {
            Ok(ShardFailure { shard, reason }) => StartError::Executor { shard, reason },
            Err(_) => StartError::Executor { shard: ShardIndex(0), reason: "it ended without a word".to_owned() },
        }
    }

    fn unanswered(&self) -> usize {
        let of_one = |watch: &Arc<ShardWatch>| if watch.is_draining() { watch.in_flight() } else { 1 };
        self.watches.iter().map(of_one).sum()
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.life.has_failed.load(Ordering::Acquire) {
            Phase::Failed
        } else if self.life.is_draining.load(Ordering::Acquire) {
            Phase::Draining
        } else {
            Phase::Serving
        }
    }
}

fn mark_clean(directory: NodeDir) -> bool {
    match directory.close_clean() {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "the directory could not be marked as clean; the next start begins a new incarnation");
            false
        }
    }
}
