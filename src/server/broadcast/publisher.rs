//! Publishing from threads that are no shard's, and subscribing.

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use squall_shards::{Mesh, MeshSender, ShardId};

use super::shard_message::{ShardMessage, receipt_channel};
use super::subscription::{Subscription, subscription};
use super::sum;
use crate::app::{PublishRequest, check, encode, encoding_bytes};
use crate::error::{Error, Result};
use crate::memory::OutOfMemory;
use crate::pubsub::{Pattern, Receipt, Topic, TopicRules};
use crate::server::memory::pressure::Budget;
use crate::websocket::{Deflaters, Message};

thread_local! {
    /// The compressors of a thread that publishes to topics that compress.
    static DEFLATERS: RefCell<Deflaters> = RefCell::new(Deflaters::new(super::DEFLATE_LEVEL, 0));
}

/// Publishes to topics from any thread outside the shards, such as one that reads a market feed, and subscribes to them. Cloning it is cheap; what one clone
/// publishes, one call after the other, arrives in that order on every shard.
#[derive(Clone)]
pub struct Publisher {
    sender: MeshSender<ShardMessage>,
    rules: Arc<TopicRules>,
    budget: Option<Arc<Budget>>,
}

impl Publisher {
    pub(in crate::server) fn new(mesh: &Mesh<ShardMessage>, rules: TopicRules, budget: Option<Arc<Budget>>) -> Self {
        Self {
            sender: mesh.sender(),
            rules: Arc::new(rules),
            budget,
        }
    }

    /// Publishes a message, waiting for room in the queues to the shards. Needs no particular runtime.
    ///
    /// # Errors
    ///
    /// The name is no topic's, the message does not fit its topic's envelope, or a shard has ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped while waiting, some shards have the message and some do not.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        self.send(PublishRequest::new(topic, message)?, None).await
    }

    /// Publishes a message that is about something, as [`Context::publish_keyed`](crate::Context::publish_keyed) does.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_keyed(&self, topic: &str, key: impl AsRef<[u8]>, message: impl Into<Message>) -> Result {
        self.send(PublishRequest::new(topic, message)?.with_key(key), None)
            .await
    }

    /// Publishes a message and says what became of it on all shards, as [`Context::publish_confirmed`](crate::Context::publish_confirmed)
    /// does.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_confirmed(&self, topic: &str, message: impl Into<Message>) -> Result<Receipt> {
        self.send_confirmed(PublishRequest::new(topic, message)?).await
    }

    /// Publishes a message that is about something and says what became of it on all shards, as
    /// [`Context::publish_keyed_confirmed`](crate::Context::publish_keyed_confirmed) does.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_keyed_confirmed(
        &self,
        topic: &str,
        key: impl AsRef<[u8]>,
        message: impl Into<Message>,
    ) -> Result<Receipt> {
        self.send_confirmed(PublishRequest::new(topic, message)?.with_key(key))
            .await
    }

    /// Subscribes to a topic, and answers once the server runs and what is published from then on will be heard. The first shard has the
    /// subscriber, within its limits.
    ///
    /// # Errors
    ///
    /// The text is not a topic's name (a `*` or `**` in it is refused: [`subscribe_pattern`](Self::subscribe_pattern) takes those), the shard has as many
    /// subscribers or topics as it may have, or it has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped early, nobody is subscribed.
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.follow(Topic::new(topic)?.into()).await
    }

    /// Subscribes to every topic that fits a pattern, those that come to be later included: `rooms/*`, `rooms/**`. Otherwise as
    /// [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    ///
    /// The text is not a pattern; otherwise as [`subscribe`](Self::subscribe).
    ///
    /// # Cancel safety
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_pattern(&self, pattern: &str) -> Result<Subscription> {
        self.follow(Pattern::new(pattern)?).await
    }

    /// Subscribes as [`subscribe`](Self::subscribe) does, holding up the calling thread while it waits. Not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_blocking(&self, topic: &str) -> Result<Subscription> {
        pollster::block_on(self.subscribe(topic))
    }

    /// Subscribes as [`subscribe_pattern`](Self::subscribe_pattern) does, holding up the calling thread while it waits. Not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As [`subscribe_pattern`](Self::subscribe_pattern).
    pub fn subscribe_pattern_blocking(&self, pattern: &str) -> Result<Subscription> {
        pollster::block_on(self.subscribe_pattern(pattern))
    }

    /// Publishes as [`publish`](Self::publish) does, holding up the calling thread while it waits. Not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_blocking(&self, topic: &str, message: impl Into<Message>) -> Result {
        pollster::block_on(self.publish(topic, message))
    }

    /// Publishes as [`publish_keyed`](Self::publish_keyed) does, holding up the calling thread while it waits. Not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_keyed_blocking(&self, topic: &str, key: impl AsRef<[u8]>, message: impl Into<Message>) -> Result {
        pollster::block_on(self.publish_keyed(topic, key, message))
    }

    /// Publishes a message without waiting.
    ///
    /// # Errors
    ///
    /// The name is no topic's; the message does not fit its topic's envelope; or some queues are full or their shards have ended: those shards
    /// have not got the message, and the others have. With a topic that has a history it is one queue, and then nobody has got it.
    pub fn try_publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        let messages = self.messages(PublishRequest::new(topic, message)?, None)?;
        let missed: Vec<_> = messages
            .filter_map(|(to, message)| self.sender.try_send(to, message).err())
            .map(|refused| refused.to.to_string())
            .collect();
        if missed.is_empty() {
            return Ok(());
        }
        let missed = missed.join(", ");
        Err(Error::new(format!(
            "there is no room in the queue to {missed}; publish waits for it"
        )))
    }

    async fn follow(&self, pattern: Pattern) -> Result<Subscription> {
        let (subscription, request, result) = subscription(pattern);
        let sent = self
            .sender
            .send(ShardId::FIRST, ShardMessage::Subscribe(Box::new(request)));
        sent.await.map_err(|error| Error::new(error.to_string()))?;
        let result = result.await;
        result.map_err(|_| Error::new("the shard that was to subscribe has ended"))??;
        Ok(subscription)
    }

    async fn send(&self, request: PublishRequest, receipt_sender: Option<&super::ReceiptSender>) -> Result {
        for (to, message) in self.messages(request, receipt_sender.cloned())? {
            let sent = self.sender.send(to, message).await;
            sent.map_err(|error| Error::new(error.to_string()))?;
        }
        Ok(())
    }

    async fn send_confirmed(&self, request: PublishRequest) -> Result<Receipt> {
        let (receipt_sender, receipts) = receipt_channel();
        self.send(request, Some(&receipt_sender)).await?;
        drop(receipt_sender);
        Ok(sum(receipts).await)
    }

    /// What is to be sent for a message, and where: to its topic's home, if it has one, or else to every shard.
    fn messages(
        &self,
        request: PublishRequest,
        receipt_sender: Option<super::ReceiptSender>,
    ) -> Result<impl Iterator<Item = (ShardId, ShardMessage)>> {
        let options = self.rules.of(&request.topic);
        // A thread outside the shards has no look of its own that would ask.
        let is_allowed = |budget: &Arc<Budget>| budget.allows(encoding_bytes(&request));
        if !self.budget.as_ref().is_none_or(is_allowed) {
            return Err(OutOfMemory.into());
        }
        check(&request, options)?;
        let shards = NonZeroUsize::new(self.sender.shards()).unwrap_or(NonZeroUsize::MIN);
        let owner = options.history.is_some().then(|| request.topic.owner(shards));
        let publication = match owner {
            Some(_) => None,
            None => Some(DEFLATERS.with_borrow_mut(|deflaters| encode(&request, options, None, deflaters))),
        };
        let to = owner.map_or_else(|| 0..shards.get(), |owner| owner..owner + 1);
        Ok(to.map(ShardId::new).map(move |shard| {
            let receipt_sender = receipt_sender.clone();
            let message = match &publication {
                Some(publication) => ShardMessage::Publication(Box::new(publication.clone()), receipt_sender),
                None => ShardMessage::PublishRequest(Box::new(request.clone()), receipt_sender),
            };
            (shard, message)
        }))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Publisher({} shards)", self.sender.shards())
    }
}
