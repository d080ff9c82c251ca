//! One connection of one thread, opened again whenever it is lost.
//!
//! Reading and writing are two halves of one task. The reader takes in whatever is there, and lets the worker answer with new requests;
//! the writer then sends all that has gathered with one write.

use core::future::poll_fn;
use core::task::Poll;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use glommio::net::TcpStream;
use glommio::timer::{sleep, timeout};
use rondo_client::routing::Target;
use rondo_client::session::Session;

use crate::limits::{CONNECT_TIMEOUT, READ_BYTES, RECONNECT_AFTER};
use crate::operation::Operation;
use crate::worker::Worker;

/// What the tasks of one thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) worker: RefCell<Worker>,
    /// The start of the run, once all threads are ready.
    pub(crate) started_at: std::cell::Cell<Option<Instant>>,
}

impl Shared {
    /// Nanoseconds since the start; 0 before it.
    pub(crate) fn now(&self) -> u64 {
        self.started_at.get().map_or(0, |started_at| started_at.elapsed().as_nanos() as u64)
    }

    /// Keeps lane number `lane` connected for as long as the thread lives.
    pub(crate) fn serve(self: &Rc<Shared>, lane: usize) {
        let shared = self.clone();
        glommio::spawn_local(async move {
            loop {
                let target = shared.worker.borrow().target(lane);
                if let Ok((stream, session)) = open(&target).await {
                    let new_lanes = shared.worker.borrow_mut().opened(lane, session);
                    new_lanes.for_each(|lane| shared.serve(lane));
                    shared.converse(lane, stream).await;
                    let now = shared.now();
                    shared.worker.borrow_mut().closed(lane, now);
                }
                sleep(RECONNECT_AFTER).await;
            }
        })
        .detach();
    }

    /// Until the connection is lost.
    async fn converse(&self, lane: usize, stream: TcpStream) {
        let (mut from, mut to) = futures_lite::io::split(stream);
        let read = async {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                match from.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) if self.take(lane, &buffer[..bytes]) => {}
                    Ok(_) => return,
                }
                // The writer's turn: what this batch of answers has led to goes out with one write.
                future::yield_now().await;
            }
        };
        let write = async {
            let mut bytes = Vec::new();
            loop {
                self.gathered(lane, &mut bytes).await;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                bytes.clear();
            }
        };
        future::or(read, write).await;
    }

    /// Hands what was read to the session, and its answers to the worker; false if it makes no sense.
    fn take(&self, lane: usize, bytes: &[u8]) -> bool {
        let mut worker = self.worker.borrow_mut();
        let now = self.now();
        let Some(session) = &mut worker.lanes[lane].session else { return false };
        session.receive(bytes);
        loop {
            let Some(session) = &mut worker.lanes[lane].session else { return false };
            match session.next_completed() {
                Ok(Some(completed)) => worker.completed(completed, now),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        if self.started_at.get().is_some() {
            worker.refill(Some(lane), now);
        }
        worker.wake_writers();
        true
    }

    /// Swaps what waits to be written into `bytes`, which is empty; waits until there is something.
    async fn gathered(&self, lane: usize, bytes: &mut Vec<u8>) {
        poll_fn(|context| {
            let mut worker = self.worker.borrow_mut();
            let lane = &mut worker.lanes[lane];
            if lane.out.is_empty() {
                lane.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            core::mem::swap(&mut lane.out, bytes);
            Poll::Ready(())
        })
        .await;
    }
}

/// Connects and shakes hands.
async fn open(target: &Target) -> io::Result<(TcpStream, Session<Operation>)> {
    let opening = async { Ok(shake_hands(target).await) };
    timeout(CONNECT_TIMEOUT, opening).await.map_err(|_: glommio::GlommioError<()>| io::ErrorKind::TimedOut)?
}

async fn shake_hands(target: &Target) -> io::Result<(TcpStream, Session<Operation>)> {
    let mut stream = TcpStream::connect(&*target.address).await.map_err(io::Error::from)?;
    stream.set_nodelay(true).map_err(io::Error::from)?;
    let mut hello = Vec::new();
    let in_flight_max = rondo_client::limits::IN_FLIGHT_MAX;
    let mut session = Session::open(in_flight_max, target.shard, "rondo-loadgen", &mut hello);
    stream.write_all(&hello).await?;
    let mut buffer = vec![0; READ_BYTES];
    while session.welcome().is_none() {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => session.receive(&buffer[..bytes]),
        }
        session.next_completed().map_err(io::Error::other)?;
    }
    Ok((stream, session))
}
