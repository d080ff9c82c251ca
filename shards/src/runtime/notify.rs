//! A bell inside one executor: one task waits, others ring.
//!
//! A ring while nobody waits is kept, so none is lost; many rings before the wait are one.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// The bell.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Notify {
    /// Wakes the task that waits, now or when it comes to wait.
    pub(crate) fn ring(&self) {
        if self.rung.replace(true) {
            return; // Already rung and not yet heard.
        }
        // Taken out before it is woken, so that no borrow is held while foreign code runs.
        let waiter = self.waiter.borrow_mut().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Waits for the bell, unless it has rung since the last time.
    pub(crate) async fn wait(&self) {
        poll_fn(|cx| {
            if self.rung.replace(false) {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
