//! The recipients of publications on one shard: WebSockets, event streams and subscriptions from outside.

use std::rc::Rc;

use crate::message::CloseCode;
use crate::pubsub::{Batch, Notice, SubscriberId};

/// A subscriber that publications are delivered to.
pub trait Recipient {
    /// Called when messages wait: the recipient then [takes](super::ShardTopics::take) them, when it can send.
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

/// What remains after a [`take`](super::ShardTopics::take).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// The queue is empty; the next message notifies the recipient.
    Nothing,
    /// More waits; take it when this batch has been sent.
    More,
    /// The recipient was too slow: close it with this code.
    Close(CloseCode),
}

/// The recipient behind each subscriber of the shard, by the subscriber's index.
#[derive(Default)]
pub(super) struct Recipients {
    entries: Vec<Option<(SubscriberId, Rc<dyn Recipient>)>>,
}

impl Recipients {
    pub(super) fn insert(&mut self, subscriber: SubscriberId, recipient: Rc<dyn Recipient>) {
        let index = subscriber.index();
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Some((subscriber, recipient));
        }
    }

    /// Removes a recipient and returns it, so that the caller can drop it while nothing is borrowed.
    pub(super) fn remove(&mut self, subscriber: SubscriberId) -> Option<Rc<dyn Recipient>> {
        let entry = self.entries.get_mut(subscriber.index())?;
        let removed = entry.take_if(|(known, _)| *known == subscriber);
        while self.entries.last().is_some_and(Option::is_none) {
            self.entries.pop();
        }
        removed.map(|(_, recipient)| recipient)
    }

    pub(super) fn find(&self, subscriber: SubscriberId) -> Option<Rc<dyn Recipient>> {
        let (known, recipient) = self.entries.get(subscriber.index())?.as_ref()?;
        (*known == subscriber).then(|| Rc::clone(recipient))
    }
}
