//! What runs inside one executor, from its first task to its last word.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use flume::Sender;
use rondo_protocol::causality::{ActorId, Hlc};
use rondo_protocol::node::ShardIndex;
use rondo_protocol::shard_core::{Boot, ShardCore};
use rondo_protocol::ticket::Lsn;
use rondo_storage::{Companion, CompanionRequest, Recovered, WalLimits, WalWriter};

use crate::cold::{ColdReads, answer_pump};
use crate::commit_loop::{Log, commit_loop};
use crate::facts::NodeFacts;
use crate::free_space::FreeSpace;
use crate::jobs::Jobs;
use crate::limits::INBOX_BATCHES_A_TURN;
use crate::mesh::{Inbound, Inbox, Mesh};
use crate::net::{Door, Port, accept_loop, read_loop, start_links};
use crate::runtime::{Listener, Pacemaker, ThreadDisk, spawn_detached, yield_if_needed};
use crate::shard::{Shard, ShardParts, ShardPhase, SharedShard};
use crate::upkeep::Upkeep;
use crate::watch::ShardWatch;

/// All that an executor is given when it starts.
#[derive(Debug)]
pub(crate) struct ExecutorParts {
    pub(crate) index: ShardIndex,
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) watch: Arc<ShardWatch>,
    pub(crate) actor: ActorId,
    pub(crate) directory: PathBuf,
    /// The same, for the log.
    pub(crate) disk: ThreadDisk,
    pub(crate) recovered: Recovered,
    pub(crate) companion: Companion,
    pub(crate) upkeep: Upkeep,
    pub(crate) mesh: Mesh,
    pub(crate) space: Arc<FreeSpace>,
    pub(crate) inbox: Inbox,
    /// The doors, for shard 0.
    pub(crate) listeners: Vec<(Door, TcpListener)>,
    pub(crate) pacemaker: Arc<Pacemaker>,
    /// Told once, when everything runs.
    pub(crate) ready: Sender<ShardIndex>,
}

/// Runs a shard until it is told to stop. True if everything it appended is durable.
pub(crate) async fn run_shard(parts: ExecutorParts) -> bool {
    let ExecutorParts {
        index, facts, watch, actor, directory, recovered, companion, upkeep, mesh, space, inbox, ..
    } = parts;
    let boot = Boot {
        shard: index,
        shards: facts.shards,
        actor,
        hlc_bound: Hlc(recovered.hlc_bound),
        recovered: Lsn(recovered.last_lsn.0),
        salt: recovered.position.salt,
        view: Arc::clone(&facts.view),
    };
    let writer = WalWriter::resume(parts.disk, recovered.position, WalLimits::default());
    let jobs = Jobs::new(&recovered.manifest, directory);
    let log = Log { writer, manifest: recovered.manifest };
    let (core, cold) = (ShardCore::new(boot), ColdReads::new(companion));
    let shard = Shard::assemble(ShardParts {
        index,
        facts,
        watch,
        core,
        store: recovered.store,
        cold,
        upkeep,
        mesh,
        jobs,
        space,
    });

    // Before anything is waited for: until then a sleeping executor stays asleep.
    let beating = shard.clone();
    let beats = Arc::clone(&parts.pacemaker).follow(usize::from(index.0), move || beating.turn(Shard::beat));
    spawn_detached(async move {
        let never = beats.await;
        match never {}
    });
    spawn_detached(answer_pump(shard.clone()));
    spawn_detached(reply_pump(shard.clone(), inbox.clone()));
    spawn_detached(work_pump(shard.clone(), inbox));
    start_links(&shard);
    for (door, listener) in parts.listeners {
        spawn_detached(accept_loop(shard.clone(), door, Listener::new(listener)));
    }
    shard.turn(Shard::report);
    // Whoever waits for it may have given up; then it stops us as well.
    let _ = parts.ready.send(index);

    let is_durable = commit_loop(shard.clone(), log).await;
    close_sockets(&shard);
    end_companion(&shard).await;
    parts.pacemaker.leave(usize::from(index.0));
    is_durable
}

async fn work_pump(shard: SharedShard, inbox: Inbox) {
    while let Ok(first) = inbox.work.recv_async().await {
        let more = inbox.work.try_iter().take(INBOX_BATCHES_A_TURN - 1);
        let arrived = shard.turn(|shard| {
            core::iter::once(first).chain(more).filter_map(|inbound| shard.take_inbound(inbound)).collect::<Vec<_>>()
        });
        arrived.into_iter().for_each(|port| spawn_detached(read_loop(shard.clone(), port)));
        yield_if_needed().await;
    }
}

async fn reply_pump(shard: SharedShard, inbox: Inbox) {
    while let Ok(first) = inbox.replies.recv_async().await {
        let more = inbox.replies.try_iter().take(INBOX_BATCHES_A_TURN - 1);
        shard.turn(|shard| {
            core::iter::once(first).chain(more).flatten().for_each(|(origin, reply)| shard.reply(origin, reply));
        });
        yield_if_needed().await;
    }
}

/// Everything is durable: nobody is left to talk to.
fn close_sockets(shard: &SharedShard) {
    shard.turn(|shard| {
        shard.report();
        shard.arrivals.break_off_all();
        shard.clients.break_off_all();
        shard.peers.break_off_all();
    });
}

/// Has the companion close the sorted store, and waits until it has.
async fn end_companion(shard: &SharedShard) {
    let bell = shard.with(|shard| shard.commit_bell.clone());
    let mut is_told = false;
    while !shard.with(|shard| shard.checkpoint.companion_has_ended) {
        is_told = is_told || shard.with(|shard| shard.cold.companion().ask(CompanionRequest::Stop)).is_ok();
        bell.wait().await; // Rung by its answers, and at each beat while the shard stops.
    }
}

impl Shard {
    /// Something from another core, or from outside. Gives the port of a connection that arrived: the caller starts its reader.
    fn take_inbound(&mut self, inbound: Inbound) -> Option<Port> {
        match inbound {
            Inbound::Requests(requests) => {
                for request in requests {
                    self.admit(request.origin, request.arrived, request.request);
                }
            }
            Inbound::Connection(connection) => return self.take_over(*connection),
            Inbound::Run(job) => self.take_job(*job),
            Inbound::Wounds(wounds) => self.take_wounds(wounds),
            Inbound::Drain => self.drain(),
            Inbound::Stop => self.stop(),
        }
        None
    }

    fn drain(&mut self) {
        self.core.stop();
        self.phase = self.phase.max(ShardPhase::Draining);
        self.report();
        self.watch.set_draining();
    }

    fn stop(&mut self) {
        self.drain();
        self.phase = ShardPhase::Stopping;
        self.commit_bell.ring();
    }
}
