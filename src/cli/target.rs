//! Whom a command talks to, and how long it waits.

use std::time::Duration;

use rondo_client::blocking::Client;
use rondo_client::{Context, Level, Options};

use super::exit::Failure;
use super::text::{key_bytes, parse_context, parse_duration, parse_level};

/// The flags of every command that talks to a cluster.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Target {
    /// Nodes to begin with, HOST:PORT; the first that answers tells of the others
    #[arg(long, value_name = "ADDR,…", env = "RONDO_ADDR", value_delimiter = ',', default_value = "127.0.0.1:7600")]
    pub(crate) addr: Vec<String>,
    /// How long to wait, all retries counted: 500ms, 2s, 1m (at most 60 s)
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    pub(crate) timeout: Duration,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of every command on one key.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct KeyArguments {
    /// The key, 1 B to 4 KiB
    pub(crate) key: String,
    /// The key is given as hexadecimal digits
    #[arg(long)]
    pub(crate) key_hex: bool,
}

/// The flags that choose the keyspace and how many replicas keep the key.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Placement {
    /// The keyspace
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) keyspace: String,
    /// N for this request [default: the keyspace's]
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub(crate) n: u8,
}

/// W.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct WriteLevel {
    /// Durable copies to wait for: one, quorum, all or a number [default: the keyspace's]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) w: Option<Level>,
}

/// R.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct ReadLevel {
    /// Answers to wait for: one, quorum, all or a number [default: the keyspace's]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) r: Option<Level>,
}

/// What a write has seen.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Seen {
    /// The context that an earlier get or put of this key printed: exactly what it saw is replaced
    #[arg(long, value_name = "TEXT", value_parser = parse_context)]
    pub(crate) context: Option<Context>,
}

impl Target {
    /// Connects to the first address that answers.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Client::connect(&self.addr).map_err(|error| Failure::of_read(&error))
    }
}

impl KeyArguments {
    /// The key's bytes.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        key_bytes(&self.key, self.key_hex)
    }
}

impl Placement {
    /// The options of a request.
    pub(crate) fn options(&self, target: &Target, level: Option<Level>) -> Options {
        Options::new()
            .keyspace(&self.keyspace)
            .replicas(self.n)
            .level(level.unwrap_or_default())
            .timeout(target.timeout)
    }
}
