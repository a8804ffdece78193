//! The response that is a stream of events: events of its handler, and messages of the topics it is subscribed to.
//!
//! An event stream is a subscriber like a WebSocket, with the same limits and policies for slow consumers. Messages for
//! a slow client wait in the topic table, not in the response, because the response is flushed after each batch.

use core::cell::Cell;
use core::fmt;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use data_encoding::BASE64;

use super::event::{Event, field, write_data};
use crate::app::Context;
use crate::app::topics::{
    Delivery, Notify, Recipient, Remaining, ShardTopics, notice_text, parse_pattern, parse_topic,
};
use crate::app::websocket::SocketOwner;
use crate::app::websocket::connected::Membership;
use crate::error::{Finish, Result};
use crate::message::{Method, header};
use crate::pubsub::{
    Notice, Pattern, Position, Publication, Start, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits, Topic,
};
use crate::websocket::{Message, decode};

/// Silence after which [`EventStream::run`] sends a comment, unless the handler sets another. 15 s: the HTML standard's
/// advice, because proxies close silent connections after 30 s or more.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Most that is written between two flushes. 64 KiB: a socket usually accepts this at once.
const BATCH_MAX: TakeLimits = TakeLimits {
    messages: TAKE_MESSAGES_MAX,
    bytes: 64 * 1024,
};

/// A response of the type `text/event-stream`, made by [`Context::event_stream`].
///
/// The end of the session that the request has opened ends the stream, and so does
/// [`disconnect`](Context::disconnect) of the user that [`set_user`](Self::set_user) names. The browser then connects again,
/// and the handler finds no user.
///
/// ```
/// use squall::prelude::*;
///
/// async fn prices(cx: &mut Context) -> Result {
///     let mut events = cx.event_stream()?;
///     events.subscribe_pattern("prices/*")?;
///     events.run().await
/// }
///
/// let application = Application::new().get("/prices", prices);
/// ```
#[must_use = "a stream ends when it is dropped; `run` keeps it going"]
pub struct EventStream<'c> {
    cx: &'c mut Context,
    topics: Option<Rc<ShardTopics>>,
    notify: Rc<Notify>,
    subscriber: Option<SubscriberId>,
    /// The topic whose positions are the events' ids.
    resumable: Option<Topic>,
    heartbeat: Duration,
    /// Whether its session has ended, or its user was disconnected.
    is_over: Rc<Cell<bool>>,
    /// Its places among the sockets of its session and of its user.
    memberships: Vec<Membership>,
    expires_at: Option<Instant>,
}

impl Context {
    /// Begins a stream of events.
    ///
    /// Nothing is sent before the first event or [`EventStream::run`].
    ///
    /// # Errors
    ///
    /// The head has been sent already.
    pub fn event_stream(&mut self) -> Result<EventStream<'_>> {
        self.set_header(header::CONTENT_TYPE, "text/event-stream")?;
        self.set_header(header::CACHE_CONTROL, "no-store")?;
        // Tells nginx not to buffer events.
        self.set_header("X-Accel-Buffering", "no")?;
        let session = self.session_owner();
        let mut stream = EventStream {
            topics: self.shared.topics().ok().map(Rc::clone),
            cx: self,
            notify: Rc::default(),
            subscriber: None,
            resumable: None,
            heartbeat: HEARTBEAT,
            is_over: Rc::default(),
            memberships: Vec::new(),
            expires_at: None,
        };
        if let Some(session) = session {
            stream.belong_to(&session);
        }
        Ok(stream)
    }
}

impl EventStream<'_> {
    /// Returns the id of the last event before the browser reconnected; `None` on the first connection.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.cx.header("last-event-id").filter(|id| !id.is_empty())
    }

    /// Sets the silence after which [`run`](Self::run) sends a comment; 15 s by default.
    ///
    /// The comment shows both ends, and the proxies between them, that the connection lives. Only `run` sends it: a
    /// handler that waits for anything else is silent.
    pub fn heartbeat(&mut self, interval: Duration) -> &mut Self {
        self.heartbeat = interval;
        self
    }

    /// Sets the user whose [`disconnect`](Context::disconnect) ends the stream.
    pub fn set_user(&mut self, user: &str) -> &mut Self {
        self.belong_to(&SocketOwner::User(user.to_owned()));
        self
    }

    /// Sets when [`run`](Self::run) ends the stream, such as the end of the token that opened it; `None` for never, the
    /// default.
    ///
    /// # Errors
    ///
    /// The application runs without a server.
    pub fn expires_at(&mut self, time: Option<SystemTime>) -> Result<&mut Self> {
        let runtime = self.cx.shared.runtime()?;
        let (now, wall) = (runtime.now(), runtime.wall());
        // A time beyond what the clock can count is never.
        self.expires_at = time.and_then(|time| now.checked_add(time.duration_since(wall).unwrap_or_default()));
        Ok(self)
    }

    /// Sends an event, and waits until the socket has taken it.
    ///
    /// Only [`run`](Self::run) sends heartbeats. A handler with long silences publishes its events to a topic and
    /// subscribes the stream to it.
    ///
    /// # Errors
    ///
    /// The event's name or id has a line break, the stream has ended with its session, or the peer has gone. Pass the
    /// error on with `?`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the event is still sent.
    pub async fn send(&mut self, event: Event) -> Result {
        if self.is_over.get() {
            return Err(Finish.into());
        }
        let mut text = Vec::new();
        event.write(&mut text)?;
        self.cx.write(text);
        self.cx.flush().await
    }

    /// Subscribes to a topic: [`run`](Self::run) sends the messages published from now on.
    ///
    /// Returns whether the subscription is new.
    ///
    /// | message | event |
    /// |---|---|
    /// | text | its data, unchanged |
    /// | binary | named `binary`, in base64 |
    /// | notice, such as missed messages | named `notice`, in JSON |
    ///
    /// A client may choose part of the name: it can never become a pattern. But a `/` in it selects another topic
    /// (`rooms/` and `1/staff`), so check such names first.
    ///
    /// # Errors
    ///
    /// The name is invalid, a limit of [`pubsub::Limits`](crate::pubsub::Limits) is reached, or the application runs
    /// without a server. A name with `*` or `**` is a pattern; use [`subscribe_pattern`](Self::subscribe_pattern).
    pub fn subscribe(&mut self, topic: &str) -> Result<bool> {
        self.subscribe_to(&parse_topic(topic)?.into())
    }

    /// Subscribes to all topics that match a pattern, such as `prices/*` or `prices/**`, future topics included.
    ///
    /// It otherwise works as [`subscribe`](Self::subscribe). Never build a pattern from a client's text: a client that
    /// sends `*` would receive the messages of all others.
    ///
    /// # Errors
    ///
    /// The pattern is invalid; otherwise as [`subscribe`](Self::subscribe).
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<bool> {
        self.subscribe_to(&parse_pattern(pattern)?)
    }

    /// Unsubscribes from a topic, and returns whether the stream was subscribed to it by name.
    ///
    /// Messages that wait already are still sent.
    ///
    /// # Errors
    ///
    /// The name is invalid, or the application runs without a server.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<bool> {
        self.unsubscribe_from(&parse_topic(topic)?.into())
    }

    /// Unsubscribes from a pattern, and returns whether the stream was subscribed to exactly this one.
    ///
    /// Messages that wait already are still sent.
    ///
    /// # Errors
    ///
    /// The pattern is invalid, or the application runs without a server.
    pub fn unsubscribe_pattern(&mut self, pattern: &str) -> Result<bool> {
        self.unsubscribe_from(&parse_pattern(pattern)?)
    }

    /// Subscribes to a topic with a history, from a start in it.
    ///
    /// The notices that a WebSocket receives as text ([`subscribe_from`](crate::WebSocket::subscribe_from)) come as
    /// events named `notice`.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), or the topic has no history.
    pub fn subscribe_from(&mut self, topic: &str, start: Start) -> Result<bool> {
        let topic = parse_topic(topic)?;
        let subscriber = self.join()?;
        self.cx.shared.topics()?.subscribe_from(subscriber, topic, start)
    }

    /// Subscribes to a topic with a history, with the messages' positions as event ids, so that a reconnecting browser
    /// misses nothing.
    ///
    /// The browser sends its last id as `Last-Event-ID`. It then receives the messages it missed, or a `notice` if the
    /// history lacks them or the id is invalid. The stream begins with an id even if it has no event to send, so that
    /// the browser can resume from there. (HTML standard, section "Server-sent events", "dispatch the event": an id
    /// without data is kept, and no event fires.)
    ///
    /// A stream resumes one topic only: the ids of a second topic would be taken for the first's.
    ///
    /// # Errors
    ///
    /// As [`subscribe_from`](Self::subscribe_from).
    pub fn resume(&mut self, topic: &str) -> Result<bool> {
        // The current position, and no past messages.
        self.resume_from(topic, Start::Last(0))
    }

    /// Subscribes as [`resume`](Self::resume) does, and begins a first connection at `first`.
    ///
    /// `Start::Last(50)` gives a new page the last 50 messages. A reconnecting browser receives what it missed: its
    /// `Last-Event-ID` replaces `first`.
    ///
    /// # Errors
    ///
    /// As [`subscribe_from`](Self::subscribe_from).
    pub fn resume_from(&mut self, topic: &str, first: Start) -> Result<bool> {
        let id = self.cx.headers().get("last-event-id").filter(|id| !id.is_empty());
        let position = |id| str::from_utf8(id).ok()?.parse().ok();
        let had = id.map(|id| position(id).unwrap_or(Position::UNKNOWN));
        self.resumable = Some(parse_topic(topic)?);
        self.subscribe_from(topic, had.map_or(first, Start::After))
    }

    /// Sends the messages of the subscribed topics until the stream ends.
    ///
    /// It ends when the peer goes, the server stops, or the session ends. It also ends at the time of
    /// [`expires_at`](Self::expires_at), and when a topic's policy closes a slow stream.
    ///
    /// # Errors
    ///
    /// The peer has gone. Pass the error on with `?`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped early, the messages already taken are still sent. Call it again to continue.
    pub async fn run(&mut self) -> Result {
        // A response to HEAD ends with its head.
        if *self.cx.method() == Method::HEAD {
            return Ok(());
        }
        let topics = Rc::clone(self.cx.shared.topics()?);
        // Sends the head at once, so that the page sees the connection open.
        self.cx.flush().await?;
        let mut stopping = topics.runtime().stopping();
        let mut closed = pin!(self.cx.closed());
        let left = self
            .expires_at
            .map(|at| at.saturating_duration_since(topics.runtime().now()));
        let mut expiry = left.map(|left| topics.runtime().sleep(left));
        loop {
            let mut pause = topics.runtime().sleep(self.heartbeat);
            let waited = poll_fn(|task| {
                let is_expired = expiry
                    .as_mut()
                    .is_some_and(|expiry| expiry.as_mut().poll(task).is_ready());
                let is_over = is_expired || self.is_over.get();
                if is_over || stopping.as_mut().poll(task).is_ready() || closed.as_mut().poll(task).is_ready() {
                    Poll::Ready(Waited::End)
                } else if self.notify.poll_notified(task).is_ready() {
                    Poll::Ready(Waited::Deliveries)
                } else {
                    pause.as_mut().poll(task).map(|()| Waited::Heartbeat)
                }
            });
            match waited.await {
                Waited::End => return Ok(()),
                Waited::Heartbeat => self.cx.write(&b":\n\n"[..]),
                Waited::Deliveries => {
                    if self.write_deliveries(&topics) == Flow::End {
                        return self.cx.flush().await;
                    }
                }
            }
            self.cx.flush().await?;
        }
    }

    /// Writes one batch of waiting messages.
    fn write_deliveries(&mut self, topics: &ShardTopics) -> Flow {
        let Some(subscriber) = self.subscriber else {
            return Flow::GoOn;
        };
        let mut text = Vec::new();
        let resumable = self.resumable.as_ref();
        let rest = topics.take(subscriber, BATCH_MAX, |delivery| match delivery {
            Delivery::Messages(batch) => {
                for publication in batch.publications() {
                    write_publication(publication, resumable, &mut text);
                }
            }
            Delivery::Notice(notice) => write_notice(notice, resumable, &mut text),
        });
        if !text.is_empty() {
            self.cx.write(text);
        }
        match rest {
            Remaining::Nothing => Flow::GoOn,
            Remaining::More => {
                self.notify.notify();
                Flow::GoOn
            }
            Remaining::Close(_) => {
                // If this run is dropped during the flush, the next run must end too.
                self.notify.notify();
                Flow::End
            }
        }
    }

    /// Lets the end of an owner end the stream.
    fn belong_to(&mut self, owner: &SocketOwner) {
        let (is_over, notify) = (Rc::clone(&self.is_over), Rc::clone(&self.notify));
        let close = move || {
            notify.notify();
            !is_over.replace(true)
        };
        self.memberships.retain(|known| !known.is_of_kind(owner));
        let membership = self.cx.shared.sockets.connected.join(owner, Box::new(close));
        self.memberships.push(membership);
    }

    fn subscribe_to(&mut self, pattern: &Pattern) -> Result<bool> {
        let subscriber = self.join()?;
        Ok(self.cx.shared.topics()?.subscribe(subscriber, pattern)?)
    }

    fn unsubscribe_from(&self, pattern: &Pattern) -> Result<bool> {
        let topics = self.cx.shared.topics()?;
        Ok(self
            .subscriber
            .is_some_and(|subscriber| topics.unsubscribe(subscriber, pattern)))
    }

    fn join(&mut self) -> Result<SubscriberId> {
        if let Some(subscriber) = self.subscriber {
            return Ok(subscriber);
        }
        let recipient = Rc::clone(&self.notify);
        let subscriber = self.cx.shared.topics()?.join(recipient)?;
        self.subscriber = Some(subscriber);
        Ok(subscriber)
    }
}

impl Drop for EventStream<'_> {
    fn drop(&mut self) {
        if let (Some(subscriber), Some(topics)) = (self.subscriber, &self.topics) {
            topics.leave(subscriber);
        }
    }
}

impl fmt::Debug for EventStream<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventStream")
            .field("subscriber", &self.subscriber)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

/// The reason a wait ended.
enum Waited {
    Deliveries,
    Heartbeat,
    End,
}

/// Whether a stream continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoOn,
    End,
}

/// Writes a publication as an event. Its id is its position if the topic is the resumable one.
fn write_publication(publication: &Publication, resumable: Option<&Topic>, out: &mut Vec<u8>) {
    let Some(message) = decode(&publication.message) else {
        return;
    };
    if let Some(position) = publication.position
        && resumable == Some(&publication.topic)
    {
        write_id(position, out);
    }
    match message {
        Message::Text(text) => write_data(text.as_str(), out),
        Message::Binary(bytes) => {
            field(out, "event", "binary");
            write_data(&BASE64.encode(&bytes), out);
        }
    }
}

/// Writes a notice as an event.
///
/// For the resumable topic its id is the topic's current position, so that a reconnecting browser resumes from there. A
/// position notice is an id without data: the browser keeps it, and the page receives nothing.
fn write_notice(notice: &Notice, resumable: Option<&Topic>, out: &mut Vec<u8>) {
    match notice {
        Notice::CurrentPosition { topic, last, .. } if resumable == Some(topic) => {
            write_id(*last, out);
            out.push(b'\n');
            return;
        }
        Notice::Gap { topic, gap } if resumable == Some(topic) => write_id(gap.last, out),
        Notice::CurrentPosition { .. } | Notice::Gap { .. } | Notice::Missed(_) => {}
    }
    if let Some(words) = notice_text(notice) {
        field(out, "event", "notice");
        write_data(&words, out);
    }
}

fn write_id(position: Position, out: &mut Vec<u8>) {
    field(out, "id", &position.to_string());
}
