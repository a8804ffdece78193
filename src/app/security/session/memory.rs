//! Sessions in memory: each shard owns those whose id names it, and the others ask it over the mesh.
//!
//! Time is monotonic, so a wall clock that jumps ends no session. The table is bounded in sessions and in bytes of each.
//! Each creation looks at a few of the oldest entries and drops the expired ones, so no sweep holds the shard up.

use core::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::key::SessionKey;
use super::store::SessionLifetime;
use super::values::{self, SessionChanges, SessionValues};
use crate::error::{Error, HttpError, Result};
use crate::memory;

/// How many entries a creation looks at. Two would keep up; eight shrink the table after a burst.
const LOOKS: usize = 8;

/// What an entry takes beside its values: key, times and its place in the queue.
const ENTRY_BYTES: usize = 256;

/// The sessions of one shard.
pub(in crate::app::security) struct SessionTable {
    sessions: RefCell<Sessions>,
    sessions_max: usize,
    session_bytes_max: usize,
}

#[derive(Default)]
struct Sessions {
    by_key: HashMap<SessionKey, Entry>,
    /// Every key once, and keys that are gone until a look drops them.
    queue: VecDeque<SessionKey>,
}

struct Entry {
    values: SessionValues,
    lifetime: SessionLifetime,
    created: Instant,
    used: Instant,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) > self.lifetime.idle
            || now.saturating_duration_since(self.created) > self.lifetime.absolute
    }
}

impl Sessions {
    /// The session of a key, unless it is over.
    fn live(&mut self, key: SessionKey, now: Instant) -> Option<&mut Entry> {
        if self.by_key.get(&key)?.is_over(now) {
            self.by_key.remove(&key);
        }
        self.by_key.get_mut(&key)
    }

    /// Drops a few sessions that are over.
    fn look(&mut self, now: Instant) {
        for _ in 0..LOOKS.min(self.queue.len()) {
            let Some(key) = self.queue.pop_front() else { return };
            if self.live(key, now).is_some() {
                self.queue.push_back(key);
            }
        }
    }

    fn insert(&mut self, key: SessionKey, entry: Entry) {
        if self.by_key.insert(key, entry).is_none() {
            self.queue.push_back(key);
        }
    }
}

impl SessionTable {
    pub(super) fn new(sessions_max: usize, session_bytes_max: usize) -> Self {
        Self {
            sessions: RefCell::default(),
            sessions_max,
            session_bytes_max,
        }
    }

    pub(super) fn load(&self, key: SessionKey, lifetime: SessionLifetime, now: Instant) -> Option<SessionValues> {
        let mut sessions = self.sessions.borrow_mut();
        let entry = sessions.live(key, now)?;
        entry.lifetime = lifetime;
        entry.used = now;
        Some(entry.values.clone())
    }

    /// Stores a new session.
    ///
    /// # Errors
    ///
    /// 503 if the table is full or memory is short; 500 if the values are too large.
    pub(super) fn create(
        &self,
        key: SessionKey,
        values: SessionValues,
        lifetime: SessionLifetime,
        now: Instant,
    ) -> Result {
        let mut sessions = self.sessions.borrow_mut();
        sessions.look(now);
        if sessions.by_key.len() >= self.sessions_max {
            return Err(HttpError::new(503)
                .with_message("the server has too many sessions; try again later")
                .into());
        }
        memory::reserve(ENTRY_BYTES + self.check(&values)?)?;
        let entry = Entry {
            values,
            lifetime,
            created: now,
            used: now,
        };
        sessions.insert(key, entry);
        Ok(())
    }

    /// Applies changes to a session, and returns whether it is there.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); the session stays as it was.
    pub(super) fn update(&self, key: SessionKey, changes: &SessionChanges, now: Instant) -> Result<bool> {
        let mut sessions = self.sessions.borrow_mut();
        let Some(entry) = sessions.live(key, now) else {
            return Ok(false);
        };
        entry.values = self.changed(&entry.values, changes)?;
        Ok(true)
    }

    /// Moves a session to a new key, where its life begins anew.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); the session stays as it was.
    pub(super) fn rotate(
        &self,
        (old, new): (SessionKey, SessionKey),
        changes: &SessionChanges,
        lifetime: SessionLifetime,
        now: Instant,
    ) -> Result<bool> {
        let mut sessions = self.sessions.borrow_mut();
        let Some(entry) = sessions.live(old, now) else {
            return Ok(false);
        };
        let values = self.changed(&entry.values, changes)?;
        sessions.by_key.remove(&old);
        let entry = Entry {
            values,
            lifetime,
            created: now,
            used: now,
        };
        sessions.insert(new, entry);
        sessions.look(now);
        Ok(true)
    }

    pub(super) fn remove(&self, key: SessionKey) {
        self.sessions.borrow_mut().by_key.remove(&key);
    }

    fn changed(&self, values: &SessionValues, changes: &SessionChanges) -> Result<SessionValues> {
        let mut changed = values.clone();
        changes.apply_to(&mut changed);
        memory::reserve(self.check(&changed)?)?;
        Ok(changed)
    }

    /// The bytes of values, if a session may have as many.
    fn check(&self, values: &SessionValues) -> Result<usize> {
        let (bytes, bytes_max) = (values::bytes(values), self.session_bytes_max);
        if bytes > bytes_max {
            return Err(Error::new(format!(
                "could not save the session: it has {bytes} bytes, and the limit is {bytes_max}; keep less in it"
            )));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::{ID_BYTES, SessionId};
    use super::*;
    use std::time::Duration;

    const LIFETIME: SessionLifetime = SessionLifetime {
        idle: Duration::from_secs(10),
        absolute: Duration::from_secs(25),
    };

    fn key(number: u8) -> SessionKey {
        SessionId::new([number; ID_BYTES]).key()
    }

    fn values(text: &str) -> SessionValues {
        SessionValues::from([("a".to_owned(), text.to_owned())])
    }

    fn changes(text: &str) -> SessionChanges {
        let mut changes = SessionChanges::default();
        changes.change(&mut SessionValues::new(), "a", Some(text.to_owned()));
        changes
    }

    /// Any moment serves as the first one.
    #[expect(clippy::disallowed_methods, reason = "the start of a made-up time")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_session_ends_when_idle_and_at_its_absolute_age() {
        let (table, start) = (SessionTable::new(8, 1000), start());
        let after = |seconds| start + Duration::from_secs(seconds);
        table.create(key(1), values("1"), LIFETIME, start).unwrap();
        table.create(key(2), values("2"), LIFETIME, start).unwrap();
        for seconds in [9, 18, 25] {
            assert_eq!(
                table.load(key(1), LIFETIME, after(seconds)),
                Some(values("1")),
                "{seconds}"
            );
        }
        assert_eq!(table.load(key(1), LIFETIME, after(26)), None, "its absolute age");
        assert_eq!(table.load(key(2), LIFETIME, after(11)), None, "idle");
        assert!(!table.update(key(2), &changes("3"), after(11)).unwrap());
    }

    #[test]
    fn a_rotation_closes_the_old_key_and_a_removed_session_stays_removed() {
        let (table, now) = (SessionTable::new(8, 1000), start());
        table.create(key(1), values("1"), LIFETIME, now).unwrap();
        assert!(table.rotate((key(1), key(2)), &changes("2"), LIFETIME, now).unwrap());
        assert_eq!(table.load(key(1), LIFETIME, now), None);
        assert_eq!(table.load(key(2), LIFETIME, now), Some(values("2")));
        assert!(!table.rotate((key(1), key(3)), &changes("3"), LIFETIME, now).unwrap());
        table.remove(key(2));
        assert!(!table.update(key(2), &changes("3"), now).unwrap());
        assert_eq!(table.load(key(2), LIFETIME, now), None);
    }

    #[test]
    fn a_full_table_refuses_sessions_until_some_are_over() {
        let (table, start) = (SessionTable::new(3, 1000), start());
        for number in 1..=3 {
            table.create(key(number), values("1"), LIFETIME, start).unwrap();
        }
        let refusal = table.create(key(4), values("1"), LIFETIME, start).unwrap_err();
        assert_eq!(refusal.status(), 503);
        let later = start + Duration::from_secs(11);
        table.create(key(4), values("1"), LIFETIME, later).unwrap();
        assert_eq!(table.sessions.borrow().by_key.len(), 1);
        assert_eq!(table.sessions.borrow().queue.len(), 1);
    }

    #[test]
    fn a_session_over_its_bytes_stays_as_it_was() {
        let (table, now) = (SessionTable::new(3, 100), start());
        table.create(key(1), values("1"), LIFETIME, now).unwrap();
        let large = "x".repeat(100);
        assert!(table.update(key(1), &changes(&large), now).is_err());
        assert!(table.rotate((key(1), key(2)), &changes(&large), LIFETIME, now).is_err());
        assert!(table.create(key(3), values(&large), LIFETIME, now).is_err());
        assert_eq!(table.load(key(1), LIFETIME, now), Some(values("1")));
    }

    #[test]
    fn keys_of_removed_sessions_leave_the_queue() {
        let (table, now) = (SessionTable::new(8, 1000), start());
        for number in 0..=255 {
            table.create(key(number), values("1"), LIFETIME, now).unwrap();
            table.remove(key(number));
        }
        assert!(table.sessions.borrow().queue.len() <= LOOKS);
    }
}
