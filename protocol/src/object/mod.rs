//! What a key holds: its concurrent versions and what they have seen.

pub mod encoded;
pub mod merge;
pub mod sibling;

pub use encoded::{EncodedObject, ObjectDecodeError};
pub use merge::{ObjectTooLarge, PutOutcome};
pub use sibling::{Sibling, SiblingKind};
