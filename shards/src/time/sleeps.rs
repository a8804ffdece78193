//! Precise sleeps: an ordered set of deadlines, to the nanosecond.
//!
//! Why beside the wheel: an application's `sleep(2ms)` must not become 34 ms. Sleeps are few, so an ordered map with
//! logarithmic cost suits them; it would not suit one deadline per connection.
//!
//! Invariant: entries with the same deadline fire in insertion order; no entry fires early.

use std::collections::BTreeMap;
use std::time::Instant;

use super::expiry::EXPIRED_A_TURN_MAX;

/// The name of one sleep in its [`Sleeps`]; never reused.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SleepKey {
    deadline: Instant,
    number: u64,
}

/// The sleeps of one shard, each with a token `T`, usually a waker.
#[derive(Debug)]
pub(crate) struct Sleeps<T> {
    tokens: BTreeMap<SleepKey, T>,
    inserted: u64,
}

impl<T> Sleeps<T> {
    /// Creates an empty set.
    pub(crate) const fn new() -> Self {
        Self {
            tokens: BTreeMap::new(),
            inserted: 0,
        }
    }

    /// Adds a sleep that ends at `deadline`.
    ///
    /// The set grows with the number of sleeps alive, one per future that waits.
    pub(crate) fn insert(&mut self, deadline: Instant, token: T) -> SleepKey {
        let number = self.inserted;
        self.inserted += 1;
        self.tokens.insert(SleepKey { deadline, number }, token);
        SleepKey { deadline, number }
    }

    /// Returns the token of a sleep, to replace its waker; `None` if the sleep is over.
    pub(crate) fn token_mut(&mut self, key: &SleepKey) -> Option<&mut T> {
        self.tokens.get_mut(key)
    }

    /// Removes a sleep before its end; `None` if it is over.
    pub(crate) fn remove(&mut self, key: &SleepKey) -> Option<T> {
        self.tokens.remove(key)
    }

    /// Returns the number of sleeps.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the earliest deadline, if there is one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.tokens.first_key_value().map(|(key, _)| key.deadline)
    }

    /// Fires the tokens of sleeps that end at or before `now`, earliest first, at most [`EXPIRED_A_TURN_MAX`]; returns
    /// whether more are due.
    ///
    /// The set is borrowed while `fire` runs, as with the wheel.
    #[must_use = "more sleeps may be over than one call fires"]
    pub(crate) fn expire(&mut self, now: Instant, fire: &mut impl FnMut(T)) -> bool {
        for _ in 0..EXPIRED_A_TURN_MAX {
            match self.tokens.first_entry() {
                Some(earliest) if earliest.key().deadline <= now => fire(earliest.remove()),
                _ => return false,
            }
        }
        self.next().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment serves as the origin of a test")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn expired<T>(sleeps: &mut Sleeps<T>, now: Instant) -> Vec<T> {
        let mut tokens = Vec::new();
        assert!(!sleeps.expire(now, &mut |token| tokens.push(token)));
        tokens
    }

    #[test]
    fn sleeps_end_in_order_exactly_when_due() {
        let origin = origin();
        let at = |nanoseconds| origin + Duration::from_nanos(nanoseconds);
        let mut sleeps = Sleeps::new();
        for (deadline, token) in [(30, 'd'), (10, 'a'), (20, 'b'), (20, 'c')] {
            let _key = sleeps.insert(at(deadline), token);
        }
        assert_eq!(sleeps.next(), Some(at(10)));
        assert_eq!(expired(&mut sleeps, at(9)), []);
        assert_eq!(expired(&mut sleeps, at(20)), ['a', 'b', 'c']);
        assert_eq!(sleeps.next(), Some(at(30)));
        assert_eq!(expired(&mut sleeps, at(1000)), ['d']);
        assert_eq!(sleeps.next(), None);
    }

    #[test]
    fn a_removed_sleep_never_fires_and_a_finished_one_cannot_be_removed() {
        let origin = origin();
        let mut sleeps = Sleeps::new();
        let (first, second) = (sleeps.insert(origin, 1), sleeps.insert(origin, 2));
        assert_eq!(sleeps.remove(&first), Some(1));
        *sleeps.token_mut(&second).unwrap() = 3;
        assert_eq!(expired(&mut sleeps, origin), [3]);
        assert_eq!(sleeps.remove(&second), None);
        assert!(sleeps.token_mut(&second).is_none());
    }

    #[test]
    fn one_call_fires_a_bounded_number_and_reports_that_more_are_due() {
        let origin = origin();
        for (extra, more) in [(0, false), (1, true)] {
            let mut sleeps = Sleeps::new();
            for token in 0..EXPIRED_A_TURN_MAX + extra {
                let _key = sleeps.insert(origin, token);
            }
            let mut tokens = Vec::new();
            assert_eq!(sleeps.expire(origin, &mut |token| tokens.push(token)), more);
            assert!(tokens.into_iter().eq(0..EXPIRED_A_TURN_MAX));
            assert_eq!(expired(&mut sleeps, origin).len(), extra);
        }
    }
}
