//! A coarse timer wheel for connection deadlines, which every request postpones.
//!
//! Why: a keep-alive connection moves its deadline with every request and almost never reaches it. So postponing is one
//! store: the entry stays in its slot, and when that slot comes up the entry moves on instead of firing. Only bringing
//! a deadline forward relinks the entry.
//!
//! The wheel has [`SLOTS`] slots of 2^25 ns. Tick `t` is due `t` slots after the origin. An entry belongs to the first
//! tick that is not before its deadline, so it never fires early and at most one slot late. Ticks `(current, current +
//! SLOTS]` each own one slot; a deadline further away waits in the furthest slot and is placed again when that comes
//! up.
//!
//! Invariant: an entry's `tick` is the tick of the slot it is linked in, and is after `current`. A slot's bit is set
//! exactly when its list is not empty. Every link leads to an occupied slab entry.

use std::time::{Duration, Instant};

use slab::Slab;

use super::expiry::EXPIRED_A_TURN_MAX;

/// The number of slots. 1024: with 2^25 ns one rotation is 34.4 s, so the usual header and body deadlines (10 s, 30 s)
/// are placed once, and a 75 s keep-alive deadline three times.
pub(crate) const SLOTS: usize = 1024;

/// How many entries one [`Wheel::expire`] visits at most, for postponed deadlines. 256: at 15 ns each (measured) about
/// 4 µs.
pub(crate) const EXPIRE_ENTRIES_MAX: usize = 256;

/// The width of a slot. 2^25 ns = 33.6 ms: the most a deadline is late, three orders below the shortest default one.
const SLOT_NANOSECONDS: u64 = 1 << 25;
const ROTATION: u64 = 1024;
const WORDS: usize = SLOTS / 64;

/// The name of one entry in its [`Wheel`].
///
/// It stays unique when the entry's place is reused: a stale key is refused, never mistaken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: usize,
    generation: u32,
}

/// The result of one [`Wheel::expire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "more entries may be due than one call visits"]
pub(crate) struct Expired {
    /// The number of tokens fired.
    pub(crate) fired: usize,
    /// Whether the call stopped at a bound with slots still due: call again in the next turn.
    pub(crate) more_due: bool,
}

/// A timer wheel whose entries carry a token `T`, usually a waker.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    origin: Instant,
    /// The last tick whose slot is finished.
    current: u64,
    entries: Slab<Entry<T>>,
    slots: Slots,
    /// Counts insertions and wraps; two entries in one place share a generation only 2^32 insertions apart.
    generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    /// Nanoseconds after the origin.
    deadline: u64,
    /// The tick of the slot it is linked in: never later than the deadline's own tick, often earlier.
    tick: u64,
    previous: usize,
    next: usize,
    generation: u32,
    token: T,
}

impl<T> Wheel<T> {
    /// Creates an empty wheel that counts time from `origin`; earlier moments count as `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            origin,
            current: 0,
            entries: Slab::new(),
            slots: Slots::new(),
            generation: 0,
        }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry that fires within one slot after `deadline`, or after the next tick if that has passed.
    ///
    /// O(1). The number of entries is bounded by the caller, such as one per connection.
    pub(crate) fn insert(&mut self, deadline: Instant, token: T) -> Key {
        let deadline = self.nanoseconds(deadline);
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.entries.insert(Entry {
            deadline,
            tick: 0,
            previous: 0,
            next: 0,
            generation,
            token,
        });
        self.link(index);
        Key { index, generation }
    }

    /// Moves the deadline of an entry; returns `false` if the entry has already fired.
    ///
    /// To a later deadline this is one store; to an earlier one the entry is relinked, in O(1).
    pub(crate) fn re_arm(&mut self, key: &Key, deadline: Instant) -> bool {
        let deadline = self.nanoseconds(deadline);
        let place = self.place_of(deadline);
        let Some(entry) = self.entry(key) else { return false };
        entry.deadline = deadline;
        if place < entry.tick {
            self.unlink(key.index);
            self.link(key.index);
        }
        true
    }

    /// Returns the token of an entry, to replace its waker; `None` if the entry has already fired.
    pub(crate) fn token_mut(&mut self, key: &Key) -> Option<&mut T> {
        self.entry(key).map(|entry| &mut entry.token)
    }

    /// Removes an entry, in O(1); `None` if it has already fired.
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let Key { index, generation: _ } = key;
        self.entry(&key).is_some().then(|| self.remove(index))
    }

    /// Returns when the next occupied slot is due, or `None` if the wheel is empty: an idle server needs no tick.
    ///
    /// The moment may have passed. Nothing fires at it if the entries there were postponed.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let tick = self.slots.next_occupied(self.current)?;
        self.origin
            .checked_add(Duration::from_nanos(tick.saturating_mul(SLOT_NANOSECONDS)))
    }

    /// Fires the tokens whose deadline has passed: at most [`EXPIRED_A_TURN_MAX`], among at most [`EXPIRE_ENTRIES_MAX`]
    /// entries visited.
    ///
    /// Call it every turn, even if nothing is due: then it costs one search of the bitmap, and keeps `current` fresh
    /// for good placement. Tokens of one slot fire in link order. The wheel is consistent but borrowed while `fire`
    /// runs: collect what could reach it again, such as dropping the last waker of a task that owns a key, and do that
    /// afterwards.
    pub(crate) fn expire(&mut self, now: Instant, fire: &mut impl FnMut(T)) -> Expired {
        let now = self.nanoseconds(now);
        let now_tick = now / SLOT_NANOSECONDS;
        let mut fired = 0;
        let mut looked_at = 0;
        while let Some(tick) = self.slots.next_occupied(self.current).filter(|tick| *tick <= now_tick) {
            // A slot being emptied still counts as ahead, so that a call may stop in the middle of it.
            self.current = tick - 1;
            while let Some(index) = self.slots.first(tick) {
                if looked_at == EXPIRE_ENTRIES_MAX || fired == EXPIRED_A_TURN_MAX {
                    return Expired { fired, more_due: true };
                }
                looked_at += 1;
                if self.deadline_of(index) <= now {
                    fired += 1;
                    fire(self.remove(index));
                } else {
                    // Postponed, or more than one rotation away: move it to its current slot.
                    self.unlink(index);
                    self.link(index);
                }
            }
            self.current = tick;
        }
        self.current = self.current.max(now_tick);
        Expired { fired, more_due: false }
    }

    fn nanoseconds(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns the tick that an entry with this deadline waits for: its own, within one rotation.
    fn place_of(&self, deadline: u64) -> u64 {
        deadline
            .div_ceil(SLOT_NANOSECONDS)
            .clamp(self.current + 1, self.current + ROTATION)
    }

    fn entry(&mut self, key: &Key) -> Option<&mut Entry<T>> {
        self.entries
            .get_mut(key.index)
            .filter(|entry| entry.generation == key.generation)
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "keys are checked before, and links lead to occupied entries, by the invariant"
)]
impl<T> Wheel<T> {
    fn deadline_of(&self, index: usize) -> u64 {
        self.entries[index].deadline
    }

    fn remove(&mut self, index: usize) -> T {
        self.unlink(index);
        self.entries.remove(index).token
    }

    /// Appends an entry to the list of its deadline's slot.
    fn link(&mut self, index: usize) {
        let tick = self.place_of(self.entries[index].deadline);
        let (previous, next) = match self.slots.first(tick) {
            None => {
                self.slots.occupy(tick, index);
                (index, index)
            }
            Some(first) => {
                let last = self.entries[first].previous;
                self.entries[last].next = index;
                self.entries[first].previous = index;
                (last, first)
            }
        };
        let entry = &mut self.entries[index];
        (entry.tick, entry.previous, entry.next) = (tick, previous, next);
    }

    fn unlink(&mut self, index: usize) {
        let Entry {
            tick, previous, next, ..
        } = self.entries[index];
        if next == index {
            self.slots.vacate(tick);
            return;
        }
        self.entries[previous].next = next;
        self.entries[next].previous = previous;
        if self.slots.first(tick) == Some(index) {
            self.slots.occupy(tick, next);
        }
    }
}

/// The first entry of each slot's circular list, and a bitmap of the occupied slots.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Slots {
    firsts: Box<[usize; SLOTS]>,
    occupied: [u64; WORDS],
}

#[expect(
    clippy::indexing_slicing,
    reason = "a tick is reduced modulo the number of slots before it is an index"
)]
impl Slots {
    fn new() -> Self {
        Self {
            firsts: Box::new([0; SLOTS]),
            occupied: [0; WORDS],
        }
    }

    fn first(&self, tick: u64) -> Option<usize> {
        let slot = slot_of(tick);
        (self.occupied[slot / 64] & bit_of(slot) != 0).then(|| self.firsts[slot])
    }

    fn occupy(&mut self, tick: u64, first: usize) {
        let slot = slot_of(tick);
        self.firsts[slot] = first;
        self.occupied[slot / 64] |= bit_of(slot);
    }

    fn vacate(&mut self, tick: u64) {
        let slot = slot_of(tick);
        self.occupied[slot / 64] &= !bit_of(slot);
    }

    /// Returns the first tick after `current`, within one rotation, whose slot is occupied.
    fn next_occupied(&self, current: u64) -> Option<u64> {
        let start = slot_of(current + 1);
        // The word with the start is searched twice: first from the start upward; last, after the others, below it.
        (0..=WORDS).find_map(|step| {
            let word = (start / 64 + step) % WORDS;
            let from_start = u64::MAX << (start % 64);
            let searched = match step {
                0 => from_start,
                WORDS => !from_start,
                _ => u64::MAX,
            };
            let found = self.occupied[word] & searched;
            let slot = word * 64 + found.trailing_zeros() as usize;
            (found != 0).then(|| current + 1 + ((slot + SLOTS - start) % SLOTS) as u64)
        })
    }
}

const fn slot_of(tick: u64) -> usize {
    (tick % ROTATION) as usize
}

const fn bit_of(slot: usize) -> u64 {
    1 << (slot % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::task::Waker;

    const SLOT_DURATION: Duration = Duration::from_nanos(SLOT_NANOSECONDS);

    use proptest::prelude::*;

    use super::*;

    const ROTATION_DURATION: Duration = Duration::from_nanos(SLOT_NANOSECONDS * ROTATION);

    #[expect(clippy::disallowed_methods, reason = "any moment serves as the origin of a test")]
    fn wheel() -> (Wheel<u32>, Instant) {
        let origin = Instant::now();
        (Wheel::new(origin), origin)
    }

    fn expire_all<T>(wheel: &mut Wheel<T>, now: Instant) -> Vec<T> {
        let mut tokens = Vec::new();
        while wheel.expire(now, &mut |token| tokens.push(token)).more_due {}
        tokens
    }

    #[test]
    fn an_entry_fits_in_a_cache_line() {
        assert!(
            size_of::<Option<Entry<Waker>>>() <= 64,
            "{}",
            size_of::<Option<Entry<Waker>>>()
        );
    }

    #[test]
    fn an_entry_fires_with_the_first_tick_after_its_deadline() {
        let slot = SLOT_DURATION;
        let nanosecond = Duration::from_nanos(1);
        for (deadline, due) in [
            (Duration::ZERO, slot),
            (nanosecond, slot),
            (slot, slot),
            (slot + nanosecond, 2 * slot),
            (Duration::from_secs(10), 299 * slot),
            (ROTATION_DURATION, ROTATION_DURATION),
        ] {
            let (mut wheel, origin) = wheel();
            let _key = wheel.insert(origin + deadline, 7);
            assert_eq!(wheel.next_tick(), Some(origin + due), "{deadline:?}");
            assert!(
                expire_all(&mut wheel, origin + due - nanosecond).is_empty(),
                "{deadline:?}"
            );
            assert_eq!(expire_all(&mut wheel, origin + due), [7], "{deadline:?}");
            assert_eq!(wheel.next_tick(), None);
        }
    }

    #[test]
    fn a_deadline_beyond_one_rotation_is_placed_again_and_fires_in_time() {
        let (mut wheel, origin) = wheel();
        let deadline = origin + Duration::from_secs(75);
        let _key = wheel.insert(deadline, 1);
        let mut looks = 0;
        loop {
            let tick = wheel.next_tick().unwrap();
            if expire_all(&mut wheel, tick) == [1] {
                assert!(tick >= deadline && tick < deadline + SLOT_DURATION);
                break;
            }
            looks += 1;
        }
        assert_eq!(looks, 2);
    }

    #[test]
    fn postponing_a_deadline_touches_neither_lists_nor_slots() {
        let (mut wheel, origin) = wheel();
        let keys: Vec<Key> = (0..3)
            .map(|token| wheel.insert(origin + Duration::from_secs(1), token))
            .collect();
        let links = |wheel: &Wheel<u32>| {
            let lists = wheel
                .entries
                .iter()
                .map(|(_, entry)| (entry.tick, entry.previous, entry.next));
            (lists.collect::<Vec<_>>(), wheel.slots.clone())
        };
        let before = links(&wheel);
        for seconds in 2..80 {
            assert!(wheel.re_arm(&keys[1], origin + Duration::from_secs(seconds)));
            assert!(links(&wheel) == before, "{seconds}");
        }
        // Nor does bringing it forward again, as long as its slot comes up before the deadline.
        assert!(wheel.re_arm(&keys[1], origin + Duration::from_secs(2)));
        assert!(links(&wheel) == before);
        assert_eq!(
            expire_all(&mut wheel, origin + Duration::from_secs(1) + SLOT_DURATION),
            [0, 2]
        );
        assert_eq!(
            expire_all(&mut wheel, origin + Duration::from_secs(2) + SLOT_DURATION),
            [1]
        );
    }

    #[test]
    fn a_deadline_brought_forward_fires_at_the_earlier_time() {
        let (mut wheel, origin) = wheel();
        let key = wheel.insert(origin + Duration::from_secs(30), 1);
        let _other = wheel.insert(origin + Duration::from_secs(30), 2);
        assert!(wheel.re_arm(&key, origin + Duration::from_secs(3)));
        assert_eq!(expire_all(&mut wheel, origin + Duration::from_secs(4)), [1]);
        assert!(
            !wheel.re_arm(&key, origin + Duration::from_secs(9)),
            "the entry was removed"
        );
    }

    #[test]
    fn a_key_of_a_fired_entry_does_not_name_its_successor() {
        let (mut wheel, origin) = wheel();
        let stale = wheel.insert(origin, 1);
        assert_eq!(expire_all(&mut wheel, origin + SLOT_DURATION), [1]);
        let fresh = wheel.insert(origin, 2);
        assert_eq!(stale.index, fresh.index);
        assert!(wheel.token_mut(&stale).is_none());
        assert!(!wheel.re_arm(&stale, origin + Duration::from_secs(1)));
        assert_eq!(wheel.cancel(stale), None);
        *wheel.token_mut(&fresh).unwrap() = 3;
        assert_eq!(wheel.cancel(fresh), Some(3));
        assert_eq!(wheel.next_tick(), None);
    }

    #[test]
    fn after_a_long_pause_entries_fire_in_bounded_slices_in_order() {
        let (mut wheel, origin) = wheel();
        let count = 3 * EXPIRED_A_TURN_MAX + 1;
        for token in 0..u32::try_from(count).unwrap() {
            let _key = wheel.insert(origin + Duration::from_secs(1), token);
        }
        let now = origin + Duration::from_secs(31);
        let mut tokens = Vec::new();
        for slice in 1..=4 {
            let expired = wheel.expire(now, &mut |token| tokens.push(token));
            assert_eq!(expired.more_due, slice < 4);
            assert_eq!(expired.fired, if slice < 4 { EXPIRED_A_TURN_MAX } else { 1 });
            assert_eq!(wheel.next_tick().is_some_and(|tick| tick <= now), slice < 4);
        }
        assert!(tokens.iter().copied().eq(0..u32::try_from(count).unwrap()));
    }

    #[test]
    fn postponed_entries_count_against_the_slice_too() {
        let (mut wheel, origin) = wheel();
        for token in 0..2 * u32::try_from(EXPIRE_ENTRIES_MAX).unwrap() {
            let key = wheel.insert(origin + Duration::from_secs(1), token);
            assert!(wheel.re_arm(&key, origin + Duration::from_secs(20)));
        }
        let now = origin + Duration::from_secs(2);
        assert_eq!(
            wheel.expire(now, &mut |_| ()),
            Expired {
                fired: 0,
                more_due: true
            }
        );
        assert_eq!(
            wheel.expire(now, &mut |_| ()),
            Expired {
                fired: 0,
                more_due: false
            }
        );
        assert_eq!(wheel.next_tick(), Some(origin + 597 * SLOT_DURATION));
    }

    #[test]
    fn time_that_stands_still_or_reaches_the_end_of_the_clock_is_harmless() {
        let (mut wheel, origin) = wheel();
        let key = wheel.insert(origin + Duration::from_secs(u64::MAX / 4), 1);
        assert!(expire_all(&mut wheel, origin + Duration::from_secs(5)).is_empty());
        assert!(expire_all(&mut wheel, origin).is_empty());
        assert!(wheel.re_arm(&key, origin));
        assert_eq!(wheel.next_tick(), Some(origin + 150 * SLOT_DURATION));
        assert_eq!(expire_all(&mut wheel, origin + Duration::from_secs(6)), [1]);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Insert(u64),
        ReArm(usize, u64),
        Cancel(usize),
        Advance(u64),
    }

    /// Milliseconds: mostly within a few slots or a rotation, sometimes several rotations away.
    fn milliseconds() -> impl Strategy<Value = u64> {
        prop_oneof![3 => 0u64..200, 3 => 0u64..40_000, 1 => 0u64..300_000]
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => milliseconds().prop_map(Act::Insert),
            4 => (any::<usize>(), milliseconds()).prop_map(|(which, later)| Act::ReArm(which, later)),
            1 => any::<usize>().prop_map(Act::Cancel),
            3 => milliseconds().prop_map(Act::Advance),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_wheel_agrees_with_an_ordered_map(acts in prop::collection::vec(act(), 1..120)) {
            let (mut wheel, origin) = wheel();
            let mut now = origin;
            let mut model: BTreeMap<u32, (Key, Instant)> = BTreeMap::new();
            let mut token = 0;
            for act in acts {
                match act {
                    Act::Insert(later) => {
                        let deadline = now + Duration::from_millis(later);
                        model.insert(token, (wheel.insert(deadline, token), deadline));
                        token += 1;
                    }
                    Act::ReArm(which, later) => {
                        let nth = which % model.len().max(1);
                        if let Some((key, deadline)) = model.values_mut().nth(nth) {
                            *deadline = now + Duration::from_millis(later);
                            prop_assert!(wheel.re_arm(key, *deadline));
                        }
                    }
                    Act::Cancel(which) => {
                        let nth = which % model.len().max(1);
                        if let Some(name) = model.keys().nth(nth).copied() {
                            let (key, _) = model.remove(&name).unwrap();
                            prop_assert_eq!(wheel.cancel(key), Some(name));
                        }
                    }
                    Act::Advance(later) => {
                        now += Duration::from_millis(later);
                        for name in expire_all(&mut wheel, now) {
                            let (_, deadline) = model.remove(&name).unwrap();
                            prop_assert!(deadline <= now, "early by {:?}", deadline - now);
                        }
                        let late = model.values().find(|(_, deadline)| *deadline + SLOT_DURATION <= now);
                        prop_assert!(late.is_none(), "late: {:?}", late);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                prop_assert_eq!(wheel.next_tick().is_none(), model.is_empty());
                if let Some(earliest) = model.values().map(|(_, deadline)| *deadline).min() {
                    prop_assert!(wheel.next_tick().unwrap() < earliest.max(now) + SLOT_DURATION + SLOT_DURATION);
                }
            }
        }
    }
}
