//! The tasks that wait for a WebSocket: senders for room in its output, others for its end.
//!
//! One list has both, because most sockets have neither.
//!
//! Invariant: wakers are woken and dropped while the list is not borrowed, because both may call back into it.

use core::cell::RefCell;
use core::task::Waker;

/// The tasks that wait for one WebSocket.
#[derive(Default)]
pub(super) struct Waiters {
    /// A [`Place`] keeps its index, and free ones are reused.
    places: Vec<Option<Waiter>>,
}

struct Waiter {
    waker: Waker,
    awaited: Awaited,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Room,
    End,
}

/// Waiters that left the list to be woken.
#[must_use = "they wait until they are woken"]
pub(super) struct Taken(Vec<Option<Waiter>>);

impl Waiters {
    /// Adds a sender that waits for room; a task needs one place for all its messages.
    pub(super) fn await_room(&mut self, waker: &Waker) {
        let is_known = |known: &Waiter| known.awaited == Awaited::Room && known.waker.will_wake(waker);
        if !self.places.iter().flatten().any(is_known) {
            self.add(waker, Awaited::Room);
        }
    }

    /// Takes the senders.
    pub(super) fn take_senders(&mut self) -> Taken {
        // The usual case: this runs for every message that is sent.
        if !self
            .places
            .iter()
            .flatten()
            .any(|waiter| waiter.awaited == Awaited::Room)
        {
            return Taken(Vec::new());
        }
        let mut taken = core::mem::take(&mut self.places);
        if taken.iter().flatten().any(|waiter| waiter.awaited == Awaited::End) {
            let keep = |place: &mut Option<Waiter>| place.take_if(|waiter| waiter.awaited == Awaited::End);
            self.places = taken.iter_mut().map(keep).collect();
        }
        Taken(taken)
    }

    /// Takes all waiters, at the end.
    pub(super) fn take_all(&mut self) -> Taken {
        Taken(core::mem::take(&mut self.places))
    }

    fn add(&mut self, waker: &Waker, awaited: Awaited) -> usize {
        let index = self.places.iter().position(Option::is_none).unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        if let Some(place) = self.places.get_mut(index) {
            *place = Some(Waiter {
                waker: waker.clone(),
                awaited,
            });
        }
        index
    }
}

impl Taken {
    pub(super) fn wake(self) {
        self.0.into_iter().flatten().for_each(|waiter| waiter.waker.wake());
    }
}

/// The place of one future that waits for the end; its drop frees the place.
pub(super) struct Place<'w> {
    waiters: &'w RefCell<Waiters>,
    index: Option<usize>,
}

impl<'w> Place<'w> {
    pub(super) fn among(waiters: &'w RefCell<Waiters>) -> Self {
        Self { waiters, index: None }
    }

    /// Has the end wake this task; call it before the end only.
    pub(super) fn set_waker(&mut self, waker: &Waker) {
        let mut waiters = self.waiters.borrow_mut();
        let Some(index) = self.index else {
            self.index = Some(waiters.add(waker, Awaited::End));
            return;
        };
        let Some(Some(waiter)) = waiters.places.get_mut(index) else {
            return;
        };
        if !waiter.waker.will_wake(waker) {
            let before = core::mem::replace(&mut waiter.waker, waker.clone());
            drop(waiters);
            drop(before);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiters = self.waiters.borrow_mut();
        // After the end the list is empty.
        let place = self.index.and_then(|index| waiters.places.get_mut(index));
        let left = place.and_then(Option::take);
        drop(waiters);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task, and how often it was woken.
    fn task() -> (Waker, impl Fn() -> usize) {
        let count = Arc::new(Count::default());
        let counted = Arc::clone(&count);
        (Waker::from(count), move || counted.0.load(Ordering::Relaxed))
    }

    fn places(waiters: &RefCell<Waiters>) -> usize {
        waiters.borrow().places.len()
    }

    fn room(waiters: &RefCell<Waiters>) {
        let senders = waiters.borrow_mut().take_senders();
        senders.wake();
    }

    fn end(waiters: &RefCell<Waiters>) {
        let all = waiters.borrow_mut().take_all();
        all.wake();
    }

    #[test]
    fn room_wakes_the_senders_and_the_end_wakes_all() {
        let waiters = RefCell::<Waiters>::default();
        let ((sender, sent), (watcher, ended)) = (task(), task());
        waiters.borrow_mut().await_room(&sender);
        let mut place = Place::among(&waiters);
        place.set_waker(&watcher);
        waiters.borrow_mut().await_room(&sender);
        assert_eq!(places(&waiters), 2, "a sender has one place");
        room(&waiters);
        assert_eq!((sent(), ended()), (1, 0));
        room(&waiters);
        waiters.borrow_mut().await_room(&sender);
        end(&waiters);
        assert_eq!((sent(), ended()), (2, 1));
        drop(place);
        assert_eq!(places(&waiters), 0);
    }

    #[test]
    fn one_task_waits_for_room_and_for_the_end() {
        let waiters = RefCell::<Waiters>::default();
        let (waker, woken) = task();
        let mut place = Place::among(&waiters);
        place.set_waker(&waker);
        waiters.borrow_mut().await_room(&waker);
        room(&waiters);
        assert_eq!(woken(), 1);
        end(&waiters);
        assert_eq!(woken(), 2);
    }

    /// A place follows its future to another task, and leaves with it.
    #[test]
    fn futures_that_come_and_go_need_few_places() {
        let waiters = RefCell::<Waiters>::default();
        let ((first, first_woken), (last, last_woken)) = (task(), task());
        let mut lasting = Place::among(&waiters);
        lasting.set_waker(&first);
        for _ in 0..100 {
            let (waker, woken) = task();
            let mut passing = Place::among(&waiters);
            passing.set_waker(&waker);
            drop(passing);
            assert_eq!((woken(), places(&waiters)), (0, 2));
        }
        lasting.set_waker(&last);
        end(&waiters);
        assert_eq!((first_woken(), last_woken()), (0, 1));
    }
}
