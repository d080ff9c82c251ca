//! What waits to be sent to one shard of a peer.
//!
//! Bounded in bytes: when it is full the newest message is dropped and counted. Nobody relies on a message arriving; the
//! coordinator that misses an answer asks another replica or says `Unknown` at its deadline.

use std::rc::Rc;

use super::Socket;
use crate::limits::{OUTBOX_BYTES_DOWN_MAX, OUTBOX_BYTES_MAX};

/// The messages, as the bytes they will be sent as.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    socket: Option<Rc<Socket>>,
    /// While there is no link: the first messages wait for it.
    waiting: Vec<u8>,
    /// Messages dropped.
    pub(crate) drops: u64,
}

impl Outbox {
    /// Appends a message. Gives the socket if the caller must see to its being flushed.
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Option<Rc<Socket>> {
        match &self.socket {
            Some(socket) if socket.unsent() < OUTBOX_BYTES_MAX => socket.push(encode).then(|| Rc::clone(socket)),
            None if self.waiting.len() < OUTBOX_BYTES_DOWN_MAX => {
                encode(&mut self.waiting);
                None
            }
            Some(_) | None => {
                self.drops += 1;
                None
            }
        }
    }

    /// The link is up: what has waited goes first.
    pub(crate) fn open(&mut self, socket: Rc<Socket>) {
        let waiting = core::mem::take(&mut self.waiting);
        socket.push(|out| out.extend_from_slice(&waiting));
        socket.flush();
        self.socket = Some(socket);
    }

    /// The link is down; what was not sent is lost.
    pub(crate) fn close(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.break_off();
        }
        self.waiting = Vec::new();
    }

    /// The link, if it is up.
    pub(crate) fn socket(&self) -> Option<&Rc<Socket>> {
        self.socket.as_ref()
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting.len() + self.socket.as_ref().map_or(0, |socket| socket.unsent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_link_the_first_messages_wait_and_the_rest_are_dropped_and_counted() {
        let mut outbox = Outbox::default();
        let message = |out: &mut Vec<u8>| out.extend_from_slice(&[1; OUTBOX_BYTES_DOWN_MAX / 2]);
        assert!((0..5).all(|_| outbox.push(message).is_none()));
        assert_eq!((outbox.bytes(), outbox.drops), (OUTBOX_BYTES_DOWN_MAX, 3));
        outbox.close();
        assert_eq!(outbox.bytes(), 0);
    }
}
