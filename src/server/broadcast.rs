//! Topics on every shard: one table of subscribers for each, and one message to each other shard for a publication, whatever the number of
//! its subscribers there.
//!
//! A publication is put into the outboxes of this shard's subscribers and sent on to the others; the frame in it is encoded already and
//! shared by all. Nobody is woken by the publication itself: at the end of the turn, when all that was published in it is in the outboxes, the
//! *courier* wakes each subscriber that something new waits for, once, and its task takes all of it and sends it with one call.
//!
//! Queues between shards are bounded. A publisher that finds one full waits for room, and the shard behind it drains it between two polls of
//! its tasks whatever these wait for: so no circle of full queues stands still, and nothing is lost in silence.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use squall_shards::{BroadcastError, Mesh, MeshSender, SendBuffer, SendError, Shard, ShardId, spawn_detached};

use crate::app::{Hub, Link, Publishing};
use crate::error::{Error, Result};
use crate::pubsub::{Limits, Next, Pattern, Publication, SubscribeError, SubscriberId, Topic, TopicRules, Topics};
use crate::websocket::{CloseCode, Deflaters, Encoding, Message, Payload, encode};

/// How many publications may wait between two shards. 256: at most 4 KiB a pair for the queue itself, and a shard that is kept from its
/// queue for so long has other worries.
pub(super) const BROADCAST_QUEUE_MESSAGES_MAX: usize = 256;

/// Up to which size a message from another shard is copied, so that its count of references stays on one core. 4 KiB.
const UNSHARED_BYTES_MAX: usize = 4096;

/// How much of what waits for a socket goes into one send. 256 KiB: what may wait for it at most.
const DELIVERY_BYTES_MAX: usize = 256 * 1024;

/// A publication on its way to another shard; in a box, so that an empty queue is small.
pub(super) type Parcel = Box<Publication>;

/// One shard's topics, and the way to those of the others.
pub(super) struct ShardHub {
    shard: Shard,
    sender: MeshSender<Parcel>,
    topics: RefCell<Topics>,
    members: RefCell<HashMap<SubscriberId, Rc<Link>>>,
    /// The task that wakes subscribers.
    courier: RefCell<Option<Waker>>,
    is_courier_called: Cell<bool>,
}

impl ShardHub {
    /// Makes the hub of the calling shard, and takes in what others publish from now on.
    pub(super) fn new(shard: &Shard, mesh: &Mesh<Parcel>) -> Rc<Self> {
        let hub = Rc::new(Self {
            shard: shard.clone(),
            sender: mesh.sender(),
            topics: RefCell::new(Topics::new(Limits::default(), TopicRules::default())),
            members: RefCell::default(),
            courier: RefCell::default(),
            is_courier_called: Cell::new(false),
        });
        run_courier(Rc::downgrade(&hub));
        let weak = Rc::downgrade(&hub);
        mesh.receive(move |_, parcel| {
            if let Some(hub) = weak.upgrade() {
                hub.publish_here(&parcel.unshared(UNSHARED_BYTES_MAX));
            }
        });
        hub
    }

    /// Takes what waits for a socket, to be sent now; `None` if there is nothing.
    pub(super) fn take(&self, link: &Link) -> Option<SendBuffer> {
        let subscriber = link.subscriber().filter(|_| link.is_open());
        let mut messages = Vec::new();
        link.set_deliveries(false);
        loop {
            let taken = self
                .topics
                .borrow_mut()
                .take(subscriber?, &mut messages, DELIVERY_BYTES_MAX);
            match taken.next {
                Next::Nothing => break,
                Next::More => {
                    link.set_deliveries(true);
                    break;
                }
                // The rules tell no gaps and keep no history: there is nobody to ask and nothing to say.
                Next::Missed(_) => {}
                Next::Resync(_) => break,
                Next::Close(code) => {
                    let code = CloseCode::new(code).unwrap_or(CloseCode::POLICY_VIOLATION);
                    link.close(code, "too slow", self.shard.now()).unwrap_or_default();
                    break;
                }
            }
        }
        match messages.len() {
            0 => None,
            1 => messages.pop().map(SendBuffer::from),
            _ => Some(SendBuffer::from(messages)),
        }
    }

    /// Forgets a socket that has ended.
    pub(super) fn leave(&self, link: &Link) {
        if let Some(subscriber) = link.subscriber() {
            link.set_subscriber(None);
            self.topics.borrow_mut().leave(subscriber);
            self.members.borrow_mut().remove(&subscriber);
        }
    }

    /// Makes a socket known to the table, with its first subscription.
    fn join(&self, link: &Rc<Link>) -> Result<SubscriberId, SubscribeError> {
        if let Some(subscriber) = link.subscriber() {
            return Ok(subscriber);
        }
        let subscriber = self.topics.borrow_mut().join()?;
        link.set_subscriber(Some(subscriber));
        self.members.borrow_mut().insert(subscriber, Rc::clone(link));
        Ok(subscriber)
    }

    /// Publishes to the subscribers of this shard.
    fn publish_here(&self, publication: &Publication) {
        let receipt = self.topics.borrow_mut().publish(publication);
        if receipt.matched > 0 && !self.is_courier_called.replace(true) {
            let courier = self.courier.take();
            if let Some(courier) = courier {
                courier.wake();
            }
        }
    }

    /// The courier's work at the end of a turn.
    fn poll_courier(&self, task: &Context<'_>) -> Poll<()> {
        self.is_courier_called.set(false);
        loop {
            let announced = self.topics.borrow_mut().next_announced();
            let Some(subscriber) = announced else { break };
            let link = self.members.borrow().get(&subscriber).map(Rc::clone);
            if let Some(link) = link {
                link.set_deliveries(true);
            }
        }
        *self.courier.borrow_mut() = Some(task.waker().clone());
        Poll::Pending
    }
}

/// Runs the courier until the hub is gone.
fn run_courier(hub: Weak<ShardHub>) {
    spawn_detached(poll_fn(move |task| match hub.upgrade() {
        Some(hub) => hub.poll_courier(task),
        None => Poll::Ready(()),
    }));
}

impl Hub for ShardHub {
    fn now(&self) -> Instant {
        self.shard.now()
    }

    fn subscribe(&self, link: &Rc<Link>, pattern: &Pattern) -> Result<bool, SubscribeError> {
        // A handler may go on after its peer has: such a socket is never delivered to, and never leaves again.
        if link.is_over() {
            return Err(SubscribeError::Left);
        }
        let subscriber = self.join(link)?;
        self.topics.borrow_mut().subscribe(subscriber, pattern)
    }

    fn unsubscribe(&self, link: &Link, pattern: &Pattern) -> bool {
        let subscriber = link.subscriber();
        subscriber.is_some_and(|subscriber| self.topics.borrow_mut().unsubscribe(subscriber, pattern))
    }

    fn publish(&self, publication: Publication) -> Option<Publishing> {
        self.publish_here(&publication);
        let others = (0..self.shard.count())
            .map(ShardId::new)
            .filter(|shard| *shard != self.shard.id());
        let refused: Vec<_> = others
            .filter_map(|shard| self.sender.try_send(shard, Box::new(publication.clone())).err())
            .collect();
        if refused.is_empty() || self.shard.stop_requested().is_some() {
            return None;
        }
        let sender = self.sender.clone();
        Some(Box::pin(async move {
            for SendError { to, message } in refused {
                sender
                    .send(to, message)
                    .await
                    .map_err(|error| Error::new(error.to_string()))?;
            }
            Ok(())
        }))
    }
}

/// Publishes to topics from any thread outside the shards, such as one that reads a market feed. Cloning it is cheap; what one clone
/// publishes, one call after the other, arrives in that order on every shard.
#[derive(Clone)]
pub struct Publisher {
    sender: MeshSender<Parcel>,
}

impl Publisher {
    pub(super) fn new(mesh: &Mesh<Parcel>) -> Self {
        Self { sender: mesh.sender() }
    }

    /// Publishes a message, waiting for room in the queues to the shards. Needs no particular runtime.
    ///
    /// # Errors
    ///
    /// The name is no topic's, or a shard has ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped while waiting, some shards have the message and some do not.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        let publication = encoded(topic, &message.into())?;
        for shard in (0..self.sender.shards()).map(ShardId::new) {
            let parcel = Box::new(publication.clone());
            self.sender
                .send(shard, parcel)
                .await
                .map_err(|error| Error::new(error.to_string()))?;
        }
        Ok(())
    }

    /// Publishes a message without waiting.
    ///
    /// # Errors
    ///
    /// The name is no topic's; or, as a [`BroadcastError`], some queues are full or their shards have ended: those shards have not got the
    /// message, and the others have.
    pub fn try_publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        let parcel = Box::new(encoded(topic, &message.into())?);
        let sent: Result<(), BroadcastError> = self.sender.broadcast(&parcel);
        Ok(sent?)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Publisher({} shards)", self.sender.shards())
    }
}

fn encoded(topic: &str, message: &Message) -> Result<Publication> {
    let topic = Topic::new(topic)?;
    // Nothing is compressed, so nothing is allocated for compressors.
    let frame = encode(Payload::from(message), Encoding::Plain, &mut Deflaters::new(0, 0));
    Ok(Publication::new(topic, frame))
}
