//! Messages between shards, and from any other thread to a shard.
//!
//! For every ordered pair of shards there is one bounded queue, and one more per shard for all other threads, so that no queue
//! between shards has two writers. Sending is a push and, when the other shard sleeps, a ring of its doorbell: many messages to a
//! sleeping shard cost one system call.
//!
//! What is promised:
//! - **Order**: messages of one sender to one shard arrive in the order they were sent (of one thread, for other threads).
//! - **A full queue** is an answer, not a wait: [`MeshSender::try_send`] gives the message back. [`MeshSender::send`] waits for room.
//! - **No deadlock**: a shard takes in its messages between two polls of its tasks, never inside one, and whatever its tasks wait
//!   for. So a queue always drains as long as its shard's thread runs.
//! - **A shard that has ended** takes nothing more: sending to it is an error, for those who were waiting for room too, and what
//!   it had not taken in is dropped.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::inbox::Inbox;
use super::wait_queue::Registration;
use crate::panics::drop_contained;
use crate::shard::shard::{Shard, ShardContext, ShardId};
use crate::sync::ArrayQueue;

/// How many messages a queue holds unless the mesh is made with another number: a second of a busy publisher's messages, and at
/// 64 bytes each 64 KiB a pair.
pub const QUEUE_MESSAGES_DEFAULT: usize = 1024;

/// Bounded queues between all shards for messages of one type. Cloning it is cheap; every clone is the same mesh.
pub struct Mesh<M> {
    links: Arc<Links<M>>,
}

struct Links<M> {
    inboxes: Arc<[Arc<Inbox>]>,
    /// The queue from sender `s` to shard `d` is number `s * shards + d`; sender number `shards` is everybody else.
    queues: Vec<ArrayQueue<M>>,
}

impl<M: Send + 'static> Mesh<M> {
    pub(crate) fn new(inboxes: &Arc<[Arc<Inbox>]>, queue_messages_max: usize) -> Self {
        let count = inboxes.len() * (inboxes.len() + 1);
        let queue = || ArrayQueue::new(queue_messages_max.max(1));
        let queues = std::iter::repeat_with(queue).take(count).collect();
        Self {
            links: Arc::new(Links {
                inboxes: Arc::clone(inboxes),
                queues,
            }),
        }
    }

    /// A sender for the calling thread: a shard's own queues on a shard's thread, the common ones elsewhere.
    #[must_use]
    pub fn sender(&self) -> MeshSender<M> {
        let here = ShardContext::with(|shard| Arc::clone(shard.inbox()));
        let own = here.filter(|inbox| self.links.inboxes.iter().any(|known| Arc::ptr_eq(known, inbox)));
        let from = own.map_or(Source::Outside, |inbox| Source::Shard(inbox.shard()));
        MeshSender {
            links: Arc::clone(&self.links),
            from,
        }
    }

    /// The sender of a shard, made before its thread knows that it is one.
    pub(crate) fn sender_of(&self, shard: ShardId) -> MeshSender<M> {
        MeshSender {
            links: Arc::clone(&self.links),
            from: Source::Shard(shard),
        }
    }

    /// Has every message to the calling shard handed to `on_message`, between two polls of its tasks. Messages that came before
    /// wait in their queues. A second receiver of the same mesh on a shard shares the messages with the first; make one.
    ///
    /// `on_message` is part of the shard's own loop, not of a task: it should do little, and if it panics the process ends.
    ///
    /// # Panics
    ///
    /// Called on a thread that is not a shard's.
    pub fn receive(&self, on_message: impl FnMut(Source, M) + 'static) {
        let shard = Shard::current().into_context();
        shard.mailboxes().add(TypedMailbox {
            links: Arc::clone(&self.links),
            here: shard.id(),
            on_message,
        });
        shard.inbox().notify();
    }
}

impl<M> Links<M> {
    fn shards(&self) -> usize {
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

    /// The shared half of a shard that can be sent to.
    fn inbox(&self, to: ShardId) -> Option<&Inbox> {
        let inbox = self.inboxes.get(to.index())?;
        (!inbox.has_ended()).then_some(inbox)
    }

    fn push(&self, from: Source, to: ShardId, message: M) -> Result<(), SendError<M>> {
        let (Some(queue), Some(inbox)) = (self.queue(from, to), self.inbox(to)) else {
            return Err(SendError { to, message });
        };
        queue.push(message).map_err(|message| SendError { to, message })?;
        inbox.notify();
        if inbox.has_ended() {
            // It ended in between: nobody will read this queue (see `Inbox::end`).
            drop_all(queue);
        }
        Ok(())
    }

    fn senders(&self) -> impl Iterator<Item = Source> + use<M> {
        let shards = (0..self.shards()).map(|shard| Source::Shard(ShardId::new(shard)));
        shards.chain([Source::Outside])
    }

    /// Hands over what waits for `to`: at most as many messages of each sender as its queue holds, so that a sender that never
    /// pauses cannot keep the shard here. True if there may be more.
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

impl<M> Clone for Mesh<M> {
    fn clone(&self) -> Self {
        Self {
            links: Arc::clone(&self.links),
        }
    }
}

impl<M> fmt::Debug for Mesh<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mesh({} shards)", self.links.shards())
    }
}

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A shard of the mesh.
    Shard(ShardId),
    /// A thread that is no shard's.
    Outside,
}

/// Sends into a mesh. A sender made on a shard's thread writes to that shard's queues; it may be moved to another thread, and
/// then shares that shard's order.
pub struct MeshSender<M> {
    links: Arc<Links<M>>,
    from: Source,
}

impl<M: Send + 'static> MeshSender<M> {
    /// How many shards can be sent to.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.links.shards()
    }

    /// Puts a message into the queue to a shard, if there is room. Never waits.
    ///
    /// # Errors
    ///
    /// The queue is full, or there is no such shard (any more); the message comes back.
    pub fn try_send(&self, to: ShardId, message: M) -> Result<(), SendError<M>> {
        self.links.push(self.from, to, message)
    }

    /// Sends a message, waiting for room if the queue is full.
    ///
    /// Cancel safety: dropped before it is ready, the message is not sent and is lost with the future.
    ///
    /// # Errors
    ///
    /// There is no such shard, it has ended, or more than 4096 tasks wait for room in its queues already.
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
            // Registered; look once more, in case room came, or the shard ended, before anybody could see us.
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

    /// Waits until there is room in the queue to a shard, for a message that is made only then: another sender may take the room first.
    /// `false` if there is no such shard, or it has ended. Where as many tasks wait for room as may ([`send`](Self::send)), it looks again in
    /// every turn.
    ///
    /// Cancel safety: cancel safe.
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
            // Registered; look once more, in case room came, or the shard ended, before anybody could see us.
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

    /// Puts a copy of a message into the queue of every shard, the sender's own included. Never waits.
    ///
    /// # Errors
    ///
    /// Some queues were full or their shards have ended: which, and so who did not get it. All others did.
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

/// A message found no room, or no shard; it comes back.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError<M> {
    /// The shard it was for.
    pub to: ShardId,
    /// The message.
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
            "the queue to {} is full, or there is no such shard (any more)",
            self.to
        )
    }
}

impl<M> std::error::Error for SendError<M> {}

/// Some shards did not get a broadcast, because their queues were full or they have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastError {
    /// The shards that did not get it.
    pub missed: Vec<ShardId>,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} shards had no room for a broadcast", self.missed.len())
    }
}

impl std::error::Error for BroadcastError {}

/// Where a shard's messages are handed over.
#[derive(Default)]
pub(crate) struct Mailboxes {
    boxes: RefCell<Vec<Rc<RefCell<dyn Mailbox>>>>,
}

/// The messages of one mesh to one shard.
trait Mailbox {
    /// Hands over what has come; true if there may be more.
    fn deliver(&mut self) -> bool;

    /// Drops what has come: the shard has ended.
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

/// Drops messages that no shard will receive, one by one: the drop of each runs code of its sender's, and may panic.
fn drop_all<M>(queue: &ArrayQueue<M>) {
    while let Some(message) = queue.pop() {
        drop_contained(message, "a message to a shard that has ended");
    }
}

impl Mailboxes {
    fn add(&self, mailbox: impl Mailbox + 'static) {
        self.boxes.borrow_mut().push(Rc::new(RefCell::new(mailbox)));
    }

    /// Hands over what has come to every mailbox, and tells those who wait for room. If there may be more, the shard has mail again. A message
    /// handler may add a mailbox meanwhile.
    pub(crate) fn deliver(&self, inbox: &Inbox) {
        let mut more = false;
        let count = self.boxes.borrow().len();
        for index in 0..count {
            let mailbox = self.boxes.borrow().get(index).map(Rc::clone);
            if let Some(mailbox) = mailbox {
                more |= mailbox.borrow_mut().deliver();
            }
        }
        if more {
            inbox.notify();
        }
        inbox.room().wake_all();
    }

    /// The shard has ended: drops what has come to every mailbox, and tells those who wait for room.
    pub(crate) fn end(&self, inbox: &Inbox) {
        inbox.end();
        for mailbox in self.boxes.take() {
            mailbox.borrow().discard();
            drop_contained(mailbox, "the receiver of a shard's messages");
        }
        inbox.room().wake_all();
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{Mailboxes, Mesh, SendError, TypedMailbox};
    use crate::message::inbox::Inbox;
    use crate::shard::shard::ShardId;
    use crate::testing::Woken;

    /// A mesh of one shard whose queues hold one message, and that shard's mailboxes, which count what is delivered.
    fn mesh() -> (Arc<Inbox>, Mesh<Arc<()>>, Mailboxes, Rc<Cell<usize>>) {
        let inbox = Arc::new(Inbox::new(ShardId::FIRST).unwrap());
        let mesh = Mesh::new(&Arc::from([Arc::clone(&inbox)]), 1);
        let (mailboxes, delivered) = (Mailboxes::default(), Rc::<Cell<usize>>::default());
        let counts = Rc::clone(&delivered);
        mailboxes.add(TypedMailbox {
            links: Arc::clone(&mesh.links),
            here: ShardId::FIRST,
            on_message: move |_, _| counts.set(counts.get() + 1),
        });
        (inbox, mesh, mailboxes, delivered)
    }

    /// A sender that waits for room while the shard takes in its mail finds the room or is woken.
    #[test]
    fn loom_a_sender_does_not_wait_for_room_that_is_there() {
        loom::model(|| {
            let (inbox, mesh, mailboxes, _) = mesh();
            let sender = mesh.sender();
            sender.try_send(ShardId::FIRST, Arc::new(())).unwrap();
            let other = loom::thread::spawn(move || {
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(Arc::clone(&woken));
                let mut sending = pin!(sender.send(ShardId::FIRST, Arc::new(())));
                let waits = sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
                (waits, woken)
            });
            mailboxes.deliver(&inbox);
            let (waits, woken) = other.join().unwrap();
            assert!(!waits || woken.times() > 0, "left waiting");
        });
    }

    /// Whatever is sent to a shard that ends is refused, delivered or freed; and who waits for room in its queue is woken.
    #[test]
    fn loom_a_shard_that_ends_leaves_no_message_and_no_sender_behind() {
        loom::model(|| {
            let (inbox, mesh, mailboxes, delivered) = mesh();
            let sender = mesh.sender();
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
