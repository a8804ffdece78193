//! The response that is a stream of events: what its handler sends, and what is published to the topics it follows.
//!
//! A page that listens takes part in topics as a WebSocket does: it waits in the same table, under the same limits and policies for slow
//! consumers. What it cannot take waits there and not in the response, which is flushed after each batch.

use core::fmt;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::rc::Rc;

use data_encoding::BASE64;

use super::event::{Event, field, write_data};
use crate::app::Context;
use crate::app::topics::{Delivery, Notify, Recipient, Remaining, ServerHandle, notice_text};
use crate::error::Result;
use crate::message::{Method, header};
use crate::pubsub::{
    Notice, Pattern, Position, Publication, Start, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits, Topic,
};
use crate::websocket::{Message, decode};

/// How long a stream is silent before a comment is sent, unless its handler says otherwise. 15 s: the HTML standard's advice, because proxies
/// give up silent connections after 30 s and more.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How much is written between two flushes. 64 KiB: what a socket takes without waiting on an unhurried day.
const BATCH_MAX: TakeLimits = TakeLimits {
    messages: TAKE_MESSAGES_MAX,
    bytes: 64 * 1024,
};

/// A response of the type `text/event-stream`, made by [`Context::event_stream`].
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
    server: Option<Rc<dyn ServerHandle>>,
    notify: Rc<Notify>,
    subscriber: Option<SubscriberId>,
    /// The topic whose positions are the events' ids.
    resumable: Option<Topic>,
    heartbeat: Duration,
}

impl Context {
    /// Begins a stream of events. Nothing is sent before the first event, or [`EventStream::run`].
    ///
    /// # Errors
    ///
    /// The head has been sent already.
    pub fn event_stream(&mut self) -> Result<EventStream<'_>> {
        self.set_header(header::CONTENT_TYPE, "text/event-stream")?;
        self.set_header(header::CACHE_CONTROL, "no-store")?;
        // What nginx is told by, so that it does not hold events back.
        self.set_header("X-Accel-Buffering", "no")?;
        Ok(EventStream {
            server: self.app.server().ok().map(Rc::clone),
            cx: self,
            notify: Rc::default(),
            subscriber: None,
            resumable: None,
            heartbeat: HEARTBEAT,
        })
    }
}

impl EventStream<'_> {
    /// The id of the last event the browser had before it connected anew; `None` the first time.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.cx.header("last-event-id").filter(|id| !id.is_empty())
    }

    /// Sets after how long a silence [`run`](Self::run) sends a comment, by which both ends and the proxies between them know that the other is
    /// there: 15 s unless set. While a handler waits for anything else, between two [`send`](Self::send)s for instance, none is sent.
    pub fn heartbeat(&mut self, interval: Duration) -> &mut Self {
        self.heartbeat = interval;
        self
    }

    /// Sends an event, and waits until the socket has taken it. Heartbeats are [`run`](Self::run)'s alone: a stream whose handler may be silent
    /// for long follows a topic instead, and the handler's events are published to that.
    ///
    /// # Errors
    ///
    /// The event's name or id has a line break, or the peer has gone: the handler ends with `?`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the event is sent all the same.
    pub async fn send(&mut self, event: Event) -> Result {
        let mut text = Vec::new();
        event.write(&mut text)?;
        self.cx.write(text);
        self.cx.flush().await
    }

    /// Follows a topic: [`run`](Self::run) sends what is published to it from now on. Text comes as it is, bytes in base64 as an event named
    /// `binary`, and word of missed messages as one named `notice`. Says whether the stream did not follow it before.
    ///
    /// A name made of what a client says is one topic and never a pattern, but a `/` in it makes another topic (`rooms/` and `1/staff`):
    /// check such names first.
    ///
    /// # Errors
    ///
    /// The text is not a topic's name (a `*` or `**` in it is refused: [`subscribe_pattern`](Self::subscribe_pattern) takes those), one of the limits of
    /// [`pubsub::Limits`](crate::pubsub::Limits) is reached, or no server runs the application.
    pub fn subscribe(&mut self, topic: &str) -> Result<bool> {
        self.subscribe_to(&Topic::new(topic)?.into())
    }

    /// Follows every topic that fits a pattern, those that come to be later included: `prices/*`, `prices/**`. Otherwise as
    /// [`subscribe`](Self::subscribe).
    ///
    /// Never for a text made of what a client says: with `*` for a name it would hear all the others.
    ///
    /// # Errors
    ///
    /// The text is not a pattern; otherwise as [`subscribe`](Self::subscribe).
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<bool> {
        self.subscribe_to(&Pattern::new(pattern)?)
    }

    /// Follows a topic no more; says whether the stream did, by its name. Messages that wait for it already still come.
    ///
    /// # Errors
    ///
    /// The text is not a topic's name, or no server runs the application.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<bool> {
        self.unsubscribe_from(&Topic::new(topic)?.into())
    }

    /// Follows a pattern no more; says whether the stream followed just this one. Messages that wait for it already still come.
    ///
    /// # Errors
    ///
    /// The text is not a pattern, or no server runs the application.
    pub fn unsubscribe_pattern(&mut self, pattern: &str) -> Result<bool> {
        self.unsubscribe_from(&Pattern::new(pattern)?)
    }

    /// Follows a topic with a history, from a place in it on; what a WebSocket is told as text where the history has nothing
    /// ([`subscribe_from`](crate::WebSocket::subscribe_from)) comes as an event named `notice`.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), or the topic has no history.
    pub fn subscribe_from(&mut self, topic: &str, start: Start) -> Result<bool> {
        let topic = Topic::new(topic)?;
        let subscriber = self.join()?;
        self.cx.app.server()?.subscribe_from(subscriber, topic, start)
    }

    /// Follows a topic with a history, and gives its events their positions for ids: a browser that comes back says by `Last-Event-ID` what
    /// it had, and is sent what it missed, or a `notice` that this is not to be had any more, or that its id is none of ours. The first thing
    /// it is sent is an id, be it one without an event, so that it can come back even if it hears of nothing (HTML standard, section
    /// "Server-sent events", "dispatch the event": an id without data is kept, and no event fires). A stream has one such topic; the ids
    /// of a second would be taken for the first's.
    ///
    /// # Errors
    ///
    /// As [`subscribe_from`](Self::subscribe_from).
    pub fn resume(&mut self, topic: &str) -> Result<bool> {
        let id = self.cx.headers().get("last-event-id").filter(|id| !id.is_empty());
        let position = |id| str::from_utf8(id).ok()?.parse().ok();
        let had = id.map(|id| position(id).unwrap_or(Position::UNKNOWN));
        self.resumable = Some(Topic::new(topic)?);
        // Without a position it is sent none of the past, but where the topic stands.
        self.subscribe_from(topic, had.map_or(Start::Last(0), Start::After))
    }

    /// Sends what is published to the topics followed, until the peer goes, the server stops, or the peer's topics close who is too slow.
    ///
    /// # Errors
    ///
    /// The peer has gone: the handler ends with `?`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped early, what was taken is sent all the same, and the stream can be run again.
    pub async fn run(&mut self) -> Result {
        if *self.cx.method() == Method::HEAD {
            return Ok(());
        }
        let server = Rc::clone(self.cx.app.server()?);
        self.cx.flush().await?;
        let mut stopping = server.stopping();
        let mut closed = pin!(self.cx.closed());
        loop {
            let mut pause = server.sleep(self.heartbeat);
            let waited = poll_fn(|task| {
                if stopping.as_mut().poll(task).is_ready() || closed.as_mut().poll(task).is_ready() {
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
                    if self.write_deliveries(&*server) == Flow::End {
                        return self.cx.flush().await;
                    }
                }
            }
            self.cx.flush().await?;
        }
    }

    /// Writes what waits, up to a bound.
    fn write_deliveries(&mut self, server: &dyn ServerHandle) -> Flow {
        let Some(subscriber) = self.subscriber else {
            return Flow::GoOn;
        };
        let mut text = Vec::new();
        let resumable = self.resumable.as_ref();
        let rest = server.take(subscriber, BATCH_MAX, &mut |delivery| match delivery {
            Delivery::Messages(slice) => {
                for publication in slice.publications() {
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
                // A stream that is run again, because its first run was given up here, ends again.
                self.notify.notify();
                Flow::End
            }
        }
    }

    fn subscribe_to(&mut self, pattern: &Pattern) -> Result<bool> {
        let subscriber = self.join()?;
        Ok(self.cx.app.server()?.subscribe(subscriber, pattern)?)
    }

    fn unsubscribe_from(&self, pattern: &Pattern) -> Result<bool> {
        let server = self.cx.app.server()?;
        Ok(self
            .subscriber
            .is_some_and(|subscriber| server.unsubscribe(subscriber, pattern)))
    }

    fn join(&mut self) -> Result<SubscriberId> {
        if let Some(subscriber) = self.subscriber {
            return Ok(subscriber);
        }
        let recipient = Rc::clone(&self.notify);
        let subscriber = self.cx.app.server()?.join(recipient)?;
        self.subscriber = Some(subscriber);
        Ok(subscriber)
    }
}

impl Drop for EventStream<'_> {
    fn drop(&mut self) {
        if let (Some(subscriber), Some(server)) = (self.subscriber, &self.server) {
            server.leave(subscriber);
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

/// What ended a wait.
enum Waited {
    Deliveries,
    Heartbeat,
    End,
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoOn,
    End,
}

/// Writes a publication as an event, with its position for an id if it is of the topic that can be resumed.
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

/// Writes a notice as an event; the id of what it says about the topic that can be resumed is where that topic stands, so that a browser that
/// comes back asks from there. Where nothing is missing the id is all: without data it is kept, and the page hears nothing.
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
