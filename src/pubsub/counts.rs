//! Subscriber counts across shards, for topics whose rules ask for them.
//!
//! Each shard's table collects changes. The server takes them and sends them to every shard, where [`SubscriberCounts`]
//! adds them up. Changes that cancel out in between are never sent.
//!
//! A subscriber counts for a topic it subscribed to by name. A subscription through a wildcard does not count.

use std::collections::HashMap;

use super::topic::Topic;

/// The change of a shard's subscriber count of a topic since its last change was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountChange {
    /// The topic.
    pub topic: Topic,
    /// New subscribers minus those that left; never 0.
    pub change: i64,
}

/// A shard's changes that have not been taken: at most two per topic of the shard, one to remove and one to add.
#[derive(Debug, Default)]
pub(super) struct Changes {
    topics: HashMap<Topic, i64>,
}

impl Changes {
    pub(super) fn add(&mut self, topic: &Topic, change: i64) {
        add(&mut self.topics, topic, change);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = CountChange> + use<> {
        let topics = std::mem::take(&mut self.topics);
        topics.into_iter().map(|(topic, change)| CountChange { topic, change })
    }
}

/// The subscriber counts of all shards.
///
/// Holds only topics with subscribers, so the limits of the shards' tables bound it.
#[derive(Debug, Default)]
pub struct SubscriberCounts {
    topics: HashMap<Topic, i64>,
}

impl SubscriberCounts {
    /// Creates counts that are all zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one shard's change; changes of different shards may come in any order.
    pub fn apply(&mut self, change: &CountChange) {
        add(&mut self.topics, &change.topic, change.change);
    }

    /// Returns how many subscribers are subscribed to a topic by name.
    #[must_use]
    pub fn count(&self, topic: &str) -> u64 {
        let count = self.topics.get(topic).copied().unwrap_or_default();
        u64::try_from(count).unwrap_or_default()
    }

    /// Returns every topic with subscribers, in arbitrary order.
    pub fn iter(&self) -> impl Iterator<Item = (&Topic, u64)> {
        let topics = self.topics.iter();
        topics.map(|(topic, count)| (topic, u64::try_from(*count).unwrap_or_default()))
    }
}

fn add(topics: &mut HashMap<Topic, i64>, topic: &Topic, change: i64) {
    let count = match topics.get_mut(topic) {
        Some(count) => count,
        None => topics.entry(topic.clone()).or_default(),
    };
    *count += change;
    if *count == 0 {
        topics.remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_cancel_out_are_never_sent() {
        let mut changes = Changes::default();
        let [quiet, busy] = ["quiet", "busy"].map(|name| Topic::new(name).unwrap());
        changes.add(&quiet, 1);
        changes.add(&busy, 1);
        changes.add(&busy, 1);
        changes.add(&quiet, -1);
        let taken: Vec<_> = changes.take().collect();
        assert_eq!(taken, [CountChange { topic: busy, change: 2 }]);
        assert_eq!(changes.take().count(), 0);
    }

    #[test]
    fn shards_add_up_in_any_order() {
        let topic = Topic::new("room").unwrap();
        let change = |change| CountChange {
            topic: topic.clone(),
            change,
        };
        let mut counts = SubscriberCounts::new();
        let mut seen = Vec::new();
        for step in [-2, 3, 2, -3] {
            counts.apply(&change(step));
            seen.push(counts.count("room"));
        }
        assert_eq!(seen, [0, 1, 3, 0]);
        assert_eq!(counts.iter().count(), 0);
    }
}
