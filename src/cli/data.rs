//! `rondo put`, `get` and `delete`: one key, one answer, one exit code.
//!
//! A value goes to standard output exactly as it was stored, so that it can be piped; all that is said about it goes to
//! standard error, or with `--json` everything goes to standard output as one object.

use std::io::{IsTerminal, Write};

use rondo_client::{Get, Receipt, Written};
use serde_json::{Map, Value, json};

use super::exit::{Exit, Failure, Outcome};
use super::target::{KeyArguments, Placement, ReadLevel, Seen, Target, WriteLevel};
use super::text::{context_text, json_bytes, value_bytes};

/// `rondo put`.
#[derive(clap::Args, Debug)]
pub(crate) struct PutArguments {
    #[command(flatten)]
    key: KeyArguments,
    /// The value, at most 1 MiB; `-` reads standard input, `@FILE` reads a file
    #[arg(allow_negative_numbers = true)]
    value: String,
    #[command(flatten)]
    placement: Placement,
    #[command(flatten)]
    level: WriteLevel,
    #[command(flatten)]
    seen: Seen,
    #[command(flatten)]
    target: Target,
}

/// `rondo get`.
#[derive(clap::Args, Debug)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    placement: Placement,
    #[command(flatten)]
    level: ReadLevel,
    /// Also print the context, to standard error (with several siblings it is always printed)
    #[arg(long)]
    print_context: bool,
    #[command(flatten)]
    target: Target,
}

/// `rondo delete`.
#[derive(clap::Args, Debug)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    placement: Placement,
    #[command(flatten)]
    level: WriteLevel,
    #[command(flatten)]
    seen: Seen,
    #[command(flatten)]
    target: Target,
}

/// Stores a value.
pub(crate) fn put(arguments: PutArguments) -> Outcome {
    let key = arguments.key.bytes()?;
    let value = value_bytes(&arguments.value)?;
    let options = arguments.placement.options(&arguments.target, arguments.level.w);
    let options = options.context(arguments.seen.context.unwrap_or_default());
    let written = arguments.target.connect()?.put(&key, value, &options);
    let written = written.map_err(|error| Failure::of_write(&error))?;
    show_written("stored", &key, &written, arguments.target.json)
}

/// Deletes a key.
pub(crate) fn delete(arguments: DeleteArguments) -> Outcome {
    let key = arguments.key.bytes()?;
    let options = arguments.placement.options(&arguments.target, arguments.level.w);
    let options = options.context(arguments.seen.context.unwrap_or_default());
    let written = arguments.target.connect()?.delete(&key, &options);
    let written = written.map_err(|error| Failure::of_write(&error))?;
    show_written("deleted", &key, &written, arguments.target.json)
}

/// Reads a key.
pub(crate) fn get(arguments: GetArguments) -> Outcome {
    let key = arguments.key.bytes()?;
    let options = arguments.placement.options(&arguments.target, arguments.level.r);
    let found = arguments.target.connect()?.get(&key, &options);
    let found = found.map_err(|error| Failure::of_read(&error))?;
    if arguments.target.json {
        return show_json(get_json(&key, &found), exit_of(&found));
    }
    match found.values.as_slice() {
        [] => eprint_line("not found"),
        [value] => write_value(value)?,
        siblings => write_siblings(siblings)?,
    }
    if found.values.len() > 1 {
        eprint_line("concurrent writes left several values: merge them, and put the result with this context");
    }
    if arguments.print_context || found.values.len() > 1 {
        eprint_line(&format!("context: {}", context_text(&found.context)));
    }
    Ok(exit_of(&found))
}

/// The ending of a get that went well.
pub(crate) fn exit_of(found: &Get) -> Exit {
    if found.is_found() { Exit::Done } else { Exit::NotFound }
}

/// What a get found, for JSON output.
pub(crate) fn get_json(key: &[u8], found: &Get) -> Map<String, Value> {
    let mut object = result_json(if found.is_found() { "found" } else { "not_found" }, key);
    let one = |value: &bytes::Bytes| Value::Object(Map::from_iter([json_bytes("value", value)]));
    object.insert("values".to_owned(), found.values.iter().map(one).collect());
    object.insert("context".to_owned(), json!(context_text(&found.context)));
    object.insert("receipt".to_owned(), receipt_json(&found.receipt));
    object
}

/// What a write did, for JSON output.
pub(crate) fn written_json(result: &str, key: &[u8], written: &Written) -> Map<String, Value> {
    let mut object = result_json(result, key);
    object.insert("context".to_owned(), json!(context_text(&written.context)));
    object.insert("versions".to_owned(), json!(written.versions));
    object.insert("receipt".to_owned(), receipt_json(&written.receipt));
    object
}

fn result_json(result: &str, key: &[u8]) -> Map<String, Value> {
    Map::from_iter([("result".to_owned(), json!(result)), json_bytes("key", key)])
}

fn receipt_json(receipt: &Receipt) -> Value {
    json!({
        "epoch": receipt.epoch,
        "coordinator": receipt.coordinator.to_string(),
        "replicas": receipt.replicas,
        "required": receipt.required,
        "answered": receipt.answered,
        "strict": receipt.strict,
    })
}

fn show_written(result: &str, key: &[u8], written: &Written, is_json: bool) -> Outcome {
    if is_json {
        return show_json(written_json(result, key, written), Exit::Done);
    }
    // A pipeline wants silence; a person wants to see that something happened, and what to go on with.
    if std::io::stderr().is_terminal() {
        let receipt = &written.receipt;
        eprint_line(&format!("{result} on {} of {} replicas", receipt.answered, receipt.replicas));
        match written.versions {
            0 | 1 => eprint_line(&format!("context: {}", context_text(&written.context))),
            siblings => eprint_line(&format!("the key has {siblings} siblings now: get it to see and merge them")),
        }
    }
    Ok(Exit::Done)
}

fn show_json(object: Map<String, Value>, exit: Exit) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", Value::Object(object))?;
    out.flush()?;
    Ok(exit)
}

fn write_value(value: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(value)?;
    // The prompt of a terminal should not stand behind the value; a pipe gets the value and nothing else.
    if std::io::stdout().is_terminal() && !value.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn write_siblings(siblings: &[bytes::Bytes]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (index, value) in siblings.iter().enumerate() {
        writeln!(out, "--- sibling {} of {}, {} bytes", index + 1, siblings.len(), value.len())?;
        out.write_all(value)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// A line to standard error; that nobody reads it is no reason to fail.
pub(crate) fn eprint_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
