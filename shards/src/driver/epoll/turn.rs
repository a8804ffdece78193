//! epoll's part of a turn: let tokio wait for whatever becomes ready, without end when nothing is runnable, and be back as soon
//! as a task is.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

use super::Epoll;
use crate::shard::shard::ShardContext;

/// How often the sockets are looked at before deadlines are judged by; each look takes in up to a thousand of them.
const CATCH_UP_LOOKS_MAX: usize = 64;

impl Epoll {
    /// One turn; the thread sleeps in `epoll_wait` if the shard may.
    pub(crate) async fn turn(&self, shard: &ShardContext, may_sleep: bool) {
        if may_sleep {
            self.sleep(shard).await;
        } else {
            tokio::task::yield_now().await;
        }
        if self.ends.is_watching() {
            poll_fn(|cx| Poll::Ready(self.ends.poll_events(cx).is_ready())).await;
        }
        shard.refresh_now();
    }

    /// Takes in whatever has happened so far.
    pub(crate) async fn catch_up(&self, shard: &ShardContext) {
        for _ in 0..CATCH_UP_LOOKS_MAX {
            let runnable = shard.tasks().runnable();
            tokio::task::yield_now().await;
            if shard.tasks().runnable() == runnable {
                return;
            }
        }
    }

    /// Waits until something happens: at once if it already has, after having watched for it for the configured time.
    async fn sleep(&self, shard: &ShardContext) {
        if !self.config.spin.is_zero() && self.spin(shard).await {
            return;
        }
        if shard.inbox().wake_flag().fall_asleep() {
            poll_fn(|cx| self.poll_event(shard, cx)).await;
            shard.tasks().set_sleeper(None);
            shard.inbox().wake_flag().wake_up();
        }
    }

    /// Watches the sockets and the mail without sleeping; true when something has come.
    async fn spin(&self, shard: &ShardContext) -> bool {
        let until = crate::clock::now() + self.config.spin;
        loop {
            tokio::task::yield_now().await;
            if shard.tasks().runnable() > 0 || shard.inbox().wake_flag().has_messages() {
                return true;
            }
            if crate::clock::now() >= until {
                return false;
            }
        }
    }

    /// Ready when a task is runnable, the doorbell was rung or the timer has fired.
    fn poll_event(&self, shard: &ShardContext, cx: &mut Context<'_>) -> Poll<()> {
        let woken = shard.tasks().runnable() > 0;
        let rung = self.poll_wake_event(cx).is_ready();
        let fired = self.poll_timer(cx).is_ready();
        let ended = self.ends.poll_events(cx).is_ready();
        if woken || rung || fired || ended {
            return Poll::Ready(());
        }
        shard.tasks().set_sleeper(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn poll_wake_event(&self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Ok(mut ready)) = self.wake_event.poll_read_ready(cx) {
            let read = rustix::io::read(self.wake_event.get_ref(), &mut [0; size_of::<u64>()]);
            if read.is_ok() {
                return Poll::Ready(());
            }
            ready.clear_ready();
        }
        Poll::Pending
    }

    fn poll_timer(&self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Ok(mut ready)) = self.timer.poll_read_ready(cx) {
            let read = rustix::io::read(self.timer.get_ref(), &mut [0; size_of::<u64>()]);
            if read.is_ok() {
                self.armed.set(None);
                return Poll::Ready(());
            }
            ready.clear_ready();
        }
        Poll::Pending
    }

    /// Makes sure that the shard is awake at `deadline`, if not before.
    pub(crate) fn arm_timer(&self, deadline: Instant) {
        if self.armed.get().is_some_and(|armed| armed <= deadline) {
            return;
        }
        self.armed.set(Some(deadline));
        let wait = deadline.saturating_duration_since(crate::clock::now());
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                // A value of zero would disarm the timer.
                tv_nsec: i64::from(wait.subsec_nanos()).max(1),
            },
        };
        let set = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once);
        debug_assert!(set.is_ok(), "a timer of ours takes any time: {set:?}");
    }
}
