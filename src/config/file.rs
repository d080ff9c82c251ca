//! The configuration file as it is written: TOML, every key optional, unknown keys refused.
//!
//! The keys are the flags without their dashes, so that there is one word for each thing. Values keep their place in
//! the file; what they mean and whether they fit together is [`super::resolve`]'s work.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::problem::{Place, Problem, Problems};

/// What the file may say.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigFile {
    /// This node's name, one of `nodes`.
    pub(crate) name: Option<Spanned<String>>,
    /// This node's availability zone.
    pub(crate) rack: Option<Spanned<String>>,
    /// The cluster's name.
    pub(crate) cluster: Option<Spanned<String>>,
    /// The data directory.
    pub(crate) data: Option<Spanned<PathBuf>>,
    /// Where clients connect.
    pub(crate) listen: Option<Spanned<String>>,
    /// Where peers connect.
    pub(crate) peer_listen: Option<Spanned<String>>,
    /// Where HTTP is served.
    pub(crate) admin_listen: Option<Spanned<String>>,
    /// The client address that others are told, if it is not `listen`.
    pub(crate) advertise: Option<Spanned<String>>,
    /// Allows addresses beyond loopback.
    pub(crate) insecure_no_auth: Option<Spanned<bool>>,
    /// Executors.
    pub(crate) shards: Option<Spanned<i64>>,
    /// The cores that they are pinned to.
    pub(crate) cores: Option<Spanned<Vec<i64>>>,
    /// b of the ring.
    pub(crate) vnode_bits: Option<Spanned<i64>>,
    /// Memory for writes not yet in the sorted store, per shard.
    pub(crate) memtable_mib: Option<Spanned<i64>>,
    /// Memory for cached objects, per shard.
    pub(crate) cache_mib: Option<Spanned<i64>>,
    /// Memory of the sorted store's own cache, per shard.
    pub(crate) store_cache_mib: Option<Spanned<i64>>,
    /// Memory of the filter before the sorted store, per shard.
    pub(crate) filter_mib: Option<Spanned<i64>>,
    /// When a store has grown too large for what it holds.
    pub(crate) store_rewrite_ratio: Option<Spanned<i64>>,
    /// And from which size on that matters, per shard.
    pub(crate) store_rewrite_mib: Option<Spanned<i64>>,
    /// `sled` or `lsm`.
    pub(crate) engine: Option<Spanned<String>>,
    /// Room that is to stay free on each shard's file system.
    pub(crate) disk_free_min_mib: Option<Spanned<i64>>,
    /// Client connections, per shard.
    pub(crate) connections_max: Option<Spanned<i64>>,
    /// How long a stopping node waits for requests in flight.
    pub(crate) drain_seconds: Option<Spanned<i64>>,
    /// Hours between two scheduled scrubs.
    pub(crate) scrub_interval_hours: Option<Spanned<i64>>,
    /// How much of the companions' time they take.
    pub(crate) scrub_share_percent: Option<Spanned<i64>>,
    /// The log filter.
    pub(crate) log: Option<Spanned<String>>,
    /// `NAME=PEER_ADDR[@RACK]`, all nodes.
    pub(crate) nodes: Option<Spanned<Vec<Spanned<String>>>>,
    /// Keyspaces beside `default`, or `default` with other rules.
    #[serde(default)]
    pub(crate) keyspace: Vec<Spanned<KeyspaceEntry>>,
}

/// A `[[keyspace]]` table.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KeyspaceEntry {
    /// Its name.
    pub(crate) name: Spanned<String>,
    /// `lww` or `siblings`.
    pub(crate) policy: Option<Spanned<String>>,
    /// N.
    pub(crate) replicas: Option<Spanned<i64>>,
    /// R: `one`, `quorum`, `all` or a number.
    pub(crate) read: Option<Spanned<toml::Value>>,
    /// W: likewise.
    pub(crate) write: Option<Spanned<toml::Value>>,
}

/// A file that was read and parsed, with its text for finding lines.
#[derive(Debug)]
pub(crate) struct LoadedFile {
    /// As it was named.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) text: String,
    /// Its keys.
    pub(crate) config: ConfigFile,
}

impl LoadedFile {
    /// Reads and parses the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<LoadedFile, Problems> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            one(
                Place::Flag("--config"),
                format!("cannot read {}: {error}", path.display()),
                "check the path and that this user may read it; docs/rondo.toml is an example to start from",
            )
        })?;
        LoadedFile::parse(path, text)
    }

    /// Parses `text`, which stands in the file at `path`.
    pub(crate) fn parse(path: &Path, text: String) -> Result<LoadedFile, Problems> {
        match toml::from_str::<ConfigFile>(&text) {
            Ok(config) => Ok(LoadedFile { path: path.to_owned(), text, config }),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let place = Place::in_file(path, &text, offset);
                Err(one(place, error.message(), remedy_for(error.message())))
            }
        }
    }

    /// The place of a value of this file.
    pub(crate) fn place_of<T>(&self, value: &Spanned<T>) -> Place {
        Place::in_file(&self.path, &self.text, value.span().start)
    }
}

fn one(place: Place, what: impl Into<String>, remedy: impl Into<String>) -> Problems {
    Problems(vec![Problem { place, what: what.into(), remedy: remedy.into() }])
}

fn remedy_for(message: &str) -> &'static str {
    if message.starts_with("unknown field") {
        "remove the key or correct its spelling; docs/rondo.toml lists every key"
    } else if message.starts_with("duplicate key") {
        "keep one of the two lines"
    } else if message.starts_with("missing field") {
        "every [[keyspace]] needs a name"
    } else {
        "correct the line; docs/rondo.toml shows every key with its type"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(text: &str) -> Problem {
        let problems = LoadedFile::parse(Path::new("rondo.toml"), text.to_owned()).expect_err("must be refused");
        problems.0.into_iter().next().expect("never empty")
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let problem = problem_of("name = \"a\"\n\nshard = 3\n");
        assert_eq!(problem.place, Place::Line { file: "rondo.toml".into(), line: 3 });
        assert!(problem.what.contains("shard"), "{}", problem.what);
        assert!(problem.remedy.contains("spelling"));
    }

    #[test]
    fn an_unknown_key_inside_a_keyspace_is_refused_too() {
        let problem = problem_of("[[keyspace]]\nname = \"a\"\nreplica = 3\n");
        assert_eq!(problem.place, Place::Line { file: "rondo.toml".into(), line: 3 });
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_line() {
        let problem = problem_of("name = \"a\"\nshards = \"two\"\n");
        assert_eq!(problem.place, Place::Line { file: "rondo.toml".into(), line: 2 });
    }
}
