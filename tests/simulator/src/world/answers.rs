//! Clients are told, and write it down.

use bytes::Bytes;

use rondo_client::session::Answer;
use rondo_client::{Error, Outcome as Told};

use super::World;
use crate::client::{Target, Waiting};
use crate::history::{OpId, Outcome};

impl World {
    /// A node's bytes reach a client, or its connection broke.
    pub(super) fn arrive_at_client(&mut self, client: usize, target: Target, connection: u64, bytes: Option<Bytes>) {
        let link = self.clients[client].links.get_mut(&target);
        let Some(link) = link.filter(|link| link.connection == connection) else { return };
        let Some(bytes) = bytes else { return self.lose_link(client, target) };
        let was_open = link.session.welcome().is_some();
        link.session.receive(&bytes);
        loop {
            let Some(link) = self.clients[client].links.get_mut(&target) else { return };
            match link.session.next_completed() {
                Ok(Some(completed)) => self.answered(client, &completed.tag, completed.answer),
                Ok(None) => break,
                Err(error) => {
                    return self.broken("wire", format!("client {client} cannot read what {target:?} sent: {error}"));
                }
            }
        }
        let is_open = self.clients[client].links.get(&target).is_some_and(|link| link.session.welcome().is_some());
        if is_open && !was_open {
            let waits_for_it = |waiting: &Waiting| waiting.target == target && waiting.request.is_none();
            if self.clients[client].waiting.as_ref().is_some_and(waits_for_it) {
                self.clients[client].waiting = None;
                self.send_next(client, target);
            }
        }
    }

    fn answered(&mut self, client: usize, operations: &[OpId], answer: Answer) {
        match answer {
            Answer::Batch(answers) => {
                for (id, answer) in operations.iter().zip(answers) {
                    self.settle(client, *id, answer);
                }
            }
            Answer::Data(answer) => operations.iter().for_each(|id| self.settle(client, *id, answer.clone())),
            other @ (Answer::Pong | Answer::Topology(_) | Answer::NotUnderstood(_)) => {
                self.broken("wire", format!("{operations:?} were answered by {other:?}"));
            }
        }
        self.clients[client].waiting = None;
        self.pause(client);
    }

    fn settle(&mut self, client: usize, id: OpId, answer: Result<Told, Error>) {
        let operation = self.history.operation(id);
        let (key, is_write) = (operation.key, operation.is_write());
        let outcome = match answer {
            Ok(Told::Get(get)) if !is_write => {
                let writers: Option<Vec<OpId>> =
                    get.values.iter().map(|value| self.history.writer_of(key, value)).collect();
                let seen = self.clients[client].remember(key, get.context.as_bytes());
                match (writers, seen) {
                    (Some(writers), Some(seen)) => Outcome::Read { writers, seen, receipt: get.receipt },
                    (None, _) => {
                        return self
                            .broken("acknowledged", format!("{id} on {key} shows a value that nobody put there"));
                    }
                    (_, None) => return self.broken("wire", format!("{id} on {key} came with a context that is none")),
                }
            }
            Ok(Told::Written(written)) if is_write => {
                let context = written.context.as_bytes();
                // What a put saw at its replica is more than its client has seen: in the siblings keyspace only a get's
                // context says what may be replaced.
                let seen = match key.lww {
                    true => self.clients[client].remember(key, context),
                    false => crate::client::decode(key, context),
                };
                match seen {
                    Some(seen) => Outcome::Written { seen, receipt: written.receipt },
                    None => return self.broken("wire", format!("{id} on {key} came with a context that is none")),
                }
            }
            Err(Error::Refused { refusal, .. }) => Outcome::Refused(Some(refusal)),
            Err(_) => Outcome::Unknown,
            other => return self.broken("wire", format!("{id} on {key} was answered by {other:?}")),
        };
        self.end_operation(id, outcome);
    }

    fn end_operation(&mut self, id: OpId, outcome: Outcome) {
        let now = self.now();
        self.trace.note(now, "told", &[id.0 as u64], || format!("{id}: {}", brief(&outcome)));
        self.history.end(id, now, outcome);
    }

    pub(super) fn lose_link(&mut self, client: usize, target: Target) {
        let Some(mut link) = self.clients[client].links.remove(&target) else { return };
        for id in link.session.close().into_iter().flatten() {
            if self.history.operation(id).outcome == Outcome::Pending {
                self.end_operation(id, Outcome::Unknown);
            }
        }
        if self.clients[client].waiting.as_ref().is_some_and(|waiting| waiting.target == target) {
            self.clients[client].waiting = None;
            self.clients[client].wishes.pop_front();
            self.pause(client);
        }
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pending => "nothing".into(),
        Outcome::Read { writers, seen, receipt } => {
            format!(
                "found {:?}, seen {seen:?}, {} answered",
                writers.iter().map(|id| id.0).collect::<Vec<_>>(),
                receipt.answered
            )
        }
        Outcome::Written { seen, receipt } => format!("written, seen {seen:?}, {} answered", receipt.answered),
        Outcome::Refused(refusal) => format!("refused {refusal:?}"),
        Outcome::Unknown => "unknown".into(),
    }
}
