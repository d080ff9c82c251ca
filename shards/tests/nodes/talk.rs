//! A client that says exactly what it is told, over a blocking socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use rondo_protocol::limits::FRAME_BODY_BYTES_MAX;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::wire::client_message::encode_ping;
use rondo_protocol::wire::request::{DataRequest, RequestOptions};
use rondo_protocol::wire::{
    BatchKind, ClientHello, ClientReply, DataAnswer, ServerHello, decode_reply, encode_batch, encode_data, next_frame,
};

use crate::world::LONG;

pub(crate) struct Talk {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
    next_id: u32,
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(b"default", name.as_bytes()).expect("it is a valid key")
}

pub(crate) fn get(name: &str) -> DataRequest {
    DataRequest::Get { key: key(name), options: RequestOptions::default() }
}

pub(crate) fn put(name: &str, value: &[u8]) -> DataRequest {
    let (context, value) = (Bytes::new(), Bytes::copy_from_slice(value));
    DataRequest::Put { key: key(name), options: RequestOptions::default(), context, value }
}

pub(crate) fn delete(name: &str) -> DataRequest {
    DataRequest::Delete { key: key(name), options: RequestOptions::default(), context: Bytes::new() }
}

/// The one value of an answer.
pub(crate) fn value_of(answer: &DataAnswer) -> Option<&[u8]> {
    match answer {
        DataAnswer::Found { values, .. } => values.first().map(|value| &value[..]),
        DataAnswer::NotFound { .. }
        | DataAnswer::Stored { .. }
        | DataAnswer::Refused { .. }
        | DataAnswer::Unknown { .. } => None,
    }
}

impl Talk {
    /// A connection on which nothing was said.
    pub(crate) fn silent(address: SocketAddr) -> Talk {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_read_timeout(Some(LONG)).expect("the socket takes a timeout");
        stream.set_nodelay(true).expect("the socket takes an option");
        Talk { stream, buffer: BytesMut::new(), next_id: 1 }
    }

    /// A connection to the shard `wanted`.
    pub(crate) fn hello(address: SocketAddr, wanted: Option<u16>) -> (Talk, ServerHello) {
        let mut talk = Talk::silent(address);
        let mut out = Vec::new();
        ClientHello::new("test", wanted.map(ShardIndex)).encode(0, &mut out);
        talk.send(&out);
        match talk.receive() {
            Some((0, ClientReply::Hello(hello))) => (talk, *hello),
            other => panic!("no answer to HELLO but {other:?}"),
        }
    }

    pub(crate) fn open(address: SocketAddr) -> Talk {
        Talk::hello(address, None).0
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the node reads");
    }

    /// The next reply with its request's number; `None` at the end of the stream.
    pub(crate) fn receive(&mut self) -> Option<(u32, ClientReply)> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            if let Some(frame) = next_frame(&mut self.buffer, FRAME_BODY_BYTES_MAX).expect("the node sends frames") {
                let reply = decode_reply(frame.header, frame.body).expect("the node sends replies");
                return Some((frame.header.request_id, reply));
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {} // A machine that slept for a moment.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &DataRequest) -> DataAnswer {
        self.send_request(request);
        match self.receive() {
            Some((id, ClientReply::Data(answer))) if id + 1 == self.next_id => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// Sends a request and returns its number.
    pub(crate) fn send_request(&mut self, request: &DataRequest) -> u32 {
        let mut out = Vec::new();
        let id = self.number();
        encode_data(id, request, &mut out).expect("it fits a frame");
        self.send(&out);
        id
    }

    pub(crate) fn ask_batch(&mut self, kind: BatchKind, items: &[DataRequest]) -> Vec<DataAnswer> {
        let mut out = Vec::new();
        let id = self.number();
        encode_batch(id, kind, &RequestOptions::default(), items, &mut out).expect("it fits a frame");
        self.send(&out);
        match self.receive() {
            Some((answered, ClientReply::Batch(answers))) if answered == id => answers,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// True if the node still answers on this connection.
    pub(crate) fn is_alive(&mut self) -> bool {
        let mut out = Vec::new();
        let id = self.number();
        encode_ping(id, b"there?", &mut out);
        self.send(&out);
        matches!(self.receive(), Some((answered, ClientReply::Pong { echo })) if answered == id && &echo[..] == b"there?")
    }

    fn number(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }
}
