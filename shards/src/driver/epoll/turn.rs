//! epoll's part of a turn. tokio waits until a socket is ready, without a time limit if no task is runnable.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

use super::Epoll;
use crate::shard::core::Core;

/// How often the sockets are polled before deadlines are judged; each poll takes up to 1,024 events.
const CATCH_UP_LOOKS_MAX: usize = 64;

impl Epoll {
    /// Runs one turn; the thread sleeps in `epoll_wait` if the shard may.
    pub(crate) async fn turn(&self, core: &Core, may_sleep: bool) {
        if may_sleep {
            self.sleep(core).await;
        } else {
            tokio::task::yield_now().await;
        }
        // tokio reports this epoll instance as readable; its own events are taken here.
        if self.ends.is_watching() {
            poll_fn(|cx| Poll::Ready(self.ends.poll_events(cx).is_ready())).await;
        }
        core.refresh_now();
    }

    /// Takes all events so far.
    pub(crate) async fn catch_up(&self, core: &Core) {
        for _ in 0..CATCH_UP_LOOKS_MAX {
            // Each yield polls for events; a yield that wakes no task means that none is left.
            let runnable = core.tasks().runnable();
            tokio::task::yield_now().await;
            if core.tasks().runnable() == runnable {
                return;
            }
        }
    }

    /// Polls for the configured time, then waits for an event.
    async fn sleep(&self, core: &Core) {
        if !self.config.spin.is_zero() && self.spin(core).await {
            return;
        }
        if core.inbox().wake_flag().fall_asleep() {
            poll_fn(|cx| self.poll_event(core, cx)).await;
            core.tasks().set_sleeper(None);
            core.inbox().wake_flag().wake_up();
        }
    }

    /// Polls the sockets and the messages without sleeping; returns whether something arrived.
    async fn spin(&self, core: &Core) -> bool {
        let until = crate::clock::now() + self.config.spin;
        loop {
            tokio::task::yield_now().await;
            if core.tasks().runnable() > 0 || core.inbox().wake_flag().has_messages() {
                return true;
            }
            if crate::clock::now() >= until {
                return false;
            }
        }
    }

    /// Ready when a task is runnable, another thread has woken the shard, the timer has fired, or a peer has ended.
    fn poll_event(&self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        // All four are polled, so that each keeps its waker registered.
        let woken = core.tasks().runnable() > 0;
        let rung = self.poll_wake_event(cx).is_ready();
        let fired = self.poll_timer(cx).is_ready();
        let ended = self.ends.poll_events(cx).is_ready();
        if woken || rung || fired || ended {
            return Poll::Ready(());
        }
        core.tasks().set_sleeper(Some(cx.waker().clone()));
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

    /// Ensures that the shard is awake at `deadline` at the latest.
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
