//! The receiving half of a connection: from the socket, through the machine, to the head and the content of a request.
//!
//! Received bytes stay in the shard's buffer while the task works on them. Before the task waits, the reader
//! [sets them aside](RequestReader::set_aside).

use std::task::{Context, Poll};
use std::time::Instant;

use squall_shards::PeerEnd;

use super::wire::{Wire, earlier};
use crate::app::{BodyError, Channel};
use crate::http1::{Event, ParseError};
use crate::memory::OutOfMemory;
use crate::message::RequestHead;
use crate::server::ending::{Ending, Flow, peer_gone};
use crate::server::memory::watermarks::Pressure;
use crate::server::shard::IN_FLIGHT_GRACE;
use crate::transport::input::Input;

/// How much is read ahead of a request that is still being answered. 16 KiB.
///
/// Pipelined requests then leave the receive buffers of the shard.
const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;

/// The divisor of the idle timeout while memory is short.
const SHORT_IDLE_DIVISOR: u32 = 4;

/// Reads the requests of a connection.
#[derive(Default)]
pub(super) struct RequestReader {
    input: Input,
}

/// What ends a wait between requests.
pub(super) enum IdleEvent {
    /// Received bytes are in the input.
    Bytes,
    /// The peer has closed its sending half.
    PeerEnded,
    Deadline,
    /// The server closes idle connections before their deadline: it stops, or memory is short.
    ClosedEarly,
}

/// What the input holds of a head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadRead {
    Complete,
    Incomplete,
    Refused(ParseError),
    /// Discarded content exceeds its limit or is malformed: close, its response is complete.
    DrainFailed,
}

/// What became of the content in the input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentRead {
    /// The handler has some of it, or its end, or why it failed.
    Delivered,
    /// The handler waits for more than the input holds.
    NeedsData,
}

impl RequestReader {
    /// Begins with bytes that have come before.
    pub(super) fn begin_with(&mut self, received: Vec<u8>) {
        self.input = Input::from(received);
    }

    /// Returns whether no received bytes wait to be read.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Makes the response that is about to begin the last one if the server stops, unless a pipelined request has arrived.
    ///
    /// A pipelined request is answered first, and the last response says `Connection: close`. Without that word the
    /// connection lives on until it has been idle.
    #[inline]
    pub(super) fn close_at_stop(&self, wire: &mut Wire) {
        if wire.server.is_stopping() && !wire.machine.is_head_sent() && !self.holds_next_request(wire) {
            wire.machine.close_after_response();
        }
    }

    /// Returns whether received bytes lie behind the current request.
    fn holds_next_request(&self, wire: &Wire) -> bool {
        wire.machine.is_request_complete() && !self.is_empty()
    }

    /// Copies unread bytes out of the shard's buffer, before the task waits.
    #[inline]
    pub(super) fn set_aside(&mut self, wire: &Wire) -> Result<(), OutOfMemory> {
        self.input.set_aside(&wire.socket)
    }

    /// Drops the unread bytes, which are never answered.
    pub(super) fn clear(&mut self, wire: &Wire) {
        self.input.clear(&wire.socket);
    }

    /// Returns whether the unread bytes begin with these.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        self.input.bytes().starts_with(bytes)
    }

    /// Takes the unread bytes for the next protocol.
    pub(super) fn into_input(self) -> Input {
        self.input
    }

    /// Receives into the input: true for bytes, false for the peer's end.
    #[inline]
    pub(super) fn poll_receive(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Flow<bool>> {
        match wire.socket.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => {
                self.input.push(received, &wire.socket)?;
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Ok(None)) => {
                wire.input_ended = true;
                Poll::Ready(Ok(false))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(peer_gone(error))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits between requests for bytes, the peer's end, a deadline, a graceful stop or short memory.
    pub(super) fn poll_idle(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Flow<IdleEvent>> {
        match self.poll_receive(wire, cx)? {
            Poll::Ready(true) => return Poll::Ready(Ok(IdleEvent::Bytes)),
            Poll::Ready(false) => return Poll::Ready(Ok(IdleEvent::PeerEnded)),
            Poll::Pending => {}
        }
        let (now, early_close_at) = (wire.now(), early_close_at(wire));
        if early_close_at.is_some_and(|at| now >= at) {
            return Poll::Ready(Ok(IdleEvent::ClosedEarly));
        }
        let until = earlier(wire.machine.poll_deadline(), early_close_at);
        wire.poll_until(until, cx).map(|()| Ok(IdleEvent::Deadline))
    }

    /// Feeds the input to the machine, which fills `head` with the next request.
    #[inline]
    pub(super) fn read_head(&mut self, wire: &mut Wire, head: &mut RequestHead) -> HeadRead {
        let mut rest = self.input.bytes();
        let presented = rest.len();
        let event = wire.machine.receive(&mut rest, head, wire.server.shard.now());
        let consumed = presented - rest.len();
        let read = match event {
            Ok(Event::Request) => HeadRead::Complete,
            Ok(Event::NeedData) => HeadRead::Incomplete,
            Ok(_) => HeadRead::DrainFailed,
            Err(error) => HeadRead::Refused(error),
        };
        self.input.consume(consumed, &wire.socket);
        read
    }

    /// Gives the handler the next piece of content in the input.
    pub(super) fn read_content(&mut self, wire: &mut Wire, channel: &Channel) -> ContentRead {
        // The machine reads no head before this exchange ends, so this stays empty.
        let mut no_head = RequestHead::new();
        let mut rest = self.input.bytes();
        let presented = rest.len();
        let event = wire.machine.receive(&mut rest, &mut no_head, wire.server.shard.now());
        let consumed = presented - rest.len();
        let mut read = ContentRead::Delivered;
        match event {
            Ok(Event::Data(data)) => channel.push_data(data),
            Ok(Event::Trailer { name, value }) => push_trailer(channel, name, value),
            Ok(Event::NeedData) => {
                channel.announce(wire.machine.content_announced());
                // A chunk-size may already exceed the handler's limit: the handler fails before those bytes arrive.
                if channel.wants_body() {
                    read = ContentRead::NeedsData;
                }
            }
            Ok(Event::End | Event::Blocked | Event::Request | Event::Upgraded | Event::Closed) => channel.end_body(),
            Err(error) => {
                let peer = wire.peer_address().map(tracing::field::display);
                tracing::debug!(peer, %error, "refused the content of a request");
                channel.fail_body(BodyError::Refused {
                    status: error.status(),
                    reason: error.reason(),
                });
            }
        }
        self.input.consume(consumed, &wire.socket);
        read
    }

    /// Receives pipelined requests while one is being answered, up to [`READ_AHEAD_BYTES_MAX`], and waits for the
    /// peer's end of the connection.
    ///
    /// Ready when the peer has closed its half. Unreceived bytes ahead of that end do not delay this.
    pub(super) fn poll_peer_finished(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Flow> {
        self.read_ahead(wire, cx)?;
        match wire.socket.poll_peer_end(cx) {
            Poll::Ready(PeerEnd::Finished) => {
                wire.peer_has_finished = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(PeerEnd::Gone) => Poll::Ready(Err(Ending::PeerGone)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn read_ahead(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Flow {
        // A stop answers the requests that have arrived; a client that pipelines without a pause must not delay it.
        while wire.machine.is_request_complete()
            && !wire.input_ended
            && !wire.server.is_stopping()
            && self.input.bytes().len() < READ_AHEAD_BYTES_MAX
            && self.poll_receive(wire, cx)?.is_ready()
        {
            self.set_aside(wire)?;
        }
        Ok(())
    }
}

/// Returns when the connection, if it is idle, closes before its own deadline: at a stop, or while memory is short.
fn early_close_at(wire: &Wire) -> Option<Instant> {
    let draining_since = wire.server.draining_since();
    let is_short = wire.server.pressure() >= Pressure::ReapIdle;
    // The usual case: no stop and enough memory, or a request in progress.
    if draining_since.is_none() && !is_short || !wire.machine.is_idle() {
        return None;
    }
    let idle_since = wire.machine.idle_since();
    // The last response may not have said `Connection: close`, so a request may be on its way.
    let drained = draining_since.map(|since| idle_since.unwrap_or(since).max(since) + IN_FLIGHT_GRACE);
    let reaped = idle_since.filter(|_| is_short);
    let reaped = reaped.map(|since| since + wire.server.http1.idle_timeout / SHORT_IDLE_DIVISOR);
    earlier(drained, reaped)
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
