//! One connection of a shard: bytes ↔ [`http1::Connection`] ↔ application.
//!
//! The loop is: read a request head, let the application answer, turn to the next, and send what was answered before waiting for more.
//! Responses to pipelined requests gather in one buffer and leave in one send.
//!
//! Between requests a connection owns its slot in the ring, its deadline, the machine and this future, and nothing else: the
//! exchange and every buffer come from the shard's pools and go back to them.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_shards::{Deadline, GateGuard, PeerAddress, PeerEnd, Stream, yield_now};

use super::shard::{IN_FLIGHT_GRACE, Registration, ShardServer};
use super::upgrade;
use super::watermarks::Pressure;
use crate::app::{Channel, Exchange, Peer};
use crate::http1::{self, BodyLength, Event, HEAD_BYTES_USUAL, Next, ParseError, SendError};
use crate::memory::{self, OutOfMemory};
use crate::message::{ResponseHead, StatusCode};
use crate::transport::arrival::Arrival;
use crate::transport::input::Input;
use crate::transport::progress::{Progress, UNWATCHED_BYTES_MAX};

/// How much output gathers before it is sent: what Linux gives a socket's send buffer to begin with, four times over.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How much is read ahead of a request that is still being answered, so that pipelined requests do not stay in the receive buffers of
/// the shard.
const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;

/// How many pipelined requests are answered before other connections get their turn.
const REQUESTS_AT_ONCE_MAX: u32 = 64;

/// What part of the idle timeout idle connections have while memory is short.
const SHORT_IDLE_DIVISOR: u32 = 4;

/// What a client is told with a 503: when to try again, in seconds.
const RETRY_AFTER: http::HeaderValue = http::HeaderValue::from_static("1");

/// A connection and everything it owns.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) server: Rc<ShardServer>,
    pub(super) machine: http1::Connection,
    pub(super) input: Input,
    pub(super) output: Vec<u8>,
    pub(super) deadline: Deadline,
    /// Blank, between two requests that came together; after a 101, the one it answers.
    pub(super) exchange: Option<Box<Exchange>>,
    peer: Option<Peer>,
    /// The peer has sent its last byte, and all before it has been received.
    pub(super) input_ended: bool,
    /// The peer has closed its sending half; bytes before that may not have been received.
    pub(super) peer_has_finished: bool,
    pub(super) registration: Registration,
    pub(super) guard: GateGuard,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// No request is under way: once what was sent has been acknowledged, closing loses nothing.
    Idle,
    /// All was said: flush, half-close, and read until the peer has read it.
    Close,
    /// A 101 was written: what the exchange says about it comes next.
    Upgrade,
    /// The peer must not take what it got for the whole, or is not worth waiting for.
    Abort,
    /// The peer has reset the connection: nothing that is sent arrives.
    PeerGone,
}

impl From<OutOfMemory> for Ending {
    /// What cannot be kept cannot be answered either.
    fn from(_: OutOfMemory) -> Self {
        tracing::warn!("a connection is cut for want of memory");
        Self::Abort
    }
}

/// The earlier of two moments, if there is any.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The way of a function that may find that the connection is at its end.
pub(super) type Flow<T = ()> = Result<T, Ending>;

/// What ended a wait between requests.
enum IdleEvent {
    /// They are in the input.
    Bytes,
    PeerEnded,
    Deadline,
    /// The server has no use for an idle connection any more, before its own deadline.
    ClosedEarly,
}

/// Serves a connection to its end. Not an `async fn`, whose arguments would lie in the task's memory twice.
pub(super) fn serve(stream: Stream, server: Rc<ShardServer>, guard: GateGuard) -> impl Future<Output = ()> {
    let machine = http1::Connection::new(Rc::clone(&server.http1), server.shard.now());
    let registration = server.register();
    let mut connection = Connection {
        stream,
        server,
        machine,
        input: Input::default(),
        output: Vec::new(),
        deadline: Deadline::new(),
        exchange: None,
        peer: None,
        input_ended: false,
        peer_has_finished: false,
        registration,
        guard,
    };
    async move {
        match connection.serve_requests().await {
            Ending::Idle if connection.stream.has_arrived() => {}
            Ending::Idle | Ending::Close => connection.linger().await,
            Ending::Upgrade => upgrade::start(connection),
            Ending::Abort | Ending::PeerGone => {}
        }
    }
}

impl Connection {
    async fn serve_requests(&mut self) -> Ending {
        // This task serves the connection as long as it speaks HTTP, so it is noted once.
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
            let answered = self.answer(&mut exchange).await;
            let next = answered.map(|()| self.machine.next_exchange(self.server.shard.now()));
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
            if self.output.len() >= OUTPUT_BYTES_MAX || answered_in_turn >= REQUESTS_AT_ONCE_MAX {
                answered_in_turn = 0;
                if let Err(ending) = self.yield_to_others().await {
                    return ending;
                }
            }
        }
    }

    /// Sends what was answered so far, and lets other connections have their turn.
    async fn yield_to_others(&mut self) -> Flow {
        self.input.set_aside(&self.stream)?;
        self.send_output().await?;
        yield_now().await;
        Ok(())
    }

    /// Waits for the head of a request. What was answered before goes out first.
    async fn next_request(&mut self) -> Flow<Box<Exchange>> {
        loop {
            if !self.input.is_empty()
                && let Some(exchange) = self.read_head()?
            {
                return Ok(exchange);
            }
            if self.input_ended {
                return Err(self.end_of_input());
            }
            self.input.set_aside(&self.stream)?;
            self.return_exchange();
            self.send_output().await?;
            match self.wait_for_input().await? {
                IdleEvent::Bytes => {}
                IdleEvent::PeerEnded => self.input_ended = true,
                IdleEvent::Deadline => self.deadline_passed()?,
                IdleEvent::ClosedEarly => return Err(Ending::Idle),
            }
        }
    }

    /// Lets the machine look for a head in the input; `None` if it is not all there.
    fn read_head(&mut self) -> Flow<Option<Box<Exchange>>> {
        let mut exchange = self.take_exchange()?;
        let mut rest = self.input.bytes();
        let presented = rest.len();
        let event = self
            .machine
            .receive(&mut rest, exchange.head_mut(), self.server.shard.now());
        let consumed = presented - rest.len();
        let found = match event {
            Ok(Event::Request) => Ok(true),
            Ok(Event::NeedData) => Ok(false),
            // Content that was being thrown away has gone on for too long, or is broken.
            Ok(_) => Err(None),
            Err(error) => Err(Some(error)),
        };
        self.input.consume(consumed, &self.stream);
        if found == Ok(true) {
            let pressure = self.server.pressure();
            if pressure >= Pressure::RefuseRequests {
                self.exchange = Some(exchange);
                return Err(self.send_final_error(StatusCode::SERVICE_UNAVAILABLE, "the server is short of memory"));
            }
            if pressure >= Pressure::CloseAfterResponse {
                self.machine.close_after_response();
            }
            return Ok(Some(exchange));
        }
        self.exchange = Some(exchange);
        match found {
            Ok(_) => Ok(None),
            Err(None) => Err(Ending::Close),
            Err(Some(error)) => Err(self.refuse(error)),
        }
    }

    /// The exchange of the request before, or one of the shard's.
    fn take_exchange(&mut self) -> Result<Box<Exchange>, OutOfMemory> {
        if let Some(exchange) = self.exchange.take() {
            return Ok(exchange);
        }
        let mut exchange = self.server.take_exchange()?;
        exchange.set_peer(self.peer());
        Ok(exchange)
    }

    /// Gives the exchange back to the shard while this connection has no use for one.
    fn return_exchange(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.server.return_exchange(exchange);
        }
    }

    /// Waits between requests: for bytes, the peer's end, a deadline, or the graceful stop.
    async fn wait_for_input(&mut self) -> Flow<IdleEvent> {
        poll_fn(|cx| self.poll_input(cx)).await
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Flow<IdleEvent>> {
        match self.stream.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => {
                let pushed = self.input.push(received, &self.stream);
                return Poll::Ready(pushed.map(|()| IdleEvent::Bytes).map_err(Ending::from));
            }
            Poll::Ready(Ok(None)) => return Poll::Ready(Ok(IdleEvent::PeerEnded)),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Ending::PeerGone)),
            Poll::Pending => {}
        }
        let (now, early_close_at) = (self.server.shard.now(), self.early_close_at());
        if early_close_at.is_some_and(|at| now >= at) {
            return Poll::Ready(Ok(IdleEvent::ClosedEarly));
        }
        self.deadline.set(earlier(self.machine.poll_deadline(), early_close_at));
        self.deadline.poll(cx).map(|()| Ok(IdleEvent::Deadline))
    }

    /// When the connection, if it is idle, is closed whatever its own deadline: because the server stops, or memory is short.
    fn early_close_at(&self) -> Option<Instant> {
        let draining_since = self.server.draining_since();
        let is_short = self.server.pressure() >= Pressure::ReapIdle;
        // As it nearly always is.
        if draining_since.is_none() && !is_short || !self.machine.is_idle() {
            return None;
        }
        let idle_since = self.machine.idle_since();
        // A client that was not told `Connection: close` may send its next request until then.
        let drained = draining_since.map(|since| idle_since.unwrap_or(since).max(since) + IN_FLIGHT_GRACE);
        let reaped = idle_since.filter(|_| is_short);
        let reaped = reaped.map(|since| since + self.server.http1.idle_timeout / SHORT_IDLE_DIVISOR);
        earlier(drained, reaped)
    }

    /// A deadline between requests has passed: silence is met with silence, a head that does not end with 408.
    fn deadline_passed(&mut self) -> Flow {
        match self.machine.handle_deadline(self.server.shard.now()) {
            None => Ok(()),
            Some(expired) => match expired.status() {
                None => Err(Ending::Idle),
                Some(status) => Err(self.send_final_error(status, "the head of the request took too long")),
            },
        }
    }

    /// The peer will send no more: what it had begun is refused, and what was answered still goes out.
    fn end_of_input(&mut self) -> Ending {
        match self.machine.receive_eof() {
            Ok(()) => Ending::Close,
            Err(error) => self.refuse(error),
        }
    }

    /// Answers a malformed request; nothing behind it is read.
    fn refuse(&mut self, error: ParseError) -> Ending {
        tracing::debug!(%error, "refused a request");
        self.send_final_error(error.status(), &error.to_string())
    }

    /// Sends one last response, if none has begun.
    pub(super) fn send_final_error(&mut self, status: StatusCode, why: &str) -> Ending {
        self.input.clear(&self.stream);
        self.machine.close_after_response();
        let mut head = ResponseHead::new(status);
        let body = format!("{}: {why}\n", status.as_u16());
        head.headers.set(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            head.headers.set(http::header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Err(out_of_memory) = self.make_room(HEAD_BYTES_USUAL + body.len()) {
            return out_of_memory.into();
        }
        let date = self.server.date();
        let length = BodyLength::Known(body.len() as u64);
        let written = self
            .machine
            .send_head(&head, length, &date, &mut self.output)
            .and_then(|()| self.machine.send_last(body.as_bytes(), None, &mut self.output));
        match written {
            Ok(()) => Ending::Close,
            Err(_) => Ending::Abort,
        }
    }

    /// Makes room in the output for so many bytes more, in a buffer of the shard's if there is none yet.
    pub(super) fn make_room(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.output.capacity() == 0 {
            self.output = self.stream.take_buffer();
        }
        memory::make_room_to_answer(&mut self.output, bytes)
    }

    /// Sends what has gathered, once what was sent before has been taken by the kernel. After much, waits for it to be taken as well.
    pub(super) async fn send_output(&mut self) -> Flow {
        if self.output.is_empty() {
            return Ok(());
        }
        if self.stream.is_sending() {
            self.wait_sent().await?;
        }
        let output = std::mem::take(&mut self.output);
        let is_much = output.len() > UNWATCHED_BYTES_MAX;
        self.stream.start_send(output).map_err(peer_gone)?;
        if is_much { self.wait_sent().await } else { Ok(()) }
    }

    /// Waits until the kernel has taken what is being sent, as long as the peer takes it fast enough.
    pub(super) async fn wait_sent(&mut self) -> Flow {
        let mut progress = None;
        poll_fn(|cx| self.poll_sent(&mut progress, cx)).await
    }

    pub(super) fn poll_sent(&mut self, progress: &mut Option<Progress>, cx: &mut Context<'_>) -> Poll<Flow> {
        if let Poll::Ready(sent) = self.stream.poll_sent(cx) {
            return Poll::Ready(sent.map_err(peer_gone));
        }
        let now = self.server.shard.now();
        let sent = self.stream.sent();
        let limits = &self.server.write;
        let progress = progress.get_or_insert_with(|| Progress::new(now, sent, limits));
        loop {
            let due = self.check_progress(progress, now)?;
            self.deadline.set(Some(due));
            if self.deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// When to look again at how the peer takes what it is sent; or it takes too little, and is cut.
    pub(super) fn check_progress(&self, progress: &mut Progress, now: Instant) -> Flow<Instant> {
        let limits = &self.server.write;
        let unacknowledged = || self.stream.unacknowledged_bytes().unwrap_or_default();
        if progress.note(now, self.stream.sent(), unacknowledged, limits) {
            return Ok(progress.deadline(now, limits));
        }
        self.stream.give_up();
        Err(Ending::Abort)
    }

    /// Sends what has gathered, if the kernel has taken what was sent before.
    pub(super) fn send_gathered(&mut self, cx: &mut Context<'_>) -> Flow {
        if !self.output.is_empty() && self.stream.poll_sent(cx).map_err(peer_gone)?.is_ready() {
            let output = std::mem::take(&mut self.output);
            self.stream.start_send(output).map_err(peer_gone)?;
        }
        Ok(())
    }

    /// Learns, while a request is being answered, that the peer has closed its half, and passes it on to the handler; or that the peer
    /// has reset the connection. It makes no difference what of the request has been received.
    pub(super) fn poll_peer(&mut self, channel: &Channel, cx: &mut Context<'_>) -> Poll<Flow> {
        self.read_ahead(cx)?;
        match self.stream.poll_peer_end(cx) {
            Poll::Ready(PeerEnd::Finished) => {
                self.peer_has_finished = true;
                channel.peer_finished();
                self.probe_peer(1, cx)?;
            }
            Poll::Ready(PeerEnd::Gone) => return Poll::Ready(Err(Ending::PeerGone)),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    /// Finds out whether a peer that has closed its sending half still reads, where the response is sent in chunks: to a byte more, the kernel
    /// of a peer that has closed its socket answers with a reset. It is asked up to `times` in a response.
    pub(super) fn probe_peer(&mut self, times: u8, cx: &mut Context<'_>) -> Flow {
        if self.machine.wants_probe(times) {
            self.make_room(1)?;
            self.machine.send_probe(&mut self.output);
            self.send_gathered(cx)?;
        }
        Ok(())
    }

    /// Whether nothing but silence tells that a peer which has closed its sending half has closed its socket: where no byte can be sent that
    /// means nothing, and the kernel does not know as it does of Unix sockets.
    pub(super) fn needs_silence_timeout(&mut self) -> bool {
        self.peer_has_finished && !self.machine.takes_probes() && self.peer().address.is_some()
    }

    /// Keeps what comes behind a request that is being answered, up to a bound.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Flow {
        while self.machine.is_request_complete() && !self.input_ended && self.input.bytes().len() < READ_AHEAD_BYTES_MAX
        {
            match self.stream.poll_receive(cx) {
                Poll::Ready(Ok(Some(received))) => {
                    self.input.push(received, &self.stream)?;
                    self.input.set_aside(&self.stream)?;
                }
                Poll::Ready(Ok(None)) => self.input_ended = true,
                Poll::Ready(Err(_)) => return Err(Ending::PeerGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Who the peer is; asked of the kernel once.
    fn peer(&mut self) -> Peer {
        *self.peer.get_or_insert_with(|| {
            let address = match self.stream.peer_address() {
                Ok(PeerAddress::Tcp(address)) => Some(address),
                Ok(PeerAddress::Unix) | Err(_) => None,
            };
            Peer {
                address,
                is_secure: false,
            }
        })
    }

    /// Sends what is left, and half-closes when the kernel has it.
    pub(super) async fn end_output(&mut self) -> Flow {
        self.send_output().await?;
        self.wait_sent().await?;
        // From here on, the end of what was sent is the end of the response.
        if self.machine.is_ended_by_close() {
            self.stream.reset_on_close(false).map_err(peer_gone)?;
        }
        self.stream.shutdown_write().map_err(peer_gone)
    }

    /// Sends what is left, half-closes, and reads until the peer has closed its half: closing with unread bytes in the socket would
    /// reset it, and the peer might lose the response it has not read yet (RFC 9112 §9.6).
    async fn linger(&mut self) {
        self.input.clear(&self.stream);
        self.return_exchange();
        if self.end_output().await.is_err() {
            return;
        }
        let patience = self.server.config.linger_timeout;
        self.deadline.set(Some(self.server.shard.now() + patience));
        while !self.input_ended {
            let received = poll_fn(|cx| {
                // A stop waits for no peer to close its half: what the peer sends is not answered any more.
                if self.server.is_stopping() || self.deadline.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                self.stream.poll_receive(cx).map(Some)
            });
            match received.await {
                Some(Ok(Some(_))) => {}
                Some(Ok(None)) => self.input_ended = true,
                Some(Err(_)) => return,
                // A peer that is still reading may be behind.
                None => break,
            }
        }
        let mut arrival = Arrival::new(self.server.shard.now(), patience);
        poll_fn(|cx| arrival.poll(&self.stream, &mut self.deadline, || self.server.shard.now(), cx)).await;
    }
}

/// What a failed receive or send says.
pub(super) fn peer_gone(_: io::Error) -> Ending {
    Ending::PeerGone
}

/// The application has misused the response in a way that cannot be mended any more.
pub(super) fn abort(error: SendError) -> Ending {
    tracing::error!(%error, "the response cannot be completed; the connection is cut");
    Ending::Abort
}
