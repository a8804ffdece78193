//! One WebSocket connection after its handshake: the receiving half, and the state both halves share.
//! [`send`](super::send) is the sending half.

use core::fmt;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use super::close::{self, CloseFrame};
use super::deflate::Deflaters;
use super::error::{Expired, ProtocolError};
use super::frame::{CONTROL_BYTES_MAX, Header, Opcode, Rules};
use super::limits::Limits;
use super::mask;
use super::message::{Assembly, Message};
use super::negotiate::Deflate;
use super::peer_timer::{Due, PeerTimer};
use super::pending_control::PendingControl;
use crate::message::CloseCode;

/// A source of masking keys: 4 unpredictable bytes for each frame of a client (RFC 6455 §10.3).
pub type MaskKeys = Box<dyn FnMut() -> [u8; 4]>;

/// One end of a WebSocket connection, without a socket, a buffer of its own or a compressor.
///
/// There are three families of calls:
///
/// 1. **Bytes in**: call [`receive`](Self::receive) with the received bytes until it returns
///    [`NeedData`](Event::NeedData) or [`Closed`](Event::Closed). Call [`receive_eof`](Self::receive_eof) when the peer
///    has half-closed.
/// 2. **Bytes out**: [`send`](Self::send), [`ping`](Self::ping) and [`close`](Self::close) append to a buffer that the
///    caller writes to the socket. So does [`send_pending_control`](Self::send_pending_control), which writes the
///    protocol's own pongs, pings and close frames. Call it after any call of the other families if
///    [`has_pending_control`](Self::has_pending_control).
/// 3. **Time**: after any call, [`poll_deadline`](Self::poll_deadline) returns when to call
///    [`handle_deadline`](Self::handle_deadline).
///
/// Once [`is_over`](Self::is_over) and all pending control frames are sent, a server closes the transport. A client
/// waits until the server does so or the deadline passes (RFC 6455 §7.1.1).
///
/// An idle connection owns only this value, and a window if context takeover was negotiated.
pub struct Connection {
    pub(super) limits: Rc<Limits>,
    pub(super) timer: PeerTimer,
    pub(super) role: Role,
    pub(super) deflate: Option<Deflate>,
    /// The message that is being received.
    incoming: Option<Box<Assembly>>,
    pub(super) pending_control: PendingControl,
    pub(super) receiving: ReceiveState,
    /// Whether no close frame has been written or is pending.
    pub(super) is_open: bool,
}

/// Which end this is.
pub(super) enum Role {
    Server,
    Client(MaskKeys),
}

/// How received bytes are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiveState {
    /// As frames.
    Open,
    /// A close frame was sent: frames are skipped up to the peer's close frame. `skip` payload bytes come before the
    /// next header.
    Closing { skip: u64 },
    /// They are ignored.
    Closed,
}

/// The result of [`Connection::receive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// More bytes are needed. Present the rest of the input, at most 130 bytes, again in front of them.
    NeedData,
    /// A whole message.
    Message(Message),
    /// A ping; its pong is pending.
    Ping(Bytes),
    /// A pong, solicited or not.
    Pong(Bytes),
    /// The peer's close frame, with its code and reason if it had them. It is the last event. If this end has sent
    /// none, its answer is pending.
    Close(Option<CloseFrame>),
    /// The connection is over; the input was not read.
    Closed,
}

impl Connection {
    /// Makes a server's end of a connection, after its handshake.
    #[must_use]
    pub fn server(limits: Rc<Limits>, deflate: Option<Deflate>, now: Instant) -> Self {
        Self::new(Role::Server, limits, deflate, now)
    }

    /// Makes a client's end of a connection, after its handshake.
    #[must_use]
    pub fn client(limits: Rc<Limits>, deflate: Option<Deflate>, mask_keys: MaskKeys, now: Instant) -> Self {
        Self::new(Role::Client(mask_keys), limits, deflate, now)
    }

    fn new(role: Role, limits: Rc<Limits>, deflate: Option<Deflate>, now: Instant) -> Self {
        Self {
            limits,
            timer: PeerTimer::new(now),
            role,
            deflate,
            incoming: None,
            pending_control: PendingControl::default(),
            receiving: ReceiveState::Open,
            is_open: true,
        }
    }

    /// Consumes input up to one event and advances `input` behind it.
    ///
    /// Present bytes that were not consumed again, in front of more. After this end has sent a close frame, later
    /// messages, pings and pongs are skipped, as in browsers.
    ///
    /// # Errors
    ///
    /// The peer violated the protocol or a limit. A close frame with the reason is pending unless one was sent, and
    /// later calls return [`Event::Closed`].
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        deflaters: &mut Deflaters,
        now: Instant,
    ) -> Result<Event, ProtocolError> {
        if self.receiving == ReceiveState::Closed {
            return Ok(Event::Closed);
        }
        if !input.is_empty() {
            self.timer.note_received(now);
        }
        let result = self.receive_event(input, deflaters, now);
        result.inspect_err(|&error| self.fail(error.close_code(), error, now))
    }

    /// Ends the connection because the peer sends nothing more; call it after [`Event::NeedData`].
    ///
    /// # Errors
    ///
    /// [`ProtocolError::Truncated`] if the peer sent no close frame, which applications know as 1006.
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        let is_over = self.is_over();
        self.finish();
        self.timer.clear();
        if is_over { Ok(()) } else { Err(ProtocolError::Truncated) }
    }

    /// Returns when to call [`handle_deadline`](Self::handle_deadline); `None` while nothing is awaited from the peer.
    ///
    /// Every call may change it, so ask after each turn.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.timer.at(&self.limits)
    }

    /// Queues a keep-alive ping, or ends the connection and returns the missed deadline.
    ///
    /// After [`Expired::Close`], close the transport.
    pub fn handle_deadline(&mut self, now: Instant) -> Option<Expired> {
        match self.timer.due(&self.limits, now)? {
            Due::Ping => {
                self.pending_control.ping();
                None
            }
            Due::Expired(expired) => {
                // The peer may still receive, so the close frame names the reason.
                if expired == Expired::Pong {
                    self.fail(CloseCode::INTERNAL_ERROR, "ping timed out", now);
                }
                self.finish();
                self.timer.clear();
                Some(expired)
            }
        }
    }

    /// Restarts the peer's silence timer at `now`, after a time in which the caller read nothing.
    pub fn resume(&mut self, now: Instant) {
        if self.is_open {
            self.timer.note_received(now);
        }
    }

    /// Returns whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Returns whether the connection is over: nothing more is received, and only pending control frames are sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.receiving == ReceiveState::Closed
    }

    /// Returns whether this is a server's end, which closes the transport once the connection is over.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(self.role, Role::Server)
    }

    fn receive_event(
        &mut self,
        input: &mut &[u8],
        deflaters: &mut Deflaters,
        now: Instant,
    ) -> Result<Event, ProtocolError> {
        loop {
            if let ReceiveState::Closing { skip } = &mut self.receiving {
                pass_over(input, skip);
            } else if let Some(assembly) = self.incoming.as_mut().filter(|assembly| !assembly.is_frame_complete()) {
                assembly.receive(input)?;
                if !assembly.is_frame_complete() {
                    return Ok(Event::NeedData);
                }
                if assembly.is_complete()
                    && let Some(assembly) = self.incoming.take()
                {
                    return self.finish_message(*assembly, deflaters);
                }
            }
            let Some((header, header_bytes)) = Header::parse(input, self.rules())? else {
                return Ok(Event::NeedData);
            };
            if header.opcode.is_control() {
                // A control frame is taken whole: it is at most 125 bytes, so the caller can hold an incomplete one.
                let Some(payload) = take_control(header, header_bytes, input) else {
                    return Ok(Event::NeedData);
                };
                if let Some(event) = self.receive_control(header.opcode, payload, now)? {
                    return Ok(event);
                }
                continue;
            }
            *input = input.get(header_bytes..).unwrap_or_default();
            if let Some(event) = self.begin_frame(header, input, deflaters)? {
                return Ok(event);
            }
        }
    }

    /// Begins a data frame; returns its message if that is complete.
    fn begin_frame(
        &mut self,
        header: Header,
        input: &mut &[u8],
        deflaters: &mut Deflaters,
    ) -> Result<Option<Event>, ProtocolError> {
        if let ReceiveState::Closing { skip } = &mut self.receiving {
            *skip = header.payload_bytes;
            return Ok(None);
        }
        if let Some(assembly) = &mut self.incoming {
            assembly.continue_with(header, &self.limits)?;
            assembly.receive(input)?;
            return match self.incoming.take_if(|assembly| assembly.is_complete()) {
                Some(assembly) => self.finish_message(*assembly, deflaters).map(Some),
                None => Ok(None),
            };
        }
        // Only a message that arrives in parts is boxed; most arrive whole.
        let mut assembly = Assembly::new(header, &self.limits)?;
        assembly.receive(input)?;
        if assembly.is_complete() {
            return self.finish_message(assembly, deflaters).map(Some);
        }
        self.incoming = Some(Box::new(assembly));
        Ok(None)
    }

    fn finish_message(&mut self, assembly: Assembly, deflaters: &mut Deflaters) -> Result<Event, ProtocolError> {
        let window = self.deflate.as_mut().and_then(Deflate::receiving);
        assembly.finish(window, deflaters, &self.limits).map(Event::Message)
    }

    /// Handles a control frame; `None` if the application need not see it.
    fn receive_control(
        &mut self,
        opcode: Opcode,
        payload: Vec<u8>,
        now: Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        let is_closing = self.receiving != ReceiveState::Open;
        match opcode {
            Opcode::Close => {
                let frame = close::parse(&payload)?;
                if self.is_open {
                    // The answer repeats the code and leaves the reason out (RFC 6455 §5.5.1).
                    let code = payload.get(..2).unwrap_or_default();
                    self.pending_control.close(code.to_vec());
                }
                self.finish();
                self.await_end(now);
                Ok(Some(Event::Close(frame)))
            }
            // Nothing may follow our close frame, so a ping gets no pong now.
            _ if is_closing => Ok(None),
            Opcode::Ping => {
                let payload = Bytes::from(payload);
                self.pending_control.pong(payload.clone(), &self.limits)?;
                Ok(Some(Event::Ping(payload)))
            }
            _ => Ok(Some(Event::Pong(Bytes::from(payload)))),
        }
    }

    /// Ends the connection, with a close frame that names the reason unless one was sent before.
    fn fail(&mut self, code: CloseCode, reason: impl fmt::Display, now: Instant) {
        if self.is_open {
            let payload = close::format(code, &reason.to_string());
            self.pending_control.close(payload.unwrap_or_default());
        }
        self.finish();
        self.await_end(now);
    }

    /// Ends receiving; only pending control frames are sent from now on.
    fn finish(&mut self) {
        self.incoming = None;
        self.deflate = None;
        self.receiving = ReceiveState::Closed;
        self.is_open = false;
    }

    /// Only a client waits for the transport to close.
    fn await_end(&mut self, now: Instant) {
        match self.role {
            Role::Server => self.timer.clear(),
            Role::Client(_) => self.timer.closing(now),
        }
    }

    /// Skips the rest of the current frame, and later frames, because a close frame was written.
    pub(super) fn close_sent(&mut self, now: Instant) {
        let remaining = self.incoming.take().map_or(0, |assembly| assembly.frame_remaining());
        self.is_open = false;
        self.receiving = ReceiveState::Closing { skip: remaining };
        self.timer.closing(now);
    }

    fn rules(&self) -> Rules {
        Rules {
            is_masked: self.is_server(),
            may_compress: self.deflate.is_some(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("is_server", &self.is_server())
            .field("is_open", &self.is_open)
            .field("receiving", &self.receiving)
            .field("deadline", &self.timer)
            .finish_non_exhaustive()
    }
}

/// Takes a whole control frame off the front of `input` and unmasks its payload; `None` if it is incomplete.
fn take_control(header: Header, header_bytes: usize, input: &mut &[u8]) -> Option<Vec<u8>> {
    let payload_bytes = usize::try_from(header.payload_bytes).unwrap_or(CONTROL_BYTES_MAX);
    let (frame, rest) = input.split_at_checked(header_bytes + payload_bytes)?;
    *input = rest;
    let mut payload = frame.get(header_bytes..).unwrap_or_default().to_vec();
    if let Some(key) = header.mask {
        mask::apply(&mut payload, key, 0);
    }
    Some(payload)
}

/// Takes at most `skip` bytes off the front of `input`.
fn pass_over(input: &mut &[u8], skip: &mut u64) {
    let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(input.len());
    *input = input.get(passed..).unwrap_or_default();
    *skip -= passed as u64;
}
