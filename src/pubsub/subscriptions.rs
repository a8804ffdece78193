//! Who is subscribed to what on one shard: from a topic to its subscribers, and from a subscriber to its topics.
//!
//! A pattern somebody subscribes to has a slot, and a slot has a dense list of its members, so that ten thousand of them are read front to
//! back. A member knows its place in its subscriber's list, and a subscription its place in the slot's: either side is left by swapping
//! with the last, in constant time, whatever the number of members.

use std::collections::HashMap;

use slab::Slab;

use super::topic::{Pattern, Topic};
use super::trie::Trie;

/// Spare places a list or table may keep before it gives them back.
const SPARE_MAX: usize = 64;

/// The subscriptions of one shard.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    topics: HashMap<Topic, u32>,
    wildcards: Trie,
    slots: Slab<Slot>,
    /// What each subscriber is subscribed to.
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
    /// Where in the subscriber's list this subscription is.
    place: u32,
}

/// A slot in a subscriber's list.
#[derive(Debug, Clone, Copy)]
struct Subscription {
    slot: u32,
    /// Where in the slot's list the subscriber is.
    place: u32,
}

impl Subscriptions {
    /// The slot of a pattern, if anybody is subscribed to it.
    fn slot_of(&self, pattern: &Pattern) -> Option<u32> {
        match pattern {
            Pattern::Topic(topic) => self.topics.get(topic).copied(),
            Pattern::Wildcard(wildcard) => self.wildcards.find(wildcard),
        }
    }

    /// How many are subscribed to exactly this pattern.
    pub(super) fn count(&self, pattern: &Pattern) -> usize {
        self.slot_of(pattern).map_or(0, |slot| self.members(slot).len())
    }

    /// How many patterns somebody is subscribed to.
    pub(super) fn patterns(&self) -> usize {
        self.slots.len()
    }

    /// How many subscriptions a subscriber has.
    pub(super) fn subscribed(&self, subscriber: u32) -> usize {
        self.lists.get(subscriber as usize).map_or(0, Vec::len)
    }

    pub(super) fn is_subscribed(&self, subscriber: u32, pattern: &Pattern) -> bool {
        self.slot_of(pattern)
            .is_some_and(|slot| self.find(subscriber, slot).is_some())
    }

    /// Where in a subscriber's list a slot is: a search through at most its own subscriptions.
    fn find(&self, subscriber: u32, slot: u32) -> Option<u32> {
        let list = self.lists.get(subscriber as usize)?;
        list.iter()
            .position(|subscription| subscription.slot == slot)
            .map(narrow)
    }

    /// Whether subscribing to a pattern would need a slot.
    pub(super) fn is_new(&self, pattern: &Pattern) -> bool {
        self.slot_of(pattern).is_none()
    }

    /// Adds a subscription that is not there.
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

    /// Removes a subscription; says whether it was there.
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
        // What was last in the list has moved into the gap; its member must know.
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

    /// Removes one of a subscriber's subscriptions, the last; gives its pattern, until there is none.
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

    /// Adds the slots of all patterns that fit a topic.
    pub(super) fn matches(&self, topic: &Topic, slots: &mut Vec<u32>) {
        slots.extend(self.topics.get(topic));
        self.wildcards.matches(topic.as_str(), slots);
    }

    /// The members of a slot, in no order.
    pub(super) fn members(&self, slot: u32) -> &[Member] {
        self.slots.get(slot as usize).map_or(&[], |slot| &slot.members)
    }

    /// How many places are kept for nobody, beyond the few that may be.
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

    /// Takes a member out of its slot, and the slot out of the table if it was the last.
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

/// Gives memory back once most of it is spare, so that a topic that was crowded does not stay large.
fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > SPARE_MAX && list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// An index as the table keeps it: half as wide. The limits on subscribers and topics keep every one far below 2³².
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
