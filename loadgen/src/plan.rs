//! What is to be done, worked out from the command line and handed to all threads.

use core::time::Duration;

use rondo_client::Level;
use rondo_protocol::wire::request::RequestOptions;

use crate::cli::{ClusterArguments, KeyArguments, LoadArguments, RunArguments, ValueArguments, VerifyArguments};
use crate::key_distribution::{KeyChoice, KeyDistribution};
use crate::pacing::Arrivals;
use crate::random::Random;
use crate::record::Record;

/// The same for all threads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) keyspace: String,
    pub(crate) prefix: String,
    pub(crate) value_bytes: usize,
    pub(crate) read: RequestOptions,
    pub(crate) write: RequestOptions,
    pub(crate) retry_for: Duration,
    pub(crate) retries_unknown: bool,
    pub(crate) threads: usize,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) is_routed: bool,
    pub(crate) is_recording: bool,
    /// Sequences begin here: later runs have larger ones.
    pub(crate) sequence_base: u64,
}

/// What the threads do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Random keys for some time.
    Run(Run),
    /// Every key once.
    Load { keys: u64 },
    /// Reads these keys and checks them.
    Verify { keys: Vec<u64>, record: Option<Record> },
}

/// What `run` needs beside.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) rate: Option<f64>,
    pub(crate) arrivals: Arrivals,
    pub(crate) reads: f64,
    pub(crate) keys: u64,
    pub(crate) distribution: KeyDistribution,
    pub(crate) choice: KeyChoice,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
}

/// Requests in flight on a connection where the command line does not say.
const CLOSED_DEPTH: usize = 1;
const BULK_DEPTH: usize = 32;
const OPEN_DEPTH: usize = rondo_client::limits::IN_FLIGHT_MAX;

impl Plan {
    pub(crate) fn of_run(arguments: &RunArguments, sequence_base: u64) -> Plan {
        let keys = arguments.keys.keys;
        let run = Run {
            rate: arguments.rate,
            arrivals: arguments.arrivals,
            reads: arguments.reads,
            keys: keys.get(),
            distribution: KeyDistribution::new(arguments.distribution, keys),
            choice: arguments.distribution,
            warmup: arguments.warmup,
            duration: arguments.duration,
            seed: arguments.seed,
        };
        let depth = if arguments.rate.is_some() { OPEN_DEPTH } else { CLOSED_DEPTH };
        let values = Some(&arguments.values);
        Plan::new(Work::Run(run), &arguments.cluster, &arguments.keys, values, depth, sequence_base)
    }

    pub(crate) fn of_load(arguments: &LoadArguments, sequence_base: u64) -> Plan {
        let work = Work::Load { keys: arguments.keys.keys.get() };
        let values = Some(&arguments.values);
        Plan::new(work, &arguments.cluster, &arguments.keys, values, BULK_DEPTH, sequence_base)
    }

    pub(crate) fn of_verify(arguments: &VerifyArguments, record: Option<Record>) -> Plan {
        let keys = match &record {
            Some(record) => record.key_indices(),
            None => (0..arguments.keys.keys.get()).collect(),
        };
        Plan::new(Work::Verify { keys, record }, &arguments.cluster, &arguments.keys, None, BULK_DEPTH, 0)
    }

    fn new(
        work: Work,
        cluster: &ClusterArguments,
        keys: &KeyArguments,
        values: Option<&ValueArguments>,
        depth: usize,
        sequence_base: u64,
    ) -> Plan {
        let options = |level: Option<Level>| RequestOptions {
            replicas: cluster.replicas,
            level: level.unwrap_or_default(),
            timeout: cluster.timeout,
        };
        Plan {
            work,
            keyspace: cluster.keyspace.clone(),
            prefix: keys.prefix.clone(),
            value_bytes: values.map_or(0, |values| values.value_size),
            read: options(cluster.read),
            write: options(cluster.write),
            retry_for: cluster.retry_for,
            retries_unknown: !cluster.no_retry_unknown,
            threads: cluster.threads.get(),
            connections: cluster.connections.get(),
            depth: cluster.depth.map_or(depth, |depth| usize::from(depth.get())),
            is_routed: !cluster.unrouted,
            is_recording: values.is_some_and(|values| values.record.is_some()),
            sequence_base,
        }
    }

    /// Connections that one thread opens to each of `targets` targets.
    pub(crate) fn connections_per_target(&self, targets: usize) -> usize {
        (self.connections / (self.threads * targets.max(1))).max(1)
    }

    /// How many operations there are, if that is known in advance.
    pub(crate) fn operations(&self) -> Option<u64> {
        match &self.work {
            Work::Run(_) => None,
            Work::Load { keys } => Some(*keys),
            Work::Verify { keys, .. } => Some(keys.len() as u64),
        }
    }

    /// When, in nanoseconds since the start, requests begin to be measured and when they end.
    pub(crate) fn window(&self) -> (u64, u64) {
        match &self.work {
            Work::Run(run) => (run.warmup.as_nanos() as u64, (run.warmup + run.duration).as_nanos() as u64),
            Work::Load { .. } | Work::Verify { .. } => (0, u64::MAX),
        }
    }

    /// The random numbers of one thread.
    pub(crate) fn random(&self, thread: usize) -> Random {
        let seed = match &self.work {
            Work::Run(run) => run.seed,
            Work::Load { .. } | Work::Verify { .. } => 0,
        };
        Random::fork(seed, thread as u64)
    }
}
