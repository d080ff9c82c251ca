//! `rondo dev`: a cluster on this machine, to try things out.
//!
//! What it starts are the same nodes as anywhere, each a process of its own with a configuration file of its own; it only
//! lays them out, waits, says what to type next, and stops them. A node that dies is not restarted: seeing the others
//! go on is what one comes here for.

mod child;
mod plan;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use comfy_table::Table;

use crate::cli::data::eprint_line;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::config::cores;
use crate::limits::{CLIENT_PORT, DEV_NODES_MAX, DEV_READY_WITHIN, DEV_STOP_WITHIN, SUPERVISOR_INTERVAL};
use crate::{http, signals};
use child::Child;
use plan::{Plan, PlannedNode};

pub(crate) const HELP: &str = "Node i (n1, n2, …) stands in rack r<i> and takes clients, peers and admin HTTP on base-port + 10 (i - 1) and the two
ports after it: n1 on 7600, 7601, 7602; n2 on 7610, 7611, 7612; and so on. All listen on 127.0.0.1 only.

The data directory is kept from one run to the next. In it, n1/ is the data of n1, n1.toml its configuration, and n1.log
its log. There are two keyspaces: `default` (last write wins) and `carts` (concurrent writes stay as siblings).

Ctrl-C stops all nodes and loses nothing; a second one ends them at once, which loses nothing that was acknowledged
either. A node that dies is left alone, and the command that restarts it is printed.

Examples:
  rondo dev
  rondo dev --nodes 5 --data /tmp/five --base-port 9000";

/// `rondo dev`.
#[derive(clap::Args, Debug)]
pub(crate) struct DevArguments {
    /// How many nodes, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(DEV_NODES_MAX)))]
    nodes: u16,
    /// Shards of each node; beyond one, nodes share the cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    shards: u16,
    /// Where to keep the data of all nodes
    #[arg(long, value_name = "DIR", default_value = "./rondo-dev")]
    data: PathBuf,
    /// The client port of the first node
    #[arg(long, value_name = "PORT", default_value_t = 7600, value_parser = clap::value_parser!(u16).range(1..))]
    base_port: u16,
}

/// Runs the cluster until a signal ends it.
pub(crate) fn run(arguments: &DevArguments) -> Outcome {
    let plan = Plan::new(arguments, &cores::usable())?;
    plan.check_directory()?;
    let stop =
        signals::listen().map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}")))?;
    plan.write()?;
    eprint_line(&format!("starting {} nodes in {}", plan.nodes.len(), plan.directory.display()));
    let mut children = Vec::new();
    for node in &plan.nodes {
        children.push(Child::start(node)?);
    }
    match wait_until_ready(&mut children, &stop) {
        Ok(true) => {
            welcome(&plan, &children)?;
            stay(&mut children, &stop);
        }
        Ok(false) => {}
        Err(failure) => {
            stop_all(&mut children);
            return Err(failure);
        }
    }
    Ok(stop_all(&mut children))
}

/// True once all nodes are ready, false if a signal came first.
fn wait_until_ready(children: &mut [Child], stop: &flume::Receiver<&'static str>) -> Result<bool, Failure> {
    let started = Instant::now();
    loop {
        if let Some(dead) = children
            .iter_mut()
            .find_map(|child| child.end().map(|how| (child.node.name.clone(), how, child.node.log_tail())))
        {
            let (name, how, log) = dead;
            return Err(Failure::new(
                Exit::Failed,
                format!("{name} ended before it was ready ({how}); its log ends with:\n{log}"),
            ));
        }
        let unready = children.iter().find_map(|child| unready_reason(&child.node).map(|reason| (child, reason)));
        let Some((child, reason)) = unready else { return Ok(true) };
        if started.elapsed() > DEV_READY_WITHIN {
            let log = child.node.log.display();
            let name = &child.node.name;
            return Err(Failure::new(
                Exit::Failed,
                format!("{name} is not ready after {DEV_READY_WITHIN:?}: {reason}; see {log}"),
            ));
        }
        if stop.recv_timeout(Duration::from_millis(50)).is_ok() {
            return Ok(false);
        }
    }
}

fn unready_reason(node: &PlannedNode) -> Option<String> {
    match http::get(node.admin, "/health/ready") {
        Ok(answer) if answer.status == 200 => None,
        Ok(answer) => Some(answer.body.trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Waits for the signal, and tells of nodes that die.
fn stay(children: &mut [Child], stop: &flume::Receiver<&'static str>) {
    while stop.recv_timeout(SUPERVISOR_INTERVAL).is_err() {
        for child in children.iter_mut() {
            let Some(how) = child.end_once() else { continue };
            let node = &child.node;
            eprint_line(&format!("\n{} has ended ({how}). The others go on as long as the quorum allows.", node.name));
            eprint_line(&format!("To restart it, in another terminal:\n  {}", node.restart_command()));
        }
    }
}

/// Asks all to stop, waits, and kills whoever does not.
fn stop_all(children: &mut [Child]) -> Exit {
    eprint_line("\nstopping");
    for child in children.iter_mut() {
        child.ask_to_stop();
    }
    let started = Instant::now();
    let mut exit = Exit::Done;
    for child in children {
        while child.end().is_none() && started.elapsed() < DEV_STOP_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
        }
        if child.end().is_none() {
            eprint_line(&format!("{} does not stop and is killed; nothing acknowledged is lost", child.node.name));
            child.kill();
            exit = Exit::CutShort;
        }
    }
    eprint_line("stopped");
    exit
}

fn welcome(plan: &Plan, children: &[Child]) -> std::io::Result<()> {
    use std::io::Write;
    let mut table = Table::new();
    table.set_header(["node", "rack", "pid", "clients", "peers", "admin", "data"]);
    for child in children {
        let node = &child.node;
        table.add_row([
            node.name.clone(),
            node.rack.clone(),
            child.pid().to_string(),
            node.client.to_string(),
            node.peer.to_string(),
            format!("http://{}", node.admin),
            node.data.display().to_string(),
        ]);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{table}\nReady. In another terminal:")?;
    writeln!(out, "  alias rondo={}", plan::shell_word(&plan.program.display().to_string()))?;
    // The default address needs no words.
    if let Some(first) = plan.nodes.first().filter(|first| first.client.port() != CLIENT_PORT) {
        writeln!(out, "  export RONDO_ADDR={}", first.client)?;
    }
    for (what, words) in [
        ("store and read", "put greeting hello".to_owned()),
        ("", "get greeting".to_owned()),
        ("two writers who do not see each other", "put basket 'milk' --keyspace carts".to_owned()),
        ("", "put basket 'bread' --keyspace carts".to_owned()),
        ("both, and the context to merge them with", "get basket --keyspace carts".to_owned()),
        ("", "put basket 'milk, bread' --keyspace carts --context CONTEXT".to_owned()),
        ("who is there, who owns what", "status".to_owned()),
        ("", "ring".to_owned()),
    ] {
        let comment = if what.is_empty() { String::new() } else { format!("  # {what}") };
        writeln!(out, "  rondo {words}{comment}")?;
    }
    writeln!(
        out,
        "Try `kill -9` on the pid of a node, and see the rest go on. Logs: {}/*.log",
        plan.directory.display()
    )?;
    writeln!(out, "Ctrl-C stops all nodes; their data stays.")?;
    out.flush()
}
