//! Subscriptions on one shard: from a topic to its subscribers, and from a subscriber to its patterns.
//!
//! Each pattern with subscribers has a slot, and a slot has a dense list of members that is read front to back. A
//! member knows its index in its subscriber's list, and a subscription knows its index in the slot's list. So both are
//! removed in constant time, by swapping with the last entry.

use std::collections::HashMap;

use slab::Slab;

use super::topic::{Pattern, Topic};
use super::trie::Trie;

/// Most spare places of a list or table before it is shrunk.
const SPARE_MAX: usize = 64;

/// The subscriptions of one shard.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    topics: HashMap<Topic, u32>,
    wildcards: Trie,
    slots: Slab<Slot>,
    /// The subscriptions of each subscriber, by its index.
    lists: Vec<Vec<Subscription>>,
}

#[derive(Debug)]
struct Slot {
    pattern: Pattern,
    members: Vec<Member>,
}

/// A subscriber in a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) subscriber: u32,
    /// The index of this subscription in the subscriber's list.
    place: u32,
}

/// A slot in a subscriber's list.
#[derive(Debug, Clone, Copy)]
struct Subscription {
    slot: u32,
    /// The index of the subscriber in the slot's list.
    place: u32,
}

impl Subscriptions {
    /// Returns the slot of a pattern, if it has subscribers.
    fn slot_of(&self, pattern: &Pattern) -> Option<u32> {
        match pattern {
            Pattern::Topic(topic) => self.topics.get(topic).copied(),
            Pattern::Wildcard(wildcard) => self.wildcards.find(wildcard),
        }
    }

    /// Returns how many subscribers have exactly this pattern.
    pub(super) fn count(&self, pattern: &Pattern) -> usize {
        self.slot_of(pattern).map_or(0, |slot| self.members(slot).len())
    }

    /// Returns how many patterns have subscribers.
    pub(super) fn patterns(&self) -> usize {
        self.slots.len()
    }

    /// Returns how many subscriptions a subscriber has.
    pub(super) fn subscribed(&self, subscriber: u32) -> usize {
        self.lists.get(subscriber as usize).map_or(0, Vec::len)
    }

    pub(super) fn is_subscribed(&self, subscriber: u32, pattern: &Pattern) -> bool {
        self.slot_of(pattern)
            .is_some_and(|slot| self.find(subscriber, slot).is_some())
    }

    /// Returns the index of a slot in a subscriber's list; a search through its subscriptions.
    fn find(&self, subscriber: u32, slot: u32) -> Option<u32> {
        let list = self.lists.get(subscriber as usize)?;
        list.iter()
            .position(|subscription| subscription.slot == slot)
            .map(narrow)
    }

    /// Returns whether subscribing to a pattern would need a new slot.
    pub(super) fn is_new(&self, pattern: &Pattern) -> bool {
        self.slot_of(pattern).is_none()
    }

    /// Adds a subscription that does not exist yet.
    pub(super) fn add(&mut self, subscriber: u32, pattern: &Pattern) {
        let slot = self.slot_of(pattern).unwrap_or_else(|| self.open(pattern));
        let index = subscriber as usize;
        if self.lists.len() <= index {
            self.lists.resize_with(index + 1, Vec::new);
        }
        if let (Some(list), Some(members)) = (
            self.lists.get_mut(index),
            self.slots.get_mut(slot as usize).map(|slot| &mut slot.members),
        ) {
            list.push(Subscription {
                slot,
                place: narrow(members.len()),
            });
            members.push(Member {
                subscriber,
                place: narrow(list.len() - 1),
            });
        }
    }

    /// Removes a subscription; returns whether it existed.
    pub(super) fn remove(&mut self, subscriber: u32, pattern: &Pattern) -> bool {
        let place = self.slot_of(pattern).and_then(|slot| self.find(subscriber, slot));
        let Some(place) = place else {
            return false;
        };
        let list = self.lists.get_mut(subscriber as usize);
        let Some(removed) = list
            .filter(|list| (place as usize) < list.len())
            .map(|list| list.swap_remove(place as usize))
        else {
            return false;
        };
        // The last entry has moved into the gap, so its member gets the new index.
        let moved = self
            .lists
            .get(subscriber as usize)
            .and_then(|list| list.get(place as usize))
            .copied();
        if let Some(member) = moved.and_then(|moved| self.member_mut(moved)) {
            member.place = place;
        }
        self.leave(removed);
        true
    }

    /// Removes a subscriber's last subscription and returns its pattern, or `None` when all are removed.
    pub(super) fn remove_last(&mut self, subscriber: u32) -> Option<Pattern> {
        let list = self.lists.get_mut(subscriber as usize)?;
        let Some(removed) = list.pop() else {
            *list = Vec::new();
            while self.lists.last().is_some_and(Vec::is_empty) {
                self.lists.pop();
            }
            shrink(&mut self.lists);
            return None;
        };
        let pattern = self.slots.get(removed.slot as usize)?.pattern.clone();
        self.leave(removed);
        Some(pattern)
    }

    /// Adds the slots of all patterns that match a topic.
    pub(super) fn matches(&self, topic: &Topic, slots: &mut Vec<u32>) {
        slots.extend(self.topics.get(topic));
        self.wildcards.matches(topic.as_str(), slots);
    }

    /// Returns the members of a slot, in arbitrary order.
    pub(super) fn members(&self, slot: u32) -> &[Member] {
        self.slots.get(slot as usize).map_or(&[], |slot| &slot.members)
    }

    /// Returns how much spare capacity exceeds the allowed [`SPARE_MAX`].
    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        let kept = [self.topics.capacity(), self.slots.capacity(), self.lists.capacity()];
        kept.map(|places| places.saturating_sub(SPARE_MAX)).iter().sum()
    }

    fn member_mut(&mut self, subscription: Subscription) -> Option<&mut Member> {
        let slot = self.slots.get_mut(subscription.slot as usize)?;
        slot.members.get_mut(subscription.place as usize)
    }

    fn open(&mut self, pattern: &Pattern) -> u32 {
        let slot = narrow(self.slots.insert(Slot {
            pattern: pattern.clone(),
            members: Vec::new(),
        }));
        match pattern {
            Pattern::Topic(topic) => drop(self.topics.insert(topic.clone(), slot)),
            Pattern::Wildcard(wildcard) => self.wildcards.insert(wildcard, slot),
        }
        slot
    }

    /// Removes a member from its slot, and the slot itself after its last member.
    fn leave(&mut self, removed: Subscription) {
        let Some(slot) = self.slots.get_mut(removed.slot as usize) else {
            return;
        };
        let place = removed.place as usize;
        if place < slot.members.len() {
            slot.members.swap_remove(place);
        }
        shrink(&mut slot.members);
        if let Some(moved) = slot.members.get(place).copied() {
            let list = self.lists.get_mut(moved.subscriber as usize);
            if let Some(subscription) = list.and_then(|list| list.get_mut(moved.place as usize)) {
                subscription.place = removed.place;
            }
        } else if slot.members.is_empty() {
            self.close(removed.slot);
        }
    }

    fn close(&mut self, slot: u32) {
        match self.slots.remove(slot as usize).pattern {
            Pattern::Topic(topic) => drop(self.topics.remove(&topic)),
            Pattern::Wildcard(wildcard) => self.wildcards.remove(&wildcard),
        }
        if self.topics.capacity() > SPARE_MAX && self.topics.len() < self.topics.capacity() / 8 {
            self.topics.shrink_to(self.topics.len() * 2);
        }
        if self.slots.is_empty() {
            self.slots = Slab::new();
        }
    }
}

/// Shrinks a list that is mostly spare, so that a once crowded topic does not stay large.
fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > SPARE_MAX && list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// Narrows an index to 32 bits; the limits on subscribers and topics are far below 2³².
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
