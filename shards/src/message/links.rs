//! The queues of a mesh, and both of their ends: senders, and the receivers of a shard.
//!
//! [`mesh`](super::mesh) has the guarantees.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::inbox::Inbox;
use super::wait_queue::Registration;
use crate::balance::watchdog::{Heartbeat, Place};
use crate::panics::drop_contained;
use crate::shard::id::ShardId;
use crate::sync::ArrayQueue;

/// A closure on its way to another shard.
pub(crate) type Invocation = Box<dyn FnOnce() + Send>;

/// The queues of one mesh.
pub(crate) struct Links<M> {
    inboxes: Arc<[Arc<Inbox>]>,
    /// The queue from sender `s` to shard `d` has index `s * shards + d`; sender `shards` is every thread outside the
    /// shards.
    queues: Vec<ArrayQueue<M>>,
}

impl<M> Links<M> {
    /// Creates the queues between all shards with these inboxes.
    pub(super) fn new(inboxes: &Arc<[Arc<Inbox>]>, queue_messages_max: usize) -> Self {
        let count = inboxes.len() * (inboxes.len() + 1);
        let queue = || ArrayQueue::new(queue_messages_max.max(1));
        Self {
            inboxes: Arc::clone(inboxes),
            queues: std::iter::repeat_with(queue).take(count).collect(),
        }
    }

    /// Returns whether this inbox is that of one of the shards.
    pub(super) fn connects(&self, inbox: &Arc<Inbox>) -> bool {
        self.inboxes.iter().any(|known| Arc::ptr_eq(known, inbox))
    }

    pub(super) fn shards(&self) -> usize {
        self.inboxes.len()
    }

    fn queue(&self, from: Source, to: ShardId) -> Option<&ArrayQueue<M>> {
        let sender = match from {
            Source::Shard(shard) => shard.index(),
            Source::Outside => self.shards(),
        };
        (to.index() < self.shards())
            .then(|| self.queues.get(sender * self.shards() + to.index()))
            .flatten()
    }

    /// Returns the inbox of a shard that still receives.
    fn inbox(&self, to: ShardId) -> Option<&Inbox> {
        let inbox = self.inboxes.get(to.index())?;
        (!inbox.has_ended()).then_some(inbox)
    }

    fn push(&self, from: Source, to: ShardId, message: M) -> Result<(), SendError<M>> {
        let (Some(queue), Some(inbox)) = (self.queue(from, to), self.inbox(to)) else {
            return Err(SendError { to, message });
        };
        queue.push(message).map_err(|message| SendError { to, message })?;
        // The flag is read after the notification, whose fence orders it behind the push.
        inbox.notify();
        if inbox.has_ended() {
            // The shard ended in between and reads no more (see `Inbox::end`).
            drop_all(queue);
        }
        Ok(())
    }

    fn senders(&self) -> impl Iterator<Item = Source> + use<M> {
        let shards = (0..self.shards()).map(|shard| Source::Shard(ShardId::new(shard)));
        shards.chain([Source::Outside])
    }

    /// Delivers what waits for `to`; returns whether more may be waiting.
    ///
    /// Takes at most one queue capacity per sender, so that a sender that never pauses cannot hold the shard here.
    fn deliver(&self, to: ShardId, on_message: &mut dyn FnMut(Source, M)) -> bool {
        let mut more = false;
        for from in self.senders() {
            let Some(queue) = self.queue(from, to) else { continue };
            let mut taken = 0;
            while taken < queue.capacity()
                && let Some(message) = queue.pop()
            {
                taken += 1;
                on_message(from, message);
            }
            more |= taken > 0 && !queue.is_empty();
        }
        more
    }
}

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A shard of the mesh.
    Shard(ShardId),
    /// A thread that is not a shard.
    Outside,
}

/// Sends messages into a mesh.
///
/// A sender made on a shard's thread uses that shard's queues. Moved to another thread it still does, and shares that
/// shard's order.
pub struct MeshSender<M> {
    links: Arc<Links<M>>,
    from: Source,
}

impl<M: Send + 'static> MeshSender<M> {
    pub(super) fn new(links: &Arc<Links<M>>, from: Source) -> Self {
        Self {
            links: Arc::clone(links),
            from,
        }
    }

    /// Returns the number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.links.shards()
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    ///
    /// The queue is full, or the shard does not exist or has ended; the error returns the message.
    pub fn try_send(&self, to: ShardId, message: M) -> Result<(), SendError<M>> {
        self.links.push(self.from, to, message)
    }

    /// Sends a message, waiting for room if the queue is full.
    ///
    /// Cancel safety: dropping the future before it is ready loses the message unsent.
    ///
    /// # Errors
    ///
    /// The shard does not exist or has ended, or 4096 tasks already wait for room in its queues.
    pub async fn send(&self, to: ShardId, message: M) -> Result<(), SendError<M>> {
        let mut unsent = Some(message);
        let mut place = Registration::default();
        poll_fn(|cx| {
            let Some(message) = unsent.take() else {
                return Poll::Ready(Ok(()));
            };
            let refused = match self.try_send(to, message) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(refused) => refused,
            };
            let registered = self
                .links
                .inbox(to)
                .map(|inbox| inbox.room().register(cx.waker(), &mut place));
            if registered != Some(true) {
                return Poll::Ready(Err(refused));
            }
            // Room may have come, or the shard ended, before the registration was visible: look once more.
            match self.try_send(to, refused.message) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(refused) if self.links.inbox(to).is_none() => Poll::Ready(Err(refused)),
                Err(refused) => {
                    unsent = Some(refused.message);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Waits until the queue to a shard has room; `false` if the shard does not exist or has ended.
    ///
    /// Another sender may take the room first. If 4096 tasks already wait ([`send`](Self::send)), the future polls the
    /// queue once per turn instead.
    ///
    /// Cancel safety: safe; a dropped future takes no room.
    pub async fn has_room(&self, to: ShardId) -> bool {
        let is_full = || self.links.queue(self.from, to).is_none_or(ArrayQueue::is_full);
        let mut place = Registration::default();
        poll_fn(|cx| {
            let Some(inbox) = self.links.inbox(to) else {
                return Poll::Ready(false);
            };
            if !is_full() {
                return Poll::Ready(true);
            }
            if !inbox.room().register(cx.waker(), &mut place) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Room may have come, or the shard ended, before the registration was visible: look once more.
            if self.links.inbox(to).is_none() {
                Poll::Ready(false)
            } else if is_full() {
                Poll::Pending
            } else {
                Poll::Ready(true)
            }
        })
        .await
    }

    /// Sends a copy of a message to every shard, its own included, without waiting.
    ///
    /// # Errors
    ///
    /// Some queues were full or their shards have ended. The error lists those shards; all others got the message.
    pub fn broadcast(&self, message: &M) -> Result<(), BroadcastError>
    where
        M: Clone,
    {
        let all = (0..self.shards()).map(ShardId::new);
        let missed: Vec<_> = all
            .filter(|&shard| self.try_send(shard, message.clone()).is_err())
            .collect();
        if missed.is_empty() {
            Ok(())
        } else {
            Err(BroadcastError { missed })
        }
    }
}

impl<M> Clone for MeshSender<M> {
    fn clone(&self) -> Self {
        Self {
            links: Arc::clone(&self.links),
            from: self.from,
        }
    }
}

impl<M> fmt::Debug for MeshSender<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MeshSender(from {:?})", self.from)
    }
}

/// A message could not be sent; the error returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError<M> {
    /// The shard it was addressed to.
    pub to: ShardId,
    /// The unsent message.
    pub message: M,
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SendError(to {})", self.to)
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "could not send to {}: its queue is full, or the shard does not exist or has ended",
            self.to
        )
    }
}

impl<M> std::error::Error for SendError<M> {}

/// Some shards did not get a broadcast: their queues were full, or they have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastError {
    /// The shards that did not get the message.
    pub missed: Vec<ShardId>,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "could not broadcast to {} shards: queue full or shard ended",
            self.missed.len()
        )
    }
}

impl std::error::Error for BroadcastError {}

/// The receivers of one shard, one for each mesh.
#[derive(Default)]
pub(crate) struct Mailboxes {
    /// Each with the place that set its receiver.
    boxes: RefCell<Vec<(Place, SharedMailbox)>>,
}

type SharedMailbox = Rc<RefCell<dyn Mailbox>>;

/// A shard's end of one mesh.
trait Mailbox {
    /// Delivers what has arrived; returns whether more may be waiting.
    fn deliver(&mut self) -> bool;

    /// Drops what has arrived, because the shard has ended.
    fn discard(&self);
}

struct TypedMailbox<M, F> {
    links: Arc<Links<M>>,
    here: ShardId,
    on_message: F,
}

impl<M, F: FnMut(Source, M)> Mailbox for TypedMailbox<M, F> {
    fn deliver(&mut self) -> bool {
        self.links.deliver(self.here, &mut self.on_message)
    }

    fn discard(&self) {
        for from in self.links.senders() {
            let Some(queue) = self.links.queue(from, self.here) else {
                continue;
            };
            drop_all(queue);
        }
    }
}

/// Drops the messages one by one: the drop of each runs the sender's code and may panic.
fn drop_all<M>(queue: &ArrayQueue<M>) {
    while let Some(message) = queue.pop() {
        drop_contained(message, "a message to a shard that has ended");
    }
}

impl Mailboxes {
    /// Adds the receiver of one mesh for shard `here`, set at `place`.
    pub(super) fn add<M: 'static>(
        &self,
        place: Place,
        links: &Arc<Links<M>>,
        here: ShardId,
        on_message: impl FnMut(Source, M) + 'static,
    ) {
        let mailbox = TypedMailbox {
            links: Arc::clone(links),
            here,
            on_message,
        };
        self.boxes.borrow_mut().push((place, Rc::new(RefCell::new(mailbox))));
    }

    /// Delivers what has arrived to every mailbox, then wakes the senders waiting for room. A message handler may add a
    /// mailbox meanwhile. `heartbeat` shows the current receiver to the watchdog.
    pub(crate) fn deliver(&self, inbox: &Inbox, heartbeat: &Heartbeat) {
        let mut more = false;
        // The borrow ends before each call: a message handler may add a mailbox.
        let count = self.boxes.borrow().len();
        for index in 0..count {
            let mailbox = self.boxes.borrow().get(index).cloned();
            if let Some((place, mailbox)) = mailbox {
                heartbeat.run(place);
                more |= mailbox.borrow_mut().deliver();
            }
        }
        // What was left behind by the bound must not wait for the next sender's notification.
        if more {
            inbox.notify();
        }
        inbox.room().wake_all();
    }

    /// Drops what has arrived in every mailbox and wakes the senders waiting for room, because the shard has ended.
    pub(crate) fn end(&self, inbox: &Inbox) {
        inbox.end();
        for (_, mailbox) in self.boxes.take() {
            mailbox.borrow().discard();
            drop_contained(mailbox, "the receiver of a shard's messages");
        }
        inbox.room().wake_all();
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use std::cell::Cell;
    use std::panic::Location;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{Links, Mailboxes, MeshSender, SendError, Source};
    use crate::balance::watchdog::Heartbeat;
    use crate::message::inbox::Inbox;
    use crate::shard::id::ShardId;
    use crate::testing::Woken;

    /// Creates a mesh of one shard with queues of one message, and mailboxes that count deliveries.
    fn mesh() -> (Arc<Inbox>, MeshSender<Arc<()>>, Mailboxes, Rc<Cell<usize>>) {
        let inbox = Arc::new(Inbox::new(ShardId::FIRST).unwrap());
        let links = Arc::new(Links::new(&Arc::from([Arc::clone(&inbox)]), 1));
        let (mailboxes, delivered) = (Mailboxes::default(), Rc::<Cell<usize>>::default());
        let counts = Rc::clone(&delivered);
        mailboxes.add(Location::caller(), &links, ShardId::FIRST, move |_, _| {
            counts.set(counts.get() + 1)
        });
        (inbox, MeshSender::new(&links, Source::Outside), mailboxes, delivered)
    }

    /// A sender waiting for room while the shard takes its messages finds the room or is woken.
    #[test]
    fn loom_a_sender_does_not_wait_while_the_queue_has_room() {
        loom::model(|| {
            let (inbox, sender, mailboxes, _) = mesh();
            sender.try_send(ShardId::FIRST, Arc::new(())).unwrap();
            let other = loom::thread::spawn(move || {
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(Arc::clone(&woken));
                let mut sending = pin!(sender.send(ShardId::FIRST, Arc::new(())));
                let waits = sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
                (waits, woken)
            });
            mailboxes.deliver(&inbox, &Heartbeat::default());
            let (waits, woken) = other.join().unwrap();
            assert!(!waits || woken.times() > 0, "left waiting");
        });
    }

    /// A message to a shard that ends is refused, delivered or freed, and a sender waiting for room is woken.
    #[test]
    fn loom_a_shard_that_ends_leaves_no_message_and_no_sender_behind() {
        loom::model(|| {
            let (inbox, sender, mailboxes, delivered) = mesh();
            let message = Arc::new(());
            let sent = [Arc::clone(&message), Arc::clone(&message)];
            let other = loom::thread::spawn(move || {
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(Arc::clone(&woken));
                let [first, second] = sent;
                drop(sender.try_send(ShardId::FIRST, first));
                let mut sending = pin!(sender.send(ShardId::FIRST, second));
                match sending.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => (true, woken),
                    Poll::Ready(Ok(()) | Err(SendError { .. })) => (false, woken),
                }
            });
            mailboxes.end(&inbox);
            let (waits, woken) = other.join().unwrap();
            assert!(!waits || woken.times() > 0, "left waiting");
            assert_eq!(Arc::strong_count(&message), 1, "a message is left behind");
            assert_eq!(delivered.get(), 0);
        });
    }
}
