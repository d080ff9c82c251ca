//! Tokens, objects and contexts, byte by byte: formats are promises, and these files pin them.
//!
//! A file that has to change means a new version of the format; the old file stays. Each line is `name: bytes in hex`
//! or a comment.

use bytes::{Bytes, BytesMut};
use rondo_protocol::causality::{ActorId, CausalContext, Dot, Hlc, VersionVector};
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::ring::{ObjectKey, Token};
use rondo_protocol::view::ConflictPolicy;

const TOKENS: &str = include_str!("golden/token.txt");
const OBJECTS: &str = include_str!("golden/object.txt");
const CONTEXTS: &str = include_str!("golden/context.txt");

/// The token of a context's key in the golden files.
const CONTEXT_TOKEN: Token = Token(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The bytes that stand in a golden file under `name`.
fn golden(text: &'static str, name: &str) -> Vec<u8> {
    let named = lines(text).filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name);
    unhex(named.unwrap_or_else(|| panic!("no line {name:?}")).1)
}

/// Hex, blanks between; `61*3` stands for `616161`, and `-` for nothing.
fn unhex(text: &str) -> Vec<u8> {
    let word = |word: &str| -> Vec<u8> {
        let (hex, times) = word.split_once('*').map_or((word, 1), |(hex, n)| (hex, n.parse().expect("a count")));
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
        (0..hex.len() / 2).map(byte).collect::<Vec<u8>>().repeat(times)
    };
    text.split(' ').filter(|part| *part != "-").flat_map(word).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dot(millis: u64, count: u64, node: u32, incarnation: u32) -> Dot {
    let actor = ActorId::from_u64((u64::from(node) << 32) | u64::from(incarnation));
    Dot { hlc: Hlc(Hlc::from_millis(millis).0 + count), actor }
}

/// The objects of the golden file, made anew: a first write, a concurrent one at another node, a delete of the first.
fn objects() -> Vec<(&'static str, EncodedObject)> {
    let mut arena = BytesMut::new();
    let mut put = |current: Option<&EncodedObject>, policy, dot, context: &VersionVector, kind: SiblingKind<'_>| {
        EncodedObject::put(current, policy, dot, context, kind, &mut arena).expect("small").object
    };
    let blind = VersionVector::default();
    let (first, second, third) =
        (dot(1_700_000_000_000, 0, 0xa1, 7), dot(1_700_000_000_000, 1, 0xb2, 9), dot(1_700_000_000_001, 2, 0xa1, 7));
    let one = put(None, ConflictPolicy::Siblings, first, &blind, SiblingKind::Value(b"hello"));
    let empty = put(None, ConflictPolicy::Lww, first, &blind, SiblingKind::Value(b""));
    let other = put(None, ConflictPolicy::Siblings, second, &blind, SiblingKind::Value(b"world"));
    let deleted = put(Some(&one), ConflictPolicy::Siblings, third, &one.seen(), SiblingKind::Tombstone);
    let two = one.merge(&other, ConflictPolicy::Siblings, &mut arena);
    let mixed = deleted.merge(&two, ConflictPolicy::Siblings, &mut arena);
    vec![
        ("one value", one),
        ("an empty value", empty),
        ("two siblings", two),
        ("a tombstone that has seen a value", deleted),
        ("a tombstone beside a value", mixed),
    ]
}

#[test]
fn tokens_are_those_that_clients_of_all_languages_compute() {
    let mut checked = 0;
    for line in lines(TOKENS) {
        let (parts, token) = line.split_once(": ").expect("name, key: token");
        let (keyspace, key) = parts.split_once(", ").expect("keyspace, key");
        let object_key = ObjectKey::new(keyspace.as_bytes(), &unhex(key)).expect("a valid key");
        assert_eq!(format!("{:032x}", object_key.token().0), token, "{parts}");
        checked += 1;
    }
    assert!(checked >= 10);
}

#[test]
fn the_hash_is_the_published_one() {
    // Known from the algorithm's own test suite, so that a client's author can tell a wrong hash from a wrong layout.
    assert_eq!(Token::of_routed(b"").0, 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
}

#[test]
fn objects_are_written_as_they_always_were() {
    for (name, object) in objects() {
        let golden = golden(OBJECTS, name);
        assert_eq!(hex(object.bytes()), hex(&golden), "{name}");
        assert_eq!(EncodedObject::decode(Bytes::from(golden)), Ok(object), "{name}");
    }
    assert_eq!(objects().len(), lines(OBJECTS).count());
}

#[test]
fn contexts_are_written_as_they_always_were() {
    for (name, object) in objects() {
        let mut context = Vec::new();
        object.append_context(CONTEXT_TOKEN.low32(), &mut context);
        let golden = golden(CONTEXTS, name);
        assert_eq!(hex(&context), hex(&golden), "{name}");
        let decoded = CausalContext::decode(&golden, CONTEXT_TOKEN).expect("given out");
        assert_eq!(decoded.seen, object.seen(), "{name}");
    }
    assert_eq!(objects().len(), lines(CONTEXTS).count());
}
