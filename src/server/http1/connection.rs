//! One connection of a shard: bytes ↔ [`http1::Connection`] ↔ application.
//!
//! The loop: read a request head, let the application answer, turn to the next request, and send the answers before
//! waiting for more. Responses to pipelined requests gather in one buffer and leave in one send.
//!
//! Invariant: between requests a connection owns only its slot in the ring, its deadline, the machine and this future.
//! The exchange and every buffer come from the shard's pools and return to them.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_shards::{Deadline, GateGuard, PeerEnd, yield_now};

use crate::app::{Channel, Exchange, Peer};
use crate::http1::{self, Event, Next, SendError};
use crate::memory::{self, OutOfMemory};
use crate::message::StatusCode;
use crate::server::memory::watermarks::Pressure;
use crate::server::shard::{IN_FLIGHT_GRACE, Registration, ShardServer};
use crate::transport::arrival::Arrival;
use crate::transport::input::Input;
use crate::transport::progress::{Progress, UNWATCHED_BYTES_MAX};
use crate::transport::socket::Socket;

/// How much output gathers before it is sent. 64 KiB: four times the first size of a socket's send buffer on Linux.
pub(in crate::server) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How much is read ahead of a request that is still being answered. 16 KiB.
///
/// Pipelined requests then leave the receive buffers of the shard.
const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;

/// How many pipelined requests are answered before other connections get their turn.
const REQUESTS_AT_ONCE_MAX: u32 = 64;

/// The divisor of the idle timeout while memory is short.
const SHORT_IDLE_DIVISOR: u32 = 4;

/// A connection and everything it owns.
pub(in crate::server) struct Connection {
    pub(in crate::server) socket: Socket,
    pub(in crate::server) server: Rc<ShardServer>,
    pub(in crate::server) machine: http1::Connection,
    pub(in crate::server) input: Input,
    pub(in crate::server) output: Vec<u8>,
    pub(in crate::server) deadline: Deadline,
    /// A blank one between two pipelined requests; after a 101, the one of the upgrade.
    pub(in crate::server) exchange: Option<Box<Exchange>>,
    peer: Option<Peer>,
    /// The peer has closed its sending half, and every byte before that has been received.
    pub(in crate::server) input_ended: bool,
    /// The peer has closed its sending half; bytes before that may still be in the socket.
    pub(in crate::server) peer_has_finished: bool,
    pub(in crate::server) registration: Registration,
    pub(in crate::server) guard: GateGuard,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Ending {
    /// Between requests: close as soon as the peer has acknowledged all that was sent.
    Idle,
    /// After a response: flush, half-close, and read until the peer has closed its half.
    Close,
    /// After a 101: the exchange holds what takes the connection over.
    Upgrade,
    /// In the middle of a response, or because the peer is too slow: close without a complete response.
    Abort,
    /// The peer has reset the connection, or counts as gone: what is sent no longer arrives.
    PeerGone,
}

impl From<OutOfMemory> for Ending {
    /// Input or output that finds no memory cannot be answered either.
    fn from(_: OutOfMemory) -> Self {
        tracing::warn!("aborted a connection: out of memory");
        Self::Abort
    }
}

/// Returns the earlier of two moments, or the one that is there.
pub(in crate::server) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The result of a step that may end the connection.
pub(in crate::server) type Flow<T = ()> = Result<T, Ending>;

/// What ends a wait between requests.
enum IdleEvent {
    /// Received bytes are in the input.
    Bytes,
    PeerEnded,
    Deadline,
    /// The server closes idle connections before their deadline: it stops, or memory is short.
    ClosedEarly,
}

impl Connection {
    pub(in crate::server) fn new(socket: Socket, server: Rc<ShardServer>, guard: GateGuard) -> Self {
        let machine = http1::Connection::new(Rc::clone(&server.http1), server.shard.now());
        let registration = server.register();
        Self {
            socket,
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
        }
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
            let answered = self.answer(&mut exchange).await;
            let next = answered.map(|()| self.machine.next_exchange(self.server.shard.now()));
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
            if self.output.len() >= OUTPUT_BYTES_MAX || answered_in_turn >= REQUESTS_AT_ONCE_MAX {
                answered_in_turn = 0;
                if let Err(ending) = self.yield_to_others().await {
                    return ending;
                }
            }
        }
    }

    /// Sends the responses so far, and lets other connections have their turn.
    async fn yield_to_others(&mut self) -> Flow {
        // The kernel's receive buffers serve the whole shard, so none may stay with a task that waits.
        self.input.set_aside(&self.socket)?;
        self.send_output().await?;
        yield_now().await;
        Ok(())
    }

    /// Waits for the head of a request, after sending the responses to earlier requests.
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
            self.input.set_aside(&self.socket)?;
            // An idle connection owns no exchange and no buffer.
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

    /// Feeds the input to the machine; returns `None` while the head is incomplete.
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
            // The content that was being discarded exceeds its limit or is malformed: close, its response is complete.
            Ok(_) => Err(None),
            Err(error) => Err(Some(error)),
        };
        self.input.consume(consumed, &self.socket);
        if found == Ok(true) {
            // One check for each request; the head has been read, so a 503 can answer it.
            let pressure = self.server.pressure();
            if pressure >= Pressure::RefuseRequests {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Err(self.send_error_page(exchange, status, "the server is short of memory"));
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

    /// Returns the exchange of the previous request, or one from the shard's pool.
    pub(super) fn take_exchange(&mut self) -> Result<Box<Exchange>, OutOfMemory> {
        if let Some(exchange) = self.exchange.take() {
            return Ok(exchange);
        }
        let mut exchange = self.server.take_exchange()?;
        exchange.set_peer(self.peer());
        Ok(exchange)
    }

    /// Returns the exchange to the shard's pool while the connection waits.
    fn return_exchange(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.server.return_exchange(exchange);
        }
    }

    /// Waits between requests for bytes, the peer's end, a deadline, a graceful stop or short memory.
    async fn wait_for_input(&mut self) -> Flow<IdleEvent> {
        poll_fn(|cx| self.poll_input(cx)).await
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Flow<IdleEvent>> {
        match self.socket.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => {
                let pushed = self.input.push(received, &self.socket);
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

    /// Returns when the connection, if it is idle, closes before its own deadline: at a stop, or while memory is short.
    fn early_close_at(&self) -> Option<Instant> {
        let draining_since = self.server.draining_since();
        let is_short = self.server.pressure() >= Pressure::ReapIdle;
        // The usual case: no stop and enough memory, or a request in progress.
        if draining_since.is_none() && !is_short || !self.machine.is_idle() {
            return None;
        }
        let idle_since = self.machine.idle_since();
        // The last response may not have said `Connection: close`, so a request may be on its way.
        let drained = draining_since.map(|since| idle_since.unwrap_or(since).max(since) + IN_FLIGHT_GRACE);
        let reaped = idle_since.filter(|_| is_short);
        let reaped = reaped.map(|since| since + self.server.http1.idle_timeout / SHORT_IDLE_DIVISOR);
        earlier(drained, reaped)
    }

    /// Ends a connection whose deadline has passed: an idle one silently, an incomplete head with 408.
    fn deadline_passed(&mut self) -> Flow {
        match self.machine.handle_deadline(self.server.shard.now()) {
            None => Ok(()),
            Some(expired) => match expired.status() {
                None => Err(Ending::Idle),
                Some(status) => {
                    let peer = self.peer().address.map(tracing::field::display);
                    tracing::debug!(peer, "refused a request: its head took too long");
                    Err(self.send_final_error(status, "the request head took too long"))
                }
            },
        }
    }

    /// Ends a connection whose peer has closed its half; an incomplete request is refused, and pending output still
    /// leaves.
    fn end_of_input(&mut self) -> Ending {
        match self.machine.receive_eof() {
            Ok(()) => Ending::Close,
            Err(error) => self.refuse(error),
        }
    }

    /// Makes room for more output, in a pooled buffer if the connection has none.
    pub(in crate::server) fn make_room(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.output.capacity() == 0 {
            self.output = self.socket.take_buffer();
        }
        memory::make_room_to_answer(&mut self.output, bytes)
    }

    /// Sends the gathered output, after the kernel has taken the send before it.
    ///
    /// It also waits for large output to be taken, so that a slow peer is noticed.
    pub(in crate::server) async fn send_output(&mut self) -> Flow {
        if self.output.is_empty() {
            return Ok(());
        }
        if self.socket.is_sending() {
            self.wait_sent().await?;
        }
        let output = std::mem::take(&mut self.output);
        let is_much = output.len() > UNWATCHED_BYTES_MAX;
        self.socket.start_send(output).map_err(peer_gone)?;
        if is_much { self.wait_sent().await } else { Ok(()) }
    }

    /// Waits until the kernel has taken the current send; aborts if the peer accepts too little.
    pub(in crate::server) async fn wait_sent(&mut self) -> Flow {
        let mut progress = None;
        poll_fn(|cx| self.poll_sent(&mut progress, cx)).await
    }

    pub(in crate::server) fn poll_sent(&mut self, progress: &mut Option<Progress>, cx: &mut Context<'_>) -> Poll<Flow> {
        if let Poll::Ready(sent) = self.socket.poll_sent(cx) {
            return Poll::Ready(sent.map_err(peer_gone));
        }
        let now = self.server.shard.now();
        let sent = self.socket.sent();
        let limits = &self.server.write;
        let progress = progress.get_or_insert_with(|| Progress::new(now, sent, limits));
        loop {
            let due = self.check_progress(progress, now)?;
            self.deadline.set(Some(due));
            // A deadline that is due already leaves no wake-up behind, so compute the next one.
            if self.deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Returns when to check the peer's pace again, or aborts a peer that accepts too little.
    pub(in crate::server) fn check_progress(&self, progress: &mut Progress, now: Instant) -> Flow<Instant> {
        let limits = &self.server.write;
        let unacknowledged = || self.socket.unacknowledged_bytes();
        if progress.note(now, self.socket.sent(), unacknowledged, limits) {
            return Ok(progress.deadline(now, limits));
        }
        // The close becomes a reset, or the kernel would keep the unacknowledged bytes for minutes.
        self.socket.give_up();
        Err(Ending::Abort)
    }

    /// Sends the gathered output, if the kernel has taken the send before it.
    pub(in crate::server) fn send_gathered(&mut self, cx: &mut Context<'_>) -> Flow {
        if !self.output.is_empty() && self.socket.poll_sent(cx).map_err(peer_gone)?.is_ready() {
            let output = std::mem::take(&mut self.output);
            self.socket.start_send(output).map_err(peer_gone)?;
        }
        Ok(())
    }

    /// Tells the handler that the peer has closed its half, or reports that the peer has reset the connection.
    ///
    /// Unreceived bytes ahead of that end do not delay this.
    pub(in crate::server) fn poll_peer(&mut self, channel: &Channel, cx: &mut Context<'_>) -> Poll<Flow> {
        self.read_ahead(cx)?;
        match self.socket.poll_peer_end(cx) {
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

    /// Sends one byte to find out whether a peer that has closed its half still reads, at most `times` in a response.
    ///
    /// The kernel of a closed socket answers it with a reset. The byte is a leading zero of the next chunk-size, so
    /// only a chunked response can carry it.
    pub(in crate::server) fn probe_peer(&mut self, times: u8, cx: &mut Context<'_>) -> Flow {
        if self.machine.wants_probe(times) {
            self.make_room(1)?;
            self.machine.send_probe(&mut self.output);
            self.send_gathered(cx)?;
        }
        Ok(())
    }

    /// Returns whether only a timeout can tell that a peer with a closed half has closed its socket.
    ///
    /// This holds where the response cannot carry a probe. On a Unix socket the kernel reports the close itself.
    pub(in crate::server) fn needs_silence_timeout(&mut self) -> bool {
        self.peer_has_finished && !self.machine.takes_probes() && self.peer().address.is_some()
    }

    /// Receives pipelined requests while one is being answered, up to [`READ_AHEAD_BYTES_MAX`].
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Flow {
        while self.machine.is_request_complete() && !self.input_ended && self.input.bytes().len() < READ_AHEAD_BYTES_MAX
        {
            match self.socket.poll_receive(cx) {
                Poll::Ready(Ok(Some(received))) => {
                    self.input.push(received, &self.socket)?;
                    self.input.set_aside(&self.socket)?;
                }
                Poll::Ready(Ok(None)) => self.input_ended = true,
                Poll::Ready(Err(_)) => return Err(Ending::PeerGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Sets the peer that applications see, in place of the one that the kernel names.
    #[cfg(feature = "testing")]
    pub(in crate::server) fn pretend_peer(&mut self, peer: Peer) {
        self.peer = Some(peer);
    }

    /// Returns the peer's address, which the kernel is asked for once.
    pub(in crate::server) fn peer(&mut self) -> Peer {
        *self.peer.get_or_insert_with(|| Peer {
            address: self.socket.peer_address(),
            is_secure: self.socket.is_secure(),
        })
    }

    /// Sends the rest of the output and half-closes once the kernel has it.
    pub(in crate::server) async fn end_output(&mut self) -> Flow {
        self.send_output().await?;
        self.wait_sent().await?;
        // The response is complete, so the close that ends it must be a FIN again instead of a reset.
        if self.machine.is_ended_by_close() {
            self.socket.reset_on_close(false).map_err(peer_gone)?;
        }
        self.socket.shutdown_write().map_err(peer_gone)
    }

    /// Half-closes, then reads until the peer has closed its half, for at most the linger timeout (RFC 9112 §9.6).
    ///
    /// Closing a socket with unread bytes resets it, and the peer could lose a response that it has not read.
    pub(in crate::server) async fn linger(&mut self) {
        self.input.clear(&self.socket);
        self.return_exchange();
        if self.end_output().await.is_err() {
            return;
        }
        let patience = self.server.config.own.linger_timeout;
        self.deadline.set(Some(self.server.shard.now() + patience));
        while !self.input_ended {
            let received = poll_fn(|cx| {
                // At a stop the peer's half no longer matters: its further requests get no answer.
                if self.server.is_stopping() || self.deadline.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                self.socket.poll_receive(cx).map(Some)
            });
            match received.await {
                Some(Ok(Some(_))) => {}
                Some(Ok(None)) => self.input_ended = true,
                Some(Err(_)) => return,
                // The timeout has passed, but the peer may still be reading: wait for its acknowledgements below.
                None => break,
            }
        }
        let mut arrival = Arrival::new(self.server.shard.now(), patience);
        poll_fn(|cx| arrival.poll(&self.socket, &mut self.deadline, || self.server.shard.now(), cx)).await;
    }
}

/// Maps a failed receive or send to the ending it means.
pub(in crate::server) fn peer_gone(_: io::Error) -> Ending {
    Ending::PeerGone
}

/// Maps misuse of a response by the application, after its head has left, to an abort.
pub(in crate::server) fn abort(error: SendError) -> Ending {
    tracing::error!(%error, "could not complete the response; aborted the connection");
    Ending::Abort
}
