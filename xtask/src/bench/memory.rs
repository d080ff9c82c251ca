//! Memory: an idle node, and what an idle connection adds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rondo_protocol::wire::hello::ClientHello;

use super::report::{Amount, Report};
use super::{BenchOptions, rondo, say};
use crate::proc::resident_bytes;

/// Connections that do nothing.
const IDLE_CONNECTIONS: usize = 5000;

/// Adds resident memory of an idle node and of each idle connection.
pub fn measure(_options: &BenchOptions, report: &mut Report) -> Result<(), String> {
    say("memory of an idle node");
    let cluster = rondo::cluster(1, 1)?;
    let node = &cluster.nodes[0];
    let idle = resident_bytes(node.pid())?;
    report.add_amount(Amount {
        what: "resident memory of an idle node, 1 shard, caches empty".into(),
        value: idle as f64 / 1024.0 / 1024.0,
        unit: "MiB",
        budget: Some(64.0),
    });
    say("memory of idle connections");
    let mut connections = Vec::with_capacity(IDLE_CONNECTIONS);
    for _ in 0..IDLE_CONNECTIONS {
        connections.push(greeted(node.address)?);
    }
    let added = resident_bytes(node.pid())?.saturating_sub(idle);
    report.add_amount(Amount {
        what: format!("resident memory added by each of {IDLE_CONNECTIONS} idle connections"),
        value: added as f64 / 1024.0 / IDLE_CONNECTIONS as f64,
        unit: "KiB",
        budget: Some(16.0),
    });
    Ok(())
}

/// A connection that has said hello and heard the answer.
fn greeted(server: std::net::SocketAddr) -> Result<TcpStream, String> {
    let talk = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut hello = Vec::new();
        ClientHello::new("bench", None).encode(1, &mut hello);
        stream.write_all(&hello)?;
        let mut head = [0; 20];
        stream.read_exact(&mut head)?;
        Ok(stream)
    };
    talk().map_err(|error| format!("an idle connection failed: {error}"))
}
