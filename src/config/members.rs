//! Who is in the cluster, and which of them this node is.

use std::net::SocketAddr;

use super::checks::add_entry;
use super::nodes::{NodeEntry, RACK_DEFAULT, check_name};
use super::problem::{Place, Problems};
use super::resolve::Sources;
use super::sourced::Sourced;
use crate::limits::NODES_MAX;

impl Sources<'_> {
    /// This node's name.
    pub(super) fn name(&self, problems: &mut Problems) -> Sourced<String> {
        let name = Sourced::pick("--name", self.flags.name.as_ref(), self.file, |file| file.config.name.as_ref());
        let name = name.unwrap_or(Sourced { value: "n1".to_owned(), place: Place::Absent("name") });
        if let Err((what, remedy)) = check_name("node name", &name.value) {
            problems.add(&name.place, what, remedy);
        }
        name
    }

    /// The list of nodes, with the place where it was said.
    pub(super) fn nodes(&self, problems: &mut Problems) -> Sourced<Vec<NodeEntry>> {
        let mut said: Vec<(Place, &str)> = Vec::new();
        let mut place = Place::Absent("nodes");
        if let Some(nodes) = &self.flags.nodes {
            place = Place::Flag("--nodes");
            said.extend(nodes.iter().map(|entry| (Place::Flag("--nodes"), entry.as_str())));
        } else if let Some((file, nodes)) = self.file.and_then(|file| Some((file, file.config.nodes.as_ref()?))) {
            place = file.place_of(nodes);
            said.extend(nodes.get_ref().iter().map(|entry| (file.place_of(entry), entry.get_ref().as_str())));
            if said.is_empty() {
                problems.add(
                    &place,
                    "the list of nodes is empty",
                    "name all nodes, or leave the key out for a single node",
                );
            }
        }
        let mut value: Vec<NodeEntry> = Vec::new();
        for (place, entry) in &said {
            match NodeEntry::parse(entry) {
                Ok(entry) => add_entry(&mut value, entry, place, problems),
                Err((what, remedy)) => problems.add(place, what, remedy),
            }
        }
        if value.len() > NODES_MAX {
            problems.add(&place, format!("{} nodes are too many", value.len()), format!("name at most {NODES_MAX}"));
        }
        Sourced { value, place }
    }

    /// This node's rack, which its entry in the list must not contradict.
    pub(super) fn rack(&self, own: Option<&NodeEntry>, problems: &mut Problems) -> String {
        let said = Sourced::pick("--rack", self.flags.rack.as_ref(), self.file, |file| file.config.rack.as_ref());
        let listed = own.and_then(|entry| entry.rack.as_deref());
        let Some(said) = said else { return listed.unwrap_or(RACK_DEFAULT).to_owned() };
        if let Err((what, remedy)) = check_name("rack", &said.value) {
            problems.add(&said.place, what, remedy);
        }
        if let Some(listed) = listed.filter(|&listed| listed != said.value) {
            let what = format!("the rack is {:?} here and {listed:?} in the list of nodes", said.value);
            problems.add(&said.place, what, "say the same in both, or leave it out here");
        }
        said.value
    }

    /// The members as the shards want them; this node alone if no list was given.
    pub(super) fn entries(
        &self,
        nodes: &Sourced<Vec<NodeEntry>>,
        name: &Sourced<String>,
        rack: &str,
        peer: &Sourced<SocketAddr>,
        problems: &mut Problems,
    ) -> Vec<rondo_shards::NodeEntry> {
        if matches!(nodes.place, Place::Absent(_)) {
            let alone =
                rondo_shards::NodeEntry { name: name.value.clone(), peer_addr: peer.value, rack: rack.to_owned() };
            return vec![alone];
        }
        match nodes.value.iter().find(|entry| entry.name == name.value) {
            None if !nodes.value.is_empty() => {
                let known: Vec<&str> = nodes.value.iter().map(|entry| entry.name.as_str()).collect();
                let what = format!(
                    "this node is called {:?}, which is not in the list of nodes ({})",
                    name.value,
                    known.join(", ")
                );
                problems.add(&nodes.place, what, "add this node to the list, or choose one of its names with --name");
            }
            Some(own)
                if own.peer_address != peer.value
                    && own.peer_address.ip().is_loopback()
                    && peer.value.ip().is_loopback()
                    && peer.value.port() != 0 =>
            {
                let what = format!(
                    "this node takes peers on {}, and the list of nodes tells them {}",
                    peer.value, own.peer_address
                );
                problems.add(&peer.place, what, "make both the same, or leave peer-listen out");
            }
            Some(_) | None => {}
        }
        let own_rack =
            |entry: &NodeEntry| if entry.name == name.value { rack.to_owned() } else { RACK_DEFAULT.to_owned() };
        let member = |entry: &NodeEntry| rondo_shards::NodeEntry {
            name: entry.name.clone(),
            peer_addr: entry.peer_address,
            rack: entry.rack.clone().unwrap_or_else(|| own_rack(entry)),
        };
        nodes.value.iter().map(member).collect()
    }
}
