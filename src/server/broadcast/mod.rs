//! Topics across shards: each shard has one table of its own subscribers, and a publication crosses to each other shard
//! as one message.
//!
//! A message is encoded once, and every subscriber shares the encoded frame. Publishing wakes no subscriber. At the end
//! of the turn, everything published in it moves into the outboxes. The [`notifier`] then notifies each subscriber
//! once, and the subscriber's task sends all of it with one call.
//!
//! A topic with a history has an [`owner`]: the shard that numbers its messages, retains them and forwards them. Other
//! shards request missed messages from the owner.
//!
//! # When a queue between two shards is full
//!
//! Queues between shards are bounded. A shard drains its own queues between two polls of its tasks, so shards cannot
//! deadlock on full queues.
//!
//! - A message of a topic without a history waits for room in the [`outbound_queue`], and so does its publisher.
//! - An owner never waits. It records the first message it could not send and reports it once there is room; the
//!   receiving shard's subscribers then read the history. The record is one position per topic.

mod notifier;
mod outbound_queue;
mod outside_publish;
mod owner;
mod publisher;
mod shard_message;
mod subscription;
mod unheard;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use squall_shards::{Mesh, MeshSender, Shard, ShardId, Source, Stop, clock, invoke_on_all, sleep, spawn_detached};

use super::config::ServerConfig;
use crate::app::{Delivery, PublishRequest, Recipient, Remaining, ServerFuture, ServerHandle, check, encode};
use crate::error::{Error, Result};
use crate::pubsub::{
    BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Logs, OutboxItem, Pattern, Presence, Publication, RESYNCS_MAX, Receipt, Start,
    Statistics, SubscribeError, SubscriberCounts, SubscriberId, TakeLimits, Topic, TopicRules, Topics,
};
use crate::websocket::Deflaters;
use notifier::Recipients;
use outbound_queue::{OutboundQueue, SentSignal};
pub use outside_publish::{OutsidePublish, OutsidePublishConfirmed};
pub use publisher::Publisher;
use shard_message::ReceiptSender;
pub(super) use shard_message::ShardMessage;
pub use subscription::{Subscription, TopicEvent};

/// Capacity of the queue between two shards, in messages. 256: at 40 bytes each, 10 KiB per pair of shards.
pub(super) const BROADCAST_QUEUE_MESSAGES_MAX: usize = 256;

/// Largest message from another shard that is copied, in bytes, so that its reference count stays on one core. 4 KiB.
const UNSHARED_BYTES_MAX: usize = 4096;

/// Most publications that wait for the table within one turn: as many as one batch holds.
const TURN_PUBLICATIONS_MAX: usize = BATCH_MESSAGES_MAX;

/// Compression level of topics that compress. 6, zlib's default: each message is compressed once, for all subscribers.
const DEFLATE_LEVEL: u32 = 6;

thread_local! {
    /// The hub of this shard, for messages and closures of other shards.
    static LOCAL: RefCell<Weak<ShardHub>> = const { RefCell::new(Weak::new()) };
}

/// One shard's topics and its connections to the other shards.
pub(super) struct ShardHub {
    shard: Shard,
    sender: MeshSender<ShardMessage>,
    rules: TopicRules,
    topics: RefCell<Topics>,
    /// Publications of this turn that are not in the table yet. [`topics`](Self::topics) adds them before it returns
    /// the table.
    turn_publications: RefCell<Vec<Publication>>,
    recipients: RefCell<Recipients>,
    counts: RefCell<SubscriberCounts>,
    /// The histories of the topics this shard owns.
    logs: RefCell<Logs>,
    /// One per shard; the entry of this shard is unused.
    outbound_queues: Vec<RefCell<OutboundQueue>>,
    deflaters: RefCell<Deflaters>,
    /// The waker of the notifier task.
    notifier: RefCell<Option<Waker>>,
    is_notifier_scheduled: Cell<bool>,
}

impl ShardHub {
    /// Creates the hub of the calling shard and starts to receive messages from other shards.
    pub(super) fn new(shard: &Shard, mesh: &Mesh<ShardMessage>, config: &ServerConfig) -> Rc<Self> {
        let hub = Rc::new(Self {
            shard: shard.clone(),
            sender: mesh.sender(),
            rules: config.topics.clone(),
            topics: RefCell::new(Topics::new(config.pubsub, config.topics.clone())),
            turn_publications: RefCell::default(),
            recipients: RefCell::default(),
            counts: RefCell::default(),
            logs: RefCell::new(Logs::new(config.histories.clone(), first_epoch())),
            outbound_queues: (0..shard.count()).map(|_| RefCell::default()).collect(),
            deflaters: RefCell::new(Deflaters::new(DEFLATE_LEVEL, 0)),
            notifier: RefCell::default(),
            is_notifier_scheduled: Cell::new(false),
        });
        LOCAL.set(Rc::downgrade(&hub));
        notifier::start(&hub);
        let weak = Rc::downgrade(&hub);
        mesh.receive(move |from, message| {
            if let Some(hub) = weak.upgrade() {
                hub.receive(from, message);
            }
        });
        hub
    }

    /// Handles a message from another shard or from a thread outside the shards.
    fn receive(&self, from: Source, message: ShardMessage) {
        match message {
            ShardMessage::PublishRequest(request, receipt_sender) => {
                self.fan_out_numbered(&request, receipt_sender.as_ref())
            }
            ShardMessage::Publication(publication, receipt_sender) => {
                self.deliver(publication.unshared(UNSHARED_BYTES_MAX), receipt_sender.as_ref());
            }
            ShardMessage::Unsent(unsent) => {
                let mut topics = self.topics();
                topics.fall_back(&unsent);
                drop(topics);
                self.schedule_notifier();
            }
            ShardMessage::HistoryRequest(request) => {
                if let Source::Shard(requester) = from {
                    self.respond_to(requester, *request);
                }
            }
            ShardMessage::HistoryResponse(response) => {
                let request = &response.request;
                let mut topics = self.topics();
                topics.replay(request.subscriber, &request.resync, &response.resumed);
                drop(topics);
                self.schedule_notifier();
            }
            ShardMessage::Counts(changes) => {
                let mut counts = self.counts.borrow_mut();
                changes.iter().for_each(|change| counts.apply(change));
            }
            ShardMessage::Unheard(unheard) => {
                let (topic, receipts) = *unheard;
                unheard::report_later(topic, receipts);
            }
            ShardMessage::Subscribe(request) => {
                if let Some(hub) = LOCAL.with_borrow(Weak::upgrade) {
                    spawn_detached(hub.run_subscription(*request));
                }
            }
        }
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
    });
    Ok(answers.await?.into_iter().flatten())
}

/// Returns the first epoch a shard gives to a topic: the wall clock in microseconds.
///
/// It exceeds every epoch of earlier processes as long as those began fewer than a million topics per second. It also
/// fits a JavaScript number.
fn first_epoch() -> u64 {
    let since = clock::wall().duration_since(std::time::SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or_default()
}
