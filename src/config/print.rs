//! The settings in force, as the TOML file that would give them.

use std::fmt::Write;

use toml::Value;

use super::Settings;
use super::keyspaces::{level_word, policy_word};
use rondo_protocol::wire::request::Level;

impl Settings {
    /// All settings, defaults too, in the form of the configuration file.
    pub(crate) fn to_toml(&self) -> String {
        let mut out = String::new();
        let node = &self.node;
        let mut line = |key: &str, value: Value| {
            writeln!(out, "{key} = {value}").expect("a String takes all that is written");
        };
        let text = |text: &dyn ToString| Value::String(text.to_string());
        let count = |count: usize| Value::Integer(count as i64);
        line("cluster", text(&node.cluster));
        line("name", text(&node.name));
        line("rack", text(&node.rack));
        line("data", text(&node.data.display()));
        line("listen", text(&node.listen));
        line("peer-listen", text(&node.peer_listen));
        line("admin-listen", text(&self.admin_listen));
        if let Some(advertise) = &node.advertise {
            line("advertise", text(advertise));
        }
        line("insecure-no-auth", Value::Boolean(self.insecure_no_auth));
        line("shards", count(usize::from(node.shards.get())));
        line("cores", Value::Array(node.cores.iter().map(|&core| count(core)).collect()));
        line("vnode-bits", count(usize::from(node.vnode_bits.get())));
        line("memtable-mib", count(node.memtable_bytes >> 20));
        line("cache-mib", count(node.cache_bytes >> 20));
        line("store-cache-mib", count(node.store_cache_bytes >> 20));
        line("filter-mib", count(node.filter_bytes >> 20));
        line("store-rewrite-ratio", count(node.store_rewrite.ratio as usize));
        line("store-rewrite-mib", count((node.store_rewrite.bytes_min >> 20) as usize));
        line("engine", text(&node.engine));
        line("disk-free-min-mib", Value::Integer((node.disk_free_min_bytes >> 20) as i64));
        line("connections-max", count(node.connections_max));
        line("drain-seconds", count(self.drain_limit.as_secs() as usize));
        line("scrub-interval-hours", count((self.scrub.interval.as_secs() / 3600) as usize));
        line("scrub-share-percent", count(usize::from(self.scrub.share_percent)));
        line("log", text(&self.log));
        let member =
            |entry: &rondo_shards::NodeEntry| text(&format!("{}={}@{}", entry.name, entry.peer_addr, entry.rack));
        line("nodes", Value::Array(node.nodes.iter().map(member).collect()));
        for keyspace in &node.keyspaces {
            let level = |level: Level| match level {
                Level::Count(count) => Value::Integer(i64::from(count)),
                Level::Default | Level::One | Level::Quorum | Level::All => Value::String(level_word(level)),
            };
            let mut line = |key: &str, value: Value| {
                writeln!(out, "{key} = {value}").expect("a String takes all that is written");
            };
            line("\n[[keyspace]]\nname", text(&keyspace.name));
            line("policy", text(&policy_word(keyspace.policy)));
            line("replicas", count(usize::from(keyspace.replicas)));
            line("read", level(keyspace.read));
            line("write", level(keyspace.write));
        }
        out
    }
}
