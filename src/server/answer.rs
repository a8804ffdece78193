//! The answer to one request: the application runs, and meanwhile content it asks for comes in and what it flushes goes out.
//!
//! Handler and connection are one task. [`Connection::answer`] polls the handler, then moves bytes for it, and again until neither can
//! go on; only then does the task wait. A handler that answers at once is polled exactly once. What it has answered is written by
//! [`Connection::respond`].

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::connection::{Connection, Ending, Flow, OUTPUT_BYTES_MAX, abort, earlier, peer_gone};
use crate::app::{App, BodyError, BodyLength, Channel, Completion, Exchange};
use crate::http1::{CHUNK_FRAMING_BYTES_MAX, Event, HEAD_BYTES_USUAL};
use crate::message::RequestHead;
use crate::transport::progress::Progress;

/// What the server does for a handler that waits.
#[derive(Default)]
struct HandlerIo {
    /// What the handler has flushed and the kernel has not taken. It outlives the handler's wait for it, and the handler.
    flush: Option<PendingFlush>,
    /// How the peer takes what is being sent, while more waits behind it.
    progress: Option<Progress>,
    /// The handler is done; what it flushed may not be sent yet.
    is_answered: bool,
}

/// Flushed content on its way to the kernel.
struct PendingFlush {
    /// The handler's buffer, which goes back to it.
    buffer: Vec<u8>,
    /// How much of it has been written to the output.
    written: usize,
}

impl Connection {
    /// Lets the application answer the request in `exchange`, writes what it answers, and runs its `on_finish`.
    pub(super) async fn answer(&mut self, exchange: &mut Exchange) -> Flow {
        let channel = exchange.channel();
        channel.begin(self.request_length());
        let app = Rc::clone(&self.server.app);
        let driven = {
            let mut handler = pin!(app.respond(exchange));
            if poll_fn(|cx| Poll::Ready(handler.as_mut().poll(cx))).await.is_ready() {
                Ok(())
            } else {
                Box::pin(self.drive_handler(&app, handler, &channel)).await
            }
        };
        let answered = match driven.and_then(|()| self.respond(&app, exchange, &channel)) {
            Ok(None) => Ok(()),
            Ok(Some(rest)) => rest.await,
            Err(ending) => Err(ending),
        };
        match answered {
            // As it nearly always is.
            Ok(()) if !exchange.has_on_finish() => Ok(()),
            answered => Box::pin(self.finish(&app, exchange, answered)).await,
        }
    }

    /// Tells the exchange how its response ended, and runs its `on_finish`.
    async fn finish(&mut self, app: &App, exchange: &mut Exchange, mut answered: Flow) -> Flow {
        if matches!(answered, Ok(()) | Err(Ending::Close)) && exchange.has_on_finish() {
            // The response leaves first, its end included: `on_finish` may take as long as it likes.
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
            // A refusal in place of the response is a whole answer; a cut breaks the response off.
            Err(Ending::Abort) => exchange.conclude(Completion::BrokenOff),
            Err(Ending::Idle | Ending::Close | Ending::Upgrade) => {}
        }
        if let Some(on_finish) = app.finished(exchange) {
            on_finish.await;
        }
        answered
    }

    /// Moves bytes for a handler that has just been polled and waits, and polls it again, until it is done and what it flushed is sent. A
    /// handler whose peer is lost runs to its end all the same, and learns of it. In a box, to stay out of every connection's
    /// memory.
    async fn drive_handler(
        &mut self,
        app: &App,
        mut handler: Pin<&mut impl Future<Output = ()>>,
        channel: &Channel,
    ) -> Flow {
        let route = app.active_route();
        let mut io = HandlerIo::default();
        let mut is_polled = true;
        let mut lost = None;
        poll_fn(|cx| {
            app.set_active_route(route);
            loop {
                if !is_polled && !io.is_answered {
                    io.is_answered = handler.as_mut().poll(cx).is_ready();
                }
                is_polled = false;
                if io.is_answered && (lost.is_some() || io.flush.is_none()) {
                    return Poll::Ready(lost.map_or(Ok(()), Err));
                }
                if let Some(ending) = lost {
                    // The refusal that replaces the response leaves now.
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
        })
        .await
    }

    /// How much content the request at hand announces.
    fn request_length(&self) -> BodyLength {
        if self.machine.is_request_complete() {
            BodyLength::Empty
        } else {
            self.machine
                .content_remaining()
                .map_or(BodyLength::Unknown, BodyLength::Known)
        }
    }

    /// Does what the handler waits for. Ready when the handler is worth polling again.
    fn move_bytes(&mut self, channel: &Channel, io: &mut HandlerIo, cx: &mut Context<'_>) -> Poll<Flow> {
        let wants_body = !io.is_answered && channel.wants_body();
        let has_fed = wants_body && self.feed(channel, cx)?;
        let has_flushed = self.send_flushed(channel, io, cx)?;
        if has_fed || has_flushed || self.watch_time(channel, io, cx)? {
            return Poll::Ready(Ok(()));
        }
        // Nothing more to do in this turn: the receive buffer goes back before the task waits.
        self.input.set_aside(&self.stream)?;
        self.poll_peer(channel, cx)
    }

    /// Feeds the handler content until it has had enough or there is none; true if there was something for it.
    fn feed(&mut self, channel: &Channel, cx: &mut Context<'_>) -> Flow<bool> {
        let mut fed = false;
        // Never written to: a head comes only after this exchange.
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
                    // What a chunk announces may be more than the handler takes: it hears of that before the bytes come.
                    channel.wants_body()
                }
                Ok(Event::End | Event::Blocked | Event::Request | Event::Upgraded | Event::Closed) => {
                    channel.end_body();
                    false
                }
                Err(error) => {
                    tracing::debug!(%error, "refused the content of a request");
                    channel.fail_body(BodyError::Refused(error));
                    false
                }
            };
            self.input.consume(consumed, &self.stream);
            fed |= !needs_data;
            if needs_data && !self.fetch(channel, cx)? {
                break;
            }
        }
        Ok(fed)
    }

    /// Gets more content from the peer; true when there is some, or when there will be none.
    fn fetch(&mut self, channel: &Channel, cx: &mut Context<'_>) -> Flow<bool> {
        if self.machine.expects_continue() {
            self.make_room(HEAD_BYTES_USUAL)?;
            self.machine.send_continue(self.server.shard.now(), &mut self.output);
        }
        match self.stream.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => self.input.push(received, &self.stream)?,
            Poll::Ready(Ok(None)) => {
                self.input_ended = true;
                channel.close();
            }
            Poll::Ready(Err(_)) => return Err(Ending::PeerGone),
            Poll::Pending => return Ok(false),
        }
        Ok(true)
    }

    /// Sends what earlier requests were answered, and then what the handler flushes; true when the kernel has taken a flush, so that the
    /// handler can go on.
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
            if self.stream.poll_sent(cx).map_err(peer_gone)?.is_pending() {
                let (now, sent) = (self.server.shard.now(), self.stream.sent());
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
            self.stream.start_send(output).map_err(peer_gone)?;
        }
        Ok(false)
    }

    /// Judges by the time how the peer takes what it is sent, and how fast the content comes that the handler asks for; true when the
    /// handler learns of a deadline. Otherwise this task is woken at the next one.
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
    // The machine has checked both; what the `http` crate is stricter about is dropped, as any trailer may be.
    if let (Ok(name), Ok(value)) = (name, value) {
        channel.push_trailer(name, value);
    }
}
