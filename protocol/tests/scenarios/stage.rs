//! The language of the stories, and the stage on which they play: one core, its cluster, and the time.
//!
//! ```text
//! nodes n1 n2 n3                    the members (own racks); the core is of n1
//! shards 2 | bound low              before anything happens: shards of each node; a clock bound that must be raised
//! key k [in sib] on n1 n2 n3        names a key whose preference list begins so (keyspaces: lww, sib, both N = 3)
//! object old k v=1 at -500 [by n2]  names a version written 500 ms ago
//! client A put k v=1 w=2 [n=3 timeout=100 ago=50 context=old|stored|garbage|future]   (get, delete likewise)
//! loaded k nothing|stored|unreadable|<object>   answers the oldest load of k; `stored` is the last append
//! durable 2 | disk failing|full|writable | stop | link n2 down | view 2 | wait 20 | wall +600 | n2 clock +600 | n2 epoch 0
//! n2 replicated k[@1] ok|Busy       answers the last (or first) replicate of k to n2
//! n2 fetched k nothing|digest <object>|<object>|Busy     n2 forwarded k <object>|Busy
//! n2 asks fetch|fetch-digest|replicate k [<object>]      n2 asks put k v=1 w=2
//! quietly 3 client ...              three times, effects not looked at
//! expect send n2 replicate k v=1    in any order, but all of them; `expect nothing`
//! stats late_answers=1
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use core::num::NonZeroU16;
use core::time::Duration;
use rondo_protocol::causality::{ActorId, Dot, Hlc, Incarnation, VersionVector};
use rondo_protocol::effect::{Effect, Effects, Record};
use rondo_protocol::event::{DiskState, Event, Found};
use rondo_protocol::node::{NodeId, PeerShard, ShardIndex};
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits, shard_of};
use rondo_protocol::shard_core::{Boot, ShardCore};
use rondo_protocol::ticket::{Lsn, Origin, Ticket};
use rondo_protocol::view::{ClusterView, ConflictPolicy, Keyspace};
use rondo_protocol::wire::peer::{FetchAnswer, PeerMessage};
use rondo_protocol::wire::reply::{DataReply, Receipt, Refusal};
use rondo_protocol::wire::request::{DataRequest, Level, RequestOptions};

use super::words::Names;

const WALL_START_MILLIS: u64 = 1_700_000_000_000;

type Played<T = ()> = Result<T, String>;

pub(crate) struct Stage {
    nodes: Vec<String>,
    shards: NonZeroU16,
    is_bound_low: bool,
    /// Records appended before the story began.
    lsn_offset: u64,
    core: Option<ShardCore>,
    now: Now,
    keys: HashMap<String, ObjectKey>,
    objects: HashMap<String, EncodedObject>,
    requests: Vec<String>,
    /// Tickets of loads not answered, by key.
    loads: HashMap<String, Vec<Ticket>>,
    /// Tickets of what was sent, by node and key, in order.
    sent: HashMap<(String, String), Vec<Ticket>>,
    stored: HashMap<String, (EncodedObject, Lsn)>,
    clocks: HashMap<String, i64>,
    epochs: HashMap<String, u64>,
    effects: Effects,
    unexpected: Vec<String>,
    asked: u32,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            nodes: Vec::new(),
            shards: NonZeroU16::MIN,
            is_bound_low: false,
            lsn_offset: 0,
            core: None,
            now: Now { instant: Instant(1_000_000_000), wall_millis: WALL_START_MILLIS },
            keys: HashMap::new(),
            objects: HashMap::new(),
            requests: Vec::new(),
            loads: HashMap::new(),
            sent: HashMap::new(),
            stored: HashMap::new(),
            clocks: HashMap::new(),
            epochs: HashMap::new(),
            effects: Vec::new(),
            unexpected: Vec::new(),
            asked: 0,
        }
    }
}

impl Stage {
    pub(crate) fn play(&mut self, line: &str) -> Played {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["nodes", ..] => self.nodes = words[1..].iter().map(|name| (*name).to_owned()).collect(),
            ["shards", count] => self.shards = number(count)?,
            ["bound", "low"] => self.is_bound_low = true,
            ["key", name, "in", keyspace, "on", ..] => return self.name_key(name, keyspace, &words[5..]),
            ["key", name, "on", ..] => return self.name_key(name, "lww", &words[3..]),
            ["object", name, key, ..] => return self.name_object(name, key, &words[3..]),
            ["expect", "nothing"] => return self.end(),
            ["expect", ..] => return self.expect(line.trim_start_matches("expect").trim()),
            ["stats", pair] => return self.check_stats(pair),
            [node, "clock", millis] => drop(self.clocks.insert(node.to_owned(), number(millis)?)),
            [node, "epoch", epoch] => drop(self.epochs.insert(node.to_owned(), number(epoch)?)),
            ["wall", millis] => {
                self.now.wall_millis = self.now.wall_millis.wrapping_add_signed(number(millis)?);
            }
            ["quietly", count, ..] => {
                for _ in 0..number::<usize>(count)? {
                    self.happen(&words[2..])?;
                    self.unexpected.clear();
                }
            }
            _ => {
                self.end()?;
                self.happen(&words)?;
            }
        }
        Ok(())
    }

    /// Nothing is left that nobody expected.
    pub(crate) fn end(&self) -> Played {
        if self.unexpected.is_empty() { Ok(()) } else { Err(format!("not expected: {}", self.unexpected.join("; "))) }
    }

    fn happen(&mut self, words: &[&str]) -> Played {
        self.begin()?;
        match *words {
            ["client", name, verb, key, ..] => {
                let request = self.request(verb, key, &words[4..])?;
                let ago_millis =
                    words.iter().find_map(|word| word.strip_prefix("ago=")).map_or(Ok(0), number::<u64>)?;
                self.requests.push(name.to_owned());
                let origin = Origin(self.requests.len() as u64 - 1, 0);
                let arrived = Instant(self.now.instant.0 - ago_millis * 1_000_000);
                self.deliver(Event::Request { origin, arrived, request })
            }
            ["loaded", key, what] => {
                let loads = self.loads.get_mut(key).filter(|loads| !loads.is_empty());
                let ticket = loads.ok_or("nothing is being loaded")?.remove(0);
                let found = self.found(key, what)?;
                self.deliver(Event::Loaded { ticket, found })
            }
            ["durable", upto] => self.deliver(Event::Durable { upto: Lsn(number::<u64>(upto)? + self.lsn_offset) }),
            ["disk", state] => self.deliver(Event::DiskChanged { state: disk_state(state)? }),
            ["stop"] => {
                self.core()?.stop();
                Ok(())
            }
            ["link", node, state] => {
                let shards = (state == "up").then_some(self.shards);
                self.deliver(Event::LinkChanged { node: NodeId::of_name(node), shards })
            }
            ["view", epoch] => {
                let view = self.view(number(epoch)?)?;
                self.deliver(Event::ViewChanged { view })
            }
            ["wait", millis] => self.wait(Duration::from_millis(number(millis)?)),
            [node, "replicated", key, outcome] => {
                let ticket = self.ticket(node, key)?;
                let outcome = if outcome == "ok" { Ok(()) } else { Err(refusal(outcome)?) };
                self.tell(node, PeerMessage::Replicated { ticket, outcome })
            }
            [node, "fetched", key, ref what @ ..] => {
                let ticket = self.ticket(node, key)?;
                let answer = match *what {
                    ["nothing"] => FetchAnswer::Nothing,
                    ["digest", object] => FetchAnswer::Digest(self.object(key, object)?.digest()),
                    [word] => match self.object(key, word) {
                        Ok(object) => FetchAnswer::Object(object),
                        Err(_) => FetchAnswer::Refused(refusal(word)?),
                    },
                    _ => return Err("what was fetched?".to_owned()),
                };
                self.tell(node, PeerMessage::Fetched { ticket, answer })
            }
            [node, "forwarded", key, what] => {
                let ticket = self.ticket(node, key)?;
                let token_low = self.key(key)?.token().low32();
                let reply = match self.object(key, what) {
                    Ok(object) => DataReply::Stored { receipt: Receipt::default(), token_low, object },
                    Err(_) => DataReply::Refused { refusal: refusal(what)?, retry_after: None },
                };
                self.tell(node, PeerMessage::Forwarded { ticket, reply })
            }
            [node, "asks", verb, key, ref rest @ ..] => {
                self.asked += 1;
                let ticket = Ticket { index: 7, generation: self.asked };
                let message = match verb {
                    "fetch" => PeerMessage::Fetch { ticket, key: self.key(key)?, digest_only: false },
                    "fetch-digest" => PeerMessage::Fetch { ticket, key: self.key(key)?, digest_only: true },
                    "replicate" => {
                        let object = self.object(key, rest.first().ok_or("which object?")?)?;
                        PeerMessage::Replicate { ticket, key: self.key(key)?, object }
                    }
                    _ => {
                        let request = self.request(verb, key, rest)?;
                        let timeout = request.options().timeout;
                        PeerMessage::Forward { ticket, request, timeout }
                    }
                };
                self.tell(node, message)
            }
            _ => Err("no such line".to_owned()),
        }
    }

    fn tell(&mut self, node: &str, message: PeerMessage) -> Played {
        let offset = self.clocks.get(node).copied().unwrap_or_default();
        let clock_millis = self.now.wall_millis.wrapping_add_signed(offset);
        let epoch = self.epochs.get(node).copied().unwrap_or(1);
        let from = PeerShard { node: NodeId::of_name(node), shard: ShardIndex(0) };
        self.deliver(Event::Message { from, epoch, clock_millis, message })
    }

    fn deliver(&mut self, event: Event) -> Played {
        let now = self.now;
        let mut effects = core::mem::take(&mut self.effects);
        self.core()?.handle(now, event, &mut effects);
        self.take_in(effects)
    }

    fn wait(&mut self, time: Duration) -> Played {
        let end = self.now.instant + time;
        while let Some(due) = self.core()?.next_deadline().filter(|due| *due <= end) {
            self.pass_to(due.max(self.now.instant));
            let now = self.now;
            let mut effects = core::mem::take(&mut self.effects);
            self.core()?.handle_deadline(now, &mut effects);
            self.take_in(effects)?;
        }
        self.pass_to(end);
        Ok(())
    }

    fn pass_to(&mut self, instant: Instant) {
        self.now.wall_millis += u64::try_from((instant - self.now.instant).as_millis()).expect("a short story");
        self.now.instant = instant;
    }

    fn take_in(&mut self, mut effects: Effects) -> Played {
        for effect in effects.drain(..) {
            let words = self.in_words(&effect);
            self.unexpected.push(words);
            match effect {
                Effect::Load { ticket, key } => self.loads.entry(self.key_name(key.key())).or_default().push(ticket),
                Effect::Append { lsn, record: Record::Object { key, object } } => {
                    self.stored.insert(self.key_name(key.key()), (object, lsn));
                }
                Effect::Send { to, message } => {
                    let (ticket, key) = match message {
                        PeerMessage::Replicate { ticket, key, .. } | PeerMessage::Fetch { ticket, key, .. } => {
                            (ticket, key)
                        }
                        PeerMessage::Forward { ticket, request, .. } => (ticket, request.key().clone()),
                        _ => continue,
                    };
                    let place = (self.node_name(to.node), self.key_name(key.key()));
                    self.sent.entry(place).or_default().push(ticket);
                }
                Effect::Append { .. } | Effect::Reply { .. } | Effect::Disconnect { .. } => {}
            }
        }
        self.effects = effects;
        Ok(())
    }

    fn in_words(&self, effect: &Effect) -> String {
        let node = |id| self.node_name(id);
        let key = |key: &[u8]| self.key_name(key);
        let request = |number: u64| self.requests[usize::try_from(number).expect("small")].clone();
        Names { node: &node, key: &key, request: &request, lsn_offset: self.lsn_offset }.effect(effect)
    }

    fn expect(&mut self, words: &str) -> Played {
        let place = self.unexpected.iter().position(|effect| effect == words);
        let there_was = || format!("there was: {}", self.unexpected.join("; "));
        let place = place.ok_or_else(there_was)?;
        self.unexpected.remove(place);
        Ok(())
    }

    fn check_stats(&mut self, pair: &str) -> Played {
        let all = format!("{:?}", self.core()?.stats());
        let wanted = pair.replace('=', ": ");
        let is_there = all.contains(&format!(" {wanted},")) || all.contains(&format!(" {wanted} }}"));
        if is_there { Ok(()) } else { Err(all) }
    }

    fn core(&mut self) -> Played<&mut ShardCore> {
        self.core.as_mut().ok_or_else(|| "nothing has happened yet".to_owned())
    }

    /// The core boots when the first thing happens: all links are up, and a bound of the clock is durable.
    fn begin(&mut self) -> Played {
        if self.core.is_some() {
            return Ok(());
        }
        let view = self.view(1)?;
        let me = view.me;
        let actor = ActorId { node: me, incarnation: Incarnation(1) };
        let hlc_bound = Hlc::from_millis(WALL_START_MILLIS - 1000);
        let boot =
            Boot { shard: ShardIndex(0), shards: self.shards, actor, hlc_bound, recovered: Lsn(0), salt: 0, view };
        self.core = Some(ShardCore::new(boot));
        for place in 1..self.nodes.len() {
            let node = NodeId::of_name(&self.nodes[place]);
            let event = Event::LinkChanged { node, shards: Some(self.shards) };
            self.deliver(event)?;
        }
        if self.is_bound_low { Ok(()) } else { self.raise_bound() }
    }

    /// A write that gives up while it waits for the first bound: stories begin with a bound that is durable.
    fn raise_bound(&mut self) -> Played {
        let me = self.nodes[0].clone();
        self.name_key("primer", "lww", &[&me])?;
        for line in ["client primer put primer w=1 timeout=1", "wait 2", "durable 1"] {
            self.happen(&line.split(' ').collect::<Vec<_>>())?;
        }
        self.unexpected.clear();
        self.lsn_offset = 1;
        Ok(())
    }

    fn view(&self, epoch: u64) -> Played<Arc<ClusterView>> {
        let me = NodeId::of_name(self.nodes.first().ok_or("nodes first")?);
        let ring = self.ring()?;
        let keyspace = |name: &str, policy| Keyspace {
            name: name.to_owned(),
            replicas: 3,
            read: Level::Quorum,
            write: Level::Quorum,
            policy,
        };
        let keyspaces = vec![keyspace("lww", ConflictPolicy::Lww), keyspace("sib", ConflictPolicy::Siblings)];
        Ok(Arc::new(ClusterView { epoch, cluster_id: 1, me, ring, keyspaces }))
    }

    fn ring(&self) -> Played<Ring> {
        let nodes = self.nodes.iter().map(|name| RingNode::new(name, &format!("rack-{name}"))).collect();
        let bits = VNodeBits::new(8).expect("8 is between 1 and 16");
        Ring::lay_out(bits, nodes).map_err(|error| error.to_string())
    }

    /// The first key of that name (with a number behind it) that lives where the story wants it.
    fn name_key(&mut self, name: &str, keyspace: &str, words: &[&str]) -> Played {
        let ring = self.ring()?;
        let (nodes, shard) = match words {
            [nodes @ .., "shard", shard] => (nodes, number::<u16>(shard)?),
            nodes => (nodes, 0),
        };
        let wanted: Vec<NodeId> = nodes.iter().map(|name| NodeId::of_name(name)).collect();
        for suffix in 0..100_000 {
            let key = ObjectKey::new(keyspace.as_bytes(), format!("{name}-{suffix}").as_bytes()).ok_or("a bad key")?;
            let vnode = ring.vnode(key.token());
            let is_there = ring.preference_list(vnode).starts_with(&wanted);
            if is_there && shard_of(vnode, self.shards) == ShardIndex(shard) {
                self.keys.insert(name.to_owned(), key);
                return Ok(());
            }
        }
        Err("no key lives there".to_owned())
    }

    fn name_object(&mut self, name: &str, key: &str, words: &[&str]) -> Played {
        let word = |wanted: &str| words.windows(2).find(|pair| pair[0] == wanted).map(|pair| pair[1]);
        let millis = WALL_START_MILLIS.wrapping_add_signed(number(word("at").unwrap_or("0"))?);
        let node = NodeId::of_name(word("by").unwrap_or("n2"));
        let dot = Dot { hlc: Hlc::from_millis(millis), actor: ActorId { node, incarnation: Incarnation(1) } };
        let value = words.iter().find_map(|word| word.strip_prefix("v=")).ok_or("which value?")?;
        let kind = if value == "†" { SiblingKind::Tombstone } else { SiblingKind::Value(value.as_bytes()) };
        let is_lww = self.key(key)?.keyspace() == b"lww";
        let policy = if is_lww { ConflictPolicy::Lww } else { ConflictPolicy::Siblings };
        let seen = VersionVector::default();
        let outcome = EncodedObject::put(None, policy, dot, &seen, kind, &mut BytesMut::new());
        self.objects.insert(name.to_owned(), outcome.map_err(|error| error.to_string())?.object);
        Ok(())
    }

    fn request(&self, verb: &str, key: &str, words: &[&str]) -> Played<DataRequest> {
        let name = key;
        let key = self.key(key)?;
        let mut options = RequestOptions::default();
        let (mut value, mut context) = (Bytes::new(), Bytes::new());
        for word in words {
            let (what, setting) = word.split_once('=').ok_or("what=setting")?;
            match what {
                "v" => value = Bytes::copy_from_slice(setting.as_bytes()),
                "bytes" => value = Bytes::from(vec![0; number(setting)?]),
                "r" | "w" => options.level = level(setting)?,
                "n" => options.replicas = number(setting)?,
                "timeout" => options.timeout = Duration::from_millis(number(setting)?),
                "ago" => {} // Of the event, not of the request.
                "context" => context = self.context(name, setting)?,
                _ => return Err(format!("no setting {what}")),
            }
        }
        match verb {
            "get" => Ok(DataRequest::Get { key, options }),
            "put" => Ok(DataRequest::Put { key, options, context, value }),
            "delete" => Ok(DataRequest::Delete { key, options, context }),
            _ => Err(format!("no request {verb}")),
        }
    }

    fn context(&self, key: &str, what: &str) -> Played<Bytes> {
        if what == "garbage" {
            return Ok(Bytes::from_static(b"not a context"));
        }
        let mut bytes = Vec::new();
        self.object(key, what)?.append_context(self.key(key)?.token().low32(), &mut bytes);
        Ok(Bytes::from(bytes))
    }

    fn found(&self, key: &str, what: &str) -> Played<Found> {
        Ok(match what {
            "nothing" => Found::Nothing,
            "unreadable" => Found::Unreadable,
            "stored" => {
                let (object, lsn) = self.stored.get(key).cloned().ok_or("nothing was stored")?;
                Found::Object { object, lsn }
            }
            object => Found::Object { object: self.object(key, object)?, lsn: Lsn(0) },
        })
    }

    fn object(&self, key: &str, name: &str) -> Played<EncodedObject> {
        let key = key.split('@').next().unwrap_or(key);
        if name == "stored" {
            return Ok(self.stored.get(key).ok_or("nothing was stored")?.0.clone());
        }
        self.objects.get(name).cloned().ok_or_else(|| format!("no object {name}"))
    }

    fn key(&self, name: &str) -> Played<ObjectKey> {
        let name = name.split('@').next().unwrap_or(name);
        self.keys.get(name).cloned().ok_or_else(|| format!("no key {name}"))
    }

    /// The ticket of the last message about the key to the node, or of the first if the key is followed by `@1`.
    fn ticket(&self, node: &str, key: &str) -> Played<Ticket> {
        let (name, nth) = key.split_once('@').map_or((key, None), |(name, nth)| (name, Some(nth)));
        let sent = self.sent.get(&(node.to_owned(), name.to_owned())).ok_or("nothing was sent there")?;
        let index = nth.map_or(Ok(sent.len()), number::<usize>)?;
        sent.get(index - 1).copied().ok_or_else(|| format!("only {} were sent", sent.len()))
    }

    fn node_name(&self, id: NodeId) -> String {
        let name = self.nodes.iter().find(|name| NodeId::of_name(name) == id);
        name.cloned().unwrap_or_else(|| id.to_string())
    }

    fn key_name(&self, key: &[u8]) -> String {
        let name = self.keys.iter().find(|(_, known)| known.key() == key).map(|(name, _)| name.clone());
        name.unwrap_or_else(|| String::from_utf8_lossy(key).into_owned())
    }
}

fn number<T: core::str::FromStr>(word: &str) -> Played<T> {
    word.parse().map_err(|_| format!("{word} is no number that fits here"))
}

fn level(word: &str) -> Played<Level> {
    Ok(match word {
        "one" => Level::One,
        "quorum" => Level::Quorum,
        "all" => Level::All,
        count => Level::Count(number(count)?),
    })
}

fn disk_state(word: &str) -> Played<DiskState> {
    let all = [("writable", DiskState::Writable), ("full", DiskState::Full), ("failing", DiskState::Failing)];
    let state = all.into_iter().find(|(name, _)| *name == word).map(|(_, state)| state);
    state.ok_or_else(|| format!("no disk is {word}"))
}

fn refusal(word: &str) -> Played<Refusal> {
    let all = [
        Refusal::NotEnoughReplicas,
        Refusal::Busy,
        Refusal::DeadlinePassed,
        Refusal::ClockSkew,
        Refusal::DiskFailed,
        Refusal::DiskFull,
        Refusal::Unreadable,
        Refusal::Stopping,
    ];
    all.into_iter().find(|refusal| format!("{refusal:?}") == word).ok_or_else(|| format!("no refusal {word}"))
}
