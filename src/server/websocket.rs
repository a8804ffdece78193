//! The driver of one WebSocket: bytes ↔ [`Link`] ↔ handler, in one task.
//!
//! Each turn runs the handler, receives while it waits for an event, and sends what has gathered: first what the handler wrote and the
//! protocol owes, then what was published to its topics, all of it that waits in one send. At most one send is in flight. A handler that is
//! busy has nothing received for it, and no deadline of the peer's runs meanwhile.
//!
//! When the protocol is over, what is left is sent, our half is closed, and the peer's is awaited for a while (RFC 6455 §7.1.1).

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use squall_shards::{Deadline, GateGuard, SendBuffer, Stream};

use super::connection::{Connection, UNWATCHED_BYTES_MAX};
use super::input::Input;
use super::progress::Progress;
use super::shard::{Registration, ShardServer};
use crate::app::{Heard, Link, Session};
use crate::websocket::{CloseCode, Expired};

/// How many events one socket is handed before others get their turn.
const EVENTS_AT_ONCE_MAX: u32 = 64;

/// How many sockets are told of a graceful stop at once, so that their answers and the new connections of their clients come in waves.
const CLOSE_BATCH_SOCKETS: usize = 1024;

/// How long after one batch the next is told: the 65,536 sockets of a full shard within seven seconds.
const CLOSE_BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A WebSocket and everything it owns.
struct Socket {
    stream: Stream,
    server: Rc<ShardServer>,
    link: Rc<Link>,
    /// `None` once the handler has ended.
    session: Option<Session>,
    input: Input,
    deadline: Deadline,
    /// How the peer takes what is being sent, while that is waited for.
    progress: Option<Progress>,
    phase: Phase,
    input_ended: bool,
    /// Bytes were being received when the task last waited.
    was_receiving: bool,
    /// Much is in flight, and the peer is to take it in time.
    is_watched: bool,
    registration: Registration,
    _guard: GateGuard,
}

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Frames go both ways.
    Open,
    /// All was sent, and the peer is to close until then.
    Lingering { until: Instant },
    /// Nothing goes any way; the handler may still be at work.
    Gone,
}

/// Serves a WebSocket to its end. Not an `async fn`, whose arguments would lie in the task's memory twice.
pub(super) fn serve(connection: Connection, link: Rc<Link>, session: Session) -> impl Future<Output = ()> {
    let mut socket = Socket {
        stream: connection.stream,
        server: connection.server,
        link,
        session: Some(session),
        input: connection.input,
        deadline: connection.deadline,
        progress: None,
        phase: Phase::Open,
        input_ended: connection.input_ended,
        was_receiving: true,
        is_watched: false,
        registration: connection.registration,
        _guard: connection.guard,
    };
    poll_fn(move |cx| socket.poll(cx))
}

impl Socket {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.registration.note(cx);
        self.link.begin_turn(cx.waker());
        let polled = self.turn(cx);
        self.link.end_turn();
        polled
    }

    /// Does all there is to do now; ready when both the connection and the handler have ended.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut events = 0;
        loop {
            let mut moved = self.run_handler(cx);
            moved |= match self.phase {
                Phase::Open => self.converse(cx),
                Phase::Lingering { .. } => self.linger(cx),
                Phase::Gone => false,
            };
            if self.phase == Phase::Gone && self.session.is_none() {
                return Poll::Ready(());
            }
            moved = moved || self.watch_time(cx);
            if !moved {
                break;
            }
            events += 1;
            if events >= EVENTS_AT_ONCE_MAX {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.was_receiving = self.link.wants_input();
        self.input.stash(&self.stream);
        if let Some(buffer) = self.link.reclaim_buffer() {
            self.stream.return_buffer(buffer);
        }
        Poll::Pending
    }

    /// Runs the handler until it waits; true when it has ended.
    fn run_handler(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(session) = &mut self.session else {
            return false;
        };
        let has_ended = session.poll(cx).is_ready();
        if has_ended {
            self.session = None;
        }
        has_ended
    }

    /// Moves bytes; true when the handler, or the connection itself, is worth another look.
    fn converse(&mut self, cx: &mut Context<'_>) -> bool {
        let moved = self.receive(cx).and_then(|received| {
            self.send(cx)?;
            Ok(received)
        });
        let Ok(moved) = moved else {
            self.lose();
            return true;
        };
        if self.link.is_over() && !self.link.has_output() {
            match self.stream.poll_sent(cx) {
                Poll::Ready(Ok(())) => self.begin_lingering(),
                Poll::Ready(Err(_)) => self.lose(),
                Poll::Pending => {
                    self.watch_progress();
                    return moved;
                }
            }
            return true;
        }
        moved
    }

    /// Receives until there is an event; true when there is.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.link.wants_input() {
            return Ok(false);
        }
        let now = self.server.shard.now();
        if !self.was_receiving {
            self.was_receiving = true;
            self.link.resume(now);
        }
        loop {
            let mut rest = self.input.bytes();
            let presented = rest.len();
            let heard = self.link.receive(&mut rest, now);
            let consumed = presented - rest.len();
            self.input.consume(consumed, &self.stream);
            match heard {
                Heard::Event => {
                    // The handler is likely to answer.
                    self.link.lend_buffer(|| self.stream.take_buffer());
                    return Ok(true);
                }
                Heard::Over => {
                    self.input.clear(&self.stream);
                    return Ok(true);
                }
                Heard::Nothing if self.input_ended => {
                    self.link.receive_eof();
                    return Ok(true);
                }
                Heard::Nothing => {}
            }
            match self.stream.poll_receive(cx)? {
                Poll::Ready(Some(received)) => self.input.push(received, &self.stream),
                Poll::Ready(None) => self.input_ended = true,
                Poll::Pending => return Ok(false),
            }
        }
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let is_waiting = self.link.has_output() || self.link.has_deliveries();
            if !is_waiting && !self.is_watched {
                self.progress = None;
                return Ok(());
            }
            if self.stream.poll_sent(cx)?.is_pending() {
                self.watch_progress();
                return Ok(());
            }
            self.progress = None;
            self.is_watched = false;
            let buffer = if self.link.has_output() {
                Some(self.link.take_output().into())
            } else {
                deliveries(self.link.take_deliveries(self.server.shard.now()))
            };
            let Some(buffer) = buffer else { continue };
            self.is_watched = buffer.len() > UNWATCHED_BYTES_MAX;
            self.stream.start_send(buffer)?;
        }
    }

    fn watch_progress(&mut self) {
        let (now, sent) = (self.server.shard.now(), self.stream.sent_bytes());
        self.progress.get_or_insert_with(|| Progress::new(now, sent));
    }

    /// Does what the time asks for, and arms the deadline for what comes next; true when something was done.
    fn watch_time(&mut self, cx: &Context<'_>) -> bool {
        let now = self.server.shard.now();
        match self.phase {
            Phase::Gone => return false,
            Phase::Lingering { until } if now >= until => {
                self.phase = Phase::Gone;
                return true;
            }
            Phase::Lingering { until } => self.deadline.set(Some(until)),
            Phase::Open => {
                let stop = self.stop_due();
                if stop.is_some_and(|due| now >= due) {
                    self.link.close(CloseCode::GOING_AWAY, "", now).unwrap_or_default();
                    return true;
                }
                let peer = self.link.poll_deadline().filter(|_| self.link.wants_input());
                if peer.is_some_and(|due| now >= due) {
                    if self.link.handle_deadline(now) == Some(Expired::Close) {
                        self.lose();
                    }
                    return true;
                }
                let limits = &self.server.write;
                let mut taking = None;
                if let Some(progress) = &mut self.progress {
                    if !progress.note(now, self.stream.sent_bytes(), limits) {
                        self.lose();
                        return true;
                    }
                    taking = Some(progress.deadline(now, limits));
                }
                self.deadline.set([stop, peer, taking].into_iter().flatten().min());
            }
        }
        self.deadline.poll(cx).is_ready()
    }

    /// When this socket is to be told of the graceful stop, if there is one and it has not been told.
    fn stop_due(&self) -> Option<Instant> {
        let since = self.server.draining_since().filter(|_| self.link.is_open())?;
        let batch = u32::try_from(self.registration.place() / CLOSE_BATCH_SOCKETS).unwrap_or(u32::MAX);
        Some(since + CLOSE_BATCH_INTERVAL.saturating_mul(batch))
    }

    /// Half-closes: closing with unread bytes in the socket would reset it, and the peer might lose the close frame.
    fn begin_lingering(&mut self) {
        self.input.clear(&self.stream);
        self.progress = None;
        self.link.leave();
        self.phase = match self.stream.shutdown_write() {
            Ok(()) if !self.input_ended => Phase::Lingering {
                until: self.server.shard.now() + self.server.config.linger_timeout,
            },
            _ => Phase::Gone,
        };
    }

    /// Reads what nobody wants until the peer has closed its half; true then.
    fn linger(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.stream.poll_receive(cx) {
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None) | Err(_)) => {
                    self.phase = Phase::Gone;
                    return true;
                }
                Poll::Pending => return false,
            }
        }
    }

    /// The connection is broken, or given up.
    fn lose(&mut self) {
        self.link.receive_eof();
        self.link.leave();
        self.input.clear(&self.stream);
        self.progress = None;
        self.phase = Phase::Gone;
    }
}

/// What is sent for several frames: one as it is, more in one vectored send.
fn deliveries(mut frames: Vec<Bytes>) -> Option<SendBuffer> {
    match frames.len() {
        0 => None,
        1 => frames.pop().map(SendBuffer::from),
        _ => Some(SendBuffer::from(frames)),
    }
}

impl Drop for Socket {
    /// Whoever keeps the handle finds the socket closed.
    fn drop(&mut self) {
        self.link.receive_eof();
        self.link.leave();
    }
}
