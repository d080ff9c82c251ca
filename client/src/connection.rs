//! One connection of the tokio front: a task that owns a socket and a session.
//!
//! Callers put requests into its queue; the task encodes whatever has gathered and sends it with one write, and hands
//! answers back as they come. When the connection ends, what was never encoded is told apart from what was: the former is
//! certain not to have happened.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use rondo_protocol::wire::BatchKind;
use rondo_protocol::wire::request::{DataRequest, RequestOptions};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::error::Error;
use crate::limits::{
    ANSWER_GRACE, CONNECT_TIMEOUT, IN_FLIGHT_MAX, QUEUED_PER_CONNECTION_MAX, READ_BYTES, SILENCE_MAX, WRITE_BYTES_MAX,
};
use crate::routing::{Routing, Target};
use crate::session::{Answer, Completed, NotEncoded, Session, SessionError};

/// What can be asked on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Data(DataRequest),
    Batch { kind: BatchKind, options: RequestOptions, items: Arc<[DataRequest]> },
    Ping,
    Topology,
}

/// A request on its way to the task.
#[derive(Debug)]
struct Command {
    ask: Ask,
    waiter: Waiter,
}

/// Who waits for an answer, and until when.
#[derive(Debug)]
struct Waiter {
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, Error>>,
}

/// A handle to the task. The connection ends when the last handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    address: Arc<str>,
    commands: mpsc::Sender<Command>,
}

impl Connection {
    /// Opens a connection to `target` and shakes hands, within [`CONNECT_TIMEOUT`].
    pub(crate) async fn open(target: &Target, client_name: &str) -> Result<(Connection, Routing), Error> {
        let address = target.address.clone();
        let opening = Opening::shake_hands(target, client_name);
        let opened = match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(opened) => opened?,
            Err(_) => return Err(unreachable(&address, "no welcome within 2 s")),
        };
        let routing = opened.session.welcome().map(|welcome| welcome.routing.clone());
        let routing = routing.ok_or_else(|| unreachable(&address, "no welcome"))?;
        let (commands, queue) = mpsc::channel(QUEUED_PER_CONNECTION_MAX);
        tokio::spawn(Task::new(opened, address.clone(), queue).run());
        Ok((Connection { address, commands }, routing))
    }

    /// Asks, and waits for the answer until `deadline` and the grace after it.
    pub(crate) async fn ask(&self, ask: Ask, deadline: Instant) -> Result<Answer, Error> {
        let asked_at = Instant::now();
        let (reply, answer) = oneshot::channel();
        let command = Command { ask, waiter: Waiter { deadline, reply } };
        match tokio::time::timeout_at(deadline, self.commands.send(command)).await {
            Err(_) => return Err(Error::NotSent),
            Ok(Err(_)) => return Err(unreachable(&self.address, "the connection has ended")),
            Ok(Ok(())) => {}
        }
        match tokio::time::timeout_at(deadline + ANSWER_GRACE, answer).await {
            Err(_) => Err(Error::NoAnswer { address: self.address.clone(), waited: asked_at.elapsed() }),
            // The task is gone without a word: only if the runtime is going down.
            Ok(Err(_)) => Err(lost(&self.address, "the client was shut down")),
            Ok(Ok(answer)) => answer,
        }
    }

    /// False once the connection has ended.
    pub(crate) fn is_open(&self) -> bool {
        !self.commands.is_closed()
    }
}

pub(crate) fn unreachable(address: &Arc<str>, reason: &str) -> Error {
    Error::Unreachable { address: address.clone(), reason: reason.into() }
}

fn lost(address: &Arc<str>, reason: &str) -> Error {
    Error::ConnectionLost { address: address.clone(), reason: reason.into() }
}

/// A socket and its session.
struct Opening {
    stream: TcpStream,
    session: Session<Waiter>,
    out: Vec<u8>,
}

impl Opening {
    async fn shake_hands(target: &Target, client_name: &str) -> Result<Opening, Error> {
        let not_reached = |error: io::Error| unreachable(&target.address, &error.to_string());
        let stream = TcpStream::connect(&*target.address).await.map_err(not_reached)?;
        stream.set_nodelay(true).map_err(not_reached)?;
        let mut out = Vec::new();
        let session = Session::open(IN_FLIGHT_MAX, target.shard, client_name, &mut out);
        let mut opening = Opening { stream, session, out };
        while opening.session.welcome().is_none() {
            opening.write().map_err(not_reached)?;
            opening.stream.readable().await.map_err(not_reached)?;
            // Before the welcome nothing was asked, so whatever goes wrong, nothing has happened.
            if opening.read().map_err(not_reached)? {
                opening
                    .session
                    .next_completed()
                    .map_err(|error| unreachable(&target.address, &format!("no proper welcome: {error}")))?;
            }
        }
        Ok(opening)
    }

    /// Reads what is there; false if nothing is.
    fn read(&mut self) -> io::Result<bool> {
        match self.stream.try_read_buf(self.session.receive_buffer(READ_BYTES)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes what can be written without waiting.
    fn write(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        match self.stream.try_write(&self.out) {
            Ok(written) => {
                self.out.drain(..written);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

struct Task {
    link: Opening,
    address: Arc<str>,
    queue: mpsc::Receiver<Command>,
    /// When the server last said something, and the latest deadline of what it was asked.
    heard_at: Instant,
    latest_deadline: Instant,
}

impl Task {
    fn new(link: Opening, address: Arc<str>, queue: mpsc::Receiver<Command>) -> Task {
        let now = Instant::now();
        Task { link, address, queue, heard_at: now, latest_deadline: now }
    }

    async fn run(mut self) {
        let error = match self.converse().await {
            Ok(()) => lost(&self.address, "closed by this client"),
            Err(error) => error,
        };
        for waiter in self.link.session.close() {
            let _ = waiter.reply.send(Err(error.clone()));
        }
        self.queue.close();
        while let Ok(command) = self.queue.try_recv() {
            let _ = command.waiter.reply.send(Err(unreachable(&self.address, "the connection has ended")));
        }
    }

    /// Until nobody holds the connection any more, or it fails.
    async fn converse(&mut self) -> Result<(), Error> {
        let mut look_for_silence = tokio::time::interval(SILENCE_MAX / 4);
        loop {
            let may_take = self.link.session.has_room() && self.link.out.len() < WRITE_BYTES_MAX;
            tokio::select! {
                command = self.queue.recv(), if may_take => match command {
                    Some(command) => self.take(command)?,
                    None if self.link.session.in_flight() == 0 => return Ok(()),
                    None => self.read_last().await?,
                },
                ready = self.link.stream.readable() => {
                    ready.map_err(|error| lost(&self.address, &error.to_string()))?;
                    self.read()?;
                }
                ready = self.link.stream.writable(), if !self.link.out.is_empty() => {
                    ready.map_err(|error| lost(&self.address, &error.to_string()))?;
                    self.write()?;
                }
                _ = look_for_silence.tick() => self.end_if_silent()?,
            }
        }
    }

    /// Encodes `first` and whatever else has gathered meanwhile, and sends all of it with one write.
    fn take(&mut self, first: Command) -> Result<(), Error> {
        self.encode(first);
        while self.link.session.has_room() && self.link.out.len() < WRITE_BYTES_MAX {
            let Ok(command) = self.queue.try_recv() else { break };
            self.encode(command);
        }
        self.write()
    }

    fn encode(&mut self, Command { ask, waiter }: Command) {
        if waiter.reply.is_closed() {
            return;
        }
        self.latest_deadline = self.latest_deadline.max(waiter.deadline);
        let (session, out) = (&mut self.link.session, &mut self.link.out);
        let asked = match &ask {
            Ask::Data(request) => session.request(request, waiter, out),
            Ask::Batch { kind, options, items } => session.batch(*kind, options, items, waiter, out),
            Ask::Ping => session.ping(waiter, out),
            Ask::Topology => session.topology(waiter, out),
        };
        let (waiter, reason) = match asked {
            Ok(_) => return,
            Err(NotEncoded::Full(waiter)) => (waiter, "the connection is full".to_owned()),
            Err(NotEncoded::NotOpen(waiter)) => (waiter, "the connection has failed".to_owned()),
            Err(NotEncoded::TooLong(waiter, error)) => (waiter, error.to_string()),
        };
        let _ = waiter.reply.send(Err(unreachable(&self.address, &reason)));
    }

    fn write(&mut self) -> Result<(), Error> {
        self.link.write().map_err(|error| lost(&self.address, &error.to_string()))
    }

    fn read(&mut self) -> Result<(), Error> {
        if !self.link.read().map_err(|error| lost(&self.address, &error.to_string()))? {
            return Ok(());
        }
        self.heard_at = Instant::now();
        loop {
            match self.link.session.next_completed() {
                Ok(Some(completed)) => hand_over(completed, &self.address),
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.failure(error)),
            }
        }
    }

    /// Nobody will ask any more; some still wait for answers.
    async fn read_last(&mut self) -> Result<(), Error> {
        if timeout(Duration::from_secs(1), self.link.stream.readable()).await.is_err() {
            return Err(lost(&self.address, "closed by this client"));
        }
        self.read()
    }

    fn failure(&self, error: SessionError) -> Error {
        match error {
            SessionError::Rejected { .. } => {
                Error::Rejected { address: self.address.clone(), reason: error.to_string().into() }
            }
            SessionError::Decode(_)
            | SessionError::Ring(_)
            | SessionError::Unasked { .. }
            | SessionError::OtherKind { .. }
            | SessionError::Handshake => {
                Error::Protocol { address: self.address.clone(), reason: error.to_string().into() }
            }
        }
    }

    /// A server that owes answers past their deadline and says nothing is taken for dead, so that its place goes to another connection.
    fn end_if_silent(&self) -> Result<(), Error> {
        let silent_since = self.heard_at.max(self.latest_deadline);
        if self.link.session.in_flight() != 0 && silent_since.elapsed() > SILENCE_MAX {
            return Err(lost(&self.address, "the server owes answers and says nothing"));
        }
        Ok(())
    }
}

fn hand_over(completed: Completed<Waiter>, address: &Arc<str>) {
    let answer = match completed.answer {
        Answer::NotUnderstood(error) => {
            Err(Error::Rejected { address: address.clone(), reason: Answer::not_understood(&error).into() })
        }
        answer => Ok(answer),
    };
    // A caller that left has dropped its end; the answer is late then.
    let _ = completed.tag.reply.send(answer);
}
