//! Answers one request: runs the application, and moves content in and flushes out while the handler waits.
//!
//! Handler and connection share one task. [`Connection::answer`] polls the handler, moves bytes for it, and repeats
//! until neither makes progress; only then does the task wait. A handler that answers at once is polled exactly once.
//! [`Connection::respond`] then writes its response.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::connection::{Connection, Ending, Flow, OUTPUT_BYTES_MAX, abort, earlier, peer_gone};
use crate::app::{App, BodyError, BodyLength, Channel, Completion, Exchange};
use crate::http1::{CHUNK_FRAMING_BYTES_MAX, Event, HEAD_BYTES_USUAL};
use crate::message::RequestHead;
use crate::transport::progress::Progress;

/// The bytes that move for a handler while it waits.
#[derive(Default)]
struct HandlerIo {
    /// The flush that the kernel has not taken yet. It outlives the handler's wait for it, and the handler.
    flush: Option<PendingFlush>,
    /// How fast the peer accepts the current send, while more output waits behind it.
    progress: Option<Progress>,
    /// The handler has ended; its last flush may still be on its way.
    is_answered: bool,
}

/// Flushed content on its way to the kernel.
struct PendingFlush {
    /// The handler's buffer, which returns to the handler.
    buffer: Vec<u8>,
    /// How many of its bytes are written to the output.
    written: usize,
}

/// Polls a future of a request with the request's route as the active one, which is the active one now.
///
/// Between two polls, other tasks name their own work.
async fn in_route<T>(app: &App, future: impl Future<Output = T>) -> T {
    let route = app.shared().active_route();
    let mut future = pin!(future);
    poll_fn(|cx| {
        app.shared().set_active_route(route);
        future.as_mut().poll(cx)
    })
    .await
}

impl Connection {
    /// Runs the application for the request in `exchange`, writes its response, and runs its `on_finish`.
    pub(in crate::server) async fn answer(&mut self, exchange: &mut Exchange) -> Flow {
        let channel = exchange.channel();
        channel.begin(self.request_length());
        let app = Rc::clone(&self.server.app);
        let driven = {
            let mut handler = pin!(app.respond(exchange));
            // The first poll needs no box; most handlers end with it.
            if poll_fn(|cx| Poll::Ready(handler.as_mut().poll(cx))).await.is_ready() {
                Ok(())
            } else {
                Box::pin(self.drive_handler(&app, handler, &channel)).await
            }
        };
        let answered = match driven.and_then(|()| self.respond(&app, exchange, &channel)) {
            Ok(None) => Ok(()),
            Ok(Some(rest)) => in_route(&app, rest).await,
            Err(ending) => Err(ending),
        };
        match answered {
            // The usual case allocates no future.
            Ok(()) if !exchange.has_on_finish() => Ok(()),
            answered => in_route(&app, Box::pin(self.finish(&app, exchange, answered))).await,
        }
    }

    /// Records in the exchange how the response ended, and runs its `on_finish`.
    async fn finish(&mut self, app: &App, exchange: &mut Exchange, mut answered: Flow) -> Flow {
        if matches!(answered, Ok(()) | Err(Ending::Close)) && exchange.has_on_finish() {
            // Send the response with its end first, because `on_finish` may take long.
            let sent = if self.machine.persists() {
                self.send_output().await
            } else {
                self.end_output().await
            };
            answered = answered.and(sent);
        }
        match answered {
            Ok(()) => {}
            Err(Ending::PeerGone) => exchange.conclude(Completion::PeerGone),
            // Only an abort breaks the response off; an error response in its place is complete.
            Err(Ending::Abort) => exchange.conclude(Completion::BrokenOff),
            Err(Ending::Idle | Ending::Close | Ending::Upgrade) => {}
        }
        if let Some(on_finish) = app.finished(exchange) {
            on_finish.await;
        }
        answered
    }

    /// Moves bytes for a handler that waits, and polls it, until it has ended and its flushes are sent.
    ///
    /// A handler whose peer is gone learns of it and still runs to its end. This future is boxed, to stay out of every
    /// connection's memory.
    async fn drive_handler(
        &mut self,
        app: &App,
        mut handler: Pin<&mut impl Future<Output = ()>>,
        channel: &Channel,
    ) -> Flow {
        let mut io = HandlerIo::default();
        let mut is_polled = true;
        let mut lost = None;
        let driven = poll_fn(|cx| {
            loop {
                if !is_polled && !io.is_answered {
                    io.is_answered = handler.as_mut().poll(cx).is_ready();
                }
                is_polled = false;
                if io.is_answered && (lost.is_some() || io.flush.is_none()) {
                    return Poll::Ready(lost.map_or(Ok(()), Err));
                }
                // No more bytes move; the handler runs on to its end.
                if let Some(ending) = lost {
                    // The error response that replaces the handler's leaves now, before the handler ends.
                    if ending == Ending::Close && self.send_gathered(cx).is_err() {
                        lost = Some(Ending::PeerGone);
                    }
                    return Poll::Pending;
                }
                if let Err(ending) = ready!(self.move_bytes(channel, &mut io, cx)) {
                    lost = Some(ending);
                    channel.close();
                }
            }
        });
        in_route(app, driven).await
    }

    /// Returns how much content the current request announces.
    fn request_length(&self) -> BodyLength {
        if self.machine.is_request_complete() {
            BodyLength::Empty
        } else {
            self.machine
                .content_remaining()
                .map_or(BodyLength::Unknown, BodyLength::Known)
        }
    }

    /// Does what the handler waits for; ready when the handler can make progress.
    fn move_bytes(&mut self, channel: &Channel, io: &mut HandlerIo, cx: &mut Context<'_>) -> Poll<Flow> {
        let wants_body = !io.is_answered && channel.wants_body();
        let has_fed = wants_body && self.feed(channel, cx)?;
        let has_flushed = self.send_flushed(channel, io, cx)?;
        if has_fed || has_flushed || self.watch_time(channel, io, cx)? {
            return Poll::Ready(Ok(()));
        }
        // The task is about to wait, so it must return the kernel's receive buffer first.
        self.input.set_aside(&self.socket)?;
        self.poll_peer(channel, cx)
    }

    /// Feeds content to the handler until it wants no more or none is left; returns whether the handler can go on.
    fn feed(&mut self, channel: &Channel, cx: &mut Context<'_>) -> Flow<bool> {
        let mut fed = false;
        // The machine reads no head before this exchange ends, so this stays empty.
        let mut no_head = RequestHead::new();
        while channel.wants_body() {
            let mut rest = self.input.bytes();
            let presented = rest.len();
            let event = self.machine.receive(&mut rest, &mut no_head, self.server.shard.now());
            let consumed = presented - rest.len();
            let needs_data = match event {
                Ok(Event::Data(data)) => {
                    channel.push_data(data);
                    false
                }
                Ok(Event::Trailer { name, value }) => {
                    push_trailer(channel, name, value);
                    false
                }
                Ok(Event::NeedData) => {
                    channel.announce(self.machine.content_announced());
                    // A chunk-size may already exceed the handler's limit: the handler fails before those bytes arrive.
                    channel.wants_body()
                }
                Ok(Event::End | Event::Blocked | Event::Request | Event::Upgraded | Event::Closed) => {
                    channel.end_body();
                    false
                }
                Err(error) => {
                    let peer = self.peer().address.map(tracing::field::display);
                    tracing::debug!(peer, %error, "refused the content of a request");
                    channel.fail_body(BodyError::Refused {
                        status: error.status(),
                        reason: error.reason(),
                    });
                    false
                }
            };
            self.input.consume(consumed, &self.socket);
            fed |= !needs_data;
            if needs_data && !self.fetch(channel, cx)? {
                break;
            }
        }
        Ok(fed)
    }

    /// Receives more content; returns true when some has arrived or none will follow.
    fn fetch(&mut self, channel: &Channel, cx: &mut Context<'_>) -> Flow<bool> {
        if self.machine.expects_continue() {
            self.make_room(HEAD_BYTES_USUAL)?;
            self.machine.send_continue(self.server.shard.now(), &mut self.output);
        }
        match self.socket.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => self.input.push(received, &self.socket)?,
            Poll::Ready(Ok(None)) => {
                self.input_ended = true;
                channel.close();
            }
            Poll::Ready(Err(_)) => return Err(Ending::PeerGone),
            Poll::Pending => return Ok(false),
        }
        Ok(true)
    }

    /// Sends earlier responses, then the handler's flush; returns true when the kernel has taken the flush.
    fn send_flushed(&mut self, channel: &Channel, io: &mut HandlerIo, cx: &mut Context<'_>) -> Flow<bool> {
        if io.flush.is_none()
            && let Some(flush) = channel.take_flush()
        {
            self.make_room(HEAD_BYTES_USUAL)?;
            self.write_flushed_head(&flush)?;
            io.flush = Some(PendingFlush {
                buffer: flush.data,
                written: 0,
            });
        }
        while !self.output.is_empty() || io.flush.is_some() {
            // Only one send is under way at a time: a slow peer holds back the handler, and memory stays bounded.
            if self.socket.poll_sent(cx).map_err(peer_gone)?.is_pending() {
                let (now, sent) = (self.server.shard.now(), self.socket.sent());
                let limits = &self.server.write;
                io.progress.get_or_insert_with(|| Progress::new(now, sent, limits));
                return Ok(false);
            }
            io.progress = None;
            if let Some(flush) = &mut io.flush {
                let rest = flush.buffer.get(flush.written..).unwrap_or_default();
                let piece = rest.get(..OUTPUT_BYTES_MAX).unwrap_or(rest);
                if piece.is_empty() && self.output.is_empty() {
                    let buffer = io.flush.take().map(|flush| flush.buffer);
                    channel.flushed(buffer.unwrap_or_default(), Ok(()));
                    return Ok(true);
                }
                self.make_room(CHUNK_FRAMING_BYTES_MAX + piece.len())?;
                self.machine.send_data(piece, &mut self.output).map_err(abort)?;
                flush.written += piece.len();
            }
            let output = std::mem::take(&mut self.output);
            self.socket.start_send(output).map_err(peer_gone)?;
        }
        Ok(false)
    }

    /// Checks the pace of the peer, as receiver of output and as sender of content; returns true if the content timed
    /// out.
    ///
    /// Otherwise it sets the task's deadline to the next check.
    fn watch_time(&mut self, channel: &Channel, io: &mut HandlerIo, cx: &Context<'_>) -> Flow<bool> {
        let now = self.server.shard.now();
        let mut due = None;
        if let Some(progress) = &mut io.progress {
            due = Some(self.check_progress(progress, now)?);
        }
        if !io.is_answered && channel.wants_body() {
            if self.machine.handle_deadline(now).is_some() {
                channel.fail_body(BodyError::TimedOut);
                return Ok(true);
            }
            due = earlier(due, self.machine.poll_deadline());
        }
        let Some(due) = due else { return Ok(false) };
        self.deadline.set(Some(due));
        Ok(self.deadline.poll(cx).is_ready())
    }
}

fn push_trailer(channel: &Channel, name: &str, value: &[u8]) {
    let name = http::HeaderName::from_bytes(name.as_bytes());
    let value = http::HeaderValue::from_bytes(value);
    // The machine has checked both. A trailer that only the stricter `http` crate rejects is dropped, as any
    // trailer may be.
    if let (Ok(name), Ok(value)) = (name, value) {
        channel.push_trailer(name, value);
    }
}
