//! The node's end of client connections: bytes to requests, replies to bytes.
//!
//! What the real glue does with sockets, without them: the first frame is a hello, requests go to the shard that owns
//! their key, the items of a batch are gathered again, and whatever breaks the protocol ends the connection.

use bytes::BytesMut;
use std::collections::BTreeMap;

use rondo_protocol::limits::FRAME_BODY_BYTES_MAX;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Origin;
use rondo_protocol::wire::reply::{DataReply, Refusal};
use rondo_protocol::wire::request::DataRequest;
use rondo_protocol::wire::{
    BatchRequest, ClientHello, ClientMessage, DecodeError, Decoded, decode_client, encode_batch_reply,
    encode_data_reply, encode_pong, next_frame,
};

use crate::client::Target;

/// The place of a request that is no item of a batch, in [`Origin`].
const ALONE: u64 = 0;

/// One connection.
#[derive(Debug)]
pub struct ServerConnection {
    number: u64,
    shard: ShardIndex,
    greeted: bool,
    buffer: BytesMut,
    batches: BTreeMap<u32, Vec<Option<DataReply>>>,
}

/// A connection with who is at its other end.
#[derive(Debug)]
pub struct ServerEnd {
    /// The connection.
    pub connection: ServerConnection,
    /// The client.
    pub client: usize,
    /// Under which name the client has it.
    pub target: Target,
    /// When the last byte on its way to the client arrives there.
    pub last_to_client: Instant,
}

/// What came out of some bytes.
#[derive(Debug)]
pub enum Incoming {
    /// The first words.
    Hello {
        /// To be repeated in the answer.
        request_id: u32,
        /// What was said.
        hello: ClientHello,
    },
    /// What does the cluster look like?
    Topology {
        /// To be repeated in the answer.
        request_id: u32,
    },
    /// To be answered to `origin`.
    Request {
        /// Where the reply goes.
        origin: Origin,
        /// What is asked.
        request: DataRequest,
    },
}

impl ServerEnd {
    /// A new connection of `client`.
    pub fn new(number: u64, client: usize, target: Target) -> ServerEnd {
        ServerEnd { connection: ServerConnection::new(number), client, target, last_to_client: Instant(0) }
    }
}

impl ServerConnection {
    /// A connection on which nothing was said yet.
    pub fn new(number: u64) -> ServerConnection {
        ServerConnection {
            number,
            shard: ShardIndex(0),
            greeted: false,
            buffer: BytesMut::new(),
            batches: BTreeMap::new(),
        }
    }

    /// The connection that a reply belongs to.
    pub fn number_of(origin: Origin) -> u64 {
        origin.0
    }

    /// The shard that it was handed to.
    pub fn shard(&self) -> ShardIndex {
        self.shard
    }

    /// The hello is answered: `shard` has it from now on. False if it was said before.
    pub fn greet(&mut self, shard: ShardIndex) -> bool {
        self.shard = shard;
        !core::mem::replace(&mut self.greeted, true)
    }

    /// Takes in bytes; what they ask for is appended to `incoming`, what can be answered at once to `out`.
    ///
    /// # Errors
    /// The bytes break the protocol: the connection is over.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        incoming: &mut Vec<Incoming>,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        self.buffer.extend_from_slice(bytes);
        while let Some(frame) = next_frame(&mut self.buffer, FRAME_BODY_BYTES_MAX)? {
            let request_id = frame.header.request_id;
            match decode_client(frame.header, frame.body)? {
                Decoded::Refused(refusal) => encode_data_reply(request_id, &refused(refusal), out),
                Decoded::Message(message) => self.take_in(request_id, message, incoming, out),
            }
        }
        Ok(())
    }

    /// A reply of a core; what is complete is appended to `out`.
    pub fn reply(&mut self, origin: Origin, reply: DataReply, out: &mut Vec<u8>) {
        let request_id = origin.1 as u32;
        let place = origin.1 >> 32;
        if place == ALONE {
            encode_data_reply(request_id, &reply, out);
            return;
        }
        let Some(batch) = self.batches.get_mut(&request_id) else { return };
        batch[place as usize - 1] = Some(reply);
        self.answer_if_complete(request_id, out);
    }

    fn take_in(&mut self, request_id: u32, message: ClientMessage, incoming: &mut Vec<Incoming>, out: &mut Vec<u8>) {
        match message {
            ClientMessage::Hello(hello) => incoming.push(Incoming::Hello { request_id, hello }),
            ClientMessage::Ping { echo } => encode_pong(request_id, &echo, out),
            ClientMessage::Topology => incoming.push(Incoming::Topology { request_id }),
            ClientMessage::Data(request) => {
                incoming.push(Incoming::Request { origin: self.origin(request_id, ALONE), request });
            }
            ClientMessage::Batch(batch) => self.take_in_batch(request_id, batch, incoming, out),
        }
    }

    fn take_in_batch(&mut self, request_id: u32, batch: BatchRequest, incoming: &mut Vec<Incoming>, out: &mut Vec<u8>) {
        let mut replies = Vec::with_capacity(batch.items.len());
        for (place, item) in batch.items.into_iter().enumerate() {
            match item {
                Err(refusal) => replies.push(Some(refused(refusal))),
                Ok(request) => {
                    replies.push(None);
                    incoming.push(Incoming::Request { origin: self.origin(request_id, place as u64 + 1), request });
                }
            }
        }
        self.batches.insert(request_id, replies);
        self.answer_if_complete(request_id, out);
    }

    fn answer_if_complete(&mut self, request_id: u32, out: &mut Vec<u8>) {
        let complete = self.batches.get(&request_id).is_some_and(|batch| batch.iter().all(Option::is_some));
        if complete {
            let replies: Vec<DataReply> = self.batches.remove(&request_id).into_iter().flatten().flatten().collect();
            encode_batch_reply(request_id, replies.iter(), out);
        }
    }

    fn origin(&self, request_id: u32, place: u64) -> Origin {
        Origin(self.number, (place << 32) | u64::from(request_id))
    }
}

fn refused(refusal: Refusal) -> DataReply {
    DataReply::Refused { refusal, retry_after: None }
}
