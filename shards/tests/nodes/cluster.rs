//! Three nodes: quorums, a node that goes and comes back, and strangers.

use rondo_protocol::wire::DataAnswer;
use rondo_protocol::wire::reply::Refusal;
use rondo_shards::{Node, NodeEntry};
use tempfile::{TempDir, tempdir};

use crate::talk::{Talk, get, put, value_of};
use crate::world::{LONG, config, eventually, members};

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Cluster {
    members: Vec<NodeEntry>,
    data: TempDir,
    nodes: Vec<Option<Node>>,
}

impl Cluster {
    fn start(shards: u16) -> Cluster {
        let (members, data) = (members(&NAMES), tempdir().expect("a temporary directory"));
        let mut cluster = Cluster { members, data, nodes: Vec::new() };
        cluster.nodes = NAMES.iter().map(|name| Some(cluster.start_node(name, shards))).collect();
        cluster.await_links(2);
        cluster
    }

    fn start_node(&self, name: &str, shards: u16) -> Node {
        Node::start(config(name, &self.members, self.data.path(), shards)).expect("it starts")
    }

    /// Waits until every shard of every running node has links to `peers` others.
    fn await_links(&self, peers: usize) {
        for node in self.nodes.iter().flatten() {
            eventually("all links are up", || {
                let status = node.status();
                let linked = status.peers.iter().filter(|peer| peer.shards_linked == status.shards.len()).count();
                (linked == peers).then_some(())
            });
        }
    }

    fn talk(&self, place: usize) -> Talk {
        Talk::open(self.nodes[place].as_ref().expect("it runs").status().listen)
    }

    fn stop_node(&mut self, place: usize) {
        self.nodes[place].take().expect("it runs").stop(LONG);
    }

    fn stop(mut self) {
        self.nodes.iter_mut().filter_map(Option::take).for_each(|node| assert!(node.stop(LONG).is_clean));
    }
}

#[test]
fn what_one_node_took_at_a_quorum_every_node_gives_at_a_quorum() {
    let cluster = Cluster::start(1);
    let mut talks = [0, 1, 2].map(|place| cluster.talk(place));
    for number in 0..30 {
        let (name, value) = (format!("key-{number}"), format!("value-{number}"));
        let stored = talks[number % 3].ask(&put(&name, value.as_bytes()));
        assert!(matches!(stored, DataAnswer::Stored { receipt, .. } if receipt.answered >= 2), "{stored:?}");
        for talk in &mut talks {
            assert_eq!(value_of(&talk.ask(&get(&name))), Some(value.as_bytes()));
        }
    }
    cluster.stop();
}

#[test]
fn nodes_with_two_cores_each_replicate_between_the_owning_cores() {
    let cluster = Cluster::start(2);
    let mut talks = [0, 1, 2].map(|place| cluster.talk(place));
    for number in 0..30 {
        let name = format!("key-{number}");
        assert!(matches!(talks[number % 3].ask(&put(&name, b"v")), DataAnswer::Stored { .. }));
        assert_eq!(value_of(&talks[(number + 1) % 3].ask(&get(&name))), Some(&b"v"[..]));
    }
    let (_, hello) = Talk::hello(cluster.nodes[0].as_ref().expect("it runs").status().listen, None);
    assert!(hello.topology.nodes.iter().all(|node| node.up && node.shards == 2 && node.client_addr.is_some()));
    cluster.stop();
}

#[test]
fn a_quorum_goes_on_without_one_node_and_takes_it_back() {
    let mut cluster = Cluster::start(1);
    let mut talk = cluster.talk(0);
    assert!(matches!(talk.ask(&put("before", b"1")), DataAnswer::Stored { .. }));
    cluster.stop_node(2);
    cluster.await_links(1);
    assert!(matches!(talk.ask(&put("while", b"2")), DataAnswer::Stored { .. }));
    assert_eq!(value_of(&talk.ask(&get("before"))), Some(&b"1"[..]));
    cluster.stop_node(1);
    cluster.await_links(0);
    let refused = talk.ask(&put("alone", b"3"));
    assert!(matches!(refused, DataAnswer::Refused { refusal: Refusal::NotEnoughReplicas, .. }), "{refused:?}");
    cluster.nodes[1] = Some(cluster.start_node("b", 1));
    cluster.nodes[2] = Some(cluster.start_node("c", 1));
    cluster.await_links(2);
    for (name, value) in [("before", b"1"), ("while", b"2")] {
        assert_eq!(value_of(&cluster.talk(2).ask(&get(name))), Some(&value[..]));
    }
    cluster.stop();
}

#[test]
fn a_node_of_another_cluster_is_refused_and_told_why() {
    let (members, data) = (members(&["a", "b"]), tempdir().expect("a temporary directory"));
    let ours = Node::start(config("a", &members, data.path(), 1)).expect("it starts");
    let mut other = config("b", &members, data.path(), 1);
    other.cluster = "other".to_owned();
    let theirs = Node::start(other).expect("it starts");
    let trouble = eventually("the link is refused", || {
        theirs.status().shards[0].links[0].trouble.clone().filter(|trouble| trouble.contains("refused"))
    });
    assert!(trouble.contains("another cluster"), "{trouble}");
    assert!(!ours.status().peers[0].is_up);
    theirs.stop(LONG);
    ours.stop(LONG);
}
