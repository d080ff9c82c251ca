//! `rondo status` and `rondo ring`: the cluster as its clients see it, in tables or as JSON.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;

use comfy_table::Table;
use rondo_client::blocking::Client;
use rondo_client::routing::{NodeRoute, Routing};
use rondo_protocol::node::NodeId;
use rondo_protocol::ring::Token;
use serde_json::{Value, json};

use super::exit::{Exit, Failure, Outcome};
use super::target::Target;
use crate::http;

/// `rondo status`.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArguments {
    /// Show one node in detail, asked over its admin port, instead of the cluster
    #[arg(long, value_name = "ADDR", env = "RONDO_ADMIN")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    target: Target,
}

/// `rondo ring`.
#[derive(clap::Args, Debug)]
pub(crate) struct RingArguments {
    #[command(flatten)]
    target: Target,
}

/// What a node owns of the ring.
#[derive(Clone, Copy, Default)]
struct Share {
    /// Virtual nodes that it owns.
    owned: usize,
    /// Virtual nodes whose first three replicas it is among.
    kept: usize,
}

/// Copies that `ring` counts: N of the default keyspace in a cluster of three and more.
const COPIES: usize = 3;

/// Asks every node whether it is there. Ends with "refused" if one is not.
pub(crate) fn status(arguments: StatusArguments) -> Outcome {
    if let Some(admin) = arguments.admin {
        return node_status(admin, arguments.target.json);
    }
    let client = arguments.target.connect()?;
    let routing = client.routing();
    let answers: Vec<_> = routing.nodes().iter().map(|node| (node, ping_node(&client, node))).collect();
    let exit = if answers.iter().all(|(_, answer)| answer.is_ok()) { Exit::Done } else { Exit::Refused };
    let mut out = std::io::stdout().lock();
    if arguments.target.json {
        let nodes: Vec<Value> = answers.iter().map(|(node, answer)| node_json(node, answer)).collect();
        writeln!(out, "{}", json!({ "epoch": routing.epoch(), "nodes": nodes }))?;
    } else {
        let mut table = table(&["node", "rack", "clients", "shards", "answers"]);
        for (node, answer) in &answers {
            let answer = answer.as_ref().map_or_else(|reason| format!("no: {reason}"), |time| format!("in {time:.1?}"));
            table.add_row([node.name.to_string(), node.rack.to_string(), address_of(node), shards_of(node), answer]);
        }
        writeln!(out, "{table}")?;
    }
    out.flush()?;
    Ok(exit)
}

/// Shows who owns how much.
pub(crate) fn ring(arguments: RingArguments) -> Outcome {
    let routing = arguments.target.connect()?.routing();
    let (vnodes, shares) = shares_of(&routing);
    let mean = vnodes as f64 / routing.nodes().len().max(1) as f64;
    let off = |owned: usize| (owned as f64 / mean - 1.0) * 100.0;
    let most = shares.values().map(|share| share.owned).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    if arguments.target.json {
        let node = |node: &NodeRoute| {
            let share = shares.get(&node.id).copied().unwrap_or_default();
            json!({
                "name": &*node.name, "id": node.id.to_string(), "rack": &*node.rack,
                "owned_vnodes": share.owned, "kept_vnodes": share.kept,
                "owned_share": share.owned as f64 / vnodes as f64,
            })
        };
        let nodes: Vec<Value> = routing.nodes().iter().map(node).collect();
        let imbalance = off(most) / 100.0;
        writeln!(
            out,
            "{}",
            json!({ "epoch": routing.epoch(), "vnodes": vnodes, "imbalance": imbalance, "nodes": nodes })
        )?;
    } else {
        let mut table = table(&["node", "rack", "id", "owns", "of the ring", "off the mean", "keeps (N = 3)"]);
        for node in routing.nodes() {
            let share = shares.get(&node.id).copied().unwrap_or_default();
            table.add_row([
                node.name.to_string(),
                node.rack.to_string(),
                node.id.to_string(),
                format!("{} vnodes", share.owned),
                format!("{:.1} %", share.owned as f64 / vnodes as f64 * 100.0),
                format!("{:+.1} %", off(share.owned)),
                format!("{} vnodes", share.kept),
            ]);
        }
        writeln!(out, "{table}")?;
        let epoch = routing.epoch();
        writeln!(out, "{vnodes} vnodes, epoch {epoch}; the fullest node owns {:+.1} % off the mean", off(most))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// The number of vnodes, and each node's share of them.
fn shares_of(routing: &Routing) -> (usize, HashMap<NodeId, Share>) {
    let bits = routing.bits();
    let mut shares: HashMap<NodeId, Share> = HashMap::new();
    for vnode in 0..bits.count() {
        let token = Token((vnode as u128) << (128 - u32::from(bits.get())));
        for (place, &node) in routing.preference_list(token).iter().take(COPIES).enumerate() {
            let share = shares.entry(node).or_default();
            share.kept += 1;
            share.owned += usize::from(place == 0);
        }
    }
    (bits.count(), shares)
}

fn ping_node(client: &Client, node: &NodeRoute) -> Result<std::time::Duration, String> {
    let Some(address) = &node.address else { return Err("its address is not known yet".to_owned()) };
    client.ping(Some(address)).map_err(|error| error.to_string())
}

fn node_json(node: &NodeRoute, answer: &Result<std::time::Duration, String>) -> Value {
    json!({
        "name": &*node.name,
        "id": node.id.to_string(),
        "rack": &*node.rack,
        "address": node.address.as_deref(),
        "shards": node.shards,
        "round_trip_us": answer.as_ref().ok().map(|time| time.as_micros() as u64),
        "reason": answer.as_ref().err(),
    })
}

/// `/status` of one node.
fn node_status(admin: SocketAddr, is_json: bool) -> Outcome {
    let answer = http::get(admin, "/status");
    let answer = answer.map_err(|error| Failure::new(Exit::Refused, format!("{admin} does not answer: {error}")))?;
    if answer.status != 200 {
        return Err(Failure::new(Exit::Refused, format!("{admin} answers {}: {}", answer.status, answer.body)));
    }
    let mut out = std::io::stdout().lock();
    if is_json {
        writeln!(out, "{}", answer.body.trim_end())?;
    } else {
        let status: Value = serde_json::from_str(&answer.body)
            .map_err(|error| Failure::new(Exit::Refused, format!("{admin} does not answer with JSON: {error}")))?;
        writeln!(out, "{}", describe_node(&status))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn describe_node(status: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut whole = table(&["node", "rack", "phase", "up for", "incarnation", "clients", "peers"]);
    let columns = ["name", "rack", "phase", "uptime_seconds", "incarnation", "listen", "peer_listen"];
    whole.add_row(columns.map(|column| text(&status[column])));
    let mut shards =
        table(&["shard", "core", "connections", "gets", "puts", "deletes", "refused", "unknown", "in flight"]);
    for shard in status["shards"].as_array().into_iter().flatten() {
        let counts = ["gets", "puts", "deletes", "replies_refused", "replies_unknown", "in_flight"];
        let own = ["shard", "core", "connections"].map(|column| text(&shard[column]));
        shards.add_row(own.into_iter().chain(counts.map(|column| text(&shard["requests"][column]))));
    }
    let mut space = table(&["shard", "log", "store", "live", "memtable", "cache", "filter", "checkpoint ago"]);
    for shard in status["shards"].as_array().into_iter().flatten() {
        let mib = |column: &str| format!("{} MiB", shard["store"][column].as_u64().unwrap_or(0).div_ceil(1 << 20));
        let columns =
            ["log_disk_bytes", "store_disk_bytes", "live_bytes", "memtable_bytes", "cache_bytes", "filter_bytes"];
        let age = format!("{} s", text(&shard["store"]["checkpoint_age_seconds"]));
        space.add_row(core::iter::once(text(&shard["shard"])).chain(columns.map(mib)).chain([age]));
    }
    let mut peers = table(&["peer", "rack", "peer address", "clients", "up", "links"]);
    for peer in status["peers"].as_array().into_iter().flatten() {
        peers.add_row(
            ["name", "rack", "peer_address", "client_address", "is_up", "shards_linked"]
                .map(|column| text(&peer[column])),
        );
    }
    format!("{whole}\n{shards}\n{space}\n{peers}")
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.set_header(header.iter().copied());
    table
}

fn address_of(node: &NodeRoute) -> String {
    node.address.as_deref().unwrap_or("not known").to_owned()
}

fn shards_of(node: &NodeRoute) -> String {
    node.shards.map_or_else(|| "not known".to_owned(), |shards| shards.to_string())
}
