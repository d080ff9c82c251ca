//! Canonical bytes of an object, from a peer or a disk.

use bytes::{Bytes, BytesMut};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::view::ConflictPolicy;

/// Canonical bytes of an object, from a peer or a disk.
pub fn object(bytes: &[u8]) {
    let Ok(object) = EncodedObject::decode(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(object.bytes(), bytes);
    let mut context = Vec::new();
    object.append_context(1, &mut context);
    assert!(object.siblings().all(|sibling| object.seen().covers(sibling.dot)));
    let merged = object.merge(&object, ConflictPolicy::Siblings, &mut BytesMut::new());
    assert_eq!(merged, object);
}
