//! From bytes read to whole frames.
//!
//! A connection keeps only the beginning of a frame whose rest has not come; everything else lies in one buffer of the
//! shard, from which frames are split off without a copy. So an idle connection costs nothing here.

use bytes::BytesMut;
use rondo_protocol::wire::{DecodeError, Frame, next_frame};

/// Bytes that are being cut into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: BytesMut,
    body_bytes_max: usize,
    came_from_carry: bool,
    is_any_cut: bool,
}

impl Frames {
    /// Puts `fresh` behind what the connection carries, or into `arena` if it carries nothing.
    pub(crate) fn begin(carry: &mut BytesMut, arena: &mut BytesMut, fresh: &[u8], body_bytes_max: usize) -> Frames {
        let came_from_carry = !carry.is_empty();
        let mut buffer = core::mem::take(if came_from_carry { carry } else { arena });
        buffer.extend_from_slice(fresh);
        Frames { buffer, body_bytes_max, came_from_carry, is_any_cut: false }
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        let frame = next_frame(&mut self.buffer, self.body_bytes_max)?;
        self.is_any_cut |= frame.is_some();
        Ok(frame)
    }

    /// What is left when the frames cut so far are taken away.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// Gives the beginning of the next frame to the connection, and the buffer back to the shard.
    pub(crate) fn end(mut self, carry: &mut BytesMut, arena: &mut BytesMut) {
        if self.came_from_carry && !self.is_any_cut {
            *carry = self.buffer; // One long frame grows in place.
            return;
        }
        // Copied, so that a few bytes do not hold a whole buffer.
        *carry = BytesMut::from(&self.buffer[..]);
        if !self.came_from_carry {
            self.buffer.clear();
            *arena = self.buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::wire::client_message::encode_ping;

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        let mut sent = Vec::new();
        for number in 0..5 {
            encode_ping(number, &[7; 40][..number as usize * 10], &mut sent);
        }
        for piece in [1, 3, 19, 20, 21, 59, 1000] {
            let (mut carry, mut arena) = (BytesMut::new(), BytesMut::new());
            let mut found = Vec::new();
            for fresh in sent.chunks(piece) {
                let mut frames = Frames::begin(&mut carry, &mut arena, fresh, 1000);
                while let Some(frame) = frames.next().expect("they are well formed") {
                    found.push(frame.header.request_id);
                }
                frames.end(&mut carry, &mut arena);
            }
            assert_eq!(found, [0, 1, 2, 3, 4], "in pieces of {piece}");
            assert!(carry.is_empty());
        }
    }
}
