//! Effects in words.

use rondo_protocol::effect::{Effect, Record};
use rondo_protocol::node::NodeId;
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::wire::peer::{FetchAnswer, PeerMessage};
use rondo_protocol::wire::reply::DataReply;
use rondo_protocol::wire::request::DataRequest;

/// Names for what the core knows by number.
pub(crate) struct Names<'a> {
    pub(crate) node: &'a dyn Fn(NodeId) -> String,
    pub(crate) key: &'a dyn Fn(&[u8]) -> String,
    pub(crate) request: &'a dyn Fn(u64) -> String,
    pub(crate) lsn_offset: u64,
}

impl Names<'_> {
    pub(crate) fn effect(&self, effect: &Effect) -> String {
        match effect {
            Effect::Reply { origin, reply } => format!("reply {} {}", (self.request)(origin.0), self.reply(reply)),
            Effect::Send { to, message } => format!("send {} {}", (self.node)(to.node), self.message(message)),
            Effect::Load { key, .. } => format!("load {}", (self.key)(key.key())),
            Effect::Append { lsn, record: Record::Object { key, object } } => {
                format!("append {} {} {}", lsn.0 - self.lsn_offset, (self.key)(key.key()), versions(object))
            }
            Effect::Append { lsn, record: Record::HlcBound(_) } => format!("append {} bound", lsn.0 - self.lsn_offset),
            Effect::Disconnect { peer } => format!("disconnect {}", (self.node)(peer.node)),
        }
    }

    fn message(&self, message: &PeerMessage) -> String {
        match message {
            PeerMessage::Replicate { key, object, .. } => {
                format!("replicate {} {}", (self.key)(key.key()), versions(object))
            }
            PeerMessage::Replicated { outcome: Ok(()), .. } => "replicated ok".to_owned(),
            PeerMessage::Replicated { outcome: Err(refusal), .. } => format!("replicated {refusal:?}"),
            PeerMessage::Fetch { key, digest_only: true, .. } => format!("fetch-digest {}", (self.key)(key.key())),
            PeerMessage::Fetch { key, digest_only: false, .. } => format!("fetch {}", (self.key)(key.key())),
            PeerMessage::Fetched { answer, .. } => format!("fetched {}", fetched(answer)),
            PeerMessage::Forward { request, .. } => match request {
                DataRequest::Get { key, .. } => format!("forward get {}", (self.key)(key.key())),
                DataRequest::Put { key, .. } => format!("forward put {}", (self.key)(key.key())),
                DataRequest::Delete { key, .. } => format!("forward delete {}", (self.key)(key.key())),
            },
            PeerMessage::Forwarded { reply, .. } => format!("forwarded {}", self.reply(reply)),
            PeerMessage::EpochTooOld { epoch } => format!("epoch {epoch}"),
        }
    }

    fn reply(&self, reply: &DataReply) -> String {
        match reply {
            DataReply::Found { receipt, object, .. } => {
                format!("found {} answered={}", versions(object), receipt.answered)
            }
            DataReply::NotFound { receipt, object, .. } => {
                let tombstones = if object.is_some() { " deleted" } else { "" };
                format!("notfound{tombstones} answered={}", receipt.answered)
            }
            DataReply::Stored { receipt, .. } => format!("stored answered={}", receipt.answered),
            DataReply::Refused { refusal, retry_after: None } => format!("refused {refusal:?}"),
            DataReply::Refused { refusal, retry_after: Some(_) } => format!("refused {refusal:?} for-now"),
            DataReply::Unknown { receipt } => format!("unknown answered={}", receipt.answered),
        }
    }
}

fn fetched(answer: &FetchAnswer) -> String {
    match answer {
        FetchAnswer::Nothing => "nothing".to_owned(),
        FetchAnswer::Digest(_) => "digest".to_owned(),
        FetchAnswer::Object(object) => versions(object),
        FetchAnswer::Refused(refusal) => format!("{refusal:?}"),
    }
}

/// `v=1` for one value, `v=1|2` for two in the order of their dots, `v=†` for a tombstone.
fn versions(object: &EncodedObject) -> String {
    let words = object.siblings().map(|sibling| match sibling.kind {
        SiblingKind::Value(value) => String::from_utf8_lossy(value).into_owned(),
        SiblingKind::Tombstone => "†".to_owned(),
    });
    format!("v={}", words.collect::<Vec<_>>().join("|"))
}
