//! The command line.

use core::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use core::time::Duration;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use rondo_client::Level;
use rondo_protocol::limits::{CONNECTION_IN_FLIGHT_MAX, REQUEST_TIMEOUT_MAX, VALUE_BYTES_MAX};

use crate::key_distribution::KeyChoice;
use crate::pacing::Arrivals;
use crate::slo::{Slo, parse_duration};

/// Puts load on a rondo cluster, measures it, and says whether an objective was met.
///
/// `load` fills the cluster, `run` asks it, `verify` reads back what was written. With --record, `load` and `run` note every
/// acknowledged write, and `verify --record` fails if one of them is missing: kill nodes in between and find out.
///
/// Latency in an open loop (--rate) counts from the moment a request was due, whether or not it could be sent then. Exit status: 0 the
/// objectives were met and nothing is missing, 1 not so, 2 the command line or the cluster's address is wrong.
#[derive(Parser, Debug)]
#[command(name = "rondo-loadgen", version, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Ask the cluster for some time, at a fixed rate or as fast as it answers
    Run(RunArguments),
    /// Write every key once
    Load(LoadArguments),
    /// Read every key back and check it
    Verify(VerifyArguments),
}

/// Where the cluster is and how it is asked.
#[derive(Args, Debug, Clone)]
pub(crate) struct ClusterArguments {
    /// Nodes to begin with, HOST:PORT; the first that answers tells of the others
    #[arg(long, value_name = "ADDR,…", env = "RONDO_ADDR", value_delimiter = ',', default_value = "127.0.0.1:7600")]
    pub(crate) addr: Vec<String>,
    /// The keyspace
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) keyspace: String,
    /// Replicas that a read waits for: one, quorum, all or a number [default: the keyspace's]
    #[arg(short = 'r', long = "r", value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) read: Option<Level>,
    /// Durable copies that a write waits for: one, quorum, all or a number [default: the keyspace's]
    #[arg(short = 'w', long = "w", value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) write: Option<Level>,
    /// N of each request; 0 means the keyspace's
    #[arg(short = 'n', long = "n", value_name = "COUNT", default_value_t = 0)]
    pub(crate) replicas: u8,
    /// How long each attempt may take (at most 60s)
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, default_value = "2s")]
    pub(crate) timeout: Duration,
    /// How long an operation is tried again after refusals and lost connections before it counts as failed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub(crate) retry_for: Duration,
    /// Do not send a write again whose outcome is unknown (each key has one writer here, so it does no harm)
    #[arg(long)]
    pub(crate) no_retry_unknown: bool,
    /// Connections in all, dealt to threads and shards; at least one for each thread and shard
    #[arg(short = 'c', long, value_name = "COUNT", default_value = "1")]
    pub(crate) connections: NonZeroUsize,
    /// Threads, each with an executor of its own
    #[arg(short = 't', long, value_name = "COUNT", default_value = "1")]
    pub(crate) threads: NonZeroUsize,
    /// Processors to pin the threads to, one each [default: not pinned]
    #[arg(long, value_name = "CPU,…", value_delimiter = ',')]
    pub(crate) cpus: Vec<usize>,
    /// Requests in flight on a connection: kept up in a closed loop, the most there may be in an open one
    #[arg(short = 'd', long, value_name = "COUNT", value_parser = parse_depth)]
    pub(crate) depth: Option<NonZeroU16>,
    /// Send each request to any node and shard instead of the owner of its key
    #[arg(long)]
    pub(crate) unrouted: bool,
    /// Processes whose processor time is measured meanwhile; may be given several times
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Vec<u32>,
    /// No progress on the terminal
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Write the result as JSON to a file, or to the standard output with -
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What is written.
#[derive(Args, Debug, Clone)]
pub(crate) struct KeyArguments {
    /// How many keys there are
    #[arg(short = 'k', long, value_name = "COUNT", default_value = "100000")]
    pub(crate) keys: NonZeroU64,
    /// What the keys begin with; a number of twelve digits follows
    #[arg(long, value_name = "TEXT", default_value = "key-")]
    pub(crate) prefix: String,
}

/// What is written, and noted.
#[derive(Args, Debug, Clone)]
pub(crate) struct ValueArguments {
    /// Bytes of a value; below 24 there is no room for the stamp that lets a reader check it
    #[arg(short = 's', long, value_name = "BYTES", value_parser = parse_value_bytes, default_value = "1024")]
    pub(crate) value_size: usize,
    /// Append every acknowledged write to this file, for `verify --record`
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Args, Debug, Clone)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) keys: KeyArguments,
    #[command(flatten)]
    pub(crate) values: ValueArguments,
    /// Requests a second in all (open loop) [default: as fast as the answers come (closed loop)]
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// How requests of an open loop arrive
    #[arg(long, value_enum, default_value_t = Arrivals::Even)]
    pub(crate) arrivals: Arrivals,
    /// Share of the requests that read, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0.9")]
    pub(crate) reads: f64,
    /// Which keys are asked for: uniform, zipfian or zipfian:THETA
    #[arg(long, value_name = "NAME", default_value = "uniform")]
    pub(crate) distribution: KeyChoice,
    /// How long to measure
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub(crate) duration: Duration,
    /// How long to run before that without measuring
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    pub(crate) warmup: Duration,
    /// The same seed gives the same keys and values
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// An objective, such as p99=10ms, get.p99.9=20ms, put.max=1s or errors=0.01%; may be given several times
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) slo: Vec<Slo>,
}

#[derive(Args, Debug, Clone)]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) keys: KeyArguments,
    #[command(flatten)]
    pub(crate) values: ValueArguments,
}

#[derive(Args, Debug, Clone)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) keys: KeyArguments,
    /// Check the keys of this record: each must hold its latest acknowledged write, or a later or unknown one [default: all keys must hold a sound value]
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

fn parse_level(text: &str) -> Result<Level, String> {
    match text {
        "one" => Ok(Level::One),
        "quorum" => Ok(Level::Quorum),
        "all" => Ok(Level::All),
        number => match number.parse::<u8>() {
            Ok(count @ 1..=16) => Ok(Level::Count(count)),
            _ => Err(format!("{text:?} is none of one, quorum, all, 1 to 16")),
        },
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    if timeout.is_zero() || timeout > REQUEST_TIMEOUT_MAX {
        return Err("a timeout is more than 0s and at most 60s".to_owned());
    }
    Ok(timeout)
}

fn parse_depth(text: &str) -> Result<NonZeroU16, String> {
    match text.parse::<NonZeroU16>() {
        Ok(depth) if usize::from(depth.get()) <= CONNECTION_IN_FLIGHT_MAX => Ok(depth),
        _ => Err(format!("a depth is a number from 1 to {CONNECTION_IN_FLIGHT_MAX}")),
    }
}

fn parse_value_bytes(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(bytes) if bytes <= VALUE_BYTES_MAX => Ok(bytes),
        _ => Err(format!("a value has from 0 to {VALUE_BYTES_MAX} bytes")),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate is a number above 0 and at most 1000000000".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, is_valid: bool) {
        let words = core::iter::once("rondo-loadgen").chain(arguments.split(' '));
        assert_eq!(Cli::try_parse_from(words).is_ok(), is_valid, "{arguments}");
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        check("run --rate 1000 --reads 0.5 --slo p99=10ms --slo errors=0.01% -r quorum -w 2 -c 50 -d 16", true);
        check("load --keys 10 --value-size 0", true);
        check("verify --record file", true);
        for wrong in ["--rate 0", "--reads 2", "--slo p99", "-r none", "-w 0", "-d 0", "-d 1025", "--timeout 61s"] {
            check(&format!("run {wrong}"), false);
        }
        check("load --value-size 1048577", false);
        check("fly", false);
    }
}
