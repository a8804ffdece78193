//! Topics across shards: a publication crosses to each other shard as one message.
//!
//! Each shard has the topics of its own subscribers ([`ShardTopics`]). Here is their way to the other shards, and the
//! way of threads outside the shards to them. A topic with a history has an owner: the shard that numbers its messages,
//! retains them and forwards them. Other shards request missed messages from the owner.
//!
//! # When a queue between two shards is full
//!
//! Queues between shards are bounded. A shard drains its own queues between two polls of its tasks, so shards cannot
//! deadlock on full queues.
//!
//! - A message of a topic without a history waits for room in the [`outbound_queue`], and so does its publisher.
//! - An owner never waits. It records the first message it could not send and reports it once there is room; the
//!   receiving shard's subscribers then read the history. The record is one position per topic.

mod link;
mod outbound_queue;
mod outside_publish;
mod publisher;
mod receive;
mod sending;
mod shard_message;
mod subscription;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use squall_shards::{Mesh, Shard, spawn_detached};

use super::config::ServerConfig;
use super::runtime::ShardRuntime;
use crate::app::ShardTopics;
use link::ShardLink;
pub use outside_publish::{OutsidePublish, OutsidePublishConfirmed};
pub use publisher::Publisher;
pub(super) use shard_message::ShardMessage;
pub use subscription::{Subscription, TopicEvent};

/// Capacity of the queue between two shards, in messages. 256: at 40 bytes each, 10 KiB per pair of shards.
pub(super) const BROADCAST_QUEUE_MESSAGES_MAX: usize = 256;

/// Creates the topics of the calling shard, and starts to receive messages from other shards and to notify subscribers.
pub(super) fn start(shard: &Shard, mesh: &Mesh<ShardMessage>, config: &ServerConfig) -> Rc<ShardTopics> {
    let runtime = Rc::new(ShardRuntime { shard: shard.clone() });
    let topics = ShardLink::make_topics(shard, mesh, config, runtime);
    let notified = Rc::downgrade(&topics);
    spawn_detached(poll_fn(move |task| match notified.upgrade() {
        Some(topics) => topics.poll_notifier(task),
        None => Poll::Ready(()),
    }));
    let receiver = Rc::downgrade(&topics);
    mesh.receive(move |from, message| {
        if let Some(topics) = receiver.upgrade() {
            receive::receive(&topics, from, message);
        }
<<<<<<< HEAD
    }

    /// Publishes to this shard's subscribers, at the latest when the notifier runs.
    fn deliver(&self, publication: Publication, receipt_sender: Option<&ReceiptSender>) {
        self.schedule_notifier();
        let Some(receipt_sender) = receipt_sender else {
            // A large message is published at once. So the publications that no policy has seen are at most 256 of 16
            // KiB each.
            let is_large = publication.message.len() >= BATCH_BYTES_MAX;
            let mut turn_publications = self.turn_publications.borrow_mut();
            turn_publications.push(publication);
            let is_full = is_large || turn_publications.len() >= TURN_PUBLICATIONS_MAX;
            drop(turn_publications);
            if is_full {
                drop(self.topics());
            }
            return;
        };
        let receipt = self.topics().publish(&publication);
        // The publisher may have dropped the receiver.
        receipt_sender.unbounded_send(receipt).unwrap_or_default();
    }

    /// Returns the table after adding the publications of this turn.
    fn topics(&self) -> RefMut<'_, Topics> {
        let mut topics = self.topics.borrow_mut();
        let mut turn_publications = self.turn_publications.borrow_mut();
        // Consecutive publications of one topic are published together.
        for publications in turn_publications.chunk_by(|one, next| one.topic == next.topic) {
            topics.publish_all(publications);
        }
        turn_publications.clear();
        topics
    }

    /// Every shard except this one.
    fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let here = self.shard.id();
        (0..self.shard.count())
            .map(ShardId::new)
            .filter(move |shard| *shard != here)
    }

    /// Publishes on every shard, or asks the topic's owner to do so.
    fn fan_out(
        &self,
        request: PublishRequest,
        receipt_sender: Option<&ReceiptSender>,
    ) -> Result<Option<ServerFuture<Result>>> {
        let options = self.rules.of(&request.topic);
        check(&request, options)?;
        let mut waiting = Vec::new();
        let mut send = |shard, message| waiting.extend(self.send_publication(shard, message).map(|sent| (shard, sent)));
        if options.history.is_some() {
            let owner = self.owner(&request.topic);
            if owner == self.shard.id() {
                self.fan_out_numbered(&request, receipt_sender);
                return Ok(None);
            }
            send(
                owner,
                ShardMessage::PublishRequest(Box::new(request), receipt_sender.cloned()),
            );
        } else {
            let publication = encode(&request, options, None, &mut self.deflaters.borrow_mut());
            for shard in self.others() {
                send(
                    shard,
                    ShardMessage::Publication(Box::new(publication.clone()), receipt_sender.cloned()),
                );
            }
            self.deliver(publication, receipt_sender);
        }
        // A shard that ends during a graceful stop receives nothing more.
        let is_done = waiting.is_empty() || self.shard.stop_requested().is_some();
        Ok((!is_done).then(|| all_sent(waiting)))
    }
}

/// Waits until every queued publication has been sent.
fn all_sent(waiting: Vec<(ShardId, SentSignal)>) -> ServerFuture<Result> {
    Box::pin(async move {
        let mut refused = None;
        for (to, sent) in waiting {
            if sent.await.is_err() {
                refused.get_or_insert(to);
            }
        }
        match refused {
            None => Ok(()),
            Some(to) => Err(Error::new(format!(
                "could not publish to {to}: the shard has ended, or too many publications wait for room in its queue"
            ))),
        }
    })
}

impl ServerHandle for ShardHub {
    fn now(&self) -> Instant {
        self.shard.now()
    }

    fn sleep(&self, duration: Duration) -> ServerFuture<()> {
        Box::pin(sleep(duration))
    }

    fn stopping(&self) -> ServerFuture<()> {
        let shard = self.shard.clone();
        Box::pin(async move {
            shard.stopping(Stop::Graceful).await;
        })
    }

    fn join(&self, recipient: Rc<dyn Recipient>) -> Result<SubscriberId, SubscribeError> {
        let subscriber = self.topics().join()?;
        self.recipients.borrow_mut().insert(subscriber, recipient);
        Ok(subscriber)
    }

    fn leave(&self, subscriber: SubscriberId) {
        self.topics().leave(subscriber);
        let recipient = self.recipients.borrow_mut().remove(subscriber);
        drop(recipient);
        self.share_counts();
    }

    fn subscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> Result<bool, SubscribeError> {
        let is_new = self.topics().subscribe(subscriber, pattern)?;
        self.share_counts();
        Ok(is_new)
    }

    fn subscribe_from(&self, subscriber: SubscriberId, topic: Topic, start: Start) -> Result<bool> {
        if self.rules.of(&topic).history.is_none() {
            return Err(Error::new(format!(
                "could not resume the topic {topic}: it has no history; add one with Server::topic and TopicOptions::history"
            )));
        }
        let is_new = self.subscribe(subscriber, &Pattern::Topic(topic.clone()))?;
        if is_new {
            if !self.topics().resume(subscriber, topic.clone(), start) {
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

    fn unsubscribe(&self, subscriber: SubscriberId, pattern: &Pattern) -> bool {
        let was_there = self.topics().unsubscribe(subscriber, pattern);
        self.share_counts();
        was_there
    }

    fn set_presence(&self, subscriber: SubscriberId, topic: &Topic, name: &str) -> Result<(), SubscribeError> {
        self.topics().set_presence(subscriber, topic, name)
    }

    fn take(&self, subscriber: SubscriberId, limits: TakeLimits, hand_out: &mut dyn FnMut(Delivery<'_>)) -> Remaining {
        let mut left = limits;
        while left.messages > 0 && left.bytes > 0 {
            let mut topics = self.topics();
            let taken = topics.take(subscriber, left, |batch| hand_out(Delivery::Messages(batch)));
            drop(topics);
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

    fn publish(&self, request: PublishRequest) -> Result<Option<ServerFuture<Result>>> {
        if !unheard::is_reported(&request.topic, &self.rules) {
            return self.fan_out(request, None);
        }
        let topic = request.topic.clone();
        let (receipt_sender, receipts) = shard_message::receipt_channel();
        let waiting = self.fan_out(request, Some(&receipt_sender))?;
        unheard::report_later(topic, receipts);
        Ok(waiting)
    }

    fn publish_confirmed(&self, request: PublishRequest) -> Result<ServerFuture<Result<Receipt>>> {
        let (receipt_sender, receipts) = shard_message::receipt_channel();
        let reported = unheard::is_reported(&request.topic, &self.rules).then(|| request.topic.clone());
        let waiting = self.fan_out(request, Some(&receipt_sender))?;
        Ok(Box::pin(async move {
            drop(receipt_sender);
            if let Some(waiting) = waiting {
                waiting.await?;
            }
            let receipt = shard_message::sum(receipts).await;
            if let Some(topic) = reported {
                unheard::report(&topic, &receipt);
            }
            Ok(receipt)
        }))
    }

    fn subscriber_count(&self, topic: &Topic) -> Result<u64> {
        if !self.rules.of(topic).count_subscribers {
            return Err(Error::new(format!(
                "could not count the subscribers of the topic {topic}: counting is off; turn it on with Server::topic and \
                 TopicOptions::count_subscribers"
            )));
        }
        Ok(self.counts.borrow().count(topic.as_str()))
    }

    fn presence(&self, topic: Topic) -> ServerFuture<Result<Presence>> {
        Box::pin(async move {
            let mut all = Presence::default();
            for presence in query_all_shards(move |topics| topics.presence(&topic)).await? {
                all.merge(presence);
            }
            Ok(all)
        })
    }

    fn statistics(&self) -> ServerFuture<Result<Statistics>> {
        Box::pin(async {
            let mut all = Statistics::default();
            for statistics in query_all_shards(Topics::statistics).await? {
                all += statistics;
            }
            Ok(all)
        })
    }
}

/// Runs a query on the table of every shard. Shards without a table, before their start and after their end, are
/// skipped.
async fn query_all_shards<T>(query: impl Fn(&Topics) -> T + Clone + Send + 'static) -> Result<impl Iterator<Item = T>>
where
    T: Send + 'static,
{
    let answers = invoke_on_all(move || async move {
        let hub = LOCAL.with_borrow(Weak::upgrade);
        hub.map(|hub| query(&hub.topics()))
=======
>>>>>>> 9e706e2 (Move a shard's topics from the server to the application layer)
    });
    topics
}
