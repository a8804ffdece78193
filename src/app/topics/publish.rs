//! Publishing from handlers of every kind: a builder, and the futures that publish when they are first polled.

use core::pin::Pin;
use core::task::{Context as Task, Poll};

use super::publish_request::PublishRequest;
use crate::app::boxed::LocalBoxFuture;
use crate::app::shared::Shared;
use crate::error::Result;
use crate::pubsub::Receipt;
use crate::websocket::Message;

/// A message to publish, from a context or a WebSocket; awaiting it publishes the message on every shard.
///
/// ```
/// # use squall::prelude::*;
/// async fn quote(cx: &mut Context) -> Result<String> {
///     let receipt = cx.publish("prices/tech", "ACME 31.20").key("ACME").confirm().await?;
///     Ok(format!("{} subscribers\n", receipt.matched))
/// }
/// ```
///
/// Squall encodes the frame once and sends one message to each other shard, however many subscribers it has.
///
/// It waits while the queue to another shard is full; a slow subscriber never delays a publisher. At most 4096 messages
/// wait for one shard. Publishing cannot deadlock: a shard receives messages whatever its handlers wait for. Messages
/// published one after the other by one handler arrive in that order.
///
/// # Errors
///
/// The topic's name is invalid, or the message does not fit the topic's envelope; then it reaches no subscriber. Or
/// 4096 messages wait for a shard; then only that shard's subscribers miss it.
///
/// # Cancel safety
///
/// Cancel safe: dropped while it waits, the message still reaches every shard.
#[must_use = "the message is published when this is awaited"]
#[derive(Debug)]
pub struct Publish<'h> {
    shared: &'h Shared,
    publishing: Publishing<()>,
}

/// A message to publish, whose future returns a receipt: [`Publish::confirm`] makes it.
///
/// # Errors
///
/// As [`Publish`].
///
/// # Cancel safety
///
/// As [`Publish`]; only the receipt is lost.
#[must_use = "the message is published when this is awaited"]
#[derive(Debug)]
pub struct PublishConfirmed<'h> {
    shared: &'h Shared,
    publishing: Publishing<Receipt>,
}

/// The steps of a publication.
enum Publishing<T> {
    /// Before the first poll. An invalid topic is an error of that poll.
    Request(Result<PublishRequest>),
    /// Waits for room in the queues of other shards, or for receipts.
    Waiting(LocalBoxFuture<'static, Result<T>>),
    Done,
}

impl<'h> Publish<'h> {
    pub(super) fn new(shared: &'h Shared, topic: &str, message: impl Into<Message>) -> Self {
        Self {
            shared,
            publishing: Publishing::Request(PublishRequest::new(topic, message)),
        }
    }

    /// Sets the key of the message.
    ///
    /// On a conflated topic, a slow subscriber receives only the latest message of each key
    /// ([`SlowConsumer::Conflate`](crate::pubsub::SlowConsumer::Conflate)).
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        if let Publishing::Request(request) = self.publishing {
            self.publishing = Publishing::Request(request.map(|request| request.with_key(key)));
        }
        self
    }

    /// Asks for a receipt, which costs a round trip to the busiest shard.
    ///
    /// The receipt counts over all shards. It has the subscribers the message waits for, the messages that slow
    /// subscribers miss, and the older messages of its key that it replaced.
    pub fn confirm(self) -> PublishConfirmed<'h> {
        let publishing = match self.publishing {
            Publishing::Request(request) => Publishing::Request(request),
            // The message was published before, without a receipt.
            Publishing::Waiting(_) | Publishing::Done => Publishing::Done,
        };
        PublishConfirmed {
            shared: self.shared,
            publishing,
        }
    }
}

impl<T> Publishing<T> {
    /// Publishes at the first call, by `begin`, which returns the result or the wait for it; then polls that wait.
    fn poll(
        &mut self,
        task: &mut Task<'_>,
        begin: impl FnOnce(PublishRequest) -> Result<Result<T, LocalBoxFuture<'static, Result<T>>>>,
    ) -> Poll<Result<T>> {
        let mut waiting = match core::mem::replace(self, Self::Done) {
            Self::Request(request) => match begin(request?)? {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(waiting) => waiting,
            },
            Self::Waiting(waiting) => waiting,
            Self::Done => return Poll::Pending,
        };
        let polled = waiting.as_mut().poll(task);
        if polled.is_pending() {
            *self = Self::Waiting(waiting);
        }
        polled
    }
}

impl Future for Publish<'_> {
    type Output = Result;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result> {
        let Self { shared, publishing } = self.get_mut();
        publishing.poll(task, |request| {
            Ok(shared.topics()?.publish(request)?.map_or(Ok(()), Err))
        })
    }
}

impl Future for PublishConfirmed<'_> {
    type Output = Result<Receipt>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result<Receipt>> {
        let Self { shared, publishing } = self.get_mut();
        publishing.poll(task, |request| Ok(Err(shared.topics()?.publish_confirmed(request)?)))
    }
}

impl<T> core::fmt::Debug for Publishing<T> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Request(request) => core::fmt::Debug::fmt(request, formatter),
            Self::Waiting(_) => formatter.write_str("Waiting"),
            Self::Done => formatter.write_str("Done"),
        }
    }
}
