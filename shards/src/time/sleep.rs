//! Waiting until a moment, with the precision of the kernel's timers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::schedule::ScheduleKey;
use crate::shard::context::ShardContext;
use crate::shard::shard::Shard;

/// Waits for a duration, with the precision of the kernel's timers.
///
/// A duration that overflows the clock, such as `Duration::MAX`, counts as a century.
///
/// Cancel safety: safe; dropping it removes the timer.
///
/// # Panics
///
/// Panics if polled on a thread that is not a shard.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(crate::clock::after(duration))
}

/// Waits until a moment; completes at once if it has passed.
///
/// # Panics
///
/// Panics if polled on a thread that is not a shard.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        waiting: None,
    }
}

/// The future returned by [`sleep`] and [`sleep_until`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    deadline: Instant,
    waiting: Option<(Rc<ShardContext>, ScheduleKey)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        if let Some((shard, key)) = &self.waiting {
            return match shard.timers().sleeps.borrow_mut().token_mut(key) {
                Some(waker) => {
                    waker.clone_from(cx.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            };
        }
        let shard = Shard::current().into_context();
        if deadline <= shard.now() {
            return Poll::Ready(());
        }
        let key = shard.timers().sleeps.borrow_mut().insert(deadline, cx.waker().clone());
        self.waiting = Some((shard, key));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((shard, key)) = &self.waiting {
            // Dropped after the borrow ends: the last waker of a task may own other sleeps.
            let waker = shard.timers().sleeps.borrow_mut().remove(key);
            drop(waker);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sleep(until {:?})", self.deadline)
    }
}
