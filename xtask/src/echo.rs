//! A plain TCP echo: the floor that the kernel sets, measured in the same run as everything else.
//!
//! One blocking thread a connection on both sides; the server answers all whole requests of a read with one write, which
//! is the best a server can do at any depth. Sizes are those of rondo's own requests and answers, so that the same bytes cross the socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Serves until the process is ended; prints its address first.
pub fn serve(request_bytes: usize, reply_bytes: usize) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!("{}", listener.local_addr().map_err(|error| error.to_string())?);
    for stream in listener.incoming() {
        let stream = stream.map_err(|error| error.to_string())?;
        std::thread::spawn(move || answer(stream, request_bytes, reply_bytes));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, request_bytes: usize, reply_bytes: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = vec![0; 64 * 1024];
    let replies = vec![b'r'; reply_bytes * (64 * 1024 / request_bytes + 1)];
    let mut partial = 0;
    loop {
        let read = stream.read(&mut input)?;
        if read == 0 {
            return Ok(());
        }
        let whole = (partial + read) / request_bytes;
        partial = (partial + read) % request_bytes;
        stream.write_all(&replies[..whole * reply_bytes])?;
    }
}

/// Keeps `depth` requests in flight on each of `connections` for `duration`; returns how many were answered.
pub fn load(
    server: SocketAddr,
    connections: usize,
    depth: usize,
    sizes: (usize, usize),
    duration: Duration,
) -> Result<u64, String> {
    let ends = Instant::now() + duration;
    let clients: Vec<_> =
        (0..connections).map(|_| std::thread::spawn(move || keep_in_flight(server, depth, sizes, ends))).collect();
    let mut answered = 0;
    for client in clients {
        answered += client
            .join()
            .map_err(|_| "an echo client panicked".to_owned())?
            .map_err(|error| format!("echo client: {error}"))?;
    }
    Ok(answered)
}

fn keep_in_flight(
    server: SocketAddr,
    depth: usize,
    (request_bytes, reply_bytes): (usize, usize),
    ends: Instant,
) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let requests = vec![b'q'; request_bytes * depth];
    let mut input = vec![0; 64 * 1024];
    stream.write_all(&requests)?;
    let (mut answered, mut partial) = (0, 0);
    while Instant::now() < ends {
        let read = stream.read(&mut input)?;
        if read == 0 {
            break;
        }
        let whole = (partial + read) / reply_bytes;
        partial = (partial + read) % reply_bytes;
        answered += whole as u64;
        stream.write_all(&requests[..whole * request_bytes])?;
    }
    Ok(answered)
}
