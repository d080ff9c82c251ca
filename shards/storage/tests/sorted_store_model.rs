//! Each engine against a `BTreeMap`: whatever is done, it holds what the map holds.
//!
//! A restart without a flush is a crash of the process: the store may have lost what came after its note, and gets it again
//! in order, as recovery gives it from the log.

mod engines;

use bytes::Bytes;
use engines::{Home, all_entries, large};
use proptest::prelude::*;
use rondo_storage::sorted_store::{split_stored_key, stored_key};
use rondo_storage::{Engine, Lsn, PageLimits, SortedEntry, SortedStore};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    /// Apply these keys, each with an object of so many bytes, in one piece.
    Apply(Vec<(u8, usize)>),
    Get(u8),
    Scan {
        from: u8,
        to: u8,
        entries_max: usize,
        bytes_max: usize,
    },
    Flush,
    Restart {
        is_clean: bool,
    },
}

fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..200usize,
        4 => 900..1100usize,
        2 => 4000..4200usize,
        2 => 4200..70_000usize,
        1 => Just(1 << 20),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let apply = prop::collection::vec((any::<u8>(), bytes()), 1..12).prop_map(Step::Apply);
    let scan = (any::<u8>(), any::<u8>(), 1..20usize, 1..20_000usize)
        .prop_map(|(from, to, entries_max, bytes_max)| Step::Scan { from, to, entries_max, bytes_max });
    let step = prop_oneof![
        5 => apply,
        3 => any::<u8>().prop_map(Step::Get),
        2 => scan,
        3 => Just(Step::Flush),
        1 => any::<bool>().prop_map(|is_clean| Step::Restart { is_clean }),
    ];
    prop::collection::vec(step, 1..40)
}

/// Three keys share each token, and the tokens span the ring.
fn key(of: u8) -> (u128, String) {
    let of = u128::from(of % 60);
    (((of / 3) << 123) | (of / 3), format!("key-{}", of % 3))
}

struct World {
    home: Home,
    store: Box<dyn SortedStore>,
    model: BTreeMap<Vec<u8>, (Lsn, Bytes)>,
    /// Everything since the last flush, as the log has it.
    log: Vec<(Lsn, u8, Bytes)>,
    lsn: Lsn,
    flushed: Lsn,
}

impl World {
    fn new(engine: Engine) -> World {
        let home = Home::new(engine);
        let store = home.open();
        World { home, store, model: BTreeMap::new(), log: Vec::new(), lsn: Lsn(0), flushed: Lsn(0) }
    }

    fn apply(&mut self, records: &[(Lsn, u8, Bytes)]) {
        let keys: Vec<(u128, String)> = records.iter().map(|(_, of, _)| key(*of)).collect();
        let entries = records.iter().zip(&keys).map(|((lsn, _, object), (token, routed))| SortedEntry {
            token: *token,
            routed: routed.as_bytes(),
            object,
            lsn: *lsn,
        });
        self.store.apply(&entries.collect::<Vec<_>>()).expect("applied");
    }

    fn put(&mut self, pairs: &[(u8, usize)]) {
        let mut records = Vec::new();
        for (of, bytes) in pairs {
            self.lsn = self.lsn.next();
            let object = Bytes::from(large(self.lsn.0 as u8, *bytes));
            let (token, routed) = key(*of);
            self.model.insert(stored_key(token, routed.as_bytes()), (self.lsn, object.clone()));
            records.push((self.lsn, *of, object));
        }
        self.apply(&records);
        self.log.extend(records);
    }

    fn flush(&mut self) {
        self.store.flush_durable(self.lsn).expect("flushed");
        self.flushed = self.lsn;
        self.log.clear();
    }

    fn restart(&mut self) {
        // Closed before it is opened again: two stores in one directory would be no restart.
        self.store = Box::new(rondo_storage::MemorySortedStore::new());
        self.store = self.home.open();
        let upto = self.store.durable_upto().expect("a note");
        assert_eq!(upto, self.flushed, "{}", self.home.engine);
        self.store.discard_unfinished(upto).expect("discarded");
        let log = self.log.clone();
        self.apply(&log);
    }

    fn check_get(&self, of: u8) {
        let (token, routed) = key(of);
        let found = self.store.get(token, routed.as_bytes()).expect("readable");
        let expected = self.model.get(&stored_key(token, routed.as_bytes()));
        let found = found.map(|stored| (stored.lsn, stored.object));
        assert!(found.as_ref() == expected, "{}: {routed} of {token:x}", self.home.engine);
    }

    fn check_scan(&self, from: u8, to: u8, limits: PageLimits) {
        let (token_first, token_last) = (key(from).0, key(to).0);
        let mut at = stored_key(token_first, b"");
        let expected = self.model.range(at.clone()..);
        let mut expected =
            expected.take_while(|(key, _)| split_stored_key(key).is_some_and(|(token, _)| token <= token_last));
        loop {
            let page = self.store.scan(&at, token_last, limits).expect("scanned");
            assert!(page.unreadable.is_empty() && page.gaps.is_empty());
            let keys = self.store.scan_keys(&at, token_last, page.entries.len().max(1)).expect("scanned");
            assert_eq!((keys.keys.len(), &keys.next), (page.entries.len(), &page.next));
            for (entry, key) in page.entries.iter().zip(&keys.keys) {
                let (expected_key, (lsn, object)) = expected.next().expect("no more than was put");
                assert_eq!((&stored_key(entry.token, &entry.routed), key), (expected_key, expected_key));
                assert!(entry.lsn == *lsn && entry.object == *object);
            }
            let Some(next) = page.next else { break };
            at = next;
        }
        assert!(expected.next().is_none(), "{}: a scan ended early", self.home.engine);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Apply(ref pairs) => self.put(pairs),
            Step::Get(of) => self.check_get(of),
            Step::Scan { from, to, entries_max, bytes_max } => {
                self.check_scan(from, to, PageLimits { entries_max, bytes_max });
            }
            Step::Flush => self.flush(),
            Step::Restart { is_clean } => {
                if is_clean {
                    self.flush();
                }
                self.restart();
            }
        }
    }
}

fn check(engine: Engine, steps: &[Step]) {
    let mut world = World::new(engine);
    for step in steps {
        world.step(step);
    }
    world.flush();
    world.restart();
    let found = all_entries(&*world.store).into_iter();
    let found: BTreeMap<Vec<u8>, (Lsn, Bytes)> =
        found.map(|entry| (stored_key(entry.token, &entry.routed), (entry.lsn, entry.object))).collect();
    assert!(found == world.model, "{engine}: the whole store differs");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn sled_holds_what_a_map_holds(steps in steps()) {
        check(Engine::Sled, &steps);
    }

    #[test]
    fn lsm_holds_what_a_map_holds(steps in steps()) {
        check(Engine::Lsm, &steps);
    }
}
