//! How long this thread has been at work, as the kernel counts it.
//!
//! A turn that takes long by the clock may have been at work all the time, or somebody else had the core meanwhile. Only the
//! thread's own processor time tells the two apart.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;

use super::raw;

/// Processor time of the present thread so far. Costs a system call.
pub(crate) fn thread_time() -> Duration {
    raw::thread_time()
}

/// Runs `future` to its end and says how long the thread was at work in the longest of its polls: what the other tasks of
/// the executor had to wait for.
pub(crate) async fn with_longest_poll<F: Future>(future: F) -> (F::Output, Duration) {
    let mut future = pin!(future);
    let mut longest = Duration::ZERO;
    let output = poll_fn(|cx| {
        let before = thread_time();
        let polled = future.as_mut().poll(cx);
        longest = longest.max(thread_time().saturating_sub(before));
        polled
    })
    .await;
    (output, longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::{Context, Poll, Waker};

    fn work_for(wanted: Duration) {
        let begun = thread_time();
        while thread_time() - begun < wanted {
            core::hint::black_box(0);
        }
    }

    #[test]
    fn of_many_polls_the_longest_counts() {
        let (long, short) = (Duration::from_millis(5), Duration::ZERO);
        let mut left = [short, long, short].into_iter();
        let future = poll_fn(move |_| match left.next() {
            Some(wanted) => {
                work_for(wanted);
                Poll::Pending
            }
            None => Poll::Ready("done"),
        });
        let mut future = pin!(with_longest_poll(future));
        let (output, longest) = loop {
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break outcome;
            }
        };
        assert_eq!(output, "done");
        assert!(long <= longest, "{longest:?}");
    }
}
