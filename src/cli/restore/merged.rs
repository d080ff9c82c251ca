//! Several backups as one: each key once, merged from all that hold it.
//!
//! Each backup comes in ring order, so the first keys of all of them are enough to know the next one. How two versions of
//! a key meet is what replicas do when they meet: the keyspace's policy decides.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::view::ConflictPolicy;
use rondo_storage::backup::{Chain, ChainReader, Losses};
use rondo_storage::sorted_store::ScanEntry;

use super::super::backup::unusable;
use super::super::exit::{Exit, Failure};

/// A key and what is to be put under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Restored {
    pub(super) key: ObjectKey,
    /// The live values, oldest first; none if the key was deleted.
    pub(super) values: Vec<Bytes>,
    pub(super) policy: ConflictPolicy,
}

/// What comes next.
pub(super) enum Next {
    Key(Restored),
    /// Bytes that are no object, of this stored key.
    Undecodable(String),
    End,
}

/// Goes through the keys of all backups.
pub(super) struct Merged {
    sources: Vec<(ChainReader, Option<ScanEntry>)>,
    policies: HashMap<Vec<u8>, ConflictPolicy>,
    records: u64,
    read: u64,
    arena: BytesMut,
}

impl Merged {
    /// Opens all of them at their first key.
    pub(super) fn open(chains: &[Chain]) -> Result<Merged, Failure> {
        let cluster = chains.first().map(|chain| chain.newest().cluster.clone()).unwrap_or_default();
        if let Some(other) = chains.iter().map(Chain::newest).find(|manifest| manifest.cluster != cluster) {
            let text = format!("{} is of cluster {}, the first backup of {cluster}", other.id, other.cluster);
            return Err(Failure::new(Exit::BadInput, text));
        }
        let mut merged = Merged {
            sources: Vec::new(),
            policies: policies_of(chains),
            records: chains.iter().flat_map(|chain| chain.links()).map(|(_, manifest)| manifest.records()).sum(),
            read: 0,
            arena: BytesMut::new(),
        };
        for chain in chains {
            let mut reader = chain.read().map_err(|error| unusable(&error))?;
            let head = reader.next_entry().map_err(|error| unusable(&error))?;
            merged.sources.push((reader, head));
        }
        Ok(merged)
    }

    /// Records in all backups: a bound for the keys to come.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// What the backups themselves have lost; all of it at the end.
    pub(super) fn losses(&self) -> Losses {
        let mut all = Losses::default();
        for (reader, _) in &self.sources {
            let Losses { parts, records, withheld } = reader.losses().clone();
            all.parts.extend(parts);
            (all.records, all.withheld) = (all.records + records, all.withheld + withheld);
        }
        all
    }

    /// Records read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The next key.
    pub(super) fn next(&mut self) -> Result<Next, Failure> {
        let heads = self.sources.iter().filter_map(|(_, head)| head.as_ref());
        let Some(first) = heads.map(|entry| (entry.token, entry.routed.clone())).min() else { return Ok(Next::End) };
        let mut objects = Vec::new();
        for (reader, head) in &mut self.sources {
            if let Some(entry) = head.take_if(|entry| (entry.token, &entry.routed) == (first.0, &first.1)) {
                objects.push(entry.object);
                self.read += 1;
                *head = reader.next_entry().map_err(|error| unusable(&error))?;
            }
        }
        let name = || format!("token {:032x}, key {}", first.0, first.1.escape_ascii());
        let key = ObjectKey::from_routed(first.1.clone()).filter(|key| key.token().0 == first.0);
        let Some(key) = key else { return Ok(Next::Undecodable(name())) };
        // A keyspace that the backups do not describe keeps everything: a value too many can be seen, one too few cannot.
        let policy = self.policies.get(key.keyspace()).copied().unwrap_or(ConflictPolicy::Siblings);
        match merge(objects, policy, &mut self.arena) {
            Some(object) => Ok(Next::Key(Restored { key, values: live_values(&object), policy })),
            None => Ok(Next::Undecodable(name())),
        }
    }
}

/// `None` if none of them is an object; those that are not are left out if another replica has one.
fn merge(objects: Vec<Bytes>, policy: ConflictPolicy, arena: &mut BytesMut) -> Option<EncodedObject> {
    let objects = objects.into_iter().filter_map(|bytes| EncodedObject::decode(bytes).ok());
    objects.reduce(|one, other| one.merge(&other, policy, arena))
}

/// The rules of the newest backup that names a keyspace.
fn policies_of(chains: &[Chain]) -> HashMap<Vec<u8>, ConflictPolicy> {
    let mut manifests: Vec<_> = chains.iter().map(Chain::newest).collect();
    manifests.sort_by_key(|manifest| manifest.created_unix);
    let rules = manifests.into_iter().flat_map(|manifest| &manifest.keyspaces);
    let policy = |word: &str| if word == "lww" { ConflictPolicy::Lww } else { ConflictPolicy::Siblings };
    rules.map(|rule| (rule.name.clone().into_bytes(), policy(&rule.policy))).collect()
}

/// In dot order, so that the last put is the latest write.
fn live_values(object: &EncodedObject) -> Vec<Bytes> {
    let value = |kind: SiblingKind<'_>| kind.value().map(|value| object.bytes().slice_ref(value));
    object.siblings().filter_map(|sibling| value(sibling.kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::causality::{ActorId, Dot, Hlc, VersionVector};

    /// An object with one version: a value, or a tombstone if it is empty.
    fn object(time: u64, actor: u64, value: &'static str, policy: ConflictPolicy) -> Bytes {
        let dot = Dot { hlc: Hlc(time), actor: ActorId::from_u64(actor) };
        let kind = if value.is_empty() { SiblingKind::Tombstone } else { SiblingKind::Value(value.as_bytes()) };
        let put = EncodedObject::put(None, policy, dot, &VersionVector::default(), kind, &mut BytesMut::new());
        put.expect("it is small").object.bytes().clone()
    }

    fn check(policy: ConflictPolicy, replicas: &[(u64, u64, &'static str)]) -> Option<Vec<Bytes>> {
        let objects = replicas.iter().map(|&(time, actor, value)| object(time, actor, value, policy)).collect();
        merge(objects, policy, &mut BytesMut::new()).map(|object| live_values(&object))
    }

    #[test]
    fn replicas_meet_in_a_restore_as_they_would_in_the_cluster() {
        use ConflictPolicy::{Lww, Siblings};
        let [a, b] = ["a", "b"].map(|value| Bytes::from_static(value.as_bytes()));
        assert_eq!(check(Lww, &[(1, 1, "a"), (2, 2, "b")]), Some(vec![b.clone()]));
        assert_eq!(check(Lww, &[(3, 1, ""), (2, 2, "b")]), Some(vec![]), "it was deleted after it was written");
        assert_eq!(check(Siblings, &[(1, 1, "a"), (2, 2, "b")]), Some(vec![a.clone(), b]), "oldest first");
        assert_eq!(check(Siblings, &[(1, 1, "a"), (1, 1, "a")]), Some(vec![a]), "one write on two replicas is one");
    }

    #[test]
    fn bytes_that_are_no_object_count_only_if_no_replica_has_one() {
        let policy = ConflictPolicy::Lww;
        let merged = merge(vec![Bytes::from_static(b"?"), object(1, 1, "a", policy)], policy, &mut BytesMut::new());
        assert_eq!(merged.map(|object| live_values(&object)), Some(vec![Bytes::from_static(b"a")]));
        assert_eq!(merge(vec![Bytes::from_static(b"?")], policy, &mut BytesMut::new()), None);
    }
}
