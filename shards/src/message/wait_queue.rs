//! Senders waiting for room in a full queue, woken without a lost wake-up.
//!
//! Invariant: a sender that finds the queue full registers, then looks again; a receiver that has made room looks for
//! registered senders afterwards. Each side writes, passes a sequentially consistent fence, then reads what the other
//! wrote (Dekker's pattern, as in [`wake_flag`](crate::message::wake_flag)). So the sender finds the room itself or is
//! woken. `tests` checks this under loom (see [`sync`](crate::sync)).
//!
//! A sender polled again for another reason keeps its registration. [`wake_all`](WaitQueue::wake_all) begins a new round
//! after it has removed a waker and before it wakes it. So a sender that finds its own round unchanged is still
//! registered, or about to be woken.

use std::task::Waker;

use crate::sync::{ArrayQueue, AtomicBool, AtomicUsize, Ordering, fence};

/// A bounded set of wakers of tasks on any thread.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    /// Whether a sender has registered since the last wake-up: with none waiting, `wake_all` costs one load.
    waiting: AtomicBool,
    /// Number of wakers removed so far.
    round: AtomicUsize,
    wakers: ArrayQueue<Waker>,
}

/// One sender's registration: its waker and the round it registered in.
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

    /// Registers a sender that found the queue full and will look again; `place` is the sender's own, empty before its
    /// first call. `false`: the set is full, and the sender was not registered.
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
        // A swap, so that a receiver that sees this sender's flag also sees the senders registered before it.
        self.waiting.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        true
    }

    /// Wakes every registered sender; called after room was made.
    pub(crate) fn wake_all(&self) {
        fence(Ordering::SeqCst);
        if !self.waiting.load(Ordering::Relaxed) || !self.waiting.swap(false, Ordering::AcqRel) {
            return;
        }
        for _ in 0..self.wakers.len() {
            if let Some(waker) = self.wakers.pop() {
                // Between the two: a woken sender that finds the queue full again must not count as registered.
                self.round.fetch_add(1, Ordering::AcqRel);
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
    fn all_registered_senders_are_woken_once_and_one_too_many_is_refused() {
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
    fn a_registered_sender_is_not_registered_again_before_it_was_woken() {
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

    /// Two senders find the queue full and look again while the receiver makes room; neither waits without being woken.
    #[cfg(squall_loom)]
    #[test]
    fn loom_a_sender_does_not_wait_while_there_is_room() {
        // Every interleaving with at most two preemptions; without a bound the model takes hours.
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
                        // The second poll finds the sender still registered, unless it was woken in between.
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

    /// Counts its wake-ups in an atomic of loom. What happened before a wake-up is visible to the poll that follows it,
    /// as with the wakers of tasks. An atomic of std would not tell loom so.
    #[cfg(squall_loom)]
    struct WokenBefore(loom::sync::atomic::AtomicUsize);

    #[cfg(squall_loom)]
    impl WokenBefore {
        fn times(&self) -> usize {
            self.0.load(loom::sync::atomic::Ordering::Acquire)
        }
    }

    #[cfg(squall_loom)]
    impl std::task::Wake for WokenBefore {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, loom::sync::atomic::Ordering::AcqRel);
        }
    }

    /// A sender that a late wake-up reaches without room registers again, and the next wake-up reaches it too.
    #[cfg(squall_loom)]
    #[test]
    fn loom_a_sender_woken_in_vain_is_woken_again() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let waiters = loom::sync::Arc::new(WaitQueue::new(4));
            // An earlier sender found room after it had registered.
            assert!(waiters.register(Waker::noop(), &mut Registration::default()));
            let room = loom::sync::Arc::new(loom::sync::atomic::AtomicBool::new(false));
            let (sender_waiters, sender_room) = (waiters.clone(), room.clone());
            let sender = loom::thread::spawn(move || {
                let woken = Arc::new(WokenBefore(loom::sync::atomic::AtomicUsize::new(0)));
                let has_room = || sender_room.load(loom::sync::atomic::Ordering::Relaxed);
                let (waker, mut place) = (Waker::from(Arc::clone(&woken)), Registration::default());
                let mut seen = 0;
                let mut poll = |seen: &mut usize| {
                    *seen = woken.times();
                    !has_room() && sender_waiters.register(&waker, &mut place) && !has_room()
                };
                let waits = poll(&mut seen) && (woken.times() == seen || poll(&mut seen));
                (waits, seen, Arc::clone(&woken))
            });
            waiters.wake_all();
            room.store(true, loom::sync::atomic::Ordering::Relaxed);
            waiters.wake_all();
            let (waits, seen, woken) = sender.join().unwrap();
            assert!(!waits || woken.times() > seen, "left behind");
        });
    }
}
