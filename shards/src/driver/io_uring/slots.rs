//! A table of sockets with stable indices. Each use of an index has a generation, so that a completion for an earlier
//! socket cannot reach its successor.

use slab::Slab;

use super::operation::SlotKey;

/// Sockets of one kind.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Slab<(SlotKey, T)>,
    generation: u32,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Slab::new(),
            generation: 0,
        }
    }

    /// Puts a socket into a free slot and returns its key.
    #[expect(clippy::cast_possible_truncation, reason = "there are never 2^32 descriptors")]
    pub(super) fn insert(&mut self, value: T) -> SlotKey {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        let key = SlotKey::new(entry.key() as u32, self.generation);
        entry.insert((key, value));
        key
    }

    /// Returns the socket, if the key still belongs to it.
    pub(super) fn find(&mut self, key: SlotKey) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some((found, value)) if *found == key => Some(value),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, key: SlotKey) -> Option<T> {
        self.find(key)?;
        self.slots.try_remove(key.index as usize).map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SlotKey, &mut T)> {
        self.slots.iter_mut().map(|(_, (key, value))| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn a_key_does_not_open_the_slot_of_its_successor() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.index, second.index, "the slot is reused");
        assert_eq!(slots.find(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.find(second), Some(&mut "second"));
        assert_eq!(slots.len(), 1);
    }
}
