//! One connection of a shard: bytes ↔ [`http2::Connection`](crate::http2::Connection) ↔ applications.
//!
//! A turn receives, starts the handlers of new requests, moves what waiting handlers have for the peer, and starts one
//! send. A handler that answers at once needs no task; one that waits has its own, and reaches the connection through a
//! [`Channel`](crate::app::Channel).
//!
//! Invariant: between turns an idle connection owns no exchange and no buffer.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_shards::{GateGuard, PeerEnd};

use super::handler::{self, Progress};
use super::stream::WaitingStream;
use super::wire::Wire;
use crate::app::{BodyError, BodyLength, Channel, Exchange, ExchangeTask, TaskState};
use crate::http2::{self, ContentLength, ErrorCode, Event, Expired, StreamKey};
use crate::memory::OutOfMemory;
use crate::message::{HeaderName, HeaderValue, RequestHead, StatusCode};
#[cfg(feature = "rustls")]
use crate::message::{default_port, host_and_port};
use crate::server::ending::{Ending, Flow};
use crate::server::memory::watermarks::Pressure;
use crate::server::shard::{Registration, ShardServer};

/// How many requests or pieces of content are read before other connections get their turn.
const EVENTS_AT_ONCE_MAX: u32 = 64;

/// How many sends a turn may start if the kernel takes each at once.
const SENDS_AT_ONCE_MAX: u32 = 4;

/// The divisor of the idle timeout while memory is short.
const SHORT_IDLE_DIVISOR: u32 = 4;

/// The reason in a 503.
const SHORT_OF_MEMORY: &str = "the server is short of memory";

/// A connection and everything it owns.
pub(in crate::server) struct Connection {
    pub(super) wire: Wire,
    pub(super) machine: http2::Connection,
    pub(super) server: Rc<ShardServer>,
    /// The exchange for the next request.
    pub(super) exchange: Option<Box<Exchange>>,
    /// By place: streams whose handler waits.
    pub(super) streams: Vec<Option<WaitingStream>>,
    /// How many streams have a handler that waits.
    pub(super) waiting: usize,
    /// The machine may have an event left, also without further input.
    has_event: bool,
    has_probed: bool,
    /// The connection ends with an error, so handlers that wait have no peer any more.
    has_failed: bool,
    registration: Registration,
    _guard: GateGuard,
}

impl Connection {
    /// Makes the connection whose preface is awaited since `since`.
    pub(super) fn new(wire: Wire, server: Rc<ShardServer>, guard: GateGuard, since: Instant) -> Self {
        // The task of HTTP/1 was woken by another registration.
        let registration = server.register();
        let machine = http2::Connection::server(Rc::clone(&server.http2), wire.socket.is_secure(), since);
        Self {
            wire,
            machine,
            server,
            exchange: None,
            streams: Vec::new(),
            waiting: 0,
            has_event: false,
            has_probed: false,
            has_failed: false,
            registration,
            _guard: guard,
        }
    }

    /// Serves requests to the end of the connection and of its handlers.
    pub(super) async fn serve(mut self) {
        let ending = match self.begin() {
            Ok(()) => poll_fn(|cx| self.poll_turns(cx)).await,
            Err(OutOfMemory) => Ending::Abort,
        };
        // Before the linger: handlers that still wait belong to a connection that has failed.
        for stream in self.streams.iter_mut().flatten() {
            stream.close();
        }
        if ending == Ending::Close {
            // What is sent after this can only be the rest of the output.
            self.linger().await;
        }
        // A handler runs to its end after its peer has left, and so does its `on_finish`.
        poll_fn(|cx| self.poll_handlers_ended(cx)).await;
    }

    fn begin(&mut self) -> Result<(), OutOfMemory> {
        self.wire.make_room(http2::FIRST_BYTES_MAX)?;
        let now = self.now();
        self.machine.begin(now, &mut self.wire.output);
        Ok(())
    }

    /// Returns the time of this turn.
    pub(super) fn now(&self) -> Instant {
        self.server.shard.now()
    }

    /// Takes turns until nothing moves; ready at the end of the connection.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        self.registration.set_waker(cx);
        for _ in 0..SENDS_AT_ONCE_MAX {
            match self.turn(cx) {
                Ok(Turn::Waits) => return Poll::Pending,
                Ok(Turn::Moved) => {}
                Ok(Turn::Yields) => break,
                Err(ending) => return Poll::Ready(ending),
            }
        }
        // The shard's receive buffers serve all its connections, so none may stay with a task that waits.
        if let Err(error) = self.wire.input.set_aside(&self.wire.socket) {
            return Poll::Ready(error.into());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Flow<Turn> {
        let yields = self.receive(cx)?;
        self.serve_waiting(cx)?;
        self.heed_the_server();
        if self.machine.is_finished() && (self.waiting == 0 || self.has_failed) {
            return Err(Ending::Close);
        }
        if self.send(cx)? {
            return Ok(if yields { Turn::Yields } else { Turn::Moved });
        }
        if yields {
            return Ok(Turn::Yields);
        }
        self.wire.input.set_aside(&self.wire.socket)?;
        if let Some(exchange) = self.exchange.take() {
            self.server.return_exchange(exchange);
        }
        self.wire.return_output();
        if self.poll_deadlines(cx)? {
            return Ok(Turn::Moved);
        }
        Ok(Turn::Waits)
    }

    /// Reads the input and receives more, for at most [`EVENTS_AT_ONCE_MAX`] events; true if there may be more.
    fn receive(&mut self, cx: &mut Context<'_>) -> Flow<bool> {
        if self.wire.input_ended && self.wire.socket.poll_peer_end(cx) == Poll::Ready(PeerEnd::Gone) {
            return Err(Ending::PeerGone);
        }
        let mut events = 0;
        loop {
            match self.read(cx)? {
                Read::Event => {
                    events += 1;
                    if events >= EVENTS_AT_ONCE_MAX {
                        return Ok(true);
                    }
                }
                // Reading goes on when the kernel has taken the output.
                Read::Blocked => return Ok(false),
                Read::Closed => {
                    self.wire.input.clear(&self.wire.socket);
                    return Ok(false);
                }
                Read::NeedsData => {
                    if self.wire.input_ended {
                        self.input_has_ended();
                        return Ok(false);
                    }
                    match self.wire.poll_receive(cx)? {
                        Poll::Ready(_) => {}
                        Poll::Pending => return Ok(false),
                    }
                }
            }
        }
    }

    /// Reads one event from the input.
    fn read(&mut self, cx: &mut Context<'_>) -> Flow<Read> {
        if self.wire.input.is_empty() && !self.has_event {
            return Ok(match self.machine.is_closed() {
                true => Read::Closed,
                false => Read::NeedsData,
            });
        }
        let mut exchange = self.take_exchange()?;
        let now = self.now();
        self.wire.make_room(http2::CONTROL_BYTES_USUAL)?;
        let mut rest = self.wire.input.bytes();
        let presented = rest.len();
        let received = self
            .machine
            .receive(&mut rest, exchange.head_mut(), now, &mut self.wire.output);
        let consumed = presented - rest.len();
        self.has_event = !matches!(received, Ok(Event::NeedData | Event::Closed) | Err(_));
        let event = match received {
            Ok(Event::Data { stream, data }) => {
                if let Some(stream) = self.streams.get(stream.place()).and_then(Option::as_ref) {
                    stream.channel.push_data(data);
                }
                None
            }
            Ok(event) => event.without_data(),
            Err(error) => {
                let peer = self.wire.peer().address.map(tracing::field::display);
                tracing::debug!(peer, %error, "ended a connection of HTTP/2");
                self.has_failed = true;
                Some(Event::Closed)
            }
        };
        self.wire.input.consume(consumed, &self.wire.socket);
        let Some(event) = event else {
            self.exchange = Some(exchange);
            return Ok(Read::Event);
        };
        if let Event::Request { stream, length } = event {
            self.begin_request(stream, length, exchange, cx)?;
            return Ok(Read::Event);
        }
        let read = self.handle(event, exchange.head());
        self.exchange = Some(exchange);
        read
    }

    /// Starts the handler of a request.
    fn begin_request(
        &mut self,
        stream: StreamKey,
        length: ContentLength,
        exchange: Box<Exchange>,
        cx: &mut Context<'_>,
    ) -> Flow {
        let pressure = self.server.pressure();
        if pressure >= Pressure::RefuseRequests {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.refuse_request(stream, exchange, status, SHORT_OF_MEMORY);
        }
        #[cfg(feature = "rustls")]
        if self.is_misdirected(exchange.head().authority()) {
            let (status, why) = (
                StatusCode::MISDIRECTED_REQUEST,
                "this host needs a connection of its own",
            );
            return self.refuse_request(stream, exchange, status, why);
        }
        if pressure >= Pressure::CloseAfterResponse {
            let now = self.now();
            self.machine.go_away(now, &mut self.wire.output);
        }
        let channel = exchange.channel();
        channel.begin(match length {
            ContentLength::Empty => BodyLength::Empty,
            ContentLength::Known(length) => BodyLength::Known(length),
            ContentLength::Unknown => BodyLength::Unknown,
        });
        let log = self.server.request_log.as_ref();
        let log = log.map(|log| log.begin_task(&self.server.app, &exchange));
        let mut task = ExchangeTask::new(Rc::clone(&self.server.app), exchange);
        if let Some(log) = log {
            task.set_log(log);
        }
        match handler::start(&self.server, task, cx) {
            Progress::Answered(task) => self.respond(stream, task, channel, cx),
            Progress::Spawned => {
                self.wait_for(stream, channel, cx);
                Ok(())
            }
        }
    }

    /// Returns whether the host of a request has rules of its own for clients, which this connection has not met.
    #[cfg(feature = "rustls")]
    fn is_misdirected(&mut self, authority: &str) -> bool {
        let (Some(shard), Some(tls)) = (&self.server.tls, self.wire.tls()) else {
            return false;
        };
        let host = host_and_port(authority, default_port("https"));
        host.is_some_and(|(host, _)| shard.misdirects(tls.server_name(), host))
    }

    /// Keeps the channel of a handler that runs in its own task.
    pub(super) fn wait_for(&mut self, stream: StreamKey, channel: Rc<Channel>, cx: &Context<'_>) {
        channel.set_waker(cx.waker());
        if self.streams.len() <= stream.place() {
            self.streams.resize_with(stream.place() + 1, || None);
        }
        if let Some(place) = self.streams.get_mut(stream.place()) {
            *place = Some(WaitingStream::new(stream, channel));
            self.waiting += 1;
        }
    }

    /// Passes an event on to the handler that it concerns.
    fn handle(&mut self, event: Event<'static>, head: &RequestHead) -> Flow<Read> {
        match event {
            Event::End { stream } => {
                if let Some(stream) = self.waiting(stream) {
                    stream.channel.end_body();
                }
            }
            Event::Trailers { stream } => {
                if let Some(stream) = self.waiting(stream) {
                    push_trailers(&stream.channel, head);
                    stream.channel.end_body();
                }
            }
            Event::Reset { stream, .. } => match self.waiting(stream) {
                Some(stream) => stream.close(),
                None => self.release(stream),
            },
            Event::Refused { stream, status, reason } => match self.waiting(stream) {
                Some(stream) => stream.channel.fail_body(BodyError::Refused { status, reason }),
                None => self.refuse(stream, status, reason)?,
            },
            Event::NeedData => return Ok(Read::NeedsData),
            Event::Blocked => return Ok(Read::Blocked),
            Event::Closed => return Ok(Read::Closed),
            // A client that goes away still waits for its streams. Pieces and requests do not come here.
            Event::GoAway { .. } | Event::Request { .. } | Event::Response { .. } | Event::Data { .. } => {}
        }
        Ok(Read::Event)
    }

    fn waiting(&mut self, stream: StreamKey) -> Option<&mut WaitingStream> {
        let waiting = self.streams.get_mut(stream.place())?.as_mut()?;
        (waiting.key == stream).then_some(waiting)
    }

    /// Frees the place of a stream whose handler has ended.
    pub(super) fn release(&mut self, stream: StreamKey) {
        let now = self.now();
        self.machine.release(stream, now, &mut self.wire.output);
    }

    /// Returns the exchange of the last turn, or one from the shard's pool.
    pub(super) fn take_exchange(&mut self) -> Result<Box<Exchange>, OutOfMemory> {
        if let Some(exchange) = self.exchange.take() {
            return Ok(exchange);
        }
        self.pooled_exchange()
    }

    /// Returns an exchange from the shard's pool, for a request of this peer.
    pub(super) fn pooled_exchange(&mut self) -> Result<Box<Exchange>, OutOfMemory> {
        let mut exchange = self.server.take_exchange()?;
        exchange.set_peer(self.wire.peer());
        #[cfg(feature = "rustls")]
        exchange.set_tls(self.wire.tls());
        Ok(exchange)
    }

    /// Tells the handlers that the peer sends nothing more. Complete requests are still answered.
    fn input_has_ended(&mut self) {
        if self.machine.is_closed() {
            return;
        }
        for stream in self.streams.iter_mut().flatten() {
            if self.machine.is_receiving(stream.key) {
                stream.close();
            } else {
                stream.channel.peer_finished();
            }
        }
        self.machine.receive_eof();
        if self.waiting > 0 && !self.has_probed {
            // The kernel of a closed socket answers it with a reset.
            self.has_probed = true;
            self.machine.send_ping(&mut self.wire.output);
        }
    }

    /// Announces the end of the connection at a stop, and closes an idle one early while memory is short.
    fn heed_the_server(&mut self) {
        let now = self.now();
        if self.server.draining_since().is_some() || self.server.is_stopping() {
            self.machine.go_away(now, &mut self.wire.output);
        }
        if self.early_close_at().is_some_and(|at| now >= at) {
            self.machine.close(&mut self.wire.output);
        }
    }

    /// Returns when the connection closes before its idle timeout.
    fn early_close_at(&self) -> Option<Instant> {
        let is_short = self.server.pressure() >= Pressure::ReapIdle;
        let since = self.machine.idle_since().filter(|_| is_short)?;
        Some(since + self.server.http2.idle_timeout / SHORT_IDLE_DIVISOR)
    }

    /// Waits for the earliest deadline; true if one has passed.
    fn poll_deadlines(&mut self, cx: &Context<'_>) -> Flow<bool> {
        let now = self.now();
        let mut has_passed = false;
        while let Some(expired) = self.machine.handle_deadline(now, &mut self.wire.output) {
            has_passed = true;
            self.expired(expired);
        }
        if has_passed {
            return Ok(true);
        }
        let pace = self.wire.check_pace(now, &self.server.write)?;
        let deadlines = [self.machine.poll_deadline(), pace, self.early_close_at()];
        self.wire.timer.set(deadlines.into_iter().flatten().min());
        Ok(self.wire.timer.poll(cx).is_ready())
    }

    fn expired(&mut self, expired: Expired) {
        match expired {
            Expired::Idle | Expired::GoneAway => {}
            Expired::Connection(error) => {
                self.has_failed = true;
                let peer = self.wire.peer().address.map(tracing::field::display);
                tracing::debug!(peer, %error, "ended a connection of HTTP/2");
            }
            Expired::Stream(stream) => match self.waiting(stream) {
                Some(stream) => {
                    stream.channel.break_off();
                    stream.close();
                }
                None => self.release(stream),
            },
            Expired::Content(stream) => {
                if let Some(stream) = self.waiting(stream) {
                    stream.channel.fail_body(BodyError::TimedOut);
                }
            }
        }
    }

    /// Ready when every handler has ended.
    fn poll_handlers_ended(&mut self, cx: &Context<'_>) -> Poll<()> {
        for place in &mut self.streams {
            if let Some(stream) = place {
                stream.channel.set_waker(cx.waker());
                // What the handler still flushes is lost.
                stream.close();
                if stream.channel.task_state() == TaskState::Running {
                    continue;
                }
                self.waiting -= 1;
                *place = None;
            }
        }
        if self.waiting == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// What a turn has done.
enum Turn {
    /// Nothing more can be done before a waker wakes the task.
    Waits,
    /// More can be sent or read at once.
    Moved,
    /// Other connections have their turn first.
    Yields,
}

/// What reading has given.
enum Read {
    Event,
    NeedsData,
    Blocked,
    Closed,
}

fn push_trailers(channel: &Channel, head: &RequestHead) {
    for (name, value) in head.fields().iter() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value);
        // A trailer that only the stricter `http` crate rejects is dropped, as any trailer may be.
        if let (Ok(name), Ok(value)) = (name, value) {
            channel.push_trailer(name, value);
        }
    }
}

/// The code of a stream whose handler fails after its head was sent.
pub(super) const BROKEN_OFF: ErrorCode = ErrorCode::INTERNAL_ERROR;
