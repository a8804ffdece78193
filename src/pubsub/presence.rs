//! Who is present in which topic on one shard: a name for each subscriber that gives one, for as long as it is subscribed.
//!
//! Nothing of it is kept on other shards: who wants the whole picture asks each of them, so that it is right whenever it is looked at and
//! costs nothing while nobody looks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::subscribers::SubscriberId;
use super::topic::Topic;

/// Longest name in bytes. 256: as long as a topic's.
pub const PRESENCE_NAME_BYTES_MAX: usize = 256;

/// Most names that one look at a topic gives; beyond it there is only the number. 1024: a page's worth for a person, and at most 256 KiB.
pub const PRESENCE_NAMES_MAX: usize = 1024;

/// Who is present in a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Presence {
    /// Names in order, each once however many subscribers have it; at most [`PRESENCE_NAMES_MAX`].
    pub names: Vec<String>,
    /// How many subscribers have given a name.
    pub count: usize,
}

impl Presence {
    /// Adds what another shard knows.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.names.extend(other.names);
        self.names.sort_unstable();
        self.names.dedup();
        self.names.truncate(PRESENCE_NAMES_MAX);
    }
}

/// The names given on one shard. A subscriber has at most one in each topic it is subscribed to by name, so limits on subscriptions bound it.
#[derive(Debug, Default)]
pub(super) struct Names {
    topics: HashMap<Topic, HashMap<SubscriberId, Arc<str>>>,
    /// Where each subscriber is present.
    places: HashMap<SubscriberId, Vec<Topic>>,
}

impl Names {
    pub(super) fn set(&mut self, subscriber: SubscriberId, topic: &Topic, name: &str) {
        let names = self.topics.entry(topic.clone()).or_default();
        if names.insert(subscriber, Arc::from(name)).is_none() {
            self.places.entry(subscriber).or_default().push(topic.clone());
        }
    }

    pub(super) fn remove(&mut self, subscriber: SubscriberId, topic: &Topic) {
        if let Some(places) = self.places.get_mut(&subscriber) {
            places.retain(|place| place != topic);
            if places.is_empty() {
                self.places.remove(&subscriber);
            }
            self.forget(subscriber, topic);
        }
    }

    pub(super) fn remove_all(&mut self, subscriber: SubscriberId) {
        for topic in self.places.remove(&subscriber).unwrap_or_default() {
            self.forget(subscriber, &topic);
        }
    }

    fn forget(&mut self, subscriber: SubscriberId, topic: &Topic) {
        if let Some(names) = self.topics.get_mut(topic) {
            names.remove(&subscriber);
            if names.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    pub(super) fn of(&self, topic: &Topic) -> Presence {
        let Some(names) = self.topics.get(topic) else {
            return Presence::default();
        };
        let mut first: BTreeSet<&str> = BTreeSet::new();
        for name in names.values() {
            first.insert(name);
            if first.len() > PRESENCE_NAMES_MAX {
                first.pop_last();
            }
        }
        Presence {
            names: first.into_iter().map(str::to_owned).collect(),
            count: names.len(),
        }
    }
}
