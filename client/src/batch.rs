//! Many operations at once, split by owning core and kind.
//!
//! Each round sends what is still open, one frame (or several, if it is much) for each core and kind; what may be tried again goes
//! into the next round, at the next target of its key. Each operation keeps its place, so the answers stand in order.

use core::time::Duration;
use std::sync::Arc;

use ahash::AHashMap;
use rondo_protocol::limits::BATCH_ITEMS_MAX;
use rondo_protocol::wire::BatchKind;
use rondo_protocol::wire::client_message::batch_item_bytes;
use rondo_protocol::wire::request::DataRequest;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, receipt_epoch, repeats_of, request_of};
use crate::connection::Ask;
use crate::error::Error;
use crate::limits::BATCH_FRAME_BYTES;
use crate::options::Options;
use crate::outcome::{Operation, Outcome};
use crate::retry::Verdict;
use crate::routing::Target;
use crate::session::Answer;

/// One operation that has no answer yet.
struct Open {
    /// Its place in the batch.
    place: usize,
    request: DataRequest,
}

/// What goes to one target as one kind: the targets to try in turn, and the members.
type Groups = AHashMap<(Option<Target>, BatchKind), (Vec<Target>, Vec<Open>)>;

/// What goes into one frame.
struct Chunk {
    kind: BatchKind,
    targets: Vec<Target>,
    places: Vec<usize>,
    items: Arc<[DataRequest]>,
}

pub(crate) async fn perform(
    client: &Client,
    operations: Vec<Operation>,
    options: &Options,
) -> Vec<Result<Outcome, Error>> {
    let deadline = Instant::now() + options.timeout;
    let mut results: Vec<Option<Result<Outcome, Error>>> = vec![None; operations.len()];
    let mut open = Vec::with_capacity(operations.len());
    for (place, operation) in operations.into_iter().enumerate() {
        match request_of(operation, options) {
            Ok(request) => open.push(Open { place, request }),
            Err(wrong) => results[place] = Some(Err(Error::BadInput(wrong))),
        }
    }
    client.pool.deposit();
    for attempt in 1.. {
        if open.is_empty() {
            break;
        }
        let (again, after) = round(client, open, options, attempt, deadline, &mut results).await;
        open = again;
        if !open.is_empty() {
            tokio::time::sleep(after).await;
        }
    }
    let unanswered = || Err(Error::NoAnswer { address: "the cluster".into(), waited: options.timeout });
    results.into_iter().map(|result| result.unwrap_or_else(unanswered)).collect()
}

/// Sends all that is open once; gives back what is to be tried again, and after which wait.
async fn round(
    client: &Client,
    open: Vec<Open>,
    options: &Options,
    attempt: u32,
    deadline: Instant,
    results: &mut [Option<Result<Outcome, Error>>],
) -> (Vec<Open>, Duration) {
    let mut requests: AHashMap<usize, DataRequest> =
        open.iter().map(|open| (open.place, open.request.clone())).collect();
    let on_the_wire = options.on_the_wire(left(deadline));
    let mut sent = JoinSet::new();
    for chunk in split(client, open, attempt) {
        let client = client.clone();
        sent.spawn(async move {
            let Chunk { kind, targets, places, items } = chunk;
            let ask = Ask::Batch { kind, options: on_the_wire, items };
            (places, client.pool.ask_first(&targets, ask, deadline).await)
        });
    }
    let (mut again, mut longest) = (Vec::new(), Duration::ZERO);
    while let Some(joined) = sent.join_next().await {
        let Ok((places, answer)) = joined else { continue };
        for (place, result) in results_of(places, answer) {
            let request = requests.remove(&place).expect("each place is in one chunk");
            match &result {
                Ok(outcome) => client.pool.notice_epoch(receipt_epoch(outcome)),
                Err(error) => {
                    let verdict = client.pool.verdict(error, repeats_of(&request, options), attempt, deadline);
                    if let Verdict::Again { after } = verdict {
                        again.push(Open { place, request });
                        longest = longest.max(after);
                    }
                }
            }
            // Kept even if it is tried again: it is the answer if there will be no better one.
            results[place] = Some(result);
        }
    }
    (again, longest)
}

/// Groups by target and kind, in frames of bounded size.
fn split(client: &Client, open: Vec<Open>, attempt: u32) -> Vec<Chunk> {
    let routing = client.pool.routing();
    let mut groups = Groups::new();
    for open in open {
        let mut targets: Vec<Target> = routing.targets(open.request.key().token()).collect();
        targets.extend(client.pool.fallbacks(&targets));
        let turns = (attempt as usize - 1) % targets.len().max(1);
        targets.rotate_left(turns);
        let group = (targets.first().cloned(), BatchKind::of(&open.request));
        groups.entry(group).or_insert_with(|| (targets, Vec::new())).1.push(open);
    }
    let mut chunks = Vec::new();
    for ((_, kind), (targets, members)) in groups {
        let mut members = members.into_iter().peekable();
        while members.peek().is_some() {
            let (mut places, mut items, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some(open) = members.next_if(|next| {
                items.is_empty()
                    || items.len() < BATCH_ITEMS_MAX && bytes + batch_item_bytes(&next.request) <= BATCH_FRAME_BYTES
            }) {
                bytes += batch_item_bytes(&open.request);
                places.push(open.place);
                items.push(open.request);
            }
            chunks.push(Chunk { kind, targets: targets.clone(), places, items: items.into() });
        }
    }
    chunks
}

fn results_of(places: Vec<usize>, answer: Result<Answer, Error>) -> Vec<(usize, Result<Outcome, Error>)> {
    match answer {
        Ok(Answer::Batch(results)) => places.into_iter().zip(results).collect(),
        Ok(Answer::Data(result)) => places.into_iter().map(|place| (place, result.clone())).collect(),
        Ok(Answer::Pong | Answer::Topology(_) | Answer::NotUnderstood(_)) => Vec::new(),
        Err(error) => places.into_iter().map(|place| (place, Err(error.clone()))).collect(),
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
