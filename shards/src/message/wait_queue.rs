//! Those who wait for room in a full queue, and how they are woken without a lost wake-up.
//!
//! Invariant: whoever finds a queue full registers and then looks at it once more; whoever has taken something out looks for
//! registered ones afterwards. Both write, pass a sequentially consistent fence and then read what the other has written
//! (Dekker's pattern, as in [`wake_flag`](super::wake_flag)), so a waiter finds the room itself or is woken. `tests::` runs it under loom
//! (see [`sync`](crate::sync)).
//!
//! A waiter that is polled for another reason stands in the queue still, and is not registered again: each [`wake_all`](WaitQueue::wake_all) begins a
//! round before it takes anybody out, so who finds the round it registered in has not been taken out, or is about to be woken.

use std::task::Waker;

use crate::sync::{ArrayQueue, AtomicBool, AtomicUsize, Ordering, fence};

/// Wakers of tasks on any thread, at most as many as it was made for.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    /// Whether anybody has registered since the last wake-up, so that nobody's absence costs one load.
    waiting: AtomicBool,
    /// How often those who wait have been woken.
    round: AtomicUsize,
    wakers: ArrayQueue<Waker>,
}

/// Where one waiter stands: what it has registered, and in which round.
#[derive(Debug, Default)]
pub(crate) struct Registration(Option<(Waker, usize)>);

impl WaitQueue {
    pub(crate) fn new(waiters_max: usize) -> Self {
        Self {
            waiting: AtomicBool::new(false),
            round: AtomicUsize::new(0),
            wakers: ArrayQueue::new(waiters_max),
        }
    }

    /// Called by who has found no room and will look once more; `place` is its own, blank before the first call. `false`: too many wait already,
    /// this one was not registered.
    #[must_use]
    pub(crate) fn register(&self, waker: &Waker, place: &mut Registration) -> bool {
        let round = self.round.load(Ordering::Acquire);
        if let Registration(Some((known, since))) = place
            && *since == round
            && known.will_wake(waker)
        {
            fence(Ordering::SeqCst);
            return true;
        }
        if self.wakers.push(waker.clone()).is_err() {
            return false;
        }
        place.0 = Some((waker.clone(), round));
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
        self.round.fetch_add(1, Ordering::AcqRel);
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

    use super::{Registration, WaitQueue};
    use crate::testing::Woken;

    #[cfg(not(squall_loom))]
    #[test]
    fn all_who_have_registered_are_woken_once_and_one_too_many_is_told() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let waiters = WaitQueue::new(2);
        waiters.wake_all();
        assert_eq!(woken.times(), 0);
        let register = || waiters.register(&waker, &mut Registration::default());
        assert!(register() && register());
        assert!(!register());
        waiters.wake_all();
        waiters.wake_all();
        assert_eq!(woken.times(), 2);
        assert!(register());
    }

    #[cfg(not(squall_loom))]
    #[test]
    fn who_waits_already_is_not_registered_again_before_it_was_woken() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let waiters = WaitQueue::new(1);
        let mut place = Registration::default();
        for round in 1..3 {
            assert!(waiters.register(&waker, &mut place) && waiters.register(&waker, &mut place));
            assert!(!waiters.register(&waker, &mut Registration::default()));
            waiters.wake_all();
            assert_eq!(woken.times(), round);
        }
    }

    /// Two senders find no room, and look again; the receiver makes some. Neither sender may wait and not be woken.
    #[cfg(squall_loom)]
    #[test]
    fn loom_nobody_waits_for_room_that_is_there() {
        // Every order with up to two switches of a thread that could have gone on; without a bound it takes hours.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let waiters = loom::sync::Arc::new(WaitQueue::new(2));
            let room = loom::sync::Arc::new(loom::sync::atomic::AtomicBool::new(false));
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let (waiters, room) = (waiters.clone(), room.clone());
                    loom::thread::spawn(move || {
                        let woken = Arc::new(Woken::default());
                        let has_room = || room.load(loom::sync::atomic::Ordering::Relaxed);
                        let (waker, mut place) = (Waker::from(Arc::clone(&woken)), Registration::default());
                        // Polled twice, and the second time stands there already unless it has been woken.
                        let mut finds_none = || !has_room() && waiters.register(&waker, &mut place) && !has_room();
                        let waits = finds_none() && finds_none();
                        (waits, woken)
                    })
                })
                .collect();
            room.store(true, loom::sync::atomic::Ordering::Relaxed);
            waiters.wake_all();
            for sender in senders {
                let (waits, woken) = sender.join().unwrap();
                assert!(!waits || woken.times() > 0, "left behind");
            }
        });
    }
}
