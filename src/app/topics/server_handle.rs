//! What the server does for the handlers of its shard, beyond their own sockets: topics on every shard, and the time.

use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use super::publish_request::PublishRequest;
use crate::error::Result;
use crate::message::CloseCode;
use crate::pubsub::{
    Batch, Notice, Pattern, Presence, Receipt, Start, Statistics, SubscribeError, SubscriberId, TakeLimits, Topic,
};

/// A boxed future of the server.
pub type ServerFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A subscriber that publications are delivered to.
pub trait Recipient {
    /// Called when messages wait: the recipient then [takes](ServerHandle::take) them, when it can send.
    fn notify(&self);
}

/// An item handed out to a recipient.
#[derive(Debug)]
pub enum Delivery<'d> {
    /// Messages of one topic, in order.
    Messages(&'d Batch),
    /// A notice in place of messages, such as a count of missed ones.
    Notice(&'d Notice),
}

/// What remains after a [`take`](ServerHandle::take).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// The queue is empty; the next message notifies the recipient.
    Nothing,
    /// More waits; take it when this batch has been sent.
    More,
    /// The recipient was too slow: close it with this code.
    Close(CloseCode),
}

/// The server, as the handlers of a shard see it.
pub trait ServerHandle {
    /// Returns the time of this turn.
    fn now(&self) -> Instant;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> ServerFuture<()>;

    /// Waits until a stop of the server begins.
    fn stopping(&self) -> ServerFuture<()>;

    /// Registers a subscriber, without subscriptions yet.
    ///
    /// # Errors
    ///
    /// The shard has its maximum of subscribers.
    fn join(&self, recipient: Rc<dyn Recipient>) -> Result<SubscriberId, SubscribeError>;

    /// Removes a subscriber and its queued messages.
    fn leave(&self, subscriber: SubscriberId);

    /// Subscribes to a pattern, and returns whether the subscription is new.
    ///
    /// # Errors
    ///
    /// A limit of [`Topics::subscribe`](crate::pubsub::Topics::subscribe) is reached.
    fn subscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> Result<bool, SubscribeError>;

    /// Subscribes to a topic and replays its history from a start.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), or the topic has no history.
    fn subscribe_from(&self, subscriber: SubscriberId, topic: Topic, start: Start) -> Result<bool>;

    /// Unsubscribes, and returns whether the subscriber was subscribed.
    fn unsubscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> bool;

    /// Sets a subscriber's name in a topic.
    ///
    /// # Errors
    ///
    /// The subscriber is not subscribed to the topic by name, or the name is too long.
    fn set_presence(&self, subscriber: SubscriberId, topic: &Topic, name: &str) -> Result<(), SubscribeError>;

    /// Hands out a subscriber's queued messages, in order and within the limits.
    fn take(&self, subscriber: SubscriberId, most: TakeLimits, hand_out: &mut dyn FnMut(Delivery<'_>)) -> Remaining;

    /// Publishes on every shard; returns `None` when done, or a future that waits for the shards whose queues are full.
    ///
    /// # Errors
    ///
    /// The message does not fit its topic's envelope.
    fn publish(&self, request: PublishRequest) -> Result<Option<ServerFuture<Result>>>;

    /// Publishes on every shard; the future returns the receipt.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    fn publish_confirmed(&self, request: PublishRequest) -> Result<ServerFuture<Result<Receipt>>>;

    /// Returns the number of a topic's subscribers on all shards; the counts of other shards are up to one of their
    /// turns old.
    ///
    /// # Errors
    ///
    /// The topic's options do not count subscribers.
    fn subscriber_count(&self, topic: &Topic) -> Result<u64>;

    /// Returns the names present in a topic on all shards.
    fn presence(&self, topic: Topic) -> ServerFuture<Result<Presence>>;

    /// Returns the counts of all publications on all shards.
    fn statistics(&self) -> ServerFuture<Result<Statistics>>;
}

impl fmt::Debug for dyn ServerHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServerHandle")
    }
}
