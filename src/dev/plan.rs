//! Which nodes `rondo dev` starts: names, ports, directories, cores.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::DevArguments;
use crate::cli::exit::{Exit, Failure};

/// The whole cluster.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where everything is kept.
    pub(super) directory: PathBuf,
    /// This executable.
    pub(super) program: PathBuf,
    /// Its nodes.
    pub(super) nodes: Vec<PlannedNode>,
    shards: u16,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct PlannedNode {
    pub(super) name: String,
    pub(super) rack: String,
    pub(super) client: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) data: PathBuf,
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
    pub(super) program: PathBuf,
    cores: Vec<usize>,
}

/// Between the first ports of two nodes.
const PORTS_APART: u16 = 10;
/// Bytes of a log that are shown when its node did not come up.
const LOG_TAIL_BYTES: usize = 2000;

impl Plan {
    /// Lays the nodes out over `usable` cores.
    pub(super) fn new(arguments: &DevArguments, usable: &[usize]) -> Result<Plan, Failure> {
        let bad = |message: String| Failure::new(Exit::BadInput, message);
        let shards = arguments.shards;
        if usize::from(shards) > usable.len() {
            return Err(bad(format!(
                "--shards {shards}: this process may use {} cores; ask for at most as many",
                usable.len()
            )));
        }
        let last_port = u32::from(arguments.base_port) + u32::from(arguments.nodes - 1) * u32::from(PORTS_APART) + 2;
        if last_port > u32::from(u16::MAX) {
            return Err(bad(format!(
                "--base-port {}: the last node would need port {last_port}; choose a lower one",
                arguments.base_port
            )));
        }
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot find this executable: {error}")))?;
        let directory = std::path::absolute(&arguments.data).unwrap_or_else(|_| arguments.data.clone());
        let nodes = (0..arguments.nodes)
            .map(|index| {
                let name = format!("n{}", index + 1);
                let port = arguments.base_port + index * PORTS_APART;
                let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let core =
                    |shard: u16| usable[(usize::from(index) * usize::from(shards) + usize::from(shard)) % usable.len()];
                PlannedNode {
                    rack: format!("r{}", index + 1),
                    client: address(port),
                    peer: address(port + 1),
                    admin: address(port + 2),
                    data: directory.join(&name),
                    config: directory.join(format!("{name}.toml")),
                    log: directory.join(format!("{name}.log")),
                    program: program.clone(),
                    cores: (0..shards).map(core).collect(),
                    name,
                }
            })
            .collect();
        Ok(Plan { directory, program, nodes, shards })
    }

    /// Refuses a directory that was made for another number of nodes: its keys would be sought in the wrong places.
    pub(super) fn check_directory(&self) -> Result<(), Failure> {
        let is_there = |number: &usize| self.directory.join(format!("n{number}")).is_dir();
        let found = (1..=usize::from(crate::limits::DEV_NODES_MAX)).filter(is_there).count();
        if found == 0 || found == self.nodes.len() {
            return Ok(());
        }
        let directory = self.directory.display();
        let message = format!(
            "{directory} holds a cluster of {found} nodes; say --nodes {found}, choose another --data, or remove it"
        );
        Err(Failure::new(Exit::BadInput, message))
    }

    /// Creates the directories and writes the configuration files.
    pub(super) fn write(&self) -> Result<(), Failure> {
        for node in &self.nodes {
            let written =
                std::fs::create_dir_all(&node.data).and_then(|()| std::fs::write(&node.config, self.config_of(node)));
            written.map_err(|error| {
                Failure::new(Exit::Config, format!("cannot write {}: {error}", node.config.display()))
            })?;
        }
        Ok(())
    }

    fn config_of(&self, node: &PlannedNode) -> String {
        let text = |text: &dyn ToString| toml::Value::String(text.to_string());
        let mut out = String::from("# Written by `rondo dev`, and written anew when it starts again.\n");
        let mut line =
            |key: &str, value: String| writeln!(out, "{key} = {value}").expect("a String takes all that is written");
        line("cluster", text(&"dev").to_string());
        line("name", text(&node.name).to_string());
        line("data", text(&node.data.display()).to_string());
        line("listen", text(&node.client).to_string());
        line("peer-listen", text(&node.peer).to_string());
        line("admin-listen", text(&node.admin).to_string());
        line("shards", self.shards.to_string());
        line("cores", format!("{:?}", node.cores));
        let member = |node: &PlannedNode| format!("{}={}@{}", node.name, node.peer, node.rack);
        line("nodes", format!("{:?}", self.nodes.iter().map(member).collect::<Vec<_>>()));
        out.push_str("\n[[keyspace]]\nname = \"carts\"\npolicy = \"siblings\"\n");
        out
    }
}

impl PlannedNode {
    /// What to type to start it by hand.
    pub(super) fn restart_command(&self) -> String {
        let word = |path: &Path| shell_word(&path.display().to_string());
        format!("{} serve --config {}", word(&self.program), word(&self.config))
    }

    /// The end of its log.
    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_TAIL_BYTES));
        log[start..].trim_end().to_owned()
    }
}

/// `text` as one word of a shell command.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadedFile, ServeFlags, resolve};

    fn plan(nodes: u16, shards: u16, base_port: u16) -> Result<Plan, Failure> {
        let data = PathBuf::from("/nowhere/rondo dev");
        Plan::new(&DevArguments { nodes, shards, data, base_port }, &[0, 1])
    }

    #[test]
    fn node_i_has_the_default_ports_plus_ten_i() {
        let plan = plan(3, 1, 7600).expect("fits");
        let ports: Vec<u16> =
            plan.nodes.iter().flat_map(|node| [node.client.port(), node.peer.port(), node.admin.port()]).collect();
        assert_eq!(ports, [7600, 7601, 7602, 7610, 7611, 7612, 7620, 7621, 7622]);
        assert_eq!(plan.nodes[2].rack, "r3");
    }

    #[test]
    fn a_node_takes_the_configuration_that_is_written_for_it() {
        let plan = plan(3, 2, 7600).expect("fits");
        let file = LoadedFile::parse(&plan.nodes[1].config, plan.config_of(&plan.nodes[1])).expect("is TOML");
        let machine = resolve::Machine { cores: vec![0, 1], memory: None };
        let settings = resolve::resolve(&ServeFlags::default(), Some(&file), &machine).expect("is valid");
        assert_eq!(settings.node.name, "n2");
        assert_eq!(settings.node.listen, plan.nodes[1].client);
        assert_eq!(settings.node.nodes.len(), 3);
        assert_eq!(settings.node.keyspaces.len(), 2);
    }

    #[test]
    fn what_does_not_fit_the_machine_is_refused() {
        assert!(plan(3, 3, 7600).is_err(), "more shards than cores");
        assert!(plan(16, 1, 65_500).is_err(), "ports beyond the last");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(shell_word("/tmp/a"), "/tmp/a");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
