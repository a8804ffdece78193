//! Subscriptions of threads outside the shards: a task on one shard subscribes for the thread and forwards the events
//! to it.
//!
//! The queue between the two is short. While it is full, messages wait in the shard's table, under the same limits and
//! policies as for a slow WebSocket.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use futures_core::Stream;

use crate::app::{Delivery, Notify, Recipient as _, Remaining, ShardTopics};
use crate::pubsub::{Notice, Pattern, Position, Publication, SubscribeError, TakeLimits, Topic};
use crate::websocket::{Message, decode};

/// Most events between the shard and the thread, including one in transit.
const EVENTS_WAITING_MAX: usize = 64;

/// Most messages and bytes the task takes at once: what fits the queue, and 64 KiB.
const TAKE_LIMITS: TakeLimits = TakeLimits {
    messages: EVENTS_WAITING_MAX,
    bytes: 64 * 1024,
};

/// An event of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent {
    /// A message of a topic.
    Message {
        /// The topic.
        topic: Topic,
        /// The message as every subscriber receives it, inside the topic's envelope if there is one.
        message: Message,
        /// The message's position in the topic's history, if the topic has one.
        position: Option<Position>,
    },
    /// A notice in the place of messages, if the topic's rules ask for notices.
    Notice(Notice),
}

/// Receives the events of topics on a thread outside the shards.
///
/// [`Publisher::subscribe`](super::Publisher::subscribe) creates it; dropping it unsubscribes. If the thread does not
/// keep up, the topic's [`SlowConsumer`](crate::pubsub::SlowConsumer) policy applies.
#[must_use = "a subscription ends when it is dropped"]
pub struct Subscription {
    events: mpsc::Receiver<TopicEvent>,
    /// Its drop signals the task that the subscription has ended.
    _open: oneshot::Sender<()>,
}

impl Subscription {
    /// Returns the next event, or `None` when the server has ended or a policy has closed the subscription.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<TopicEvent> {
        poll_fn(|task| Pin::new(&mut self.events).poll_next(task)).await
    }

    /// Returns the next event like [`next`](Self::next), blocking the calling thread; not for a shard's thread.
    pub fn next_blocking(&mut self) -> Option<TopicEvent> {
        pollster::block_on(self.next())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Subscription")
    }
}

/// The request to subscribe, on its way to a shard.
#[derive(Debug)]
pub(in crate::server) struct SubscribeRequest {
    pattern: Pattern,
    events: mpsc::Sender<TopicEvent>,
    closed: oneshot::Receiver<()>,
    reply: oneshot::Sender<Result<(), SubscribeError>>,
}

/// The result of a subscribe request; cancelled if the shard has ended.
pub(super) type SubscribeResult = oneshot::Receiver<Result<(), SubscribeError>>;

/// Creates a subscription, the request for its shard, and the result to wait for.
pub(super) fn subscription(pattern: Pattern) -> (Subscription, SubscribeRequest, SubscribeResult) {
    // The channel has one more slot per sender.
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

/// Subscribes and forwards events until the subscription is dropped.
pub(super) async fn run_subscription(topics: Rc<ShardTopics>, request: SubscribeRequest) {
    let SubscribeRequest {
        pattern,
        mut events,
        mut closed,
        reply,
    } = request;
    let notify: Rc<Notify> = Rc::default();
    let recipient = Rc::clone(&notify);
    let subscribed = topics.join(recipient).and_then(|subscriber| {
        let subscribed = topics.subscribe(subscriber, &pattern);
        if subscribed.is_err() {
            topics.leave(subscriber);
        }
        subscribed.map(|_| subscriber)
    });
    let subscriber = match subscribed {
        Ok(subscriber) => subscriber,
        Err(error) => return reply.send(Err(error)).unwrap_or_default(),
    };
    reply.send(Ok(())).unwrap_or_default();
    while poll_fn(|task| poll_announced(&notify, &mut closed, task)).await {
        // `take` is synchronous, so the events are collected before the task waits for room.
        let mut taken = Vec::new();
        let rest = topics.take(subscriber, TAKE_LIMITS, |delivery| match delivery {
            Delivery::Messages(batch) => taken.extend(batch.publications().iter().filter_map(event_of)),
            Delivery::Notice(notice) => taken.push(TopicEvent::Notice(notice.clone())),
        });
        for each in taken {
            // After the receiver is dropped `poll_room` returns false, and `poll_announced` ends the loop.
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
    topics.leave(subscriber);
}
fn event_of(publication: &Publication) -> Option<TopicEvent> {
    Some(TopicEvent::Message {
        topic: publication.topic.clone(),
        message: decode(&publication.message)?,
        position: publication.position,
    })
}

/// Resolves to true when messages wait, and to false when the subscription has been dropped.
fn poll_announced(notify: &Notify, closed: &mut oneshot::Receiver<()>, task: &mut Context<'_>) -> Poll<bool> {
    match Pin::new(closed).poll(task) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending => notify.poll_notified(task).map(|()| true),
    }
}

/// Resolves to true when there is room for one event, and to false when the subscription has been dropped.
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
