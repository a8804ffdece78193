//! Publishing and subscribing from threads outside the shards.

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use squall_shards::{Mesh, MeshSender, ShardId};

use super::shard_message::ShardMessage;
use super::subscription::{Subscription, subscription};
use crate::app::{
    PublishRequest, ReceiptSender, Receipts, Unheard, check, encode, encoding_bytes, parse_pattern, parse_topic,
    topic_deflaters,
};
use crate::error::{Error, Result};
use crate::memory::OutOfMemory;
use crate::pubsub::{Pattern, Receipt, TopicRules};
use crate::server::memory::pressure::Budget;
use crate::websocket::Deflaters;

thread_local! {
    /// The compressors of a thread that publishes to topics that compress.
    static DEFLATERS: RefCell<Deflaters> = RefCell::new(topic_deflaters());
}

/// Publishes to topics, and subscribes to them, from any thread or from a background task of a shard.
///
/// A typical user is a thread that reads a market feed. Handlers publish with their context. Cloning is cheap. Messages that one clone publishes one after
/// the other arrive in that order on every shard.
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

    /// Subscribes to a topic and returns once every later publication will be received.
    ///
    /// Waits for the server to run. The subscriber lives on the first shard and counts against its limits.
    ///
    /// # Errors
    ///
    /// Fails if the topic name is invalid, the shard is at its limit of subscribers or topics, or the shard has ended.
    /// A name with `*` is invalid; [`subscribe_pattern`](Self::subscribe_pattern) accepts wildcards.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped early, the subscription ends.
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription> {
        self.follow(parse_topic(topic)?.into()).await
    }

    /// Subscribes to every current and future topic that fits a pattern such as `rooms/*` or `rooms/**`.
    ///
    /// # Errors
    ///
    /// Fails if the pattern is invalid; otherwise as [`subscribe`](Self::subscribe).
    ///
    /// # Cancel safety
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_pattern(&self, pattern: &str) -> Result<Subscription> {
        self.follow(parse_pattern(pattern)?).await
    }

    /// Subscribes like [`subscribe`](Self::subscribe), blocking the calling thread; not for a shard's thread.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_blocking(&self, topic: &str) -> Result<Subscription> {
        pollster::block_on(self.subscribe(topic))
    }

    /// Subscribes like [`subscribe_pattern`](Self::subscribe_pattern), blocking the calling thread; not for a shard's
    /// thread.
    ///
    /// # Errors
    ///
    /// As [`subscribe_pattern`](Self::subscribe_pattern).
    pub fn subscribe_pattern_blocking(&self, pattern: &str) -> Result<Subscription> {
        pollster::block_on(self.subscribe_pattern(pattern))
    }

    async fn follow(&self, pattern: Pattern) -> Result<Subscription> {
        let (subscription, request, result) = subscription(pattern);
        let sent = self
            .sender
            .send(ShardId::FIRST, ShardMessage::Subscribe(Box::new(request)));
        sent.await.map_err(|error| Error::new(error.to_string()))?;
        let result = result.await;
        result.map_err(|_| Error::new("could not subscribe: the shard has ended"))??;
        Ok(subscription)
    }

    /// Sends a request without waiting for room; the error names the shards that missed it.
    pub(super) fn try_send(&self, request: PublishRequest) -> Result {
        let messages = self.messages(request, None)?;
        let missed: Vec<_> = messages
            .filter_map(|(to, message)| self.sender.try_send(to, message).err())
            .map(|refused| refused.to.to_string())
            .collect();
        if missed.is_empty() {
            return Ok(());
        }
        let missed = missed.join(", ");
        Err(Error::new(format!(
            "could not publish to {missed}: the queue is full or closed; retry, or await the publication, which waits \
             for room"
        )))
    }

    pub(super) async fn send(&self, request: PublishRequest) -> Result {
        let Some(unheard) = Unheard::of(&request.topic, &self.rules) else {
            return self.send_to_all(request, None).await;
        };
        let (receipt_sender, receipts) = Receipts::channel();
        self.send_to_all(request, Some(&receipt_sender)).await?;
        // A full queue costs the report, never the publication.
        let report = ShardMessage::Unheard(Box::new((unheard, receipts)));
        self.sender.try_send(ShardId::FIRST, report).unwrap_or_default();
        Ok(())
    }

    async fn send_to_all(&self, request: PublishRequest, receipt_sender: Option<&ReceiptSender>) -> Result {
        for (to, message) in self.messages(request, receipt_sender.cloned())? {
            let sent = self.sender.send(to, message).await;
            sent.map_err(|error| Error::new(error.to_string()))?;
        }
        Ok(())
    }

    pub(super) async fn send_confirmed(&self, request: PublishRequest) -> Result<Receipt> {
        let (receipt_sender, receipts) = Receipts::channel();
        let unheard = Unheard::of(&request.topic, &self.rules);
        self.send_to_all(request, Some(&receipt_sender)).await?;
        drop(receipt_sender);
        let receipt = receipts.sum().await;
        if let Some(unheard) = unheard {
            unheard.report(&receipt);
        }
        Ok(receipt)
    }

    /// Returns the messages that publish a request: one to the topic's owner, or one to every shard if the topic has no
    /// history.
    fn messages(
        &self,
        request: PublishRequest,
        receipt_sender: Option<ReceiptSender>,
    ) -> Result<impl Iterator<Item = (ShardId, ShardMessage)>> {
        let options = self.rules.of(&request.topic);
        // Threads outside the shards have no memory check of their own, so the budget is checked here.
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
