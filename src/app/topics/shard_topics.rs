//! The topics of one shard: the table of its subscribers, the histories it owns, and publishing to all shards.
//!
//! A message is encoded once, and every subscriber shares the encoded frame. Publishing wakes no subscriber. At the end
//! of the turn, everything published in it moves into the outboxes. The [notifier](super::notifier) then notifies each
//! subscriber once, and the subscriber's task sends all of it with one call.
//!
//! [`OtherShards`] reaches the other shards. A topic with a history has an [owner](super::history): the shard that
//! numbers its messages, retains them and forwards them.

use core::cell::{Cell, RefCell, RefMut};
use core::fmt;
use core::num::NonZeroUsize;
use core::task::Waker;
use std::rc::Rc;

use super::encode::{check, encode, topic_deflaters};
use super::other_shards::OtherShards;
use super::publish_request::PublishRequest;
use super::receipts::{ReceiptSender, Receipts};
use super::recipients::{Delivery, Recipient, Recipients, Remaining};
use super::unheard::Unheard;
use crate::app::boxed::LocalBoxFuture;
use crate::app::runtime::Runtime;
use crate::error::{Error, Result};
use crate::pubsub::{
    BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, CountChange, Limits, LogLimits, Logs, OutboxItem, Pattern, Presence,
    Publication, RESYNCS_MAX, Receipt, Start, Statistics, SubscribeError, SubscriberCounts, SubscriberId, TakeLimits,
    Topic, TopicRules, Topics,
};
use crate::websocket::Deflaters;

/// Most publications that wait for the table within one turn: as many as one batch holds.
const TURN_PUBLICATIONS_MAX: usize = BATCH_MESSAGES_MAX;

/// What the topics of a shard need at their creation.
#[derive(Debug)]
pub struct TopicSettings {
    /// The index of this shard.
    pub here: usize,
    /// How many shards there are.
    pub shards: NonZeroUsize,
    /// The rules of topics.
    pub rules: TopicRules,
    /// Limits of the table.
    pub limits: Limits,
    /// Limits of the histories.
    pub histories: LogLimits,
    /// The first epoch of a history; it exceeds those of earlier processes.
    pub first_epoch: u64,
}

/// The topics of one shard.
pub struct ShardTopics {
    pub(super) here: usize,
    shards: NonZeroUsize,
    pub(in crate::app) rules: TopicRules,
    table: RefCell<Topics>,
    /// Publications of this turn that are not in the table yet. [`table`](Self::table) adds them before it returns the
    /// table.
    turn_publications: RefCell<Vec<Publication>>,
    pub(super) recipients: RefCell<Recipients>,
    counts: RefCell<SubscriberCounts>,
    /// The histories of the topics this shard owns.
    pub(super) logs: RefCell<Logs>,
    pub(super) deflaters: RefCell<Deflaters>,
    /// The waker of the notifier's task.
    pub(super) notifier: RefCell<Option<Waker>>,
    pub(super) is_notifier_scheduled: Cell<bool>,
    pub(super) others: Rc<dyn OtherShards>,
    pub(super) runtime: Rc<dyn Runtime>,
}

impl ShardTopics {
    /// Creates the topics of a shard, without subscribers.
    #[must_use]
    pub fn new(settings: TopicSettings, others: Rc<dyn OtherShards>, runtime: Rc<dyn Runtime>) -> Self {
        Self {
            here: settings.here,
            shards: settings.shards,
            table: RefCell::new(Topics::new(settings.limits, settings.rules.clone())),
            rules: settings.rules,
            turn_publications: RefCell::default(),
            recipients: RefCell::default(),
            counts: RefCell::default(),
            logs: RefCell::new(Logs::new(settings.histories, settings.first_epoch)),
            deflaters: RefCell::new(topic_deflaters()),
            notifier: RefCell::default(),
            is_notifier_scheduled: Cell::new(false),
            others,
            runtime,
        }
    }

    /// Returns the clock and the stop of the shard.
    pub(in crate::app) fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    /// Returns the table after adding the publications of this turn.
    pub(super) fn table(&self) -> RefMut<'_, Topics> {
        let mut table = self.table.borrow_mut();
        let mut turn_publications = self.turn_publications.borrow_mut();
        // Consecutive publications of one topic are published together.
        for publications in turn_publications.chunk_by(|one, next| one.topic == next.topic) {
            table.publish_all(publications);
        }
        turn_publications.clear();
        table
    }

    /// Returns the index of the shard that numbers a topic's messages.
    pub(super) fn owner(&self, topic: &Topic) -> usize {
        topic.owner(self.shards)
    }

    /// Publishes on every shard.
    ///
    /// Returns `None` when done, or a future that waits for the shards whose queues are full.
    ///
    /// # Errors
    ///
    /// The message does not fit its topic's envelope, or memory is short.
    pub(super) fn publish(&self, request: PublishRequest) -> Result<Option<LocalBoxFuture<'static, Result>>> {
        let Some(unheard) = Unheard::of(&request.topic, &self.rules) else {
            return self.fan_out(request, None);
        };
        let (sender, receipts) = Receipts::channel();
        let waiting = self.fan_out(request, Some(&sender))?;
        self.runtime.spawn(Box::pin(unheard.report_when_counted(receipts)));
        Ok(waiting)
    }

    /// Publishes on every shard, or asks the topic's owner to do so.
    fn fan_out(
        &self,
        request: PublishRequest,
        receipts: Option<&ReceiptSender>,
    ) -> Result<Option<LocalBoxFuture<'static, Result>>> {
        let options = self.rules.of(&request.topic);
        check(&request, options)?;
        if options.history.is_some() {
            let owner = self.owner(&request.topic);
            if owner != self.here {
                return Ok(self.others.publish_at(owner, request, receipts));
            }
            self.publish_numbered(&request, receipts);
            return Ok(None);
        }
        let publication = encode(&request, options, None, &mut self.deflaters.borrow_mut());
        let waiting = self.others.publish(&publication, receipts);
        self.deliver(publication, receipts);
        Ok(waiting)
    }

    /// Publishes on every shard; the future returns the receipt.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub(super) fn publish_confirmed(
        &self,
        request: PublishRequest,
    ) -> Result<LocalBoxFuture<'static, Result<Receipt>>> {
        let (sender, receipts) = Receipts::channel();
        let unheard = Unheard::of(&request.topic, &self.rules);
        let waiting = self.fan_out(request, Some(&sender))?;
        Ok(Box::pin(async move {
            drop(sender);
            if let Some(waiting) = waiting {
                waiting.await?;
            }
            let receipt = receipts.sum().await;
            if let Some(unheard) = unheard {
                unheard.report(&receipt);
            }
            Ok(receipt)
        }))
    }

    /// Publishes to this shard's subscribers, at the latest when the notifier runs.
    pub fn deliver(&self, publication: Publication, receipts: Option<&ReceiptSender>) {
        self.schedule_notifier();
        let Some(receipts) = receipts else {
            // A large message is published at once. So the publications that no policy has seen are at most 256 of 16
            // KiB each.
            let is_large = publication.message.len() >= BATCH_BYTES_MAX;
            let mut turn_publications = self.turn_publications.borrow_mut();
            turn_publications.push(publication);
            let is_full = is_large || turn_publications.len() >= TURN_PUBLICATIONS_MAX;
            drop(turn_publications);
            if is_full {
                drop(self.table());
            }
            return;
        };
        let receipt = self.table().publish(&publication);
        // The publisher may have dropped the receiver.
        receipts.unbounded_send(receipt).unwrap_or_default();
    }

    /// Registers a subscriber, without subscriptions yet.
    ///
    /// # Errors
    ///
    /// The shard has its maximum of subscribers.
    pub fn join(&self, recipient: Rc<dyn Recipient>) -> Result<SubscriberId, SubscribeError> {
        let subscriber = self.table().join()?;
        self.recipients.borrow_mut().insert(subscriber, recipient);
        Ok(subscriber)
    }

    /// Removes a subscriber and its queued messages.
    pub fn leave(&self, subscriber: SubscriberId) {
        self.table().leave(subscriber);
        let recipient = self.recipients.borrow_mut().remove(subscriber);
        drop(recipient);
        self.share_counts();
    }

    /// Subscribes to a pattern, and returns whether the subscription is new.
    ///
    /// # Errors
    ///
    /// A limit of [`Topics::subscribe`] is reached.
    pub fn subscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> Result<bool, SubscribeError> {
        let is_new = self.table().subscribe(subscriber, pattern)?;
        self.share_counts();
        Ok(is_new)
    }

    /// Subscribes to a topic and replays its history from a start.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), or the topic has no history.
    pub(in crate::app) fn subscribe_from(&self, subscriber: SubscriberId, topic: Topic, start: Start) -> Result<bool> {
        if self.rules.of(&topic).history.is_none() {
            return Err(Error::new(format!(
                "could not resume the topic {topic}: it has no history; add one with Server::topic and TopicOptions::history"
            )));
        }
        let is_new = self.subscribe(subscriber, &Pattern::Topic(topic.clone()))?;
        if is_new {
            if !self.table().resume(subscriber, topic.clone(), start) {
                self.unsubscribe(subscriber, &Pattern::Topic(topic));
                return Err(Error::new(format!(
                    "could not resume a topic: the subscriber already catches up on {RESYNCS_MAX} topics; retry when \
                     one has finished"
                )));
            }
            self.schedule_notifier();
        }
        Ok(is_new)
    }

    /// Unsubscribes, and returns whether the subscriber was subscribed.
    pub(in crate::app) fn unsubscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> bool {
        let was_there = self.table().unsubscribe(subscriber, pattern);
        self.share_counts();
        was_there
    }

    /// Sets a subscriber's name in a topic.
    ///
    /// # Errors
    ///
    /// The subscriber is not subscribed to the topic by name, or the name is too long.
    pub(in crate::app) fn set_presence(
        &self,
        subscriber: SubscriberId,
        topic: &Topic,
        name: &str,
    ) -> Result<(), SubscribeError> {
        self.table().set_presence(subscriber, topic, name)
    }

    /// Hands out a subscriber's queued messages, in order and within the limits.
    pub fn take(
        &self,
        subscriber: SubscriberId,
        limits: TakeLimits,
        mut hand_out: impl FnMut(Delivery<'_>),
    ) -> Remaining {
        let mut left = limits;
        while left.messages > 0 && left.bytes > 0 {
            let mut table = self.table();
            let taken = table.take(subscriber, left, |batch| hand_out(Delivery::Messages(batch)));
            drop(table);
            left.messages -= taken.messages;
            left.bytes = left.bytes.saturating_sub(taken.bytes);
            match taken.next {
                OutboxItem::Nothing => return Remaining::Nothing,
                OutboxItem::More => return Remaining::More,
                OutboxItem::Close(code) => return Remaining::Close(code),
                OutboxItem::Resync(resync) => self.request_history(subscriber, resync),
                OutboxItem::Notice(notice) => {
                    left.messages = left.messages.saturating_sub(1);
                    hand_out(Delivery::Notice(&notice));
                }
            }
        }
        Remaining::More
    }

    /// Shares the changes of subscriber counts, if there are any.
    fn share_counts(&self) {
        if self.table().has_count_changes() {
            self.others.share_counts();
        }
    }

    /// Takes the changes of this shard's subscriber counts, and counts them here.
    #[must_use]
    pub fn take_count_changes(&self) -> Vec<CountChange> {
        let changes: Vec<_> = self.table().take_count_changes().collect();
        self.apply_count_changes(&changes);
        changes
    }

    /// Applies the changes of one shard's subscriber counts.
    pub fn apply_count_changes(&self, changes: &[CountChange]) {
        let mut counts = self.counts.borrow_mut();
        changes.iter().for_each(|change| counts.apply(change));
    }

    /// Returns the number of a topic's subscribers on all shards; the counts of other shards are up to one of their
    /// turns old.
    ///
    /// # Errors
    ///
    /// The topic's options do not count subscribers.
    pub(super) fn subscriber_count(&self, topic: &Topic) -> Result<u64> {
        if !self.rules.of(topic).count_subscribers {
            return Err(Error::new(format!(
                "could not count the subscribers of the topic {topic}: counting is off; turn it on with Server::topic and \
                 TopicOptions::count_subscribers"
            )));
        }
        Ok(self.counts.borrow().count(topic.as_str()))
    }

    /// Returns the names present in a topic on this shard.
    #[must_use]
    pub fn presence(&self, topic: &Topic) -> Presence {
        self.table().presence(topic)
    }

    /// Returns the counts of all publications on this shard.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.table().statistics()
    }
}

impl fmt::Debug for ShardTopics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ShardTopics")
            .field("here", &self.here)
            .finish_non_exhaustive()
    }
}
