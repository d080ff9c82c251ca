//! `rondo damage`: what a node has lost and not been given back, and how an operator accepts it.
//!
//! A key in a wound is answered "unreadable", never "absent": nobody knows whether it was there. Accepting a loss means to
//! answer it from now on with what is left.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rondo_protocol::ring::{VNode, shard_of};
use rondo_storage::{Identity, NodeDir, SetAside, StdDisk, Wound, Wounds, run_ready};
use serde_json::{Value, json};

use super::engine::refused;
use super::exit::{Exit, Failure, Outcome};
use super::files::set_aside_in;

/// `rondo damage`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum DamageCommand {
    /// List what is missing and what was set aside
    #[command(after_help = LIST_HELP)]
    List(ListArguments),
    /// Accept what a stopped node has lost: its keys are answered again, with what is left
    #[command(after_help = ACCEPT_HELP)]
    Accept(AcceptArguments),
}

const LIST_HELP: &str = "Examples:
  rondo damage list --data /var/lib/rondo
  rondo damage list --data ./data --json

A wound is a range of keys of which something that was acknowledged is missing. Its keys are answered as unreadable, never as
absent or old, until they are written again, or the loss is accepted. Files that were set aside are never opened again; remove
them when nobody wants to look at them any more.";

const ACCEPT_HELP: &str = "Examples:
  rondo damage accept --data /var/lib/rondo
  rondo damage accept --data ./data --yes --json

The node must be stopped. With other replicas of the keys, reading or restoring from them is better: what is accepted is answered as
absent, or as it was before, and a read at R = 1 cannot tell.";

/// `rondo damage list`.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArguments {
    /// The data directory; a node may be running on it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// `rondo damage accept`.
#[derive(clap::Args, Debug)]
pub(crate) struct AcceptArguments {
    /// The data directory of a stopped node
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does what `command` says.
pub(crate) fn run(command: DamageCommand) -> Outcome {
    match command {
        DamageCommand::List(arguments) => list(&arguments),
        DamageCommand::Accept(arguments) => accept(&arguments),
    }
}

/// What one shard misses.
struct ShardDamage {
    shard: u16,
    /// `Err`: why it cannot be said.
    wounds: Result<Vec<Wound>, String>,
}

fn list(arguments: &ListArguments) -> Outcome {
    let identity = Identity::read(&arguments.data).map_err(|error| refused(&error))?;
    let shards = damage_of(&arguments.data, &identity);
    let aside = set_aside_in(&arguments.data);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let object = json!({
            "data": arguments.data.display().to_string(), "node": identity.node_name,
            "shards": shards.iter().map(|shard| shard_json(shard, &identity)).collect::<Vec<_>>(),
            "set_aside": aside.iter().map(|(path, bytes)| aside_json(path, *bytes)).collect::<Vec<_>>(),
        });
        writeln!(out, "{object}")?;
        return Ok(Exit::Done);
    }
    let is_whole = shards.iter().all(|shard| shard.wounds.as_ref().is_ok_and(Vec::is_empty));
    if is_whole {
        writeln!(out, "nothing is missing")?;
    }
    shards.iter().try_for_each(|shard| describe(&mut out, shard, &identity))?;
    for (path, bytes) in &aside {
        writeln!(out, "set aside: {} ({bytes} bytes on disk)", path.display())?;
    }
    Ok(Exit::Done)
}

fn accept(arguments: &AcceptArguments) -> Outcome {
    let directory = NodeDir::open_for_tool(&arguments.data, unix_seconds()).map_err(|error| refused(&error))?;
    let identity = directory.identity().clone();
    let accepted = accept_in(arguments, &identity);
    directory.close_as_found(false).map_err(|error| refused(&error))?;
    let Some(shards) = accepted? else {
        return Err(Failure::new(Exit::Refused, "nothing was accepted"));
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let shards: Vec<Value> = shards.iter().map(|shard| shard_json(shard, &identity)).collect();
        writeln!(out, "{}", json!({ "data": arguments.data.display().to_string(), "accepted": shards }))?;
        return Ok(Exit::Done);
    }
    let count: usize = shards.iter().filter_map(|shard| shard.wounds.as_ref().ok()).map(Vec::len).sum();
    writeln!(out, "{count} wounds are accepted: their keys are answered with what is left, absent where nothing is")?;
    Ok(Exit::Done)
}

/// What was accepted; `None` if the operator does not want to.
fn accept_in(arguments: &AcceptArguments, identity: &Identity) -> Result<Option<Vec<ShardDamage>>, Failure> {
    let shards = damage_of(&arguments.data, identity);
    let is_whole = shards.iter().all(|shard| shard.wounds.as_ref().is_ok_and(Vec::is_empty));
    if !is_whole && !arguments.yes && !confirm(&shards, identity)? {
        return Ok(None);
    }
    for shard in &shards {
        let path = shard_path(&arguments.data, identity, shard.shard);
        let accepted = StdDisk::open(path)
            .map_err(|error| error.to_string())
            .and_then(|disk| run_ready(Wounds::accept(&disk)).map_err(|error| error.to_string()));
        accepted.map_err(|error| Failure::new(Exit::Failed, format!("shard {}: {error}", shard.shard)))?;
    }
    Ok(Some(shards))
}

/// Asks whoever sits at the terminal.
fn confirm(shards: &[ShardDamage], identity: &Identity) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let what = "say --yes to accept these losses; rondo damage list shows them";
        return Err(Failure::new(Exit::BadInput, what));
    }
    let mut out = std::io::stderr().lock();
    shards.iter().try_for_each(|shard| describe(&mut out, shard, identity))?;
    write!(out, "From now on these keys are answered as absent, or as they were before. Accept that? Type yes: ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Reads the wounds of every shard, without changing anything.
fn damage_of(data: &Path, identity: &Identity) -> Vec<ShardDamage> {
    let read = |shard| {
        let path = shard_path(data, identity, shard);
        // Opening a disk makes its directory.
        if !path.is_dir() {
            return ShardDamage { shard, wounds: Err(format!("{} is not there", path.display())) };
        }
        let disk = StdDisk::open(path).map_err(|error| error.to_string());
        let wounds = disk.and_then(|disk| run_ready(Wounds::read(&disk)).map_err(|error| error.to_string()));
        ShardDamage { shard, wounds: wounds.map(|wounds| wounds.iter().cloned().collect()) }
    };
    (0..identity.shards).map(read).collect()
}

fn shard_path(data: &Path, identity: &Identity, shard: u16) -> PathBuf {
    data.join(format!("layout-{:04}", identity.layout)).join(format!("shard-{shard:03}"))
}

/// The vnodes of shard `shard` that a wound touches.
fn vnodes_of(wound: &Wound, shard: u16, identity: &Identity) -> Vec<u16> {
    let vnode = |token: u128| (token >> (128 - u32::from(identity.vnode_bits))) as u16;
    let shards = identity.shards.try_into().expect("no directory has 0 shards");
    let all = vnode(wound.from)..=vnode(wound.to);
    all.filter(|&vnode| shard_of(VNode(vnode), shards).0 == shard).collect()
}

fn describe(out: &mut impl Write, damage: &ShardDamage, identity: &Identity) -> std::io::Result<()> {
    let shard = damage.shard;
    let wounds = match &damage.wounds {
        Ok(wounds) => wounds,
        Err(why) => return writeln!(out, "shard {shard}: {why}"),
    };
    for wound in wounds {
        let vnodes = vnodes_of(wound, shard, identity);
        let keys = wound.keys.map_or_else(|| "an unknown number of keys".to_owned(), |keys| format!("{keys} keys"));
        let place = match vnodes.as_slice() {
            [] => "no vnode of this shard".to_owned(),
            [one] => format!("vnode {one}"),
            [first, .., last] => format!("{} vnodes from {first} to {last}", vnodes.len()),
        };
        let Wound { from, to, cause, what, found_at_unix, .. } = wound;
        writeln!(out, "shard {shard}: {keys} of {place}, tokens {from:032x} to {to:032x}")?;
        writeln!(out, "    {cause}, found at {found_at_unix}: {what}")?;
    }
    Ok(())
}

fn shard_json(damage: &ShardDamage, identity: &Identity) -> Value {
    let wound_json = |wound: &Wound| {
        json!({
            "from": format!("{:032x}", wound.from), "to": format!("{:032x}", wound.to), "upto": wound.upto.0,
            "keys": wound.keys, "cause": wound.cause.name(), "what": wound.what, "found_at_unix": wound.found_at_unix,
            "vnodes": vnodes_of(wound, damage.shard, identity),
        })
    };
    let wounds: Vec<Value> = damage.wounds.iter().flatten().map(wound_json).collect();
    json!({ "shard": damage.shard, "wounds": wounds, "problem": damage.wounds.as_ref().err() })
}

fn aside_json(path: &Path, bytes: u64) -> Value {
    let said = path.file_name().and_then(|name| name.to_str()).and_then(SetAside::parse);
    let (name, reason, unix_seconds) =
        said.map_or((None, None, None), |said| (Some(said.name), Some(said.reason), Some(said.unix_seconds)));
    json!({
        "path": path.display().to_string(), "bytes": bytes, "name": name, "reason": reason, "unix_seconds": unix_seconds,
    })
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
