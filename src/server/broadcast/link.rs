//! A shard's link to the topics of the other shards: publications, requests to owners, counts and queries.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use squall_shards::{Mesh, MeshSender, Shard, ShardId, clock, invoke_on_all, sleep, spawn_detached};

use super::outbound_queue::{OutboundQueue, QueueEntry, SentSignal};
use super::shard_message::ShardMessage;
use crate::app::{HistoryRequest, OtherShards, PublishRequest, ReceiptSender, Runtime, ShardTopics, TopicSettings};
use crate::error::{Error, Result};
use crate::pubsub::{Presence, Publication, Statistics, Topic};
use crate::server::config::ServerConfig;

/// A boxed future that stays on its shard.
type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// How often expired messages are removed while there is any history.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    /// The link of this shard, for its own tasks and for closures of other shards.
    static LOCAL: RefCell<Weak<ShardLink>> = const { RefCell::new(Weak::new()) };
}

/// One shard's link to the other shards.
pub(super) struct ShardLink {
    pub(super) shard: Shard,
    pub(super) sender: MeshSender<ShardMessage>,
    /// The topics of this shard, which own the link.
    pub(super) topics: Weak<ShardTopics>,
    /// One per shard; the entry of this shard is unused.
    pub(super) outbound_queues: Vec<RefCell<OutboundQueue>>,
    /// Whether a task removes expired messages.
    is_expiring: Cell<bool>,
}

impl ShardLink {
    /// Creates the topics of the calling shard, and their link.
    pub(super) fn make_topics(
        shard: &Shard,
        mesh: &Mesh<ShardMessage>,
        config: &ServerConfig,
        runtime: Rc<dyn Runtime>,
    ) -> Rc<ShardTopics> {
        let settings = TopicSettings {
            here: shard.id().index(),
            shards: NonZeroUsize::new(shard.count()).unwrap_or(NonZeroUsize::MIN),
            rules: config.topics.clone(),
            limits: config.pubsub,
            histories: config.histories.clone(),
            first_epoch: first_epoch(),
        };
        Rc::new_cyclic(|topics| {
            let link = Rc::new(Self {
                shard: shard.clone(),
                sender: mesh.sender(),
                topics: Weak::clone(topics),
                outbound_queues: (0..shard.count()).map(|_| RefCell::default()).collect(),
                is_expiring: Cell::new(false),
            });
            LOCAL.set(Rc::downgrade(&link));
            ShardTopics::new(settings, link, runtime)
        })
    }

    /// Returns the link of this shard, unless the shard has not started or has ended.
    pub(super) fn local() -> Option<Rc<Self>> {
        LOCAL.with_borrow(Weak::upgrade)
    }

    /// Every shard except this one.
    fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let here = self.shard.id();
        (0..self.shard.count())
            .map(ShardId::new)
            .filter(move |shard| *shard != here)
    }

    /// Returns what waits for the shards whose queues are full.
    fn when_sent(&self, waiting: Vec<(ShardId, SentSignal)>) -> Option<BoxFuture<Result>> {
        // A shard that ends during a graceful stop receives nothing more.
        let is_done = waiting.is_empty() || self.shard.stop_requested().is_some();
        (!is_done).then(|| all_sent(waiting))
    }

    /// Starts to remove expired messages, unless a task does already.
    fn expire_histories(&self) {
        if !self.is_expiring.replace(true) {
            spawn_detached(expire());
        }
    }
}

impl OtherShards for ShardLink {
    fn publish(&self, publication: &Publication, receipts: Option<&ReceiptSender>) -> Option<BoxFuture<Result>> {
        if publication.position.is_some() {
            self.expire_histories();
            for shard in self.others() {
                self.forward(shard, publication, receipts);
            }
            return None;
        }
        let mut waiting = Vec::new();
        for shard in self.others() {
            let message = ShardMessage::Publication(Box::new(publication.clone()), receipts.cloned());
            waiting.extend(self.send_publication(shard, message).map(|sent| (shard, sent)));
        }
        self.when_sent(waiting)
    }

    fn publish_at(
        &self,
        owner: usize,
        request: PublishRequest,
        receipts: Option<&ReceiptSender>,
    ) -> Option<BoxFuture<Result>> {
        let owner = ShardId::new(owner);
        let message = ShardMessage::PublishRequest(Box::new(request), receipts.cloned());
        let sent = self.send_publication(owner, message)?;
        self.when_sent(vec![(owner, sent)])
    }

    fn request_history(&self, owner: usize, request: HistoryRequest) {
        self.send_or_queue(ShardId::new(owner), QueueEntry::HistoryRequest(request));
    }

    fn share_counts(&self) {
        // Changes that come while earlier messages wait add up and cancel out.
        if self.has_pending_messages() {
            return;
        }
        let changes = self.topics.upgrade().map(|topics| topics.take_count_changes());
        let Some(changes) = changes.filter(|changes| !changes.is_empty()) else {
            return;
        };
        for shard in self.others() {
            self.send_or_queue(shard, QueueEntry::Counts(changes.clone()));
        }
    }

    fn presence(&self, topic: Topic) -> BoxFuture<Result<Presence>> {
        Box::pin(async move {
            let mut all = Presence::default();
            for presence in query_all_shards(move |topics| topics.presence(&topic)).await? {
                all.merge(presence);
            }
            Ok(all)
        })
    }

    fn statistics(&self) -> BoxFuture<Result<Statistics>> {
        Box::pin(async {
            let mut all = Statistics::default();
            for statistics in query_all_shards(ShardTopics::statistics).await? {
                all += statistics;
            }
            Ok(all)
        })
    }
}

/// Waits until every queued publication has been sent.
fn all_sent(waiting: Vec<(ShardId, SentSignal)>) -> BoxFuture<Result> {
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

/// Runs a query on the topics of every shard. Shards without topics, before their start and after their end, are
/// skipped.
async fn query_all_shards<T>(
    query: impl Fn(&ShardTopics) -> T + Clone + Send + 'static,
) -> Result<impl Iterator<Item = T>>
where
    T: Send + 'static,
{
    let answers = invoke_on_all(move || async move {
        let topics = ShardLink::local()?.topics.upgrade()?;
        Some(query(&topics))
    });
    Ok(answers.await?.into_iter().flatten())
}

/// Removes expired messages once a second, until no topic has a history.
async fn expire() {
    loop {
        sleep(EXPIRE_INTERVAL).await;
        let Some(link) = ShardLink::local() else {
            return;
        };
        let has_histories = link
            .topics
            .upgrade()
            .is_some_and(|topics| topics.expire_histories(link.shard.now()));
        if !has_histories {
            link.is_expiring.set(false);
            return;
        }
    }
}

/// Returns the first epoch a shard gives to a topic: the wall clock in microseconds.
///
/// It exceeds every epoch of earlier processes as long as those began fewer than a million topics per second. It also
/// fits a JavaScript number.
fn first_epoch() -> u64 {
    let since = clock::wall().duration_since(std::time::SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or_default()
}
