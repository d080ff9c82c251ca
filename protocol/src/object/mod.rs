//! What a key holds: its concurrent versions and what they have seen.

mod decode;
pub mod encoded;
mod layout;
pub mod merge;
pub mod put;
pub mod sibling;

pub use decode::ObjectDecodeError;
pub use encoded::EncodedObject;
pub use put::{ObjectTooLarge, PutOutcome};
pub use sibling::{Sibling, SiblingKind};
