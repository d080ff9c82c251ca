//! `rondo batch`: one operation a line in, one result a line out, in the same order.
//!
//! Lines are gathered into groups that may be sent at once. A group ends where the order could matter: when reading turns
//! into writing or back, or when a key comes that the group writes already. So a file means the same as its
//! lines one after the other.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};

use indicatif::{ProgressBar, ProgressStyle};
use rondo_client::blocking::Client;
use rondo_client::{Context, Operation, Options, Outcome as Answer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::data::{exit_of, get_json, written_json};
use super::exit::{Exit, Failure, Outcome, exit_of_read, exit_of_write};
use super::target::{Placement, ReadLevel, Target, WriteLevel};
use super::text::{json_bytes, parse_base64, parse_context};
use crate::limits::{BATCH_LINE_BYTES_MAX, BATCH_LINES_AT_ONCE};

/// `rondo batch`.
#[derive(clap::Args, Debug)]
pub(crate) struct BatchArguments {
    /// A file of JSON lines; `-` reads standard input
    file: String,
    #[command(flatten)]
    placement: Placement,
    #[command(flatten)]
    read: ReadLevel,
    #[command(flatten)]
    write: WriteLevel,
    #[command(flatten)]
    target: Target,
}

/// A line as it is written.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Line {
    op: Verb,
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    context: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Get,
    Put,
    Delete,
}

/// Lines that can be sent at once.
#[derive(Default)]
struct Group {
    operations: Vec<Operation>,
    keys: HashSet<Vec<u8>>,
}

/// What a group is sent with.
struct Sender {
    client: Client,
    reads: Options,
    writes: Options,
    worst: Exit,
}

/// Performs the operations of a file.
pub(crate) fn batch(arguments: BatchArguments) -> Outcome {
    let (input, bytes) = open(&arguments.file)?;
    let progress = progress_bar(bytes);
    let mut input = BufReader::new(progress.wrap_read(input));
    let mut sender = Sender {
        client: arguments.target.connect()?,
        reads: arguments.placement.options(&arguments.target, arguments.read.r),
        writes: arguments.placement.options(&arguments.target, arguments.write.w),
        worst: Exit::Done,
    };
    let mut group = Group::default();
    let mut out = std::io::stdout().lock();
    for number in 1_u64.. {
        let Some(text) = read_line(&mut input)? else { break };
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match parse_line(&text) {
            Ok(operation) => {
                if !group.has_room_for(&operation) {
                    sender.send(&mut group, &mut out)?;
                }
                group.add(operation);
            }
            Err(reason) => {
                sender.send(&mut group, &mut out)?;
                sender.worst = sender.worst.max(Exit::BadInput);
                writeln!(out, "{}", json!({ "result": "bad_input", "line": number, "reason": reason }))?;
            }
        }
    }
    sender.send(&mut group, &mut out)?;
    out.flush()?;
    progress.finish_and_clear();
    Ok(sender.worst)
}

impl Group {
    fn has_room_for(&self, operation: &Operation) -> bool {
        let Some(first) = self.operations.first() else { return true };
        self.operations.len() < BATCH_LINES_AT_ONCE
            && is_read(first) == is_read(operation)
            && (is_read(operation) || !self.keys.contains(&operation.key()[..]))
    }

    fn add(&mut self, operation: Operation) {
        self.keys.insert(operation.key().to_vec());
        self.operations.push(operation);
    }
}

impl Sender {
    /// Sends the group, prints an answer for each of its lines, and leaves it empty.
    fn send(&mut self, group: &mut Group, out: &mut impl Write) -> Result<(), Failure> {
        let Group { operations, .. } = std::mem::take(group);
        let Some(first) = operations.first() else { return Ok(()) };
        let options = if is_read(first) { &self.reads } else { &self.writes };
        let answers = self.client.batch(operations.clone(), options);
        for (operation, answer) in operations.iter().zip(answers) {
            let (exit, object) = describe(operation, answer);
            self.worst = self.worst.max(exit);
            writeln!(out, "{}", Value::Object(object))?;
        }
        Ok(())
    }
}

fn is_read(operation: &Operation) -> bool {
    matches!(operation, Operation::Get { .. })
}

fn describe(operation: &Operation, answer: Result<Answer, rondo_client::Error>) -> (Exit, Map<String, Value>) {
    let key = operation.key();
    match answer {
        Ok(Answer::Get(found)) => (exit_of(&found), get_json(key, &found)),
        Ok(Answer::Written(written)) => {
            let result = if matches!(operation, Operation::Delete { .. }) { "deleted" } else { "stored" };
            (Exit::Done, written_json(result, key, &written))
        }
        Err(error) => {
            let exit = if is_read(operation) { exit_of_read(&error) } else { exit_of_write(&error) };
            let result = match exit {
                Exit::Unknown => "unknown",
                Exit::BadInput => "bad_input",
                _ => "refused",
            };
            let mut object = Map::from_iter([("result".to_owned(), json!(result)), json_bytes("key", key)]);
            object.insert("kind".to_owned(), json!(error.kind()));
            object.insert("reason".to_owned(), json!(error.to_string()));
            (exit, object)
        }
    }
}

fn parse_line(text: &[u8]) -> Result<Operation, String> {
    let line: Line = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let key = one_of("key", line.key, line.key_base64)?.ok_or("there is no key")?;
    let value = one_of("value", line.value, line.value_base64)?;
    let context = line.context.as_deref().map(parse_context).transpose()?.unwrap_or_default();
    match (line.op, value) {
        (Verb::Get, None) if context == Context::default() => Ok(Operation::get(key)),
        (Verb::Get, None) => Err("a get takes no context".to_owned()),
        (Verb::Put, Some(value)) => Ok(Operation::put(key, value).seen(context)),
        (Verb::Put, None) => Err("a put needs a value or value_base64".to_owned()),
        (Verb::Delete, None) => Ok(Operation::delete(key).seen(context)),
        (Verb::Get | Verb::Delete, Some(_)) => Err("only a put takes a value".to_owned()),
    }
}

fn one_of(name: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("give {name} or {name}_base64, not both")),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => parse_base64(&base64).map(Some),
        (None, None) => Ok(None),
    }
}

/// The next line without its end, or `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = input.by_ref().take(BATCH_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
    let read = read.map_err(|error| Failure::new(Exit::BadInput, format!("cannot read the input: {error}")))?;
    if read > BATCH_LINE_BYTES_MAX {
        return Err(Failure::new(Exit::BadInput, format!("a line has more than {BATCH_LINE_BYTES_MAX} bytes")));
    }
    Ok((read > 0).then_some(line))
}

/// The input, and its size if that is known.
fn open(name: &str) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if name == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let file = std::fs::File::open(name)
        .map_err(|error| Failure::new(Exit::BadInput, format!("cannot read {name}: {error}")))?;
    let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(file), bytes))
}

/// On a terminal a bar (or a count, if the end is not known), elsewhere nothing.
fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let Some(bytes) = bytes else { return ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_operation() {
        assert_eq!(parse_line(br#"{"op":"get","key":"a"}"#), Ok(Operation::get("a")));
        assert_eq!(parse_line(br#"{"op":"put","key_base64":"/w==","value":"v"}"#), Ok(Operation::put(vec![255], "v")));
        assert_eq!(parse_line(br#"{"op":"delete","key":"a"}"#), Ok(Operation::delete("a")));
    }

    #[test]
    fn a_line_that_is_none_says_why() {
        for line in [
            "",
            "{",
            "[]",
            r#"{"op":"get"}"#,
            r#"{"op":"take","key":"a"}"#,
            r#"{"op":"put","key":"a"}"#,
            r#"{"op":"get","key":"a","value":"v"}"#,
            r#"{"op":"get","key":"a","key_base64":"YQ=="}"#,
            r#"{"op":"get","key":"a","colour":"red"}"#,
            r#"{"op":"put","key":"a","value_base64":"?"}"#,
            r#"{"op":"delete","key":"a","context":"?"}"#,
        ] {
            assert!(parse_line(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_group_ends_where_the_order_matters() {
        let mut group = Group::default();
        group.add(Operation::put("a", "1"));
        assert!(group.has_room_for(&Operation::put("b", "1")));
        assert!(!group.has_room_for(&Operation::put("a", "2")), "the second write of a key must come after the first");
        assert!(!group.has_room_for(&Operation::get("b")), "a read must see the writes before it");
    }
}
