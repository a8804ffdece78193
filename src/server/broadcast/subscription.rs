//! Hearing topics on threads that are no shard's: a task of one shard subscribes for them, and hands over what comes.
//!
//! The queue between the two is short. When it is full the task takes nothing more, and what comes then waits in the shard's table,
//! under the same limits and policies as for a socket that does not keep up.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;

use super::ShardHub;
use crate::app::{Delivery, Notify, Recipient as _, Remaining, ServerHandle};
use crate::pubsub::{Notice, Pattern, Position, Publication, SubscribeError, TakeLimits, Topic};
use crate::websocket::{Message, decode};

/// How many messages wait between the shard and the thread, one more included that is on its way.
const EVENTS_WAITING_MAX: usize = 64;

/// How much the task takes at once: as many as may wait, and 64 KiB.
const TAKE_LIMITS: TakeLimits = TakeLimits {
    messages: EVENTS_WAITING_MAX,
    bytes: 64 * 1024,
};

/// Something heard of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent {
    /// A message.
    Message {
        /// Whose.
        topic: Topic,
        /// The message as all subscribers get it: in its envelope, if its topic has one.
        message: Message,
        /// Its place in the topic's history, if it has one.
        position: Option<Position>,
    },
    /// What is told in the place of messages, where the topic's rules say so.
    Notice(Notice),
}

/// What a thread outside the shards hears of the topics it has subscribed to ([`Publisher::subscribe`](super::Publisher::subscribe)). Dropping it
/// unsubscribes.
///
/// Whoever does not keep up is dealt with as the topics' [`SlowConsumer`](crate::pubsub::SlowConsumer) says, like a WebSocket.
pub struct Subscription {
    events: mpsc::Receiver<TopicEvent>,
    /// Dropped with the subscription, which the task notices.
    _open: oneshot::Sender<()>,
}

impl Subscription {
    /// The next message or notice; `None` when the server has ended, or a topic's policy has closed the subscription.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<TopicEvent> {
        poll_fn(|task| Pin::new(&mut self.events).poll_next(task)).await
    }

    /// Waits as [`next`](Self::next) does, holding up the calling thread. Not for a shard's thread.
    pub fn next_blocking(&mut self) -> Option<TopicEvent> {
        pollster::block_on(self.next())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Subscription")
    }
}

/// A subscription that is wanted, on its way to a shard.
#[derive(Debug)]
pub(in crate::server) struct SubscribeRequest {
    pattern: Pattern,
    events: mpsc::Sender<TopicEvent>,
    closed: oneshot::Receiver<()>,
    reply: oneshot::Sender<Result<(), SubscribeError>>,
}

/// What comes of a wanted subscription; cancelled when the shard has ended before.
pub(super) type SubscribeResult = oneshot::Receiver<Result<(), SubscribeError>>;

/// Makes the two ends of a subscription.
pub(super) fn subscription(pattern: Pattern) -> (Subscription, SubscribeRequest, SubscribeResult) {
    // A channel holds one message more for each sender.
    let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX - 1);
    let (open, closed) = oneshot::channel();
    let (reply, result) = oneshot::channel();
    let request = SubscribeRequest {
        pattern,
        events: sender,
        closed,
        reply,
    };
    (Subscription { events, _open: open }, request, result)
}

/// Subscribes, and hands over what comes until the other end is gone.
pub(super) async fn run_subscription(hub: Rc<ShardHub>, request: SubscribeRequest) {
    let SubscribeRequest {
        pattern,
        mut events,
        mut closed,
        reply,
    } = request;
    let notify: Rc<Notify> = Rc::default();
    let recipient = Rc::clone(&notify);
    let subscribed = hub.join(recipient).and_then(|subscriber| {
        let subscribed = hub.subscribe(subscriber, &pattern);
        if subscribed.is_err() {
            hub.leave(subscriber);
        }
        subscribed.map(|_| subscriber)
    });
    let subscriber = match subscribed {
        Ok(subscriber) => subscriber,
        Err(error) => return reply.send(Err(error)).unwrap_or_default(),
    };
    reply.send(Ok(())).unwrap_or_default();
    while poll_fn(|task| poll_announced(&notify, &mut closed, task)).await {
        let mut taken = Vec::new();
        let rest = hub.take(subscriber, TAKE_LIMITS, &mut |delivery| match delivery {
            Delivery::Messages(slice) => taken.extend(slice.publications().iter().filter_map(event_of)),
            Delivery::Notice(notice) => taken.push(TopicEvent::Notice(notice.clone())),
        });
        for each in taken {
            // Once the other end is gone there is never room, and `gone` says so.
            if poll_fn(|task| poll_room(&mut events, &mut closed, task)).await {
                events.start_send(each).unwrap_or_default();
            }
        }
        match rest {
            Remaining::Nothing => {}
            Remaining::More => notify.notify(),
            Remaining::Close(_) => break,
        }
    }
    hub.leave(subscriber);
}

fn event_of(publication: &Publication) -> Option<TopicEvent> {
    Some(TopicEvent::Message {
        topic: publication.topic.clone(),
        message: decode(&publication.message)?,
        position: publication.position,
    })
}

/// True when something waits, false when the other end is gone.
fn poll_announced(notify: &Notify, closed: &mut oneshot::Receiver<()>, task: &mut Context<'_>) -> Poll<bool> {
    match Pin::new(closed).poll(task) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending => notify.poll_notified(task).map(|()| true),
    }
}

/// True when there is room for one more, false when the other end is gone.
fn poll_room(
    events: &mut mpsc::Sender<TopicEvent>,
    closed: &mut oneshot::Receiver<()>,
    task: &mut Context<'_>,
) -> Poll<bool> {
    match Pin::new(closed).poll(task) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending => events.poll_ready(task).map(|ready| ready.is_ok()),
    }
}
