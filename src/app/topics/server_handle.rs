//! What the server does for the handlers of its shard beyond their own sockets: topics that reach every shard, and the time.

use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use super::publish_request::PublishRequest;
use crate::error::{Error, Result};
use crate::pubsub::{
    BatchSlice, Notice, Pattern, Presence, Receipt, Start, Statistics, SubscribeError, SubscriberId, TakeLimits, Topic,
};

use crate::app::App;

/// What must be awaited.
pub type Waiting<T> = Pin<Box<dyn Future<Output = T>>>;

/// Somebody whom publications are for.
pub trait Recipient {
    /// Says that something waits for it: it is to [`take`](ServerHandle::take) it when it can.
    fn notify(&self);
}

/// Something handed out to a recipient.
#[derive(Debug)]
pub enum Delivery<'d> {
    /// Messages of one topic, in order.
    Messages(&'d BatchSlice),
    /// What it is told in the place of messages.
    Notice(&'d Notice),
}

/// What stands behind what was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// Nothing: the recipient is told when there is something.
    Nothing,
    /// More, to be taken when this has been sent.
    More,
    /// The recipient is to be closed with this code, because it did not keep up.
    Close(u16),
}

/// The server as its shard's handlers see it.
pub trait ServerHandle {
    /// The time of this turn.
    fn now(&self) -> Instant;

    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> Waiting<()>;

    /// Waits until the server is asked to stop.
    fn stopping(&self) -> Waiting<()>;

    /// Makes somebody a subscriber, to nothing yet.
    ///
    /// # Errors
    ///
    /// The shard has as many as it may have.
    fn join(&self, recipient: Rc<dyn Recipient>) -> Result<SubscriberId, SubscribeError>;

    /// Forgets a subscriber and all that waits for it.
    fn leave(&self, subscriber: SubscriberId);

    /// Subscribes; says whether the subscriber was not subscribed to this pattern before.
    ///
    /// # Errors
    ///
    /// One of the limits of [`Topics::subscribe`](crate::pubsub::Topics::subscribe).
    fn subscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> Result<bool, SubscribeError>;

    /// Subscribes to a topic, and has its messages come from its history first, from a place on.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), or the topic has no history.
    fn subscribe_from(&self, subscriber: SubscriberId, topic: Topic, start: Start) -> Result<bool>;

    /// Unsubscribes; says whether the subscriber was subscribed.
    fn unsubscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> bool;

    /// Says by what name a subscriber is present in a topic.
    ///
    /// # Errors
    ///
    /// It is not subscribed to the topic by its name, or the name is too long.
    fn set_presence(&self, subscriber: SubscriberId, topic: &Topic, name: &str) -> Result<(), SubscribeError>;

    /// Hands out what waits for a subscriber, in order and within bounds.
    fn take(&self, subscriber: SubscriberId, most: TakeLimits, hand_out: &mut dyn FnMut(Delivery<'_>)) -> Remaining;

    /// Publishes on every shard; `None` when it is done, else what must be awaited for the shards whose queues are full.
    ///
    /// # Errors
    ///
    /// The message does not fit its topic's envelope.
    fn publish(&self, request: PublishRequest) -> Result<Option<Waiting<Result>>>;

    /// Publishes on every shard, and awaits what became of it on all of them.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    fn publish_confirmed(&self, request: PublishRequest) -> Result<Waiting<Result<Receipt>>>;

    /// How many subscribers a topic has on all shards, as far as this one has heard.
    ///
    /// # Errors
    ///
    /// The topic's rules do not have them counted.
    fn subscriber_count(&self, topic: &Topic) -> Result<u64>;

    /// Who is present in a topic, on all shards.
    fn presence(&self, topic: Topic) -> Waiting<Result<Presence>>;

    /// What has become of everything on all shards.
    fn statistics(&self) -> Waiting<Result<Statistics>>;
}

impl App {
    /// Says where topics are, and the time. The first server stays.
    pub fn set_server(&self, server: Rc<dyn ServerHandle>) {
        self.server.get_or_init(|| server);
    }

    pub(in crate::app) fn server(&self) -> Result<&Rc<dyn ServerHandle>> {
        let server = self.server.get();
        server.ok_or_else(|| Error::new("topics need a server, and none runs this application"))
    }
}

impl fmt::Debug for dyn ServerHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServerHandle")
    }
}
