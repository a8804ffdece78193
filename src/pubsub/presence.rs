//! Presence: the names of a topic's subscribers on one shard. A subscriber may set one name per topic while it is
//! subscribed.
//!
//! Names are not copied to other shards. A query asks every shard, so the result is current, and presence costs nothing
//! between queries.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::subscribers::SubscriberId;
use super::topic::Topic;

/// Longest name in bytes. 256: the limit of topic names.
pub const PRESENCE_NAME_BYTES_MAX: usize = 256;

/// Most names that one query returns; `count` has no such limit. 1024: enough for a page a person reads, and at most
/// 256 KiB.
pub const PRESENCE_NAMES_MAX: usize = 1024;

/// The subscribers present in a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Presence {
    /// Distinct names in ascending order; at most [`PRESENCE_NAMES_MAX`].
    pub names: Vec<String>,
    /// How many subscribers have set a name.
    pub count: usize,
}

impl Presence {
    /// Adds another shard's presence.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.names.extend(other.names);
        self.names.sort_unstable();
        self.names.dedup();
        self.names.truncate(PRESENCE_NAMES_MAX);
    }
}

/// The names set on one shard. A subscriber has at most one per topic it subscribed to by name, so the limits on
/// subscriptions bound them.
#[derive(Debug, Default)]
pub(super) struct Names {
    topics: HashMap<Topic, HashMap<SubscriberId, Arc<str>>>,
    /// The topics each subscriber is present in.
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
            // Memory stays within the limit however many names there are.
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
