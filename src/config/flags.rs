//! The flags of `rondo serve`: the same words as the keys of the file, and they win over it.

use std::path::PathBuf;

/// What the command line may say. Everything left out comes from the file, and then from the defaults.
#[derive(clap::Args, Debug, Default, Clone)]
pub(crate) struct ServeFlags {
    /// Read settings from this TOML file (docs/rondo.toml shows every key); flags win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Keep data in this directory; it is created if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Take clients here [default: 127.0.0.1:7600]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Take other nodes here [default: this node's entry in --nodes, or 127.0.0.1:7601]
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer_listen: Option<String>,
    /// Serve /metrics, /health, /status and /ring here [default: 127.0.0.1:7602]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<String>,
    /// Tell clients to come here, if --listen is not what they can reach
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise: Option<String>,
    /// All nodes of the cluster, this one too, the same list on each [default: this node alone]
    #[arg(long, value_name = "NAME=PEER_ADDR[@RACK],…", value_delimiter = ',')]
    pub(crate) nodes: Option<Vec<String>>,
    /// This node's name, one of those in --nodes [default: n1]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// This node's availability zone [default: as in --nodes, or "default"]
    #[arg(long, value_name = "RACK")]
    pub(crate) rack: Option<String>,
    /// The cluster's name; nodes of another one are refused [default: rondo]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Executors, one a core [default: as many as the cores this process may use]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) shards: Option<i64>,
    /// The cores to pin the shards to [default: the first ones this process may use]
    #[arg(long, value_name = "CORE,…", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) cores: Option<Vec<i64>>,
    /// Where objects are kept: sled or lsm [default: sled]
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
    /// How long a stopping node waits for requests in flight, in seconds [default: 20]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) drain_seconds: Option<i64>,
    /// Log filter: error, warn, info, debug, or per module such as info,rondo_shards=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "RONDO_LOG")]
    pub(crate) log: Option<String>,
    /// Allow listening beyond loopback although nothing authenticates or encrypts yet
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,
    /// Print the settings that would be in force, as TOML, and end
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Stop when the process of this id ends, which must be the parent
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) stop_with_parent: Option<u32>,
}
