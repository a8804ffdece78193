//! How many subscribers topics have on all shards together, for topics whose rules ask for it.
//!
//! Each shard's table notes changes; now and then the server takes them and sends them to every shard, where [`SubscriberCounts`] adds them
//! up. Changes that cancel out in between are never sent. Counted are those subscribed to a topic by its name; who gets it through a
//! wildcard watches many topics, and is present in none.

use std::collections::HashMap;

use super::topic::Topic;

/// How a shard's number of subscribers to a topic has changed since the last change it gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountChange {
    /// The topic.
    pub topic: Topic,
    /// How many subscribers have come, less those who have left; never 0.
    pub change: i64,
}

/// A shard's changes that have not been taken. At most two for each of its topics: one that was and one that is.
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

/// The numbers of subscribers on all shards whose changes were applied. It holds topics that have any, so it is bounded by what the
/// shards' tables are bounded by.
#[derive(Debug, Default)]
pub struct SubscriberCounts {
    topics: HashMap<Topic, i64>,
}

impl SubscriberCounts {
    /// Makes counts that are all zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one shard's change. Changes of different shards may come in any order.
    pub fn apply(&mut self, change: &CountChange) {
        add(&mut self.topics, &change.topic, change.change);
    }

    /// How many are subscribed to a topic by its name.
    #[must_use]
    pub fn count(&self, topic: &str) -> u64 {
        let count = self.topics.get(topic).copied().unwrap_or_default();
        u64::try_from(count).unwrap_or_default()
    }

    /// Every topic with subscribers, in no order.
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
