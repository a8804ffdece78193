//! The answer to one request: the application runs, and meanwhile content it asks for comes in and what it flushes goes out.
//!
//! Handler and connection are one task. [`Connection::run`] polls the handler, then moves bytes for it, and again until neither can go
//! on; only then does the task wait. A handler that answers at once is polled exactly once, and its response is written straight into
//! the connection's output, behind those of the requests before it.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::connection::{Connection, Ending, Flow, OUTPUT_BYTES_MAX};
use super::progress::Progress;
use crate::app::{App, BodyError, BodyLength as RequestLength, Channel, Exchange, Outcome, PeerGone};
use crate::http1::{BodyLength, Event, SendError};
use crate::message::{BodyStream, Headers, HttpDate, RequestHead, ResponseHead, StatusCode};

/// How much is read ahead of a handler that has its whole request and is still thinking, to notice that the peer has gone.
const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;

/// Where the moving of bytes for a handler stands.
#[derive(Default)]
struct Moving {
    /// A flush on its way: the handler waits for it.
    flushing: Option<Flushing>,
    /// How the peer takes it.
    progress: Option<Progress>,
}

/// A flush that the handler waits for.
struct Flushing {
    /// The handler's buffer, to be given back.
    buffer: Vec<u8>,
    /// How much of it has been written to the output.
    written: usize,
}

impl Connection {
    /// Lets the application answer the request in `exchange`, and writes what it answers.
    pub(super) async fn answer(&mut self, exchange: &mut Exchange) -> Flow {
        exchange.set_peer(self.peer());
        let channel = exchange.channel();
        channel.begin(self.request_length());
        let app = Rc::clone(&self.server.app);
        self.run(&app, exchange, &channel).await?;
        self.begin_output();
        let date = self.server.date();
        let is_head = *exchange.head().method() == http::Method::HEAD;
        while let Some(flush) = channel.take_flush() {
            self.write_flush(flush.head.as_ref(), &flush.data, flush.content_length, &date)?;
            channel.flushed(flush.data, Ok(()));
        }
        match exchange.outcome() {
            Outcome::Respond {
                head,
                body,
                stream,
                trailers,
            } => {
                let length = match stream {
                    None => BodyLength::Known(body.len() as u64),
                    Some(_) => BodyLength::Unknown,
                };
                if let Some(head) = head {
                    if ends_connection(head.status) && !self.machine.is_request_complete() {
                        self.machine.close_after_response();
                    }
                    self.write_head(head, length, &date)?;
                }
                self.write_body(body).await?;
                match stream {
                    // What answers HEAD says how GET would be answered and is not drawn.
                    Some(stream) if is_head => app.discard(stream),
                    Some(stream) => self.write_stream(&app, stream).await?,
                    None => {}
                }
                self.write_end(trailers)?;
            }
            Outcome::Abort => return Err(Ending::Cut),
        }
        app.finished(exchange).await;
        Ok(())
    }

    /// How much content the request at hand announces.
    fn request_length(&self) -> RequestLength {
        if self.machine.is_request_complete() {
            RequestLength::Empty
        } else {
            self.machine
                .content_remaining()
                .map_or(RequestLength::Unknown, RequestLength::Known)
        }
    }

    /// Runs the handler to its end, moving bytes for it meanwhile.
    async fn run(&mut self, app: &App, exchange: &mut Exchange, channel: &Channel) -> Flow {
        let mut respond = pin!(app.respond(exchange));
        let mut moving = Moving::default();
        poll_fn(|cx| {
            loop {
                if respond.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                match self.move_bytes(channel, &mut moving, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(ending)) => return Poll::Ready(Err(ending)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Does what the handler waits for. Ready when the handler is worth polling again.
    fn move_bytes(&mut self, channel: &Channel, moving: &mut Moving, cx: &mut Context<'_>) -> Poll<Flow> {
        let mut moved = self.flush(channel, moving, cx)?;
        if channel.wants_body() {
            moved |= self.feed(channel, cx)?;
        }
        if moved {
            return Poll::Ready(Ok(()));
        }
        // Nothing more to do in this turn: the receive buffer goes back before the task waits.
        self.input.stash(&self.stream);
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
            self.begin_output();
            self.machine.send_continue(self.server.shard.now(), &mut self.output);
        }
        if !self.output.is_empty() && self.stream.poll_sent(cx).is_ready() {
            let output = std::mem::take(&mut self.output);
            self.stream.start_send(output).map_err(|_| Ending::Cut)?;
        }
        match self.stream.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => {
                self.input.push(received, &self.stream);
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
        self.deadline.set(self.machine.poll_deadline());
        while self.deadline.poll(cx).is_ready() {
            if self.machine.handle_deadline(self.server.shard.now()).is_some() {
                channel.fail_body(BodyError::TimedOut);
                return Ok(true);
            }
            self.deadline.set(self.machine.poll_deadline());
        }
        Ok(false)
    }

    /// Notices that the peer has gone while the handler is thinking. Requests that follow are kept for later, up to a bound.
    fn watch_peer(&mut self, channel: &Channel, cx: &mut Context<'_>) -> bool {
        if !self.machine.is_request_complete() || self.input_ended {
            return false;
        }
        while self.input.bytes().len() < READ_AHEAD_BYTES_MAX {
            match self.stream.poll_receive(cx) {
                Poll::Ready(Ok(Some(received))) => {
                    self.input.push(received, &self.stream);
                    self.input.stash(&self.stream);
                }
                Poll::Ready(Ok(None)) => {
                    // It may have closed only its sending half, and wait for the answer.
                    self.input_ended = true;
                    channel.peer_finished();
                    return true;
                }
                Poll::Ready(Err(_)) => {
                    self.input_ended = true;
                    channel.close();
                    return true;
                }
                Poll::Pending => return false,
            }
        }
        false
    }

    /// Sends what the handler flushes; true when a flush has been taken by the kernel, so that the handler can go on.
    fn flush(&mut self, channel: &Channel, moving: &mut Moving, cx: &mut Context<'_>) -> Flow<bool> {
        if moving.flushing.is_none()
            && let Some(flush) = channel.take_flush()
        {
            self.begin_output();
            let date = self.server.date();
            if let Some(head) = &flush.head {
                let length = flush.content_length.map_or(BodyLength::Unknown, BodyLength::Known);
                self.write_head(head, length, &date)?;
            }
            moving.flushing = Some(Flushing {
                buffer: flush.data,
                written: 0,
            });
        }
        let Some(flushing) = &mut moving.flushing else {
            return Ok(false);
        };
        loop {
            match self.poll_sent(&mut moving.progress, cx) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return Ok(false),
            }
            let rest = flushing.buffer.get(flushing.written..).unwrap_or_default();
            let piece = rest.get(..OUTPUT_BYTES_MAX).unwrap_or(rest);
            if piece.is_empty() && self.output.is_empty() {
                break;
            }
            self.begin_output();
            self.machine.send_data(piece, &mut self.output).map_err(cut)?;
            flushing.written += piece.len();
            let output = std::mem::take(&mut self.output);
            self.stream.start_send(output).map_err(|_| Ending::Cut)?;
        }
        moving.progress = None;
        let done = moving.flushing.take();
        channel.flushed(
            done.map(|flushing| flushing.buffer).unwrap_or_default(),
            Ok::<(), PeerGone>(()),
        );
        Ok(true)
    }

    fn write_head(&mut self, head: &ResponseHead, length: BodyLength, date: &HttpDate) -> Flow {
        self.machine
            .send_head(head, length, date, &mut self.output)
            .map_err(cut)
    }

    fn write_flush(&mut self, head: Option<&ResponseHead>, data: &[u8], length: Option<u64>, date: &HttpDate) -> Flow {
        if let Some(head) = head {
            self.write_head(head, length.map_or(BodyLength::Unknown, BodyLength::Known), date)?;
        }
        self.machine.send_data(data, &mut self.output).map_err(cut)
    }

    /// Writes content, sending it piece by piece if it is much.
    async fn write_body(&mut self, mut body: &[u8]) -> Flow {
        while self.output.len() + body.len() > OUTPUT_BYTES_MAX {
            let room = OUTPUT_BYTES_MAX.saturating_sub(self.output.len());
            let (piece, rest) = body.split_at(room.min(body.len()));
            self.machine.send_data(piece, &mut self.output).map_err(cut)?;
            body = rest;
            self.input.stash(&self.stream);
            self.send_output().await?;
            self.begin_output();
        }
        self.machine.send_data(body, &mut self.output).map_err(cut)
    }

    /// Writes a stream as it comes: what is ready gathers, and leaves when the stream has nothing more for now.
    async fn write_stream(&mut self, app: &App, mut stream: BodyStream) -> Flow {
        self.input.stash(&self.stream);
        loop {
            let chunk = poll_fn(|cx| {
                let chunk = app.poll_stream(&mut stream, cx);
                if chunk.is_pending() {
                    self.send_while_waiting(cx)?;
                }
                chunk.map(Ok::<_, Ending>)
            });
            match chunk.await? {
                Some(Ok(chunk)) => self.write_body(&chunk).await?,
                Some(Err(error)) => {
                    tracing::warn!(%error, "the stream of a response failed; the connection is cut");
                    return Err(Ending::Cut);
                }
                None => return Ok(()),
            }
        }
    }

    /// Sends what has gathered while a response's stream has nothing, and notices a peer that has gone.
    fn send_while_waiting(&mut self, cx: &mut Context<'_>) -> Flow {
        match self.stream.poll_sent(cx) {
            Poll::Ready(Ok(())) if !self.output.is_empty() => {
                let output = std::mem::take(&mut self.output);
                self.stream.start_send(output).map_err(|_| Ending::Cut)?;
                self.begin_output();
            }
            Poll::Ready(Err(_)) => return Err(Ending::Cut),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if self.machine.is_request_complete() && !self.input_ended && self.input.bytes().len() < READ_AHEAD_BYTES_MAX {
            match self.stream.poll_receive(cx) {
                Poll::Ready(Ok(Some(received))) => {
                    self.input.push(received, &self.stream);
                    self.input.stash(&self.stream);
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(Ok(None)) => self.input_ended = true,
                Poll::Ready(Err(_)) => return Err(Ending::Cut),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn write_end(&mut self, trailers: &Headers) -> Flow {
        let trailers = (!trailers.is_empty()).then_some(trailers);
        self.machine.send_end(trailers, &mut self.output).map_err(cut)
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

/// Whether a response refuses content because of its size or its pace: then the rest of it is not worth reading.
fn ends_connection(status: StatusCode) -> bool {
    matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT)
}

/// The application has misused the response in a way that cannot be mended any more.
fn cut(error: SendError) -> Ending {
    tracing::error!(%error, "the response cannot be completed; the connection is cut");
    Ending::Cut
}
