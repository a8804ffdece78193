//! The answer to one request: the application runs, and meanwhile content it asks for comes in and what it flushes goes out.
//!
//! Handler and connection are one task. [`Connection::answer`] polls the handler, then moves bytes for it, and again until neither can
//! go on; only then does the task wait. A handler that answers at once is polled exactly once. What it has answered is written by
//! [`Connection::respond`].

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::connection::{Connection, Ending, Flow, OUTPUT_BYTES_MAX, PeerNews, cut, earlier};
use crate::app::{App, BodyError, BodyLength, Channel, Exchange};
use crate::http1::{CHUNK_FRAMING_BYTES_MAX, Event, HEAD_BYTES_USUAL};
use crate::message::RequestHead;
use crate::transport::progress::Progress;

/// A flush that the handler waits for.
struct Flushing {
    /// The handler's buffer, to be given back.
    buffer: Vec<u8>,
    /// How much of it has been written to the output.
    written: usize,
    /// How the peer takes it.
    progress: Option<Progress>,
}

impl Connection {
    /// Lets the application answer the request in `exchange`, and writes what it answers.
    pub(super) async fn answer(&mut self, exchange: &mut Exchange) -> Flow {
        let channel = exchange.channel();
        channel.begin(self.request_length());
        let app = Rc::clone(&self.server.app);
        {
            let mut handler = pin!(app.respond(exchange));
            if poll_fn(|cx| Poll::Ready(handler.as_mut().poll(cx))).await.is_pending() {
                Box::pin(self.attend(&app, handler, &channel)).await?;
            }
        }
        if let Some(rest) = self.respond(&app, exchange, &channel)? {
            rest.await?;
        }
        if let Some(on_finish) = app.finished(exchange) {
            on_finish.await;
        }
        Ok(())
    }

    /// Moves bytes for a handler that has just been polled and waits, and polls it again, until it is done. In a box, so that it is
    /// no part of every connection's memory.
    async fn attend(&mut self, app: &App, mut handler: Pin<&mut impl Future<Output = ()>>, channel: &Channel) -> Flow {
        let work = app.work();
        let mut flushing = None;
        let mut is_polled = true;
        poll_fn(|cx| {
            app.resume_work(work);
            loop {
                if !is_polled && handler.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                is_polled = false;
                ready!(self.move_bytes(channel, &mut flushing, cx))?;
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
    fn move_bytes(&mut self, channel: &Channel, flushing: &mut Option<Flushing>, cx: &mut Context<'_>) -> Poll<Flow> {
        let mut moved = self.flush(channel, flushing, cx)?;
        if channel.wants_body() {
            moved |= self.feed(channel, cx)?;
        }
        if moved {
            return Poll::Ready(Ok(()));
        }
        // Nothing more to do in this turn: the receive buffer goes back before the task waits.
        self.input.stash(&self.stream)?;
        if self.watch_peer(channel, cx) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
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
                Ok(Event::NeedData) => true,
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
        if !self.output.is_empty() && self.stream.poll_sent(cx).is_ready() {
            let output = std::mem::take(&mut self.output);
            self.stream.start_send(output).map_err(|_| Ending::Cut)?;
        }
        match self.stream.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => {
                self.input.push(received, &self.stream)?;
                return Ok(true);
            }
            Poll::Ready(Ok(None)) => {
                self.input_ended = true;
                channel.close();
                return Ok(true);
            }
            Poll::Ready(Err(_)) => return Err(Ending::Cut),
            Poll::Pending => {}
        }
        let now = self.server.shard.now();
        if self.deadline.poll(cx).is_ready() {
            if self.stream.has_failed() {
                return Err(Ending::Cut);
            }
            if self.machine.handle_deadline(now).is_some() {
                channel.fail_body(BodyError::TimedOut);
                return Ok(true);
            }
        }
        self.deadline
            .set(earlier(self.machine.poll_deadline(), self.next_look(now)));
        Ok(self.deadline.poll(cx).is_ready())
    }

    /// Tells the handler that the peer has finished or gone while it was thinking; true if there was something to tell.
    fn watch_peer(&mut self, channel: &Channel, cx: &mut Context<'_>) -> bool {
        match self.poll_peer(cx) {
            Poll::Ready(PeerNews::Finished) => channel.peer_finished(),
            Poll::Ready(PeerNews::Gone) => channel.close(),
            Poll::Pending => return false,
        }
        true
    }

    /// Sends what the handler flushes; true when a flush has been taken by the kernel, so that the handler can go on.
    fn flush(&mut self, channel: &Channel, flushing: &mut Option<Flushing>, cx: &mut Context<'_>) -> Flow<bool> {
        if flushing.is_none()
            && let Some(flush) = channel.take_flush()
        {
            self.make_room(HEAD_BYTES_USUAL)?;
            self.write_flushed_head(&flush)?;
            *flushing = Some(Flushing {
                buffer: flush.data,
                written: 0,
                progress: None,
            });
        }
        let Some(flush) = flushing else { return Ok(false) };
        loop {
            match self.poll_sent(&mut flush.progress, cx) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return Ok(false),
            }
            let rest = flush.buffer.get(flush.written..).unwrap_or_default();
            let piece = rest.get(..OUTPUT_BYTES_MAX).unwrap_or(rest);
            if piece.is_empty() && self.output.is_empty() {
                break;
            }
            self.make_room(CHUNK_FRAMING_BYTES_MAX + piece.len())?;
            self.machine.send_data(piece, &mut self.output).map_err(cut)?;
            flush.written += piece.len();
            let output = std::mem::take(&mut self.output);
            self.stream.start_send(output).map_err(|_| Ending::Cut)?;
        }
        let buffer = flushing.take().map(|flush| flush.buffer).unwrap_or_default();
        channel.flushed(buffer, Ok(()));
        Ok(true)
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
