//! Once everything is whole again, every node answers quorum operations within a bound of simulated time.

use core::time::Duration;

use rondo_protocol::wire::request::{Level, RequestOptions};

use super::Violation;
use crate::client::Wish;
use crate::fault::Seat;
use crate::history::{Key, Kind, OpId};
use crate::world::World;

const CHECKER: &str = "liveness";
/// Links come up, clocks meet and logs catch up within this time.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(8);
/// Time between two tries.
const TRY_GAP: Duration = Duration::from_millis(100);

/// Asks every node for a quorum read and a quorum write in each keyspace.
pub fn check(world: &mut World) -> Result<(), Violation> {
    let until = world.now() + RECOVERY_TIME_MAX;
    for seat in world.cluster.seats() {
        for lww in [true, false] {
            let key = Key { lww, number: 0 };
            for kind in [Kind::Get, Kind::Put { value_bytes: 16 }] {
                // Each write has the read before it in view, so that no siblings pile up.
                while !ask(world, seat, key, kind, Level::Quorum)?
                    .is_some_and(|id| world.history.operation(id).is_done())
                {
                    if world.now() > until {
                        let last = world.history.iter().last().map(|(_, operation)| operation.outcome.clone());
                        let what =
                            format!("{seat} does not answer a quorum {kind:?} of {key}, long after healing: {last:?}");
                        return Err(Violation::new(CHECKER, what));
                    }
                    world.run(TRY_GAP, |_| false)?;
                }
            }
        }
    }
    Ok(())
}

/// Asks one thing, with the last read in view, and waits for the answer. `None`: nobody was there to be asked.
pub fn ask(world: &mut World, seat: Seat, key: Key, kind: Kind, level: Level) -> Result<Option<OpId>, Violation> {
    let before = world.history.iter().count();
    let shard = world.cluster.owning_shard(seat, &key.object_key()).0;
    let options = RequestOptions { replicas: 0, level, timeout: Duration::from_secs(2) };
    let required = world.cluster.required(level);
    let operator = world.operator();
    world.ask(operator, Wish { items: vec![(key, kind)], options, required, informed: true, target: (seat, shard) });
    world.run(Duration::from_secs(10), |world| world.clients[operator].is_idle())?;
    Ok((world.history.iter().count() > before).then_some(OpId(before)))
}
