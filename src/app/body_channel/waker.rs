//! The place of one waker.

use core::task::Waker;

/// Stores a waker, unless the stored one wakes the same task.
pub(super) fn store(place: &mut Option<Waker>, waker: &Waker) {
    if !place.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
        *place = Some(waker.clone());
    }
}
