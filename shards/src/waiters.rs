//! Those who wait for room in a full queue, and how they are woken without a lost wake-up.
//!
//! Invariant: whoever finds a queue full registers and then looks at it once more; whoever has taken something out looks for
//! registered ones afterwards. Both write, pass a sequentially consistent fence and then read what the other has written
//! (Dekker's pattern, as in [`bell`](crate::bell)), so a waiter finds the room itself or is woken. `tests::` runs it under loom
//! (see [`sync`](crate::sync)).

use std::task::Waker;

use crate::sync::{ArrayQueue, AtomicBool, Ordering, fence};

/// Wakers of tasks on any thread, at most as many as it was made for.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// Whether anybody has registered since the last wake-up, so that nobody's absence costs one load.
    waiting: AtomicBool,
    wakers: ArrayQueue<Waker>,
}

impl Waiters {
    pub(crate) fn new(waiters_max: usize) -> Self {
        Self {
            waiting: AtomicBool::new(false),
            wakers: ArrayQueue::new(waiters_max),
        }
    }

    /// Called by who has found no room and will look once more. `false`: too many wait already, this one was not registered.
    #[must_use]
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        if self.wakers.push(waker.clone()).is_err() {
            return false;
        }
        // A swap, so that who sees the flag of one waiter sees also those who had set it before.
        self.waiting.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        true
    }

    /// Called by who has made room: wakes everybody who has registered.
    pub(crate) fn wake_all(&self) {
        fence(Ordering::SeqCst);
        if !self.waiting.load(Ordering::Relaxed) || !self.waiting.swap(false, Ordering::AcqRel) {
            return;
        }
        for _ in 0..self.wakers.len() {
            if let Some(waker) = self.wakers.pop() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use super::Waiters;
    use crate::testing::Woken;

    #[cfg(not(squall_loom))]
    #[test]
    fn all_who_have_registered_are_woken_once_and_one_too_many_is_told() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let waiters = Waiters::new(2);
        waiters.wake_all();
        assert_eq!(woken.times(), 0);
        assert!(waiters.register(&waker) && waiters.register(&waker));
        assert!(!waiters.register(&waker));
        waiters.wake_all();
        waiters.wake_all();
        assert_eq!(woken.times(), 2);
        assert!(waiters.register(&waker));
    }

    /// Two senders find no room; the receiver makes some. Neither sender may wait and not be woken.
    #[cfg(squall_loom)]
    #[test]
    fn loom_nobody_waits_for_room_that_is_there() {
        // Every order with up to two switches of a thread that could have gone on; without a bound it takes hours.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let waiters = loom::sync::Arc::new(Waiters::new(2));
            let room = loom::sync::Arc::new(loom::sync::atomic::AtomicBool::new(false));
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let (waiters, room) = (waiters.clone(), room.clone());
                    loom::thread::spawn(move || {
                        let woken = Arc::new(Woken::default());
                        let has_room = || room.load(loom::sync::atomic::Ordering::Relaxed);
                        let waits = !has_room() && waiters.register(&Waker::from(Arc::clone(&woken))) && !has_room();
                        (waits, woken)
                    })
                })
                .collect();
            room.store(true, loom::sync::atomic::Ordering::Relaxed);
            waiters.wake_all();
            for sender in senders {
                let (waits, woken) = sender.join().unwrap();
                assert!(!waits || woken.times() == 1, "left behind");
            }
        });
    }
}
