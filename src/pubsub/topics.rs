//! The table of one shard: who subscribes to what, what waits for whom, and publishing into it.
//!
//! It belongs to its shard alone. A publication from another shard is published into it like one of its own; what is taken from it is
//! already encoded. It knows subscribers by an id it gives out, and neither sockets nor the time.

use core::ops::AddAssign;
use std::fmt;
use std::hash::RandomState;
use std::slice;

use super::batch::{BatchSlice, batches};
use super::counts::{Changes, CountChange};
use super::limits::Limits;
use super::log::Resumed;
use super::notice::Notice;
use super::outbox::{Resync, TakeLimits, TakeStatus, Unsent};
use super::position::Start;
use super::presence::{Names, PRESENCE_NAME_BYTES_MAX, Presence};
use super::publication::Publication;
use super::receipt::Receipt;
use super::rules::{Envelope, TopicRules};
use super::subscribers::{SubscriberId, Subscribers};
use super::subscriptions::Subscriptions;
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
    /// The slots a publication matches: kept for its memory.
    matched: Vec<u32>,
    /// What is being published: kept for its memory.
    slices: Vec<BatchSlice>,
    key_hashes: RandomState,
}

impl Topics {
    /// Makes an empty table.
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
            slices: Vec::new(),
            key_hashes: RandomState::new(),
        }
    }

    /// Adds a subscriber, subscribed to nothing.
    ///
    /// # Errors
    ///
    /// There are [`subscribers_max`](Limits::subscribers_max).
    pub fn join(&mut self) -> Result<SubscriberId, SubscribeError> {
        self.subscribers.join().ok_or(SubscribeError::TooManySubscribers)
    }

    /// Removes a subscriber with its subscriptions and all that waits for it, in time proportional to the number of its subscriptions.
    pub fn leave(&mut self, subscriber: SubscriberId) {
        self.unsubscribe_all(subscriber);
        if let Some(messages) = self.subscribers.leave(subscriber) {
            self.statistics.given_up += messages as u64;
        }
    }

    /// Subscribes; says whether the subscriber was not subscribed to this pattern before.
    ///
    /// # Errors
    ///
    /// The subscriber has left, it has [`subscriptions_max`](Limits::subscriptions_max) subscriptions, or the shard has
    /// [`topics_max`](Limits::topics_max) topics. Nothing has changed then.
    pub fn subscribe(&mut self, subscriber: SubscriberId, pattern: &Pattern) -> Result<bool, SubscribeError> {
        if !self.subscribers.contains(subscriber) {
            return Err(SubscribeError::Left);
        }
        if self.subscriptions.is_subscribed(subscriber.index, pattern) {
            return Ok(false);
        }
        let limits = self.subscribers.limits();
        if self.subscriptions.subscribed(subscriber.index) >= limits.subscriptions_max {
            return Err(SubscribeError::TooManySubscriptions);
        }
        if self.subscriptions.is_new(pattern) && self.subscriptions.patterns() >= limits.topics_max {
            return Err(SubscribeError::TooManyTopics);
        }
        self.subscriptions.add(subscriber.index, pattern);
        self.count(pattern, 1);
        Ok(true)
    }

    /// Has a subscriber's messages of a topic come from its history, from a place on, and live from there: what a client that
    /// resumes asks for. Subscribe first; the history is asked for by [`take`](Self::take). Says whether it will be: not if the
    /// subscriber has left, is being closed, or catches up on too many topics already.
    pub fn resume(&mut self, subscriber: SubscriberId, topic: Topic, start: Start) -> bool {
        self.subscribers.resync(subscriber, topic, start)
    }

    /// Has all subscribers of a topic get messages that have not come to this shard, and those behind them, from its history. Who is catching
    /// up already goes on from where it stands. Those who catch up on too many topics miss the messages, and are told.
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

    /// Says by what name a subscriber is present in a topic it is subscribed to, for as long as it is.
    ///
    /// # Errors
    ///
    /// It is not subscribed to the topic by its name, or the name has more than [`PRESENCE_NAME_BYTES_MAX`] bytes.
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

    /// Who on this shard is present in a topic.
    #[must_use]
    pub fn presence(&self, topic: &Topic) -> Presence {
        self.names.of(topic)
    }

    /// Unsubscribes; says whether the subscriber was subscribed. Messages that wait for it still come.
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

    /// Ends all of a subscriber's subscriptions, in time proportional to their number.
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
            && self.rules.of(topic).counts_subscribers
        {
            self.count_changes.add(topic, change);
        }
    }

    /// Queues a message for every subscriber of its topic on this shard, once for each; those for whom it is the first are announced by
    /// [`next_announced`](Self::next_announced). Never waits: who does not keep up is dealt with as the topic's
    /// [`SlowConsumer`](super::SlowConsumer) says, and the receipt says how often.
    ///
    /// Costs a look-up and a walk among the wildcards, and then some ten nanoseconds for each subscriber (`benches/topics.rs`); nothing
    /// is allocated for a subscriber that has nothing waiting.
    pub fn publish(&mut self, publication: &Publication) -> Receipt {
        self.publish_all(slice::from_ref(publication))
    }

    /// Queues several messages of one topic, in order: as publishing one after the other, but what is there to do for a subscriber is done
    /// once for all of them, as long as it keeps up.
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
        self.slices.extend(batches(publications, options, &self.key_hashes));
        self.subscribers.begin_publication();
        for slot in &self.matched {
            for member in self.subscriptions.members(*slot) {
                self.subscribers.deliver(member.subscriber, &self.slices, &mut receipt);
            }
        }
        self.slices.clear();
        self.statistics.deliveries += receipt;
        receipt
    }

    /// Whether a subscriber still waits for the answer to this.
    #[must_use]
    pub fn awaits(&self, subscriber: SubscriberId, resync: &Resync) -> bool {
        self.subscribers.awaits(subscriber, resync)
    }

    /// Gives one subscriber what a topic's history had to say to a [`Resync`], and live messages from there on. Call it
    /// between the publications that came before the answer and those that came after, as a queue from the topic's home keeps them.
    ///
    /// After an answer that is not the end of the history the rest is asked for when this has been taken. A gap is told to the subscriber
    /// by a notice, and so is where the topic stands, if there is no message to say it; live messages follow. An answer nobody waits
    /// for any more is dropped.
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
        self.slices.extend(batches(publications, &options, &self.key_hashes));
        self.subscribers.begin_publication();
        self.subscribers.deliver(subscriber.index, &self.slices, &mut receipt);
        self.slices.clear();
        let last = publications.last().and_then(|publication| publication.position);
        if let Some(last) = last.filter(|_| !is_end && receipt.deferred == 0) {
            self.subscribers.resync(subscriber, topic.clone(), Start::After(last));
        }
        self.statistics.deliveries += receipt;
        receipt
    }

    /// The next subscriber that something new waits for, each once however much came: ask at the end of a turn until there is none. It is
    /// not announced again before all was taken, save that its topic's policy closes it.
    pub fn next_announced(&mut self) -> Option<SubscriberId> {
        self.subscribers.next_announced()
    }

    /// Hands out what waits for a subscriber, in order and within bounds, to be sent at once. Says what comes behind it.
    pub fn take(
        &mut self,
        subscriber: SubscriberId,
        limits: TakeLimits,
        mut hand_out: impl FnMut(&BatchSlice),
    ) -> TakeStatus {
        let taken = self.subscribers.take(subscriber, limits, &mut hand_out);
        self.statistics.taken += taken.messages as u64;
        taken
    }

    /// What waits for a subscriber, weighed; 0 for one that has left.
    #[must_use]
    pub fn waiting_bytes(&self, subscriber: SubscriberId) -> usize {
        self.subscribers.waiting_bytes(subscriber)
    }

    /// How many on this shard are subscribed to exactly this pattern.
    #[must_use]
    pub fn subscriber_count(&self, pattern: &Pattern) -> usize {
        self.subscriptions.count(pattern)
    }

    /// Whether the numbers of subscribers have changed since [`take_count_changes`](Self::take_count_changes).
    #[must_use]
    pub fn has_count_changes(&self) -> bool {
        !self.count_changes.is_empty()
    }

    /// Takes how the numbers of subscribers have changed, for topics whose rules have them counted.
    pub fn take_count_changes(&mut self) -> impl Iterator<Item = CountChange> + use<> {
        self.count_changes.take()
    }

    /// What holds for topics.
    #[must_use]
    pub fn rules(&self) -> &TopicRules {
        &self.rules
    }

    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        self.subscriptions.spare()
    }

    /// What has become of everything so far, and what there is now.
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

/// Numbers of one shard's table: the first four since it was made, the rest now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Publications, also those nobody was subscribed to.
    pub published: u64,
    /// All receipts, of replays too.
    pub deliveries: Receipt,
    /// Publications handed out to subscribers.
    pub taken: u64,
    /// Publications that waited for subscribers when they left.
    pub given_up: u64,
    /// Subscribers.
    pub subscribers: usize,
    /// Topics and patterns somebody is subscribed to.
    pub topics: usize,
    /// What waits for all subscribers, weighed.
    pub waiting_bytes: usize,
}

impl AddAssign for Statistics {
    /// Adds another shard's numbers.
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

/// Why somebody could not subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The shard has [`subscribers_max`](Limits::subscribers_max) subscribers.
    TooManySubscribers,
    /// The subscriber has [`subscriptions_max`](Limits::subscriptions_max) subscriptions.
    TooManySubscriptions,
    /// The shard has [`topics_max`](Limits::topics_max) topics.
    TooManyTopics,
    /// The subscriber has left.
    Left,
    /// Who is not subscribed to a topic by its name is not present in it.
    NotSubscribed,
    /// The name has more than [`PRESENCE_NAME_BYTES_MAX`] bytes.
    NameTooLong,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooManySubscribers => "the shard has as many subscribers as it may have",
            Self::TooManySubscriptions => {
                "the subscriber has as many subscriptions as it may have; a wildcard may serve"
            }
            Self::TooManyTopics => "the shard has as many topics as it may have",
            Self::Left => "the subscriber has left",
            Self::NotSubscribed => "only who is subscribed to a topic by its name can be present in it",
            Self::NameTooLong => "a name has at limits 256 bytes",
        })
    }
}

impl core::error::Error for SubscribeError {}
