//! A client without manners: whatever bytes the test likes, and the frames that come back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rondo_protocol::limits::FRAME_BODY_BYTES_MAX;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::wire::client_message::encode_data;
use rondo_protocol::wire::client_reply::{ClientReply, decode_reply};
use rondo_protocol::wire::frame::next_frame;
use rondo_protocol::wire::hello::ClientHello;
use rondo_protocol::wire::request::{DataRequest, RequestOptions};

/// One connection.
pub struct RawClient {
    /// The socket.
    pub stream: TcpStream,
    buffer: BytesMut,
}

impl RawClient {
    /// Connects and says nothing.
    pub fn silent(server: SocketAddr) -> RawClient {
        let stream = TcpStream::connect(server).expect("the node accepts");
        stream.set_read_timeout(Some(super::SOON)).expect("a timeout can be set");
        stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
        RawClient { stream, buffer: BytesMut::new() }
    }

    /// Connects and says hello.
    pub fn greeted(server: SocketAddr) -> RawClient {
        let mut client = RawClient::silent(server);
        let mut out = Vec::new();
        ClientHello::new("test", None).encode(1, &mut out);
        client.send(&out);
        match client.reply() {
            Some((1, ClientReply::Hello(_))) => client,
            other => panic!("no hello came back but {other:?}"),
        }
    }

    /// Sends bytes; a node that has closed the connection already is no failure here.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame's id and meaning, or `None` if the node closed the connection.
    pub fn reply(&mut self) -> Option<(u32, ClientReply)> {
        loop {
            let frame = next_frame(&mut self.buffer, FRAME_BODY_BYTES_MAX).expect("the node's frames are whole");
            if let Some(frame) = frame {
                let id = frame.header.request_id;
                return Some((id, decode_reply(frame.header, frame.body).expect("the node's replies are valid")));
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the node neither answers nor closes: {error}"),
            }
        }
    }

    /// True if the node closes the connection without another frame, or after an `Error` reply.
    pub fn is_ended(&mut self) -> bool {
        match self.reply() {
            None => true,
            Some((_, ClientReply::Error(_))) => self.reply().is_none(),
            Some(_) => false,
        }
    }
}

/// The frame of a get.
pub fn get_frame(id: u32, key: &str) -> Vec<u8> {
    frame_of(id, DataRequest::Get { key: key_of(key), options: RequestOptions::default() })
}

/// The frame of a put.
pub fn put_frame(id: u32, key: &str, value: &[u8]) -> Vec<u8> {
    let value = Bytes::copy_from_slice(value);
    frame_of(
        id,
        DataRequest::Put { key: key_of(key), options: RequestOptions::default(), context: Bytes::new(), value },
    )
}

fn key_of(key: &str) -> ObjectKey {
    ObjectKey::new(b"default", key.as_bytes()).expect("the key is valid")
}

fn frame_of(id: u32, request: DataRequest) -> Vec<u8> {
    let mut out = Vec::new();
    encode_data(id, &request, &mut out).expect("the request is within bounds");
    out
}
