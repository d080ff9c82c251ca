//! The cloakroom's pegs: who waits for which answer.

use super::RequestId;

/// How many bits of a request id name its place; the others count how often the place was used, so that a late answer
/// is not taken for another request's.
const PLACE_BITS: u32 = 10;
const GENERATION_MAX: u32 = u32::MAX >> PLACE_BITS;

const _: () = assert!(crate::limits::IN_FLIGHT_MAX <= 1 << PLACE_BITS);

/// What kind of answer fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    Data,
    Batch { items: usize },
    Pong,
    Topology,
}

#[derive(Debug)]
struct Place<T> {
    /// Never 0, so that no request has the handshake's id.
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Free,
    Waiting { tag: T, expected: Expected },
    GivenUp,
}

/// What an answer meets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim<T> {
    /// Its requester.
    Waiting { tag: T, expected: Expected },
    /// Nobody any more: the requester gave up.
    Late,
    /// A request that was never sent, or was answered already.
    Unasked,
}

#[derive(Debug)]
pub(super) struct Places<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Places<T> {
    pub(super) fn new(count: usize) -> Places<T> {
        let places = (0..count).map(|_| Place { generation: 1, state: State::Free }).collect();
        Places { places, free: (0..count as u32).rev().collect() }
    }

    pub(super) fn occupied(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The id that the next request will have; `None` if all places are taken.
    pub(super) fn peek(&self) -> Option<RequestId> {
        let index = *self.free.last()?;
        Some(RequestId(self.places[index as usize].generation << PLACE_BITS | index))
    }

    /// Takes the place of the id that was peeked.
    pub(super) fn occupy(&mut self, id: RequestId, tag: T, expected: Expected) {
        let index = self.free.pop().expect("the place was peeked");
        assert_eq!(index, id.0 & ((1 << PLACE_BITS) - 1));
        self.places[index as usize].state = State::Waiting { tag, expected };
    }

    /// An answer came: the place is free again.
    pub(super) fn claim(&mut self, id: RequestId) -> Claim<T> {
        let Some(place) = self.place(id) else { return Claim::Unasked };
        let claim = match core::mem::replace(&mut place.state, State::Free) {
            State::Free => return Claim::Unasked,
            State::Waiting { tag, expected } => Claim::Waiting { tag, expected },
            State::GivenUp => Claim::Late,
        };
        place.generation = if place.generation == GENERATION_MAX { 1 } else { place.generation + 1 };
        self.free.push(id.0 & ((1 << PLACE_BITS) - 1));
        claim
    }

    /// The requester leaves; the place stays taken until the answer comes.
    pub(super) fn give_up(&mut self, id: RequestId) -> Option<T> {
        let place = self.place(id)?;
        match core::mem::replace(&mut place.state, State::GivenUp) {
            State::Waiting { tag, .. } => Some(tag),
            State::GivenUp => None,
            State::Free => {
                place.state = State::Free;
                None
            }
        }
    }

    pub(super) fn drain(&mut self) -> Vec<T> {
        let states = self.places.iter_mut().map(|place| core::mem::replace(&mut place.state, State::Free));
        let tags = states.filter_map(|state| match state {
            State::Waiting { tag, .. } => Some(tag),
            State::Free | State::GivenUp => None,
        });
        let tags = tags.collect();
        self.free = (0..self.places.len() as u32).rev().collect();
        tags
    }

    fn place(&mut self, id: RequestId) -> Option<&mut Place<T>> {
        let (index, generation) = (id.0 & ((1 << PLACE_BITS) - 1), id.0 >> PLACE_BITS);
        self.places.get_mut(index as usize).filter(|place| place.generation == generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(places: &mut Places<char>, tag: char) -> RequestId {
        let id = places.peek().expect("a free place");
        places.occupy(id, tag, Expected::Data);
        id
    }

    #[test]
    fn an_answer_finds_its_requester_once() {
        let mut places = Places::new(2);
        let (a, b) = (ask(&mut places, 'a'), ask(&mut places, 'b'));
        assert_eq!(places.peek(), None);
        assert_eq!(places.claim(b), Claim::Waiting { tag: 'b', expected: Expected::Data });
        assert_eq!(places.claim(b), Claim::Unasked);
        assert_eq!(places.claim(a), Claim::Waiting { tag: 'a', expected: Expected::Data });
        assert_eq!(places.occupied(), 0);
    }

    #[test]
    fn a_late_answer_is_recognised_and_never_given_to_the_next_request_of_its_place() {
        let mut places = Places::new(1);
        let a = ask(&mut places, 'a');
        assert_eq!(places.give_up(a), Some('a'));
        assert_eq!((places.give_up(a), places.occupied()), (None, 1));
        assert_eq!(places.claim(a), Claim::Late);
        let b = ask(&mut places, 'b');
        assert_ne!(a, b);
        assert_eq!(places.claim(a), Claim::Unasked);
        assert_eq!(places.give_up(b), Some('b'));
    }

    #[test]
    fn generations_come_round_and_never_reach_the_handshakes_id() {
        let mut places = Places::new(1);
        places.places[0].generation = GENERATION_MAX;
        let last = ask(&mut places, 'a');
        assert!(matches!(places.claim(last), Claim::Waiting { .. }));
        assert_eq!(ask(&mut places, 'b'), RequestId(1 << PLACE_BITS));
    }

    #[test]
    fn what_is_left_at_the_end_comes_back() {
        let mut places = Places::new(4);
        let a = ask(&mut places, 'a');
        ask(&mut places, 'b');
        places.give_up(a);
        assert_eq!(places.drain(), ['b']);
        assert_eq!(places.occupied(), 0);
    }
}
