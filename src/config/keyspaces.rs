//! The keyspaces of a configuration: `default` always exists, the others come from `[[keyspace]]` tables.

use rondo_protocol::limits::{KEYSPACE_NAME_BYTES_MAX, REPLICAS_MAX};
use rondo_protocol::view::{ConflictPolicy, Keyspace};
use rondo_protocol::wire::request::Level;
use toml::{Spanned, Value};

use super::file::{KeyspaceEntry, LoadedFile};
use super::problem::Problems;

/// The keyspace that exists without being declared.
pub(crate) const DEFAULT_KEYSPACE: &str = "default";
/// N of a keyspace that does not say, while the cluster has so many nodes.
const REPLICAS_DEFAULT: usize = 3;

/// All keyspaces of a cluster of `nodes` nodes, sorted by name.
pub(crate) fn resolve_keyspaces(file: Option<&LoadedFile>, nodes: usize, problems: &mut Problems) -> Vec<Keyspace> {
    let mut keyspaces: Vec<Keyspace> = Vec::new();
    for entry in file.iter().flat_map(|file| file.config.keyspace.iter().map(move |entry| (*file, entry))) {
        let (file, entry) = (entry.0, entry.1.get_ref());
        let keyspace = resolve_one(file, entry, nodes, problems);
        if keyspaces.iter().any(|known| known.name == keyspace.name) {
            let what = format!("the keyspace {:?} is declared twice", keyspace.name);
            problems.add(&file.place_of(&entry.name), what, "keep one of the two, or rename one");
            continue;
        }
        keyspaces.push(keyspace);
    }
    if !keyspaces.iter().any(|known| known.name == DEFAULT_KEYSPACE) {
        keyspaces.push(with_defaults(DEFAULT_KEYSPACE, nodes));
    }
    keyspaces.sort_by(|a, b| a.name.cmp(&b.name));
    keyspaces
}

fn with_defaults(name: &str, nodes: usize) -> Keyspace {
    Keyspace {
        name: name.to_owned(),
        replicas: nodes.clamp(1, REPLICAS_DEFAULT) as u8,
        read: Level::Quorum,
        write: Level::Quorum,
        policy: ConflictPolicy::Lww,
    }
}

fn resolve_one(file: &LoadedFile, entry: &KeyspaceEntry, nodes: usize, problems: &mut Problems) -> Keyspace {
    let mut keyspace = with_defaults(entry.name.get_ref(), nodes);
    let place = file.place_of(&entry.name);
    if !is_keyspace_name(&keyspace.name) {
        let what = format!("the keyspace name {:?} is not allowed", keyspace.name);
        let remedy = format!("use 1 to {KEYSPACE_NAME_BYTES_MAX} lower-case letters, digits, dashes and underscores");
        problems.add(&place, what, remedy);
    }
    if let Some(policy) = &entry.policy {
        match policy.get_ref().as_str() {
            "lww" => keyspace.policy = ConflictPolicy::Lww,
            "siblings" => keyspace.policy = ConflictPolicy::Siblings,
            other => {
                let what = format!("there is no conflict policy {other:?}");
                problems.add(&file.place_of(policy), what, "choose \"lww\" or \"siblings\"");
            }
        }
    }
    if let Some(replicas) = &entry.replicas {
        let max = nodes.min(REPLICAS_MAX);
        match usize::try_from(*replicas.get_ref()) {
            Ok(count) if 1 <= count && count <= max => keyspace.replicas = count as u8,
            _ => {
                let what = format!("replicas is {}, and the cluster has {nodes} nodes", replicas.get_ref());
                problems.add(&file.place_of(replicas), what, format!("choose 1 to {max}, or add nodes"));
            }
        }
    }
    keyspace.read = resolve_level(file, entry.read.as_ref(), "read", keyspace.replicas, problems);
    keyspace.write = resolve_level(file, entry.write.as_ref(), "write", keyspace.replicas, problems);
    keyspace
}

fn resolve_level(
    file: &LoadedFile,
    said: Option<&Spanned<Value>>,
    what: &str,
    replicas: u8,
    problems: &mut Problems,
) -> Level {
    let Some(said) = said else { return Level::Quorum };
    let level = match said.get_ref() {
        Value::String(word) => parse_level(word),
        Value::Integer(count) => u8::try_from(*count).ok().filter(|&count| count >= 1).map(Level::Count),
        Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    };
    match level {
        Some(Level::Count(count)) if count > replicas => {
            let found = format!("{what} waits for {count} replicas, and the keyspace has {replicas}");
            problems.add(&file.place_of(said), found, format!("choose 1 to {replicas}, or raise replicas"));
            Level::Quorum
        }
        Some(level) => level,
        None => {
            let found = format!("{what} is {}, which is no level", said.get_ref());
            problems.add(&file.place_of(said), found, "choose \"one\", \"quorum\", \"all\" or a number from 1");
            Level::Quorum
        }
    }
}

/// `one`, `quorum`, `all` or a number from 1, in any case.
pub(crate) fn parse_level(word: &str) -> Option<Level> {
    match word.to_ascii_lowercase().as_str() {
        "one" => Some(Level::One),
        "quorum" => Some(Level::Quorum),
        "all" => Some(Level::All),
        number => number.parse::<u8>().ok().filter(|&count| count >= 1).map(Level::Count),
    }
}

/// The word of a level, as [`parse_level`] reads it.
pub(crate) fn level_word(level: Level) -> String {
    match level {
        Level::Default => "default".to_owned(),
        Level::One => "one".to_owned(),
        Level::Quorum => "quorum".to_owned(),
        Level::All => "all".to_owned(),
        Level::Count(count) => count.to_string(),
    }
}

/// The word of a policy.
pub(crate) fn policy_word(policy: ConflictPolicy) -> &'static str {
    match policy {
        ConflictPolicy::Lww => "lww",
        ConflictPolicy::Siblings => "siblings",
    }
}

fn is_keyspace_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    !name.is_empty() && name.len() <= KEYSPACE_NAME_BYTES_MAX && name.bytes().all(allowed)
}
