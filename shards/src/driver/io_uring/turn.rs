//! The ring's part of a turn: publish buffers → one `io_uring_enter` → hand the completions to their slots. The call
//! submits everything, and sleeps if no task is runnable.

use std::time::Instant;

use io_uring::cqueue;

use super::operation::{Operation, SlotKey, Token};
use super::request::Request;
use super::ring::{Ring, count};
use crate::shard::core::Core;

/// How often the ring is emptied before deadlines are judged; each time the kernel finishes some 20 pieces of work.
const CATCH_UP_ENTERS_MAX: usize = 1024;

impl Ring {
    /// Runs one turn; blocks the thread in the ring if the shard may sleep.
    pub(crate) fn turn(&self, core: &Core, may_sleep: bool) {
        // Before the enter, so that the buffers and re-armed receives reach the kernel in this turn.
        let has_woken = self.settle_buffers();
        if may_sleep && !has_woken {
            self.sleep(core);
        } else {
            self.enter(0);
        }
        // The clock is read after the sleep and before tasks are woken, so that they see the new time.
        core.refresh_now();
        self.dispatch();
    }

    /// Takes all completions so far.
    pub(crate) fn catch_up(&self) {
        for _ in 0..CATCH_UP_ENTERS_MAX {
            if !self.has_completions() {
                return;
            }
            self.dispatch();
        }
    }

    /// Ensures that the shard is awake at `deadline` at the latest.
    pub(crate) fn arm_timer(&self, deadline: Instant) {
        if let Some(request) = self.timer.arm(deadline) {
            self.push(request);
        }
    }

    /// Returns whether every socket is closed, so that the addresses are free to be bound again.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open_sockets() == 0 && self.listeners.borrow().len() == 0
    }

    /// Polls for the configured time, then blocks until a completion.
    fn sleep(&self, core: &Core) {
        self.arm_wake_event();
        if !self.config.spin.is_zero() && self.spin(core) {
            return;
        }
        // From here on another thread that sends a message writes the eventfd, which the armed read turns into a
        // completion.
        if core.inbox().wake_flag().fall_asleep() {
            self.enter(1);
            core.inbox().wake_flag().wake_up();
        }
    }

    /// Polls the ring and the messages without sleeping, because waking a sleeping core costs 20–30 µs on a virtual
    /// machine; returns whether something arrived.
    fn spin(&self, core: &Core) -> bool {
        self.enter(0);
        let until = crate::clock::now() + self.config.spin;
        loop {
            if self.has_completions() || core.inbox().wake_flag().has_messages() {
                return true;
            }
            if crate::clock::now() >= until {
                return false;
            }
            std::hint::spin_loop();
        }
    }

    /// Returns whether completions wait, after letting the kernel finish the work it announces.
    fn has_completions(&self) -> bool {
        let mut ring = self.uring.ring.borrow_mut();
        if ring.submission().taskrun() {
            // An error comes again at the next enter, which handles it.
            drop(ring.submit());
        }
        !ring.completion().is_empty()
    }

    /// Submits what is queued and waits for `wanted` completions.
    fn enter(&self, wanted: usize) {
        self.push_backlog();
        let mut ring = self.uring.ring.borrow_mut();
        // The flags are in shared memory: an idle turn of a busy loop costs no system call.
        let idle = wanted == 0 && {
            let submission = ring.submission();
            submission.is_empty() && !submission.taskrun() && !submission.cq_overflow()
        };
        if idle {
            return;
        }
        count(&self.counters.enters);
        if let Err(error) = ring.submit_and_wait(wanted) {
            // The borrow ends first: logging may run application code.
            drop(ring);
            self.enter_failed(&error);
        }
    }

    /// Handles a failed enter, which never ends the shard: it was interrupted, or the kernel needs its completions
    /// reaped or memory.
    #[cold]
    fn enter_failed(&self, error: &std::io::Error) {
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EBUSY | libc::EAGAIN | libc::ETIME) => std::thread::yield_now(),
            Some(libc::EBADR) => {
                count(&self.counters.overflows);
                tracing::error!("the kernel dropped completions: out of memory; affected connections will time out");
            }
            _ => {
                tracing::error!(%error, "io_uring_enter failed; retrying");
                std::thread::yield_now();
            }
        }
    }

    /// Hands every completion to its slot.
    pub(super) fn dispatch(&self) {
        let mut completions = self.completions.take();
        {
            let mut ring = self.uring.ring.borrow_mut();
            // The kernel keeps overflowed completions and delivers them with a later enter.
            if ring.submission().cq_overflow() {
                count(&self.counters.overflows);
            }
            completions.extend(ring.completion());
        }
        self.counters
            .completions
            .set(self.counters.completions.get().wrapping_add(completions.len() as u64));
        for completion in completions.drain(..) {
            self.complete(&completion);
        }
        self.completions.replace(completions);
    }

    fn complete(&self, completion: &cqueue::Entry) {
        let (result, flags) = (completion.result(), completion.flags());
        let Some(token) = Token::from_user_data(completion.user_data()) else {
            count(&self.counters.stale);
            return;
        };
        match token.operation {
            Operation::Receive => self.received(token.slot, result, flags),
            Operation::Send => self.sent(token.slot, result),
            Operation::Accept => self.accepted(token.slot, result, flags),
            Operation::Close => self.closed(token.slot),
            Operation::Connect => self.connected(token.slot, result),
            Operation::PeerEnd => self.peer_ended(token.slot, result, flags),
            Operation::ReceivePlain => self.received_plain(token.slot, result),
            Operation::WakeEvent => self.wake_event.armed.set(false),
            Operation::Timer => self.timer.fired(),
            Operation::Ignored => {}
        }
    }

    /// Keeps a read of the wake event in the ring, so that other threads can end the sleep.
    fn arm_wake_event(&self) {
        let wake_event = &self.wake_event;
        // One read is enough: it completes at the next wake, and is armed again before the next sleep.
        if wake_event.armed.replace(true) {
            return;
        }
        let counter = (*wake_event.counter).as_ptr();
        let token = Token::new(Operation::WakeEvent, SlotKey::NONE);
        // SAFETY: the counter belongs to this ring, which ends every operation before it drops it; its value is never read.
        self.push(unsafe { Request::read_number(wake_event.descriptor, counter, token) });
    }
}
