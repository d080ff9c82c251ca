//! `rondo backup`: make, list and verify backups of a node.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use comfy_table::Table;
use indicatif::HumanBytes;
use rondo_storage::backup::{BackupError, BackupManifest, Listed, Repository, Verified, verify_backup};
use serde_json::{Value, json};

use super::data::eprint_line;
use super::exit::{Exit, Failure, Outcome};
use super::jobs::{self, EndedJob, bar_of};
use super::restore::{self, RestoreArguments};

const CREATE_HELP: &str = "Examples:
  rondo backup create --admin 127.0.0.1:7602 --to /backup/rondo
  rondo backup create --to /backup/rondo --full --keyspace carts

The node writes it, so DIR is a path on the node's machine. Everything acknowledged before the command is in it. It is an
increment of the node's newest backup there, if it can be one; otherwise it is full, and says why.";

const VERIFY_HELP: &str = "Examples:
  rondo backup verify /backup/rondo
  rondo backup verify /backup/rondo 20261125T195117.123Z-n1";

/// `rondo backup …`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum BackupCommand {
    /// Make a backup of a running node
    #[command(after_help = CREATE_HELP)]
    Create(CreateArguments),
    /// List the backups in a directory
    List(ListArguments),
    /// Check every byte of the backups in a directory, or of one and its parents
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArguments),
    /// Put a backup back: through the ring of a running cluster, or as a node's data directory
    #[command(after_help = restore::HELP)]
    Restore(RestoreArguments),
}

/// `rondo backup create`.
#[derive(clap::Args, Debug)]
pub(crate) struct CreateArguments {
    /// The admin port of the node
    #[arg(long, value_name = "ADDR", env = "RONDO_ADMIN", default_value = "127.0.0.1:7602")]
    admin: SocketAddr,
    /// The directory of backups, on the node's machine; created if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only this keyspace [default: all]
    #[arg(long, value_name = "NAME")]
    keyspace: Option<String>,
    /// The backup that it is to be an increment of [default: the newest that fits]
    #[arg(long, value_name = "ID", conflicts_with = "full")]
    parent: Option<String>,
    /// A full one in any case
    #[arg(long)]
    full: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// `rondo backup list`.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArguments {
    /// The directory of backups
    dir: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// `rondo backup verify`.
#[derive(clap::Args, Debug)]
pub(crate) struct VerifyArguments {
    /// The directory of backups
    dir: PathBuf,
    /// The backup [default: all of them]
    id: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Does what the command says.
pub(crate) fn run(command: BackupCommand) -> Outcome {
    match command {
        BackupCommand::Create(arguments) => create(&arguments),
        BackupCommand::List(arguments) => list(&arguments),
        BackupCommand::Verify(arguments) => verify(&arguments),
        BackupCommand::Restore(arguments) => restore::restore(&arguments),
    }
}

fn create(arguments: &CreateArguments) -> Outcome {
    let to = std::path::absolute(&arguments.to)
        .map_err(|error| Failure::new(Exit::BadInput, format!("{}: {error}", arguments.to.display())))?;
    let order = json!({
        "to": to, "keyspace": arguments.keyspace, "parent": arguments.parent, "full": arguments.full,
    });
    let EndedJob { exit, message, result } = jobs::perform(arguments.admin, "/admin/backup", &order)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json!({ "whole": exit == Exit::Done, "message": message, "result": result }))?;
        return Ok(exit);
    }
    if result.is_null() {
        return Err(Failure::new(exit, message));
    }
    let text = |field: &str| result[field].as_str().unwrap_or_default().to_owned();
    let bytes = HumanBytes(result["bytes"].as_u64().unwrap_or_default());
    let kind =
        if result["parent"].is_null() { "full".to_owned() } else { format!("an increment of {}", text("parent")) };
    writeln!(out, "{}: {} records, {bytes}, {kind}", text("backup"), result["records"])?;
    if !result["full_because"].is_null() {
        writeln!(out, "It is a full one because it could not go on from {}", text("full_because"))?;
    }
    for loss in result["losses"].as_array().into_iter().flatten() {
        writeln!(out, "  not in it: {}", loss.as_str().unwrap_or_default())?;
    }
    out.flush()?;
    if !message.is_empty() {
        eprint_line(&format!("rondo: {message}"));
    }
    Ok(exit)
}

fn list(arguments: &ListArguments) -> Outcome {
    let repository = Repository::open(&arguments.dir).map_err(|error| unusable(&error))?;
    let listing = repository.list().map_err(|error| unusable(&error))?;
    let is_sound = listing.backups.iter().all(|backup| backup.manifest.is_ok());
    let exit = if is_sound { Exit::Done } else { Exit::Damaged };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let backups: Vec<Value> = listing.backups.iter().map(listed_json).collect();
        let cluster = format!("{:032x}", repository.cluster_id());
        let (partial, foreign) = (listing.partial, listing.foreign);
        writeln!(out, "{}", json!({ "cluster": cluster, "backups": backups, "partial": partial, "foreign": foreign }))?;
        return Ok(exit);
    }
    let mut table = Table::new();
    table.set_header(["backup", "of", "kind", "keyspace", "records", "size", "complete"]);
    for backup in &listing.backups {
        match &backup.manifest {
            Ok(manifest) => table.add_row(row_of(manifest)),
            Err(error) => table.add_row([backup.id.clone(), error.to_string()]),
        };
    }
    writeln!(out, "{table}")?;
    for partial in &listing.partial {
        writeln!(out, "{partial}: being made, or left unfinished (the node's next backup removes it)")?;
    }
    for foreign in &listing.foreign {
        writeln!(out, "{foreign}: no backup; rondo did not put it there")?;
    }
    out.flush()?;
    Ok(exit)
}

fn row_of(manifest: &BackupManifest) -> [String; 7] {
    let kind = manifest.parent.as_ref().map_or_else(|| "full".to_owned(), |parent| format!("after {parent}"));
    [
        manifest.id.clone(),
        manifest.node.clone(),
        kind,
        manifest.keyspace.clone().unwrap_or_else(|| "all".to_owned()),
        manifest.records().to_string(),
        HumanBytes(manifest.bytes()).to_string(),
        if manifest.losses().is_empty() { "yes" } else { "no: objects were unreadable" }.to_owned(),
    ]
}

fn listed_json(backup: &Listed) -> Value {
    match &backup.manifest {
        Ok(manifest) => json!({
            "id": backup.id, "node": manifest.node, "parent": manifest.parent, "keyspace": manifest.keyspace,
            "created_unix": manifest.created_unix, "incarnation": manifest.incarnation, "records": manifest.records(),
            "bytes": manifest.bytes(), "losses": manifest.losses(),
        }),
        Err(error) => json!({ "id": backup.id, "error": error.to_string() }),
    }
}

fn verify(arguments: &VerifyArguments) -> Outcome {
    let repository = Repository::open(&arguments.dir).map_err(|error| unusable(&error))?;
    let ids = ids_to_verify(&repository, arguments.id.as_deref())?;
    let size = |id: &String| repository.manifest(id).map_or(0, |manifest| manifest.bytes());
    let bar = bar_of(ids.iter().map(size).sum(), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
    let verified: Vec<Verified> =
        ids.iter().map(|id| verify_backup(&repository, id, &mut |bytes| bar.inc(bytes))).collect();
    bar.finish_and_clear();
    let is_sound = verified.iter().all(Verified::is_sound);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let json = |one: &Verified| {
            json!({
                "id": one.id, "sound": one.is_sound(), "bytes": one.bytes, "records": one.records,
                "problems": one.problems, "losses": one.losses,
            })
        };
        writeln!(out, "{}", json!({ "sound": is_sound, "backups": verified.iter().map(json).collect::<Vec<_>>() }))?;
    } else {
        for one in &verified {
            let verdict = if one.is_sound() { "as it was written" } else { "DAMAGED" };
            writeln!(out, "{}: {verdict}; {} records, {}", one.id, one.records, HumanBytes(one.bytes))?;
            one.problems.iter().try_for_each(|problem| writeln!(out, "  {problem}"))?;
            one.losses.iter().try_for_each(|loss| writeln!(out, "  not in it since it was made: {loss}"))?;
        }
        if verified.is_empty() {
            writeln!(out, "no backups")?;
        }
    }
    out.flush()?;
    Ok(if is_sound { Exit::Done } else { Exit::Damaged })
}

/// All backups, or one with its parents.
fn ids_to_verify(repository: &Repository, id: Option<&str>) -> Result<Vec<String>, Failure> {
    let Some(id) = id else {
        let listing = repository.list().map_err(|error| unusable(&error))?;
        return Ok(listing.backups.into_iter().map(|backup| backup.id).collect());
    };
    let mut ids = vec![id.to_owned()];
    while let Some(last) = ids.last()
        && let Ok(BackupManifest { parent: Some(parent), .. }) = repository.manifest(last)
        && !ids.contains(&parent)
        && repository.backup_path(&parent).exists()
    {
        ids.push(parent);
    }
    Ok(ids)
}

/// The ending of a command whose backups cannot be used.
pub(super) fn unusable(error: &BackupError) -> Failure {
    let exit = match error {
        BackupError::Damaged { .. } => Exit::Damaged,
        BackupError::Io { .. }
        | BackupError::NotOurs { .. }
        | BackupError::NoSuchBackup { .. }
        | BackupError::OtherCluster { .. }
        | BackupError::NewerFormat { .. }
        | BackupError::Chain { .. }
        | BackupError::NotEmpty { .. } => Exit::BadInput,
        BackupError::Cut | BackupError::Store { .. } => Exit::Failed,
    };
    Failure::new(exit, error)
}
