//! Memory for direct I/O: its part in use begins at a page.
//!
//! The last one's memory is kept for the next: fresh memory of that size would go back to the system and be faulted in anew
//! with each batch.

use core::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

use rondo_storage::limits::PAGE_BYTES;

/// Memory kept for the next buffer, in bytes: what a busy shard writes at once. More goes back to the allocator.
const SPARE_BYTES_MAX: usize = 512 * 1024;

/// Where the memory of the last buffer lies.
pub(super) type Spare = Arc<Mutex<Vec<u8>>>;

/// Memory whose part in use begins at a page, as direct I/O needs it.
#[derive(Debug)]
pub(crate) struct PageBuffer {
    memory: Vec<u8>,
    used: Range<usize>,
    home: Spare,
}

impl PageBuffer {
    /// One of `bytes` bytes, a whole number of pages; its content is undefined.
    pub(super) fn new(bytes: usize, home: Spare) -> PageBuffer {
        assert!(bytes.is_multiple_of(PAGE_BYTES), "a buffer of {bytes} bytes is no whole number of pages");
        let mut memory = take(&home);
        if memory.len() < bytes + PAGE_BYTES {
            memory = vec![0; bytes + PAGE_BYTES];
        }
        let start = memory.as_ptr().addr();
        let from = start.next_multiple_of(PAGE_BYTES) - start;
        PageBuffer { memory, used: from..from + bytes, home }
    }
}

fn take(spare: &Spare) -> Vec<u8> {
    core::mem::take(&mut *spare.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Drop for PageBuffer {
    fn drop(&mut self) {
        let mut spare = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.memory.len() && self.memory.len() <= SPARE_BYTES_MAX {
            *spare = core::mem::take(&mut self.memory);
        }
    }
}

impl Deref for PageBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[self.used.clone()]
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.used.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_buffer_is_made_of_the_last_one_if_it_fits() {
        let spare = Spare::default();
        let place = |pages: usize| {
            let buffer = PageBuffer::new(pages * PAGE_BYTES, Arc::clone(&spare));
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % PAGE_BYTES), (pages * PAGE_BYTES, 0));
            buffer.memory.as_ptr().addr()
        };
        let first = place(3);
        assert_eq!((place(3), place(1)), (first, first));
        assert_eq!(spare.lock().expect("nobody panicked").len(), 4 * PAGE_BYTES);
        place(SPARE_BYTES_MAX / PAGE_BYTES);
        assert!(spare.lock().expect("nobody panicked").is_empty(), "what is large is not kept");
    }
}
