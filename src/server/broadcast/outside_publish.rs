//! A message to publish from a thread outside the shards: the same builder as a handler's, whose futures are `Send`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::publisher::Publisher;
use crate::app::PublishRequest;
use crate::error::Result;
use crate::pubsub::Receipt;
use crate::websocket::Message;

/// A message to publish from a thread outside the shards; awaiting it publishes the message on every shard.
///
/// It runs on any async runtime. A thread without one calls [`blocking`](Self::blocking) or
/// [`try_now`](Self::try_now).
///
/// # Errors
///
/// The topic's name is invalid, the message does not fit the topic's envelope, or a shard has ended.
///
/// # Cancel safety
///
/// Not cancel safe: if the future is dropped while it waits, the message has reached some shards only.
#[must_use = "the message is published when this is awaited"]
pub struct OutsidePublish<'p> {
    publisher: &'p Publisher,
    publishing: Publishing<'p, ()>,
}

/// A message to publish from outside, whose future returns a receipt: [`OutsidePublish::confirm`] makes it.
///
/// # Errors
///
/// As [`OutsidePublish`].
///
/// # Cancel safety
///
/// As [`OutsidePublish`].
#[must_use = "the message is published when this is awaited"]
pub struct OutsidePublishConfirmed<'p> {
    publisher: &'p Publisher,
    publishing: Publishing<'p, Receipt>,
}

/// The steps of a publication.
enum Publishing<'p, T> {
    /// Before the first poll. An invalid topic is an error of that poll.
    Request(Result<PublishRequest>),
    /// Waits for room in the queues to the shards, or for receipts.
    Waiting(Pin<Box<dyn Future<Output = Result<T>> + Send + 'p>>),
    Done,
}

impl Publisher {
    /// Publishes a message to all subscribers of a topic, on every shard, when the returned [`OutsidePublish`] is
    /// awaited.
    pub fn publish(&self, topic: &str, message: impl Into<Message>) -> OutsidePublish<'_> {
        OutsidePublish {
            publisher: self,
            publishing: Publishing::Request(PublishRequest::new(topic, message)),
        }
    }
}

impl<'p> OutsidePublish<'p> {
    /// Sets the key of the message, like [`Publish::key`](crate::app::Publish::key).
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        if let Publishing::Request(request) = self.publishing {
            self.publishing = Publishing::Request(request.map(|request| request.with_key(key)));
        }
        self
    }

    /// Asks for the receipts of all shards, like [`Publish::confirm`](crate::app::Publish::confirm).
    pub fn confirm(self) -> OutsidePublishConfirmed<'p> {
        let publishing = match self.publishing {
            Publishing::Request(request) => Publishing::Request(request),
            // The message was published before, without a receipt.
            Publishing::Waiting(_) | Publishing::Done => Publishing::Done,
        };
        OutsidePublishConfirmed {
            publisher: self.publisher,
            publishing,
        }
    }

    /// Publishes, blocking the calling thread; not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As awaiting it.
    pub fn blocking(self) -> Result {
        pollster::block_on(self)
    }

    /// Publishes without waiting for room.
    ///
    /// # Errors
    ///
    /// Fails if the topic name is invalid, the message does not fit the topic's envelope, or the queue to a shard is
    /// full or closed. In the last case the message has reached the other shards. A message of a topic with a history
    /// goes to one queue only, so after a failure no shard has it.
    pub fn try_now(self) -> Result {
        match self.publishing {
            Publishing::Request(request) => self.publisher.try_send(request?),
            Publishing::Waiting(_) | Publishing::Done => Ok(()),
        }
    }
}

impl OutsidePublishConfirmed<'_> {
    /// Publishes and returns the receipt, blocking the calling thread; not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As awaiting it.
    pub fn blocking(self) -> Result<Receipt> {
        pollster::block_on(self)
    }
}

impl<'p, T> Publishing<'p, T> {
    /// Makes the future by `begin` at the first call, and polls it.
    fn poll<F>(&mut self, cx: &mut Context<'_>, begin: impl FnOnce(PublishRequest) -> F) -> Poll<Result<T>>
    where
        F: Future<Output = Result<T>> + Send + 'p,
    {
        let mut waiting = match std::mem::replace(self, Self::Done) {
            Self::Request(request) => Box::pin(begin(request?)),
            Self::Waiting(waiting) => waiting,
            Self::Done => return Poll::Pending,
        };
        let polled = waiting.as_mut().poll(cx);
        if polled.is_pending() {
            *self = Self::Waiting(waiting);
        }
        polled
    }
}

impl Future for OutsidePublish<'_> {
    type Output = Result;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result> {
        let Self { publisher, publishing } = self.get_mut();
        let publisher: &Publisher = publisher;
        publishing.poll(cx, |request| publisher.send(request))
    }
}

impl Future for OutsidePublishConfirmed<'_> {
    type Output = Result<Receipt>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Receipt>> {
        let Self { publisher, publishing } = self.get_mut();
        publishing.poll(cx, |request| publisher.send_confirmed(request))
    }
}

impl fmt::Debug for OutsidePublish<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OutsidePublish")
    }
}

impl fmt::Debug for OutsidePublishConfirmed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OutsidePublishConfirmed")
    }
}
