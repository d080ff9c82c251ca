//! The core allocates nothing for a get, and for a put only its share of an arena chunk.

#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without; it only passes on")]

mod steady;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use steady::Steady;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const WARM_UP: u64 = 2_000;
const COUNTED: u64 = 10_000;

/// Allocations of each of many calls, after some that are not counted.
fn allocations_per_call(steady: &mut Steady, call: impl Fn(&mut Steady)) -> f64 {
    for _ in 0..WARM_UP {
        call(steady);
    }
    let (allocations_before, done_before) = (ALLOCATIONS.get(), steady.done());
    for _ in 0..COUNTED {
        call(steady);
    }
    assert_eq!(steady.done() - done_before, COUNTED, "each was answered as it should be");
    (ALLOCATIONS.get() - allocations_before) as f64 / COUNTED as f64
}

#[test]
fn a_cached_get_allocates_nothing() {
    let mut steady = Steady::new();
    steady.put(1);
    assert_eq!(allocations_per_call(&mut steady, |steady| steady.get(1)), 0.0);
}

#[test]
fn a_quorum_get_allocates_nothing() {
    let mut steady = Steady::new();
    steady.put(1);
    assert_eq!(allocations_per_call(&mut steady, |steady| steady.get(2)), 0.0);
}

#[test]
fn a_put_allocates_its_share_of_a_chunk_and_no_more() {
    let mut steady = Steady::new();
    for required in [1, 2, 3] {
        let allocations = allocations_per_call(&mut steady, |steady| steady.put(required));
        assert!(allocations < 0.1, "{allocations} allocations a put at W = {required}");
    }
}
