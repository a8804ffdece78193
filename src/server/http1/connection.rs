//! One connection of a shard: bytes ↔ [`http1::Connection`](crate::http1::Connection) ↔ application.
//!
//! The loop: read a request head, let the application answer, turn to the next request, and send the answers before
//! waiting for more. Responses to pipelined requests gather in one buffer and leave in one send.
//!
//! The [`RequestReader`] receives and the [`ResponseWriter`] sends. The connection owns both, and the [`Wire`] that it
//! lends to one of them at a time.
//!
//! Invariant: between requests a connection owns only its slot in the ring, its timer, the machine and this future.
//! The exchange and every buffer come from the shard's pools and return to them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use squall_shards::{GateGuard, yield_now};
use tracing::Instrument as _;

use super::exchange_io::{ExchangeIo, in_route};
use super::reader::{HeadRead, IdleEvent, RequestReader};
use super::wire::Wire;
use super::writer::{Logged, ResponseWriter};
use crate::app::{App, BodyLength, Channel, Completion, Exchange, Outcome, Upgrade};
use crate::http1::{self, Next, ParseError};
use crate::memory::OutOfMemory;
use crate::message::StatusCode;
use crate::server::access_log::RequestLog;
use crate::server::ending::{Ending, Flow};
use crate::server::http2::start::{FIRST_LINE, Switched};
use crate::server::memory::watermarks::Pressure;
use crate::server::shard::{Registration, ShardServer};
use crate::server::websocket::Place;
use crate::transport::arrival::Arrival;
use crate::transport::socket::Socket;
use crate::transport::websocket::Connected;

/// How many pipelined requests are answered before other connections get their turn.
const REQUESTS_AT_ONCE_MAX: u32 = 64;

/// The reason in a 503.
const SHORT_OF_MEMORY: &str = "the server is short of memory";

/// A connection and everything it owns.
pub(in crate::server) struct Connection {
    wire: Wire,
    reader: RequestReader,
    writer: ResponseWriter,
    /// A blank one between two pipelined requests; after a 101, the one of the upgrade.
    exchange: Option<Box<Exchange>>,
    registration: Registration,
    guard: GateGuard,
}

/// What remains of a connection after a 101.
pub(in crate::server) struct Upgraded {
    pub(in crate::server) place: Place<GateGuard>,
    pub(in crate::server) connected: Connected,
    /// The 101, which leaves before any frame.
    pub(in crate::server) head: Vec<u8>,
}

impl Connection {
    pub(in crate::server) fn new(socket: Socket, server: Rc<ShardServer>, guard: GateGuard) -> Self {
        let registration = server.register();
        Self {
            wire: Wire::new(socket, server),
            reader: RequestReader::default(),
            writer: ResponseWriter::default(),
            exchange: None,
            registration,
            guard,
        }
    }

    /// Begins with bytes that have come before.
    pub(in crate::server) fn begin_with(&mut self, received: Vec<u8>) {
        self.reader.begin_with(received);
    }

    /// Sets the peer that applications see, in place of the one that the kernel names.
    pub(in crate::server) fn pretend_peer(&mut self, peer: crate::app::Peer) {
        self.wire.pretend_peer(peer);
    }

    /// Serves requests until the connection is to end, or to become a WebSocket's.
    pub(in crate::server) async fn serve_requests(&mut self) -> Ending {
        // One task serves the connection while it speaks HTTP, so its waker is set once.
        poll_fn(|cx| {
            self.registration.set_waker(cx);
            Poll::Ready(())
        })
        .await;
        let mut answered_in_turn = 0;
        loop {
            let mut exchange = match self.next_request().await {
                Ok(exchange) => exchange,
                Err(ending) => return ending,
            };
            let answered = match &self.wire.server.request_log {
                None => self.answer::<false>(&mut exchange).await,
                Some(log) => {
                    let log = Rc::clone(log);
                    Box::pin(self.answer_logged(&log, &mut exchange)).await
                }
            };
            let next = answered.map(|()| self.wire.machine.next_exchange(self.wire.server.shard.now()));
            // After a 101 the exchange still holds the upgrade.
            if next != Ok(Next::Upgraded) {
                exchange.reset();
            }
            self.exchange = Some(exchange);
            match next {
                Ok(Next::KeepAlive | Next::Drain) => {}
                Ok(Next::Close) => return Ending::Close,
                Ok(Next::Upgraded) => return Ending::Upgrade,
                Err(ending) => return ending,
            }
            answered_in_turn += 1;
            // A client that pipelines without a pause must not hold the shard.
            if self.writer.is_full() || answered_in_turn >= REQUESTS_AT_ONCE_MAX {
                answered_in_turn = 0;
                if let Err(ending) = self.yield_to_others().await {
                    return ending;
                }
            }
        }
    }

    /// Sends the responses so far, and lets other connections have their turn.
    async fn yield_to_others(&mut self) -> Flow {
        // The shard's receive buffers serve all its connections, so none may stay with a task that waits.
        self.reader.set_aside(&self.wire)?;
        self.writer.send(&mut self.wire).await?;
        yield_now().await;
        Ok(())
    }

    /// Waits for the head of a request, after sending the responses to earlier requests.
    async fn next_request(&mut self) -> Flow<Box<Exchange>> {
        loop {
            if !self.reader.is_empty()
                && let Some(exchange) = self.read_head()?
            {
                return Ok(exchange);
            }
            if self.wire.input_ended {
                return Err(self.end_of_input());
            }
            self.reader.set_aside(&self.wire)?;
            // An idle connection owns no exchange and no buffer.
            self.return_exchange();
            self.writer.send(&mut self.wire).await?;
            match poll_fn(|cx| self.reader.poll_idle(&mut self.wire, cx)).await? {
                IdleEvent::Bytes | IdleEvent::PeerEnded => {}
                IdleEvent::Deadline => self.deadline_passed()?,
                IdleEvent::ClosedEarly => return Err(Ending::Idle),
            }
        }
    }

    /// Reads a head into an exchange; returns `None` while it is incomplete.
    fn read_head(&mut self) -> Flow<Option<Box<Exchange>>> {
        let mut exchange = self.take_exchange()?;
        let read = self.reader.read_head(&mut self.wire, exchange.head_mut());
        if read == HeadRead::Complete {
            // One check for each request; the head has been read, so a 503 can answer it.
            let pressure = self.wire.server.pressure();
            if pressure >= Pressure::RefuseRequests {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Err(self
                    .writer
                    .refuse_request(&mut self.wire, exchange, status, SHORT_OF_MEMORY));
            }
            #[cfg(feature = "rustls")]
            if self.wire.is_misdirected(exchange.head().authority()) {
                let (status, why) = (
                    StatusCode::MISDIRECTED_REQUEST,
                    "this host needs a connection of its own",
                );
                return Err(self.writer.refuse_request(&mut self.wire, exchange, status, why));
            }
            if pressure >= Pressure::CloseAfterResponse {
                self.wire.machine.close_after_response();
            }
            return Ok(Some(exchange));
        }
        self.exchange = Some(exchange);
        match read {
            HeadRead::Complete | HeadRead::Incomplete => Ok(None),
            HeadRead::DrainFailed => Err(Ending::Close),
            HeadRead::Refused(error) => Err(self.refuse(error)),
        }
    }

    /// Returns the exchange of the previous request, or one from the shard's pool.
    fn take_exchange(&mut self) -> Result<Box<Exchange>, OutOfMemory> {
        match self.exchange.take() {
            Some(exchange) => Ok(exchange),
            None => self.wire.take_exchange(),
        }
    }

    /// Returns the exchange to the shard's pool while the connection waits.
    fn return_exchange(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.wire.server.return_exchange(exchange);
        }
    }

    /// Answers a request inside a span with its id, and logs its line.
    async fn answer_logged(&mut self, log: &Rc<RequestLog>, exchange: &mut Exchange) -> Flow {
        let (logged, span) = log.begin(&self.wire.server.app, exchange);
        self.writer.begin_log(logged);
        self.answer::<true>(exchange).instrument(span).await
    }

    /// Logs the line of the request, once: its response has been handed over or given up.
    fn log_answered(&mut self, exchange: &Exchange) {
        if let Some(Logged { request, content_bytes }) = self.writer.end_log() {
            request.end(exchange, content_bytes);
        }
    }

    /// Runs the application for the request in `exchange`, writes its response, and runs its `on_finish`.
    ///
    /// The usual case, without a log, is a function of its own with one caller, so that the compiler inlines it.
    /// Not an `async fn`: its arguments would lie in the connection's memory twice.
    #[expect(clippy::manual_async_fn, reason = "see above")]
    fn answer<const LOGGED: bool>(&mut self, exchange: &mut Exchange) -> impl Future<Output = Flow> {
        async move {
            let channel = exchange.channel();
            channel.begin(self.request_length());
            let app = Rc::clone(&self.wire.server.app);
            let driven = {
                let mut handler = pin!(app.respond(exchange));
                // The first poll needs no box; most handlers end with it.
                if poll_fn(|cx| Poll::Ready(handler.as_mut().poll(cx))).await.is_ready() {
                    Ok(())
                } else {
                    Box::pin(self.io(&app, &channel).drive(handler)).await
                }
            };
            let answered = match driven.and_then(|()| self.respond(&app, exchange, &channel)) {
                Ok(None) => Ok(()),
                Ok(Some(rest)) => rest.await,
                Err(ending) => Err(ending),
            };
            let answered = match answered {
                // The usual case allocates no future. The others keep theirs in a box, so that idle connections stay small.
                Ok(()) if !exchange.has_on_finish() => Ok(()),
                answered => Box::pin(in_route(&app, self.finish(&app, exchange, answered))).await,
            };
            if LOGGED {
                self.log_answered(exchange);
            }
            answered
        }
    }

    /// Returns how much content the current request announces.
    fn request_length(&self) -> BodyLength {
        let machine = &self.wire.machine;
        if machine.is_request_complete() {
            BodyLength::Empty
        } else {
            machine
                .content_remaining()
                .map_or(BodyLength::Unknown, BodyLength::Known)
        }
    }

    /// Borrows the connection for an exchange that waits.
    fn io<'c>(&'c mut self, app: &'c App, channel: &'c Channel) -> ExchangeIo<'c> {
        ExchangeIo {
            reader: &mut self.reader,
            writer: &mut self.writer,
            wire: &mut self.wire,
            app,
            channel,
        }
    }

    /// Writes the response as far as possible without waiting, and returns a future for the rest, if there is any.
    ///
    /// A usual response is complete when its handler ends: a head and a little content.
    #[expect(
        clippy::inline_always,
        reason = "the second caller, for logged requests, must not cost all others a call"
    )]
    #[inline(always)]
    fn respond<'a>(
        &'a mut self,
        app: &'a App,
        exchange: &'a mut Exchange,
        channel: &'a Channel,
    ) -> Flow<Option<Pin<Box<impl Future<Output = Flow>>>>> {
        self.reader.close_at_stop(&mut self.wire);
        self.writer.write_dropped_flushes(&mut self.wire, channel)?;
        let Outcome::Respond {
            head,
            body,
            whole,
            stream,
            trailers,
        } = exchange.outcome()
        else {
            return Err(Ending::Abort);
        };
        // Reserve memory before the head is written: until then a refusal can still be answered with 503.
        if self.writer.make_room_for_response(&self.wire, body).is_err() {
            tracing::warn!("out of memory for a response; answered 503");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(self.writer.refuse(&mut self.wire, status, SHORT_OF_MEMORY));
        }
        // A stream has no known length: HTTP/1.1 sends chunks, HTTP/1.0 closes after it.
        let length = match stream {
            None => http1::BodyLength::Known(body.len() as u64),
            Some(_) => http1::BodyLength::Unknown,
        };
        if let Some(head) = head {
            self.writer.write_head(&mut self.wire, head, length)?;
        }
        // A 101 has no content; what follows belongs to the WebSocket.
        if self.wire.machine.is_upgraded() {
            return Ok(None);
        }
        let stream = match stream {
            // A response to HEAD has the head of GET's response and no content, so the stream is never polled.
            Some(stream) if !self.wire.machine.takes_content() => {
                app.shared().discard(stream);
                None
            }
            stream => stream,
        };
        if stream.is_some() || !self.writer.fits(body) {
            // With TLS the content is sealed piece by piece, so that no copy of the whole is made.
            let whole = whole.filter(|_| !self.wire.socket.is_secure()).cloned();
            let rest = self.io(app, channel).write_rest(body, whole, stream, trailers);
            return Ok(Some(Box::pin(in_route(app, rest))));
        }
        self.writer.write_last(&mut self.wire, body, trailers)?;
        Ok(None)
    }

    /// Records in the exchange how the response ended, and runs its `on_finish`.
    async fn finish(&mut self, app: &App, exchange: &mut Exchange, mut answered: Flow) -> Flow {
        // `on_finish` may wait, so the shard's receive buffer returns first.
        match answered {
            Ok(()) => answered = self.reader.set_aside(&self.wire).map_err(Ending::from),
            Err(_) => self.reader.clear(&self.wire),
        }
        if matches!(answered, Ok(()) | Err(Ending::Close)) && exchange.has_on_finish() {
            // Send the response with its end first, because `on_finish` may take long.
            let sent = if self.wire.machine.persists() {
                self.writer.send(&mut self.wire).await
            } else {
                self.writer.end(&mut self.wire).await
            };
            answered = answered.and(sent);
        }
        match answered {
            Ok(()) => {}
            Err(Ending::PeerGone) => exchange.conclude(Completion::PeerGone),
            // Only an abort breaks the response off; an error response in its place is complete.
            Err(Ending::Abort) => exchange.conclude(Completion::BrokenOff),
            Err(Ending::Idle | Ending::Close | Ending::Upgrade | Ending::Http2) => {}
        }
        // Now, because `on_finish` may take long.
        self.log_answered(exchange);
        if let Some(on_finish) = app.finished(exchange) {
            on_finish.await;
        }
        answered
    }

    /// Ends a connection whose deadline has passed: an idle one silently, an incomplete head with 408.
    fn deadline_passed(&mut self) -> Flow {
        match self.wire.machine.handle_deadline(self.wire.server.shard.now()) {
            None => Ok(()),
            Some(expired) => match expired.status() {
                None => Err(Ending::Idle),
                Some(status) => {
                    let peer = self.wire.peer_address().map(tracing::field::display);
                    tracing::debug!(peer, "refused a request: its head took too long");
                    Err(self
                        .writer
                        .refuse(&mut self.wire, status, "the request head took too long"))
                }
            },
        }
    }

    /// Ends a connection whose peer has closed its half; an incomplete request is refused, and pending output still
    /// leaves.
    fn end_of_input(&mut self) -> Ending {
        match self.wire.machine.receive_eof() {
            Ok(()) => Ending::Close,
            Err(error) => self.refuse(error),
        }
    }

    /// Answers a malformed request and reads nothing behind it.
    fn refuse(&mut self, error: ParseError) -> Ending {
        if error == ParseError::VersionUnsupported && self.is_http2() {
            return Ending::Http2;
        }
        let peer = self.wire.peer_address().map(tracing::field::display);
        tracing::debug!(peer, %error, "refused a request");
        self.writer.refuse(&mut self.wire, error.status(), &error.to_string())
    }

    /// Returns whether the connection begins with the first line of HTTP/2's preface. Behind a response it is a mistake.
    #[cold]
    fn is_http2(&self) -> bool {
        let is_first = self.wire.socket.sent().bytes == 0 && !self.wire.socket.is_sending() && self.writer.is_empty();
        // With TLS a client chooses its protocol in the handshake.
        let is_plain = !self.wire.socket.is_secure() && !self.wire.server.config.own.no_http2;
        is_first && is_plain && self.reader.begins_with(FIRST_LINE)
    }

    /// Takes the connection apart for HTTP/2.
    pub(in crate::server) fn into_switched(self) -> Switched {
        let since = self.wire.machine.waits_since();
        let peer = self.wire.known_peer();
        let Wire {
            socket,
            timer,
            server,
            input_ended,
            ..
        } = self.wire;
        Switched {
            socket,
            input: self.reader.into_input(),
            timer,
            input_ended,
            peer,
            server,
            guard: self.guard,
            since,
        }
    }

    /// Returns whether the peer has acknowledged everything, so that a close loses nothing; with TLS, the end of the
    /// session too.
    pub(in crate::server) fn has_arrived(&self) -> bool {
        self.wire.socket.has_arrived()
    }

    /// Half-closes, then reads until the peer has closed its half, for at most the linger timeout (RFC 9112 §9.6).
    ///
    /// Closing a socket with unread bytes resets it, and the peer could lose a response that it has not read.
    pub(in crate::server) async fn linger(&mut self) {
        self.reader.clear(&self.wire);
        self.return_exchange();
        if self.writer.end(&mut self.wire).await.is_err() {
            return;
        }
        let patience = self.wire.server.config.own.linger_timeout;
        let until = self.wire.now() + patience;
        let discarded = poll_fn(|cx| self.wire.poll_discard(until, cx));
        if discarded.await.is_err() {
            return;
        }
        // The timeout may have passed, but the peer may still be reading: wait for its acknowledgements.
        let mut arrival = Arrival::new(self.wire.now(), patience);
        poll_fn(|cx| self.wire.poll_arrival(&mut arrival, cx)).await;
    }

    /// Takes the connection apart after a 101; `None` without an upgrade.
    pub(in crate::server) fn into_upgraded(mut self) -> Option<(Upgraded, Box<Upgrade>)> {
        let mut exchange = self.exchange.take()?;
        let upgrade = exchange.take_upgrade();
        exchange.reset();
        self.wire.server.return_exchange(exchange);
        let Wire {
            socket,
            timer,
            server,
            input_ended,
            peer_has_finished,
            ..
        } = self.wire;
        let upgraded = Upgraded {
            place: Place::new(server, self.registration, self.guard),
            connected: Connected {
                socket,
                input: self.reader.into_input(),
                input_ended,
                peer_has_finished,
                deadline: timer,
            },
            head: self.writer.into_output(),
        };
        Some((upgraded, upgrade?))
    }
}
