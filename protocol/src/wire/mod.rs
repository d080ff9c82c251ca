//! Messages to bytes and back: nothing else knows the wire's bytes.

pub mod decode_error;
pub mod frame;
pub mod hello;
pub mod peer;
pub mod reply;
pub mod request;
