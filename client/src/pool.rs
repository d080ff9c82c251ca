//! What all clones of a client share: connections by target, the topology, and the retry budget.

use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ahash::AHashMap;
use tokio::time::Instant;

use crate::connection::{Ask, Connection, unreachable};
use crate::error::{BadInput, Error};
use crate::limits::{ADDRESS_SHUNNED, CONNECT_TIMEOUT, CONNECTIONS_MAX, REFRESH_INTERVAL_MIN};
use crate::retry::{Repeats, RetryBudget, RetryPolicy, Verdict};
use crate::routing::{Routing, Target};
use crate::session::Answer;

/// One target's connection, opened by the first who needs it while the others wait for the same one.
type Place = Arc<tokio::sync::Mutex<Option<Connection>>>;

#[derive(Debug)]
pub(crate) struct Pool {
    client_name: String,
    policy: RetryPolicy,
    seeds: Vec<Arc<str>>,
    places: Mutex<AHashMap<Target, Place>>,
    /// Addresses that could not be reached or kept silent, and until when they are tried last.
    shunned: Mutex<AHashMap<Arc<str>, Instant>>,
    routing: RwLock<Arc<Routing>>,
    refreshed_at: Mutex<Option<Instant>>,
    budget: Mutex<RetryBudget>,
    random: AtomicU64,
    started_at: Instant,
}

impl Pool {
    /// Connects to the first of `seeds` that answers.
    pub(crate) async fn connect(seeds: Vec<Arc<str>>, client_name: String, policy: RetryPolicy) -> Result<Pool, Error> {
        let mut last = Error::BadInput(BadInput::NoAddress);
        for address in &seeds {
            let target = Target { address: address.clone(), shard: None };
            match Connection::open(&target, &client_name).await {
                Ok((connection, routing)) => {
                    let pool = Pool::new(seeds, client_name, policy, routing);
                    lock(&pool.places).insert(target, Arc::new(tokio::sync::Mutex::new(Some(connection))));
                    return Ok(pool);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn new(seeds: Vec<Arc<str>>, client_name: String, policy: RetryPolicy, routing: Routing) -> Pool {
        Pool {
            client_name,
            policy,
            seeds,
            places: Mutex::default(),
            shunned: Mutex::default(),
            routing: RwLock::new(Arc::new(routing)),
            refreshed_at: Mutex::new(None),
            budget: Mutex::default(),
            random: AtomicU64::new(RandomState::new().hash_one(0u8)),
            started_at: Instant::now(),
        }
    }

    pub(crate) fn routing(&self) -> Arc<Routing> {
        self.routing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whom to ask beside `targets`: any shard of any node that is known, then the addresses that the client began with.
    pub(crate) fn fallbacks(&self, targets: &[Target]) -> Vec<Target> {
        let routing = self.routing();
        let mut found: Vec<Target> = Vec::new();
        for address in routing.addresses().chain(&self.seeds) {
            let is_known = targets.iter().chain(&found).any(|target| target.address == *address);
            if !is_known {
                found.push(Target { address: address.clone(), shard: None });
            }
        }
        found
    }

    /// Sends to the first of `targets` that can be reached: nothing was sent to those before it, so this is no retry.
    /// Addresses that failed a moment ago come last.
    pub(crate) async fn ask_first(
        self: &Arc<Pool>,
        targets: &[Target],
        ask: Ask,
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let (last_resorts, likely): (Vec<_>, Vec<_>) =
            targets.iter().partition(|target| self.is_shunned(&target.address));
        let mut last = Error::BadInput(BadInput::NoAddress);
        for target in likely.into_iter().chain(last_resorts) {
            match self.ask(target, ask.clone(), deadline).await {
                Err(error @ Error::Unreachable { .. }) => last = error,
                answer => return answer,
            }
        }
        Err(last)
    }

    async fn ask(self: &Arc<Pool>, target: &Target, ask: Ask, deadline: Instant) -> Result<Answer, Error> {
        let opening = tokio::time::timeout_at(deadline, self.connection(target));
        let connection = match opening.await {
            Ok(connection) => connection?,
            Err(_) => return Err(unreachable(&target.address, "no connection within the timeout")),
        };
        let answer = connection.ask(ask, deadline).await;
        if !connection.is_open() {
            self.refresh_later();
        }
        match &answer {
            // A node that hangs still accepts requests: without this every one of its keys would wait its full time.
            // It is tried last for as long as it kept us waiting, so that at most half of a caller's time goes to it.
            Err(Error::NoAnswer { waited, .. }) => self.shun(&target.address, (*waited).max(ADDRESS_SHUNNED)),
            Err(Error::ConnectionLost { .. }) => self.shun(&target.address, ADDRESS_SHUNNED),
            Err(_) | Ok(_) => {}
        }
        answer
    }

    /// The open connection to `target`, or a new one.
    pub(crate) async fn connection(&self, target: &Target) -> Result<Connection, Error> {
        let place = self.place(target);
        let mut place = place.lock().await;
        if let Some(connection) = place.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        match Connection::open(target, &self.client_name).await {
            Ok((connection, routing)) => {
                lock(&self.shunned).remove(&target.address);
                self.learn(routing);
                *place = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                *place = None;
                self.shun(&target.address, ADDRESS_SHUNNED);
                Err(error)
            }
        }
    }

    fn place(&self, target: &Target) -> Place {
        let mut places = lock(&self.places);
        if let Some(place) = places.get(target) {
            return place.clone();
        }
        if places.len() >= CONNECTIONS_MAX {
            // A shard already connected forwards the request.
            if let Some((_, place)) = places.iter().find(|(known, _)| known.address == target.address) {
                return place.clone();
            }
        }
        places.entry(target.clone()).or_default().clone()
    }

    fn shun(&self, address: &Arc<str>, time: Duration) {
        lock(&self.shunned).insert(address.clone(), Instant::now() + time);
    }

    fn is_shunned(&self, address: &Arc<str>) -> bool {
        let mut shunned = lock(&self.shunned);
        let is_shunned = shunned.get(address).is_some_and(|until| Instant::now() < *until);
        if !is_shunned {
            shunned.remove(address);
        }
        is_shunned
    }

    /// Takes a topology if it is better than the one in use.
    fn learn(&self, routing: Routing) {
        let mut current = self.routing.write().unwrap_or_else(PoisonError::into_inner);
        if routing.cluster_id() == current.cluster_id() && routing.is_better_than(&current) {
            *current = Arc::new(routing);
        }
    }

    /// An answer was given in the topology of `epoch`.
    pub(crate) fn notice_epoch(self: &Arc<Pool>, epoch: u64) {
        if epoch > self.routing().epoch() {
            self.refresh_later();
        }
    }

    /// Asks for the topology soon, unless that was done a moment ago.
    fn refresh_later(self: &Arc<Pool>) {
        let now = Instant::now();
        let mut refreshed_at = lock(&self.refreshed_at);
        if refreshed_at.is_some_and(|at| now < at + REFRESH_INTERVAL_MIN) {
            return;
        }
        *refreshed_at = Some(now);
        let pool = self.clone();
        tokio::spawn(async move { pool.refresh().await.map(|_| ()) });
    }

    pub(crate) async fn refresh(self: &Arc<Pool>) -> Result<Arc<Routing>, Error> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        match self.ask_first(&self.fallbacks(&[]), Ask::Topology, deadline).await? {
            Answer::Topology(routing) => {
                self.learn(*routing);
                Ok(self.routing())
            }
            Answer::Data(_) | Answer::Batch(_) | Answer::Pong | Answer::NotUnderstood(_) => Ok(self.routing()),
        }
    }

    pub(crate) fn deposit(&self) {
        lock(&self.budget).deposit();
    }

    /// What to do after an error: the policy's word, if there is time and budget for it.
    pub(crate) fn verdict(&self, error: &Error, repeats: Repeats, attempt: u32, deadline: Instant) -> Verdict {
        let verdict = self.policy.decide(error, repeats, attempt, self.random());
        match verdict {
            Verdict::Again { after } if Instant::now() + after < deadline && self.withdraw() => verdict,
            Verdict::Again { .. } | Verdict::GiveUp => Verdict::GiveUp,
        }
    }

    fn withdraw(&self) -> bool {
        lock(&self.budget).withdraw(self.started_at.elapsed())
    }

    pub(crate) fn retry_budget(&self) -> (u64, u64) {
        let budget = lock(&self.budget);
        (budget.retries_left(), budget.refused_total())
    }

    /// Spreads the waits of many clients: good enough for that, and only for that.
    fn random(&self) -> u64 {
        let count = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

/// A panic while a lock was held leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
