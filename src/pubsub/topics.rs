//! The table of one shard: subscriptions, waiting messages, and publishing.
//!
//! It belongs to its shard alone. A publication from another shard is published here like a local one. Messages are
//! already encoded. The table knows subscribers by an id it assigns; it knows neither sockets nor the time.

use core::ops::AddAssign;
use std::fmt;
use std::hash::RandomState;
use std::slice;

use super::batch::{Batch, batches};
use super::counts::{Changes, CountChange};
use super::limits::Limits;
use super::log::Resumed;
use super::notice::Notice;
use super::position::Start;
use super::presence::{Names, PRESENCE_NAME_BYTES_MAX, Presence};
use super::publication::Publication;
use super::receipt::Receipt;
use super::rules::{Envelope, TopicRules};
use super::subscribers::{SubscriberId, Subscribers};
use super::subscriptions::Subscriptions;
use super::take::{Resync, TakeLimits, TakeStatus, Unsent};
use super::topic::{Pattern, Topic};

/// The subscribers and subscriptions of one shard.
#[derive(Debug)]
pub struct Topics {
    rules: TopicRules,
    subscribers: Subscribers,
    subscriptions: Subscriptions,
    count_changes: Changes,
    names: Names,
    statistics: Statistics,
    /// The slots a publication matches; retained for its memory.
    matched: Vec<u32>,
    /// The messages being published; retained for its memory.
    batches: Vec<Batch>,
    key_hashes: RandomState,
}

impl Topics {
    /// Creates an empty table.
    #[must_use]
    pub fn new(limits: Limits, rules: TopicRules) -> Self {
        Self {
            rules,
            subscribers: Subscribers::new(limits),
            subscriptions: Subscriptions::default(),
            count_changes: Changes::default(),
            names: Names::default(),
            statistics: Statistics::default(),
            matched: Vec::new(),
            batches: Vec::new(),
            key_hashes: RandomState::new(),
        }
    }

    /// Adds a subscriber without subscriptions.
    ///
    /// # Errors
    ///
    /// Fails at [`max_subscribers`](Limits::max_subscribers) subscribers.
    pub fn join(&mut self) -> Result<SubscriberId, SubscribeError> {
        self.subscribers.join().ok_or(SubscribeError::TooManySubscribers)
    }

    /// Removes a subscriber with its subscriptions and waiting messages, in time proportional to its subscriptions.
    pub fn leave(&mut self, subscriber: SubscriberId) {
        self.unsubscribe_all(subscriber);
        if let Some(messages) = self.subscribers.leave(subscriber) {
            self.statistics.given_up += messages as u64;
        }
    }

    /// Subscribes to a pattern; returns false if the subscriber was subscribed to it already.
    ///
    /// # Errors
    ///
    /// Fails if the subscriber has left, has [`max_subscriptions`](Limits::max_subscriptions) subscriptions, or the
    /// shard has [`max_topics`](Limits::max_topics) topics. A failed call changes nothing.
    pub fn subscribe(&mut self, subscriber: SubscriberId, pattern: &Pattern) -> Result<bool, SubscribeError> {
        if !self.subscribers.contains(subscriber) {
            return Err(SubscribeError::Left);
        }
        if self.subscriptions.is_subscribed(subscriber.index, pattern) {
            return Ok(false);
        }
        let limits = self.subscribers.limits();
        if self.subscriptions.subscribed(subscriber.index) >= limits.max_subscriptions {
            return Err(SubscribeError::TooManySubscriptions);
        }
        if self.subscriptions.is_new(pattern) && self.subscriptions.patterns() >= limits.max_topics {
            return Err(SubscribeError::TooManyTopics);
        }
        self.subscriptions.add(subscriber.index, pattern);
        self.count(pattern, 1);
        Ok(true)
    }

    /// Resumes a subscriber's topic: its messages come from the history from `start` on, and then live.
    ///
    /// Subscribe first; a later [`take`](Self::take) requests the history. Returns false if the subscriber has left, is
    /// being closed, or already catches up on [`RESYNCS_MAX`](super::RESYNCS_MAX) topics.
    pub fn resume(&mut self, subscriber: SubscriberId, topic: Topic, start: Start) -> bool {
        self.subscribers.resync(subscriber, topic, start)
    }

    /// Makes all subscribers of a topic read its unsent messages, and those behind them, from its history.
    ///
    /// A subscriber that is already catching up continues from its position. A subscriber at the limit of
    /// [`RESYNCS_MAX`](super::RESYNCS_MAX) misses the messages and gets a notice.
    pub fn fall_back(&mut self, unsent: &Unsent) -> Receipt {
        let mut receipt = Receipt::default();
        self.matched.clear();
        self.subscriptions.matches(&unsent.topic, &mut self.matched);
        self.subscribers.begin_publication();
        for slot in &self.matched {
            for member in self.subscriptions.members(*slot) {
                self.subscribers.fall_back(member.subscriber, unsent, &mut receipt);
            }
        }
        self.statistics.deliveries += receipt;
        receipt
    }

    /// Sets the name by which a subscriber is present in a topic while it is subscribed.
    ///
    /// # Errors
    ///
    /// Fails without a subscription to exactly this topic, or if the name has more than [`PRESENCE_NAME_BYTES_MAX`]
    /// bytes.
    pub fn set_presence(&mut self, subscriber: SubscriberId, topic: &Topic, name: &str) -> Result<(), SubscribeError> {
        if name.len() > PRESENCE_NAME_BYTES_MAX {
            return Err(SubscribeError::NameTooLong);
        }
        let pattern = Pattern::Topic(topic.clone());
        if !self.subscribers.contains(subscriber) || !self.subscriptions.is_subscribed(subscriber.index, &pattern) {
            return Err(SubscribeError::NotSubscribed);
        }
        self.names.set(subscriber, topic, name);
        Ok(())
    }

    /// Returns a topic's presence on this shard.
    #[must_use]
    pub fn presence(&self, topic: &Topic) -> Presence {
        self.names.of(topic)
    }

    /// Unsubscribes from a pattern; returns whether the subscriber was subscribed.
    ///
    /// Messages that already wait are still delivered.
    pub fn unsubscribe(&mut self, subscriber: SubscriberId, pattern: &Pattern) -> bool {
        let was_there = self.subscribers.contains(subscriber) && self.subscriptions.remove(subscriber.index, pattern);
        if was_there {
            self.count(pattern, -1);
            if let Pattern::Topic(topic) = pattern {
                self.names.remove(subscriber, topic);
                self.subscribers.end_resync(subscriber, topic);
            }
        }
        was_there
    }

    /// Ends all subscriptions of a subscriber, in time proportional to their number.
    pub fn unsubscribe_all(&mut self, subscriber: SubscriberId) {
        if self.subscribers.contains(subscriber) {
            while let Some(pattern) = self.subscriptions.remove_last(subscriber.index) {
                self.count(&pattern, -1);
            }
            self.names.remove_all(subscriber);
            self.subscribers.end_all_resyncs(subscriber);
        }
    }

    fn count(&mut self, pattern: &Pattern, change: i64) {
        if let Pattern::Topic(topic) = pattern
            && self.rules.of(topic).count_subscribers
        {
            self.count_changes.add(topic, change);
        }
    }

    /// Queues a message once for each of its topic's subscribers on this shard.
    ///
    /// Subscribers that had nothing waiting are announced by [`next_announced`](Self::next_announced). Never waits: the
    /// topic's [`SlowConsumer`](super::SlowConsumer) policy handles slow subscribers, and the receipt counts the
    /// results.
    ///
    /// Costs one look-up, one walk among the wildcards and about ten nanoseconds per subscriber (`benches/topics.rs`).
    /// Allocates nothing for a subscriber with an empty outbox.
    pub fn publish(&mut self, publication: &Publication) -> Receipt {
        self.publish_all(slice::from_ref(publication))
    }

    /// Queues several messages of one topic in order, with the work per subscriber done once for all messages that fit.
    pub fn publish_all(&mut self, publications: &[Publication]) -> Receipt {
        let mut receipt = Receipt::default();
        let Some(Publication { topic, .. }) = publications.first() else {
            return receipt;
        };
        self.statistics.published += publications.len() as u64;
        self.matched.clear();
        self.subscriptions.matches(topic, &mut self.matched);
        if self.matched.is_empty() {
            return receipt;
        }
        let options = self.rules.of(topic);
        // Built once, before the first subscriber, and only if there is one.
        self.batches.extend(batches(publications, options, &self.key_hashes));
        self.subscribers.begin_publication();
        for slot in &self.matched {
            for member in self.subscriptions.members(*slot) {
                self.subscribers.deliver(member.subscriber, &self.batches, &mut receipt);
            }
        }
        self.batches.clear();
        self.statistics.deliveries += receipt;
        receipt
    }

    /// Returns whether a subscriber still waits for this history.
    #[must_use]
    pub fn awaits(&self, subscriber: SubscriberId, resync: &Resync) -> bool {
        self.subscribers.awaits(subscriber, resync)
    }

    /// Delivers a topic's history to one subscriber in response to a [`Resync`], followed by live messages.
    ///
    /// Call it in the order of the queue from the owner shard: after the publications sent before the response, and
    /// before those sent after it.
    ///
    /// If the response does not reach the end of the history, the next take requests the rest. A gap becomes a notice,
    /// and so does the topic's position if the response has no messages. A response the subscriber no longer waits for is
    /// dropped.
    pub fn replay(&mut self, subscriber: SubscriberId, resync: &Resync, resumed: &Resumed) -> Receipt {
        let mut receipt = Receipt::default();
        if !self.awaits(subscriber, resync) {
            return receipt;
        }
        let topic = &resync.topic;
        self.subscribers.end_resync(subscriber, topic);
        let options = *self.rules.of(topic);
        let (publications, is_end) = match resumed {
            Resumed::Messages { publications, last, .. } if publications.is_empty() => {
                let notice = Notice::CurrentPosition {
                    topic: topic.clone(),
                    last: *last,
                    is_wrapped: options.envelope != Envelope::None,
                };
                self.subscribers.add_notice(subscriber, notice);
                return receipt;
            }
            Resumed::Messages {
                publications, is_end, ..
            } => (publications, *is_end),
            Resumed::Gap(gap) => {
                let notice = Notice::Gap {
                    topic: topic.clone(),
                    gap: *gap,
                };
                self.subscribers.add_notice(subscriber, notice);
                return receipt;
            }
        };
        self.batches.extend(batches(publications, &options, &self.key_hashes));
        self.subscribers.begin_publication();
        self.subscribers.deliver(subscriber.index, &self.batches, &mut receipt);
        self.batches.clear();
        // A response that ends early, with all of it queued, continues from its last message.
        let last = publications.last().and_then(|publication| publication.position);
        if let Some(last) = last.filter(|_| !is_end && receipt.deferred == 0) {
            self.subscribers.resync(subscriber, topic.clone(), Start::After(last));
        }
        self.statistics.deliveries += receipt;
        receipt
    }

    /// Returns the next subscriber with something new, each once; call it at the end of a turn until it returns `None`.
    ///
    /// A subscriber is announced again only after everything was taken, or if a policy closes it.
    pub fn next_announced(&mut self) -> Option<SubscriberId> {
        self.subscribers.next_announced()
    }

    /// Hands out a subscriber's waiting messages in order within the limits, and returns what follows them.
    pub fn take(
        &mut self,
        subscriber: SubscriberId,
        limits: TakeLimits,
        mut hand_out: impl FnMut(&Batch),
    ) -> TakeStatus {
        let taken = self.subscribers.take(subscriber, limits, &mut hand_out);
        self.statistics.taken += taken.messages as u64;
        taken
    }

    /// Returns the weight of a subscriber's outbox; 0 after it has left.
    #[must_use]
    pub fn waiting_bytes(&self, subscriber: SubscriberId) -> usize {
        self.subscribers.waiting_bytes(subscriber)
    }

    /// Returns how many subscribers on this shard have exactly this pattern.
    #[must_use]
    pub fn subscriber_count(&self, pattern: &Pattern) -> usize {
        self.subscriptions.count(pattern)
    }

    /// Returns whether subscriber counts have changed since [`take_count_changes`](Self::take_count_changes).
    #[must_use]
    pub fn has_count_changes(&self) -> bool {
        !self.count_changes.is_empty()
    }

    /// Takes the changes of subscriber counts of topics whose rules count them.
    pub fn take_count_changes(&mut self) -> impl Iterator<Item = CountChange> + use<> {
        self.count_changes.take()
    }

    /// Returns the rules of the topics.
    pub fn rules(&self) -> &TopicRules {
        &self.rules
    }

    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        self.subscriptions.spare()
    }

    /// Returns the statistics of the table.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            subscribers: self.subscribers.len(),
            topics: self.subscriptions.patterns(),
            waiting_bytes: self.subscribers.bytes(),
            ..self.statistics
        }
    }
}

/// Statistics of one shard's table: the first four are totals since its creation, the others current values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Publications, including those without subscribers.
    pub published: u64,
    /// The sum of all receipts, including those of replays.
    pub deliveries: Receipt,
    /// Publications handed out to subscribers.
    pub taken: u64,
    /// Publications that still waited for subscribers when they left.
    pub given_up: u64,
    /// Subscribers.
    pub subscribers: usize,
    /// Topics and patterns with subscribers.
    pub topics: usize,
    /// The weight of everything that waits.
    pub waiting_bytes: usize,
}

impl AddAssign for Statistics {
    /// Adds another shard's statistics.
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.deliveries += other.deliveries;
        self.taken += other.taken;
        self.given_up += other.given_up;
        self.subscribers += other.subscribers;
        self.topics += other.topics;
        self.waiting_bytes += other.waiting_bytes;
    }
}

/// Why a subscriber was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The shard is at [`max_subscribers`](Limits::max_subscribers).
    TooManySubscribers,
    /// The subscriber is at [`max_subscriptions`](Limits::max_subscriptions).
    TooManySubscriptions,
    /// The shard is at [`max_topics`](Limits::max_topics).
    TooManyTopics,
    /// The subscriber has left.
    Left,
    /// Presence needs a subscription to exactly this topic.
    NotSubscribed,
    /// The name has more than [`PRESENCE_NAME_BYTES_MAX`] bytes.
    NameTooLong,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooManySubscribers => {
                "could not subscribe: the shard has all the subscribers it may have; raise max_subscribers"
            }
            Self::TooManySubscriptions => {
                "could not subscribe: the subscriber has all the subscriptions it may have; unsubscribe from a topic, or raise \
                 max_subscriptions"
            }
            Self::TooManyTopics => "could not subscribe: the shard has all the topics it may have; raise max_topics",
            Self::Left => "could not subscribe: the subscriber has left; end its handler",
            Self::NotSubscribed => {
                "could not set the presence: the socket is not subscribed to exactly this topic; subscribe to it first"
            }
            Self::NameTooLong => "could not set the presence: the name is longer than 256 bytes; shorten it",
        })
    }
}

impl core::error::Error for SubscribeError {}
