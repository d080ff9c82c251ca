//! The order in which a node starts and stops.
//!
//! settings ──► log ──► admin answers "starting" ──► pre-flight ──► shards recover ──► ready
//! ──signal──► not ready ──► drain ──► shards end ──► process ends
//!
//! Each arrow is one step here; what a step does is elsewhere. The admin port comes first, so that whoever waits for the node
//! can see that it lives while it recovers.

use std::io::Write;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rondo_shards::{MemoryBound, Node, StartError, preflight};

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::config::{ServeFlags, Settings};
use crate::jobs::{self, Jobs};
use crate::supervisor::{self, Lifeline};
use crate::{admin, logging, signals};

/// Runs a node until a signal ends it.
pub(crate) fn serve(flags: &ServeFlags) -> Outcome {
    let settings = Settings::load(flags)?;
    if flags.print_config {
        std::io::stdout().write_all(settings.to_toml().as_bytes())?;
        return Ok(Exit::Done);
    }
    logging::start(&settings.log);
    if let Some(parent) = flags.stop_with_parent {
        stop_with_parent(parent)?;
    }
    let stop = signals::listen().map_err(|error| failed("cannot listen for signals", &error))?;
    warn_if_exposed(&settings);

    let lifeline = Arc::new(Lifeline::starting());
    preflight(&settings.node).map_err(|error| unfit(&error))?;
    let jobs = Arc::new(Jobs::new(Arc::clone(&lifeline)));
    admin::start(bind_admin(&settings)?, Arc::clone(&lifeline), Arc::clone(&jobs))
        .map_err(|error| failed("cannot serve admin", &error))?;
    tracing::info!(data = %settings.node.data.display(), shards = settings.node.shards.get(), "starting");
    let on_step = |step| {
        lifeline.starting_at(step);
        if stop.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let node = match Node::start_watched(settings.node.clone(), &on_step) {
        Ok(node) => node,
        Err(StartError::Interrupted) => {
            tracing::info!("stopped before it served");
            return Ok(Exit::Done);
        }
        Err(error) => return Err(unfit(&error)),
    };
    lifeline.serving(node);
    supervisor::watch(Arc::clone(&lifeline)).map_err(|error| failed("cannot watch the shards", &error))?;
    if !settings.scrub.interval.is_zero() {
        jobs::start_scrub_schedule(jobs, settings.node.data.clone(), settings.scrub)
            .map_err(|error| failed("cannot schedule scrubs", &error))?;
    }
    announce(&settings, &lifeline);

    let signal = stop.recv().unwrap_or("the signal thread's end");
    tracing::info!(signal, limit = ?settings.drain_limit, "draining; a second signal ends at once");
    Ok(end(&lifeline, settings.drain_limit))
}

/// Drains and stops.
fn end(lifeline: &Lifeline, limit: Duration) -> Exit {
    let left = lifeline.drain(limit);
    if left > 0 {
        tracing::warn!(left, "the drain limit passed with requests unanswered");
    }
    let Some(node) = lifeline.take() else { return Exit::Failed };
    let stopped = node.stop(Duration::ZERO);
    let cut_short = left.max(stopped.cut_short);
    if cut_short > 0 {
        tracing::warn!(cut_short, "stopped; clients of these requests must ask again");
        return Exit::CutShort;
    }
    if stopped.left > 0 {
        tracing::warn!(shards = stopped.left, "stopped without them; the next start takes a new incarnation");
        return Exit::CutShort;
    }
    tracing::info!(clean = stopped.is_clean, "stopped");
    Exit::Done
}

fn bind_admin(settings: &Settings) -> Result<TcpListener, Failure> {
    let address = settings.admin_listen;
    TcpListener::bind(address).map_err(|error| {
        let remedy = "is another node running? Choose another --admin-listen, or stop it";
        Failure::new(Exit::Config, format!("cannot listen for admin on {address}: {error}; {remedy}"))
    })
}

fn warn_if_exposed(settings: &Settings) {
    for address in settings.exposed() {
        tracing::warn!(
            %address,
            "INSECURE: this address can be reached from beyond this machine, and rondo does not authenticate or encrypt yet: \
             everybody who reaches it can read, change and delete everything"
        );
    }
}

fn announce(settings: &Settings, lifeline: &Lifeline) {
    let node = &settings.node;
    let status = lifeline.with_node(|node| node.status());
    let bound = MemoryBound::of(node);
    let (clients, peers) = status.map_or((node.listen, node.peer_listen), |status| (status.listen, status.peer_listen));
    tracing::info!(
        name = node.name,
        cluster = node.cluster,
        rack = node.rack,
        %clients,
        %peers,
        admin = %settings.admin_listen,
        shards = node.shards.get(),
        cores = ?node.cores,
        nodes = node.nodes.len(),
        memory_bound_mib = bound.total().div_ceil(1 << 20),
        memory_bound = %bound,
        "serving"
    );
}

/// Asks the kernel for a SIGTERM when the process that started us ends, however it ends.
fn stop_with_parent(parent: u32) -> Result<(), Failure> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| failed("cannot follow the parent", &error.into()))?;
    // It may have ended before we asked.
    if getppid().map(Pid::as_raw_nonzero).map(|pid| pid.get() as u32) == Some(parent) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "the process that started this node has ended"))
}

fn unfit(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Config, error)
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{what}: {error}"))
}
