//! A bounded table of keys that forgets: what a key's value no longer means anything for leaves by itself.
//!
//! Clients choose the keys, for example by their addresses. So the table has a limit, and its work at each call is
//! bounded. A full table gives up the key whose value would expire first. That key starts anew: a flood of keys never
//! locks another client out.

use std::collections::HashMap;

/// How many entries each call looks at to forget them.
const LOOKED_AT: usize = 2;

/// How many entries compete when one must leave.
const COMPETING: usize = 16;

/// A value that means nothing from some moment on.
pub(super) trait Expires: Default {
    /// Returns the nanosecond from which on the value means what the default means.
    fn expires_at(&self) -> u64;
}

/// Values of keys.
#[derive(Debug)]
pub(super) struct KeyTable<V> {
    places: HashMap<u128, usize>,
    entries: Vec<(u128, V)>,
    /// The entry that is looked at next.
    hand: usize,
}

impl<V> Default for KeyTable<V> {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            entries: Vec::new(),
            hand: 0,
        }
    }
}

impl<V: Expires> KeyTable<V> {
    /// Calls `change` with the value of a key, which begins as the default.
    pub(super) fn change<R>(&mut self, key: u128, keys_max: usize, now: u64, change: impl FnOnce(&mut V) -> R) -> R {
        self.forget(now);
        let known = self.places.get(&key).and_then(|place| self.entries.get_mut(*place));
        if let Some((_, value)) = known {
            return change(value);
        }
        let mut value = V::default();
        let result = change(&mut value);
        // A value that means nothing needs no place.
        if value.expires_at() > now {
            self.insert(key, value, keys_max.max(1));
        }
        result
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, key: u128, value: V, keys_max: usize) {
        while self.entries.len() >= keys_max {
            self.give_one_up();
        }
        self.places.insert(key, self.entries.len());
        self.entries.push((key, value));
    }

    /// Removes some entries that have expired.
    fn forget(&mut self, now: u64) {
        for _ in 0..LOOKED_AT {
            let place = self.next_place();
            match self.entries.get(place) {
                Some((_, value)) if value.expires_at() <= now => self.remove(place),
                Some(_) => self.hand = place + 1,
                None => return,
            }
        }
    }

    /// Removes the entry that expires first, of those next in turn.
    fn give_one_up(&mut self) {
        let start = self.next_place();
        let competing = self.entries.iter().enumerate().skip(start).take(COMPETING);
        let first = competing.min_by_key(|(_, (_, value))| value.expires_at());
        let Some((place, _)) = first else { return };
        self.hand = start + COMPETING;
        self.remove(place);
    }

    fn next_place(&self) -> usize {
        if self.hand < self.entries.len() { self.hand } else { 0 }
    }

    fn remove(&mut self, place: usize) {
        let (key, _) = self.entries.swap_remove(place);
        self.places.remove(&key);
        if let Some((moved, _)) = self.entries.get(place) {
            self.places.insert(*moved, place);
        }
        // A flood that is over leaves no memory behind.
        if self.entries.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, Clone, Copy)]
    struct Until(u64);

    impl Expires for Until {
        fn expires_at(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_full_table_gives_up_the_key_that_expires_first() {
        let mut table = KeyTable::default();
        for key in 0..4 {
            let until = Until(100 - u64::try_from(key).unwrap());
            table.change(key, 4, 0, |value| *value = until);
        }
        table.change(9, 4, 0, |value| *value = Until(200));
        assert_eq!(table.len(), 4);
        let mut value = |key| table.change(key, 4, 0, |value: &mut Until| value.0);
        let values: Vec<u64> = [0, 1, 2, 9].into_iter().map(&mut value).collect();
        assert_eq!(values, [100, 99, 98, 200]);
    }

    #[test]
    fn expired_keys_leave_as_others_are_used() {
        let mut table = KeyTable::default();
        for key in 0..1000 {
            table.change(key, 1000, 0, |value| *value = Until(5));
        }
        for _ in 0..1000 {
            table.change(5000, 1000, 5, |value| *value = Until(9));
        }
        assert_eq!(table.len(), 1);
    }

    proptest! {
        /// The table beside a plain map without a limit: a key has its value, or it has expired or was given up.
        #[test]
        fn a_key_keeps_its_value_until_it_expires(
            steps in prop::collection::vec((0_u128..40, 0_u64..20, 0_u64..3), 1..300),
        ) {
            let mut table = KeyTable::<Until>::default();
            let mut model = HashMap::new();
            let mut now = 0;
            for (key, ahead, pause) in steps {
                now += pause;
                let before = table.change(key, 64, now, |value| core::mem::replace(value, Until(now + ahead)));
                let known: u64 = model.get(&key).copied().unwrap_or_default();
                prop_assert!(before.0 == known || known <= now, "{} {known} {now}", before.0);
                model.insert(key, now + ahead);
                for (place, (key, _)) in table.entries.iter().enumerate() {
                    prop_assert_eq!(table.places.get(key), Some(&place));
                }
                prop_assert_eq!(table.places.len(), table.entries.len());
                prop_assert!(table.len() <= 64);
            }
        }
    }
}
