//! The driver of one WebSocket, on a server or a client. One task moves bytes between the [`ByteStream`] and the
//! [`Duplex`], and runs the [`Owner`].
//!
//! Each turn runs the owner, receives while the owner waits for an event, and sends. First come its messages and
//! pending control frames, then one batch of publications. At most one send is in flight. While the owner is busy,
//! nothing is received for it, and the peer's deadlines pause. The kernel still reports the peer's end.
//!
//! When the protocol is over, the driver sends the rest and waits for the peer to close. A server closes its half first
//! (RFC 6455 §7.1.1).

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use squall_shards::{Deadline, PeerEnd, SendBuffer};

use super::arrival::Arrival;
use super::byte_stream::ByteStream;
use super::input::Input;
use super::progress::{Progress, UNWATCHED_BYTES_MAX, WriteLimits};
use super::socket::Socket;
use crate::websocket::{CloseCode, Duplex, Expired, ProtocolError, ReceiveOutcome};

/// Events that one socket handles before other tasks get a turn.
const EVENTS_AT_ONCE_MAX: u32 = 64;

/// The owner of a WebSocket: a server's handler or a client.
pub(crate) trait Owner {
    /// The state that the driver moves bytes for.
    fn duplex(&self) -> &Duplex;

    /// The time of this turn.
    fn now(&self) -> Instant;

    /// How slowly the peer may take sent bytes.
    fn write_limits(&self) -> &WriteLimits;

    /// How long the peer may take to close its half after everything was sent.
    fn linger_timeout(&self) -> Duration;

    /// Notes the task that drives the owner. Called at the beginning of each turn.
    fn begin_turn(&self, cx: &Context<'_>) {
        let _ = cx;
    }

    /// Polls the owner's future; true if it has just ended.
    fn run(&mut self, cx: &mut Context<'_>) -> bool;

    /// Whether the owner's future has ended.
    fn has_ended(&self) -> bool;

    /// Whether publications wait for this socket.
    fn has_deliveries(&self) -> bool {
        false
    }

    /// Takes one batch of them to send.
    fn take_deliveries(&self) -> Option<SendBuffer> {
        None
    }

    /// When to close with 1001 because the server stops; `None` if it runs on.
    fn going_away(&self) -> Option<Instant> {
        None
    }

    /// Sends a last message before the server closes the socket because it stops.
    fn send_reconnect_hint(&self) {}

    /// Logs why the connection failed, with what the owner knows of it.
    fn log_failure(&self, error: ProtocolError);

    /// Ends deliveries to this socket.
    fn leave(&self) {}
}

/// A WebSocket and everything it owns.
struct SocketDriver<O: Owner, S> {
    /// `None` once the connection is over, even if the owner still runs.
    socket: Option<S>,
    owner: O,
    input: Input,
    deadline: Deadline,
    /// How the peer takes the current send, while the driver waits for it. Apart, because most sockets are idle.
    progress: Option<Box<Progress>>,
    phase: Phase,
    input_ended: bool,
    /// Whether the driver was receiving when the task last waited.
    was_receiving: bool,
    /// Whether the send in flight is larger than [`UNWATCHED_BYTES_MAX`].
    is_watched: bool,
}

/// A connected socket after the handshake.
pub(crate) struct Connected<S = Socket> {
    pub(crate) socket: S,
    /// Bytes that came behind the handshake.
    pub(crate) input: Input,
    pub(crate) input_ended: bool,
    /// The peer is known to have closed its half; bytes before that may still be in the socket.
    pub(crate) peer_has_finished: bool,
    pub(crate) deadline: Deadline,
}

/// The state of the connection.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Frames go both ways.
    Open,
    /// The peer has gone while the owner was busy. Nothing is sent; what came before is delivered when the owner waits
    /// for it.
    PeerGone,
    /// Everything was sent; the peer has until then to close its half.
    Lingering { until: Instant },
    /// The peer has closed its half or missed the time for it; the last acknowledgements are awaited.
    Arriving(Box<Arrival>),
    /// The connection is over; the owner may still run.
    Gone,
}

/// Drives a WebSocket to its end. Not an `async fn`: its arguments would lie in the task's memory twice.
pub(crate) fn drive<O: Owner, S: ByteStream>(connected: Connected<S>, owner: O) -> impl Future<Output = ()> {
    if connected.peer_has_finished {
        // The kernel reports it once.
        owner.duplex().peer_finished();
    }
    let mut driver = SocketDriver {
        socket: Some(connected.socket),
        owner,
        input: connected.input,
        deadline: connected.deadline,
        progress: None,
        phase: Phase::Open,
        input_ended: connected.input_ended,
        was_receiving: true,
        is_watched: false,
    };
    poll_fn(move |cx| driver.poll(cx))
}

impl<O: Owner, S: ByteStream> SocketDriver<O, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.owner.begin_turn(cx);
        self.owner.duplex().begin_turn(cx.waker());
        if let Some(socket) = self.socket.take() {
            self.turn(&socket, cx);
            // Dropping the socket closes it, even if the owner runs on.
            self.socket = Some(socket).filter(|_| self.phase != Phase::Gone);
        } else {
            self.owner.run(cx);
        }
        self.owner.duplex().end_turn();
        if self.socket.is_none() && self.owner.has_ended() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Does everything that can be done now.
    fn turn(&mut self, socket: &S, cx: &mut Context<'_>) {
        let mut events = 0;
        loop {
            let mut moved = self.owner.run(cx);
            moved |= match self.phase {
                Phase::Open => self.exchange_frames(socket, cx),
                Phase::PeerGone => self.deliver_rest(socket, cx),
                Phase::Lingering { .. } => self.linger(socket, cx),
                Phase::Arriving(_) | Phase::Gone => false,
            };
            if self.phase == Phase::Gone && self.owner.has_ended() {
                return;
            }
            moved = moved || self.watch_time(socket, cx);
            if !moved {
                break;
            }
            events += 1;
            if events >= EVENTS_AT_ONCE_MAX {
                // A peer that never pauses must still meet a stop and the rate check.
                self.watch_time(socket, cx);
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.was_receiving = self.owner.duplex().wants_input();
        if self.input.set_aside(socket).is_err() {
            self.abort(socket);
            // Run the owner again, so that it sees the end.
            cx.waker().wake_by_ref();
        }
        if let Some(buffer) = self.owner.duplex().reclaim_buffer() {
            socket.return_buffer(buffer);
        }
    }

    /// Receives and sends; true if the owner or the connection must run again.
    fn exchange_frames(&mut self, socket: &S, cx: &mut Context<'_>) -> bool {
        let moved = self.receive(socket, cx).and_then(|received| {
            self.send(socket, cx)?;
            Ok(received)
        });
        let Ok(moved) = moved else {
            self.lose_peer(socket, cx);
            return true;
        };
        if self.owner.duplex().is_over() && !self.owner.duplex().has_output() {
            socket.announce_end();
            match socket.poll_sent(cx) {
                Poll::Ready(Ok(())) => self.begin_lingering(socket),
                Poll::Ready(Err(_)) => self.abort(socket),
                Poll::Pending => {
                    self.watch_progress(socket);
                    return moved;
                }
            }
            return true;
        }
        moved
    }

    /// Receives until an event waits; true if one does, or if the peer of a busy owner has closed its half.
    fn receive(&mut self, socket: &S, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.owner.duplex().wants_input() {
            return self.watch_peer(socket, cx);
        }
        let now = self.owner.now();
        // The peer may have answered while the owner was busy, so its silence starts anew.
        if !self.was_receiving {
            self.was_receiving = true;
            self.owner.duplex().resume(now);
        }
        loop {
            let mut rest = self.input.bytes();
            let presented = rest.len();
            let outcome = self.owner.duplex().receive(&mut rest, now);
            let consumed = presented - rest.len();
            self.input.consume(consumed, socket);
            match outcome {
                ReceiveOutcome::Event => {
                    // The owner usually answers an event at once.
                    self.owner.duplex().lend_buffer(|| socket.take_buffer());
                    return Ok(true);
                }
                ReceiveOutcome::Over | ReceiveOutcome::Failed(_) => {
                    if let ReceiveOutcome::Failed(error) = outcome {
                        self.owner.log_failure(error);
                    }
                    self.input.clear(socket);
                    return Ok(true);
                }
                ReceiveOutcome::Nothing if self.input_ended => {
                    self.owner.duplex().receive_eof();
                    return Ok(true);
                }
                ReceiveOutcome::Nothing => {}
            }
            match socket.poll_receive(cx)? {
                Poll::Ready(Some(received)) => self.input.push(received, socket)?,
                Poll::Ready(None) => self.input_ended = true,
                Poll::Pending => return Ok(false),
            }
        }
    }

    /// Waits for the peer's end, for an owner that is busy; true if the peer has closed its half.
    ///
    /// # Errors
    ///
    /// The peer has gone.
    fn watch_peer(&self, socket: &S, cx: &mut Context<'_>) -> io::Result<bool> {
        // After the end only the rest of the output is sent, and sending reports a reset.
        if self.owner.duplex().is_over() {
            return Ok(false);
        }
        match socket.poll_peer_end(cx) {
            Poll::Ready(PeerEnd::Finished) => {
                self.owner.duplex().peer_finished();
                self.owner.leave();
                Ok(true)
            }
            Poll::Ready(PeerEnd::Gone) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(false),
        }
    }

    /// Handles a connection that broke. What a busy owner has not received from a peer that has gone is kept for it.
    fn lose_peer(&mut self, socket: &S, cx: &mut Context<'_>) {
        let duplex = self.owner.duplex();
        let is_busy = !duplex.wants_input() && !duplex.is_over();
        // Otherwise this host lacks memory, and the peer may send on.
        if is_busy && socket.poll_peer_end(cx) == Poll::Ready(PeerEnd::Gone) {
            duplex.peer_finished();
            self.owner.leave();
            self.progress = None;
            self.phase = Phase::PeerGone;
        } else {
            self.abort(socket);
        }
    }

    /// Delivers what a peer that has gone sent before; true if the owner or the connection must run again.
    fn deliver_rest(&mut self, socket: &S, cx: &mut Context<'_>) -> bool {
        let moved = if self.owner.duplex().wants_input() {
            self.receive(socket, cx)
        } else {
            self.hold_rest(socket, cx)
        };
        match moved {
            Ok(moved) if !self.owner.duplex().is_over() => moved,
            _ => {
                self.abort(socket);
                true
            }
        }
    }

    /// Receives once ahead of a busy owner, so that a socket without unread bytes closes before the owner is done.
    ///
    /// # Errors
    ///
    /// There is nothing to deliver, or memory is short.
    fn hold_rest(&mut self, socket: &S, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.input.is_empty() {
            match socket.poll_receive(cx)? {
                Poll::Ready(Some(received)) => self.input.push(received, socket)?,
                Poll::Ready(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Pending => {}
            }
        }
        Ok(false)
    }

    /// Sends output as long as the socket accepts it.
    fn send(&mut self, socket: &S, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let is_waiting = self.owner.duplex().has_output() || self.owner.has_deliveries();
            if !is_waiting && !self.is_watched {
                self.progress = None;
                return Ok(());
            }
            if socket.poll_sent(cx)?.is_pending() {
                self.watch_progress(socket);
                return Ok(());
            }
            self.progress = None;
            self.is_watched = false;
            // The owner's messages first: they overtake publications, as `WebSocket::send` promises.
            let buffer = if self.owner.duplex().has_output() {
                Some(self.owner.duplex().take_output().into())
            } else if self.owner.has_deliveries() {
                self.owner.take_deliveries()
            } else {
                None
            };
            let Some(buffer) = buffer else { continue };
            self.is_watched = buffer.len() > UNWATCHED_BYTES_MAX;
            socket.start_send(buffer)?;
        }
    }

    fn watch_progress(&mut self, socket: &S) {
        let Some(sent) = socket.sent() else { return };
        let (now, limits) = (self.owner.now(), self.owner.write_limits());
        self.progress
            .get_or_insert_with(|| Box::new(Progress::new(now, sent, limits)));
    }

    /// Handles due deadlines and arms the next one; true if one was handled.
    fn watch_time(&mut self, socket: &S, cx: &mut Context<'_>) -> bool {
        let now = self.owner.now();
        match self.phase {
            Phase::PeerGone | Phase::Gone => return false,
            Phase::Lingering { until } if now >= until => {
                self.phase = self.arriving();
                return true;
            }
            Phase::Lingering { until } => self.deadline.set(Some(until)),
            Phase::Arriving(ref mut arrival) => {
                let arrived = arrival.poll(socket, &mut self.deadline, || self.owner.now(), cx);
                if arrived.is_ready() {
                    self.phase = Phase::Gone;
                }
                return arrived.is_ready();
            }
            Phase::Open => {
                let stop = self.owner.going_away();
                if stop.is_some_and(|due| now >= due) {
                    self.owner.send_reconnect_hint();
                    self.owner
                        .duplex()
                        .close(CloseCode::GOING_AWAY, "", now)
                        .unwrap_or_default();
                    return true;
                }
                let peer = self
                    .owner
                    .duplex()
                    .poll_deadline()
                    .filter(|_| self.owner.duplex().wants_input());
                if peer.is_some_and(|due| now >= due) {
                    if self.owner.duplex().handle_deadline(now) == Some(Expired::Close) {
                        self.abort(socket);
                    }
                    return true;
                }
                let limits = self.owner.write_limits();
                // Progress exists only while a send waits, so an idle peer is never too slow.
                let mut taking = None;
                if let (Some(progress), Some(sent)) = (&mut self.progress, socket.sent()) {
                    let unacknowledged = || socket.unacknowledged_bytes();
                    if !progress.note(now, sent, unacknowledged, limits) {
                        self.abort(socket);
                        return true;
                    }
                    taking = Some(progress.deadline(now, limits));
                }
                self.deadline.set([stop, peer, taking].into_iter().flatten().min());
            }
        }
        self.deadline.poll(cx).is_ready()
    }

    /// Starts the closing wait. A server half-closes first: closing with unread bytes would reset the socket, and the
    /// peer might lose the close frame. A client waits for the server.
    fn begin_lingering(&mut self, socket: &S) {
        self.input.clear(socket);
        self.progress = None;
        self.owner.leave();
        let closed = match self.owner.duplex().is_server() {
            true => socket.shutdown_write(),
            false => Ok(()),
        };
        let until = self.owner.now() + self.owner.linger_timeout();
        self.phase = match closed {
            Ok(()) if self.input_ended => self.arriving(),
            Ok(()) => Phase::Lingering { until },
            Err(_) => Phase::Gone,
        };
    }

    /// The phase that waits for the last acknowledgements.
    fn arriving(&self) -> Phase {
        Phase::Arriving(Box::new(Arrival::new(self.owner.now(), self.owner.linger_timeout())))
    }

    /// Discards input until the peer has closed its half; true then.
    fn linger(&mut self, socket: &S, cx: &mut Context<'_>) -> bool {
        loop {
            self.phase = match socket.poll_receive(cx) {
                Poll::Ready(Ok(Some(_))) => continue,
                Poll::Ready(Ok(None)) => self.arriving(),
                Poll::Ready(Err(_)) => Phase::Gone,
                Poll::Pending => return false,
            };
            return true;
        }
    }

    /// Ends a connection that broke or missed a deadline.
    fn abort(&mut self, socket: &S) {
        self.owner.duplex().receive_eof();
        self.owner.leave();
        self.input.clear(socket);
        self.progress = None;
        socket.give_up();
        self.phase = Phase::Gone;
    }
}

impl<O: Owner, S> Drop for SocketDriver<O, S> {
    /// Later calls on the owner's handle find the socket closed.
    fn drop(&mut self) {
        self.owner.duplex().receive_eof();
        self.owner.leave();
    }
}
