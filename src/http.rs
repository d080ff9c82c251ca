//! One HTTP question to an admin port: as little of HTTP as that takes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::limits::{HTTP_ANSWER_BYTES_MAX, HTTP_WITHIN};

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HttpAnswer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// Asks `server` for `path`; waits at most [`HTTP_WITHIN`] for each step.
pub(crate) fn get(server: SocketAddr, path: &str) -> io::Result<HttpAnswer> {
    ask(server, &format!("GET {path} HTTP/1.0\r\nhost: {server}\r\n\r\n"))
}

/// Gives `server` an order at `path`.
pub(crate) fn post(server: SocketAddr, path: &str, order: &Value) -> io::Result<HttpAnswer> {
    let (body, kind) = (order.to_string(), "content-type: application/json");
    let head = format!("POST {path} HTTP/1.0\r\nhost: {server}\r\n{kind}\r\ncontent-length: {}\r\n", body.len());
    ask(server, &format!("{head}\r\n{body}"))
}

fn ask(server: SocketAddr, question: &str) -> io::Result<HttpAnswer> {
    let mut stream = TcpStream::connect_timeout(&server, HTTP_WITHIN)?;
    stream.set_read_timeout(Some(HTTP_WITHIN))?;
    stream.set_write_timeout(Some(HTTP_WITHIN))?;
    // HTTP/1.0: the answer ends with the connection, and is never cut into chunks.
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.take(HTTP_ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(answer: &str) -> Option<HttpAnswer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.strip_prefix("HTTP/1.")?.split_whitespace();
    let status = words.nth(1)?.parse().ok()?;
    Some(HttpAnswer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 503 Service Unavailable\r\na: b\r\n\r\nno\r\n\r\n").expect("is HTTP");
        assert_eq!(answer, HttpAnswer { status: 503, body: "no\r\n\r\n".to_owned() });
        assert_eq!(parse("220 smtp ready"), None);
    }
}
