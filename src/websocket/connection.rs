//! One WebSocket connection after its handshake: the receiving half and what both halves share. [`send`](super::send) is
//! the other half.

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

/// Where a client's masking keys come from: four bytes for each frame that nobody can foresee (RFC 6455 §10.3).
pub type MaskKeys = Box<dyn FnMut() -> [u8; 4]>;

/// One end of a WebSocket connection, without a socket, a buffer of its own or a compressor.
///
/// There are three families of calls:
///
/// 1. **Bytes in**: [`receive`](Self::receive) with whatever has arrived, again and again until it says
///    [`NeedData`](Event::NeedData) or [`Closed`](Event::Closed); [`receive_eof`](Self::receive_eof) when the peer has
///    half-closed.
/// 2. **Bytes out**: [`send`](Self::send), [`ping`](Self::ping), [`close`](Self::close) append to a buffer that the
///    caller writes to the socket. So does [`send_pending_control`](Self::send_pending_control), which is to be called after any call of the
///    other families if [`has_pending_control`](Self::has_pending_control): it writes the pongs, pings and close frames that the protocol asks for
///    and no application does.
/// 3. **Time**: after any of these, [`poll_deadline`](Self::poll_deadline) says when to call
///    [`handle_deadline`](Self::handle_deadline).
///
/// Once [`is_over`](Self::is_over) and nothing is owed, a server closes the transport; a client waits for the server to
/// do so until the deadline (RFC 6455 §7.1.1).
///
/// An idle connection owns no memory but this value, and a window where context takeover was negotiated.
pub struct Connection {
    pub(super) limits: Rc<Limits>,
    pub(super) timer: PeerTimer,
    pub(super) role: Role,
    pub(super) deflate: Option<Deflate>,
    /// The message of which some has come.
    incoming: Option<Box<Assembly>>,
    pub(super) pending_control: PendingControl,
    pub(super) receiving: ReceiveState,
    /// No close frame has been written, and none is owed.
    pub(super) is_open: bool,
}

/// Which end this is.
pub(super) enum Role {
    Server,
    Client(MaskKeys),
}

/// What the bytes that come in are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiveState {
    /// Frames.
    Open,
    /// Frames that nobody wants, as a close frame is on its way to the peer, up to the close frame that answers it. So
    /// many bytes of payload are to be passed over before the next header.
    Closing { skip: u64 },
    /// Nobody's.
    Closed,
}

/// What [`Connection::receive`] found in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be said without more bytes. What is left of the input, at most 130 bytes, must be presented
    /// again, in front of them.
    NeedData,
    /// A whole message.
    Message(Message),
    /// A ping; a pong is owed by now.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer's close frame, with a code and a reason if it had any. If this end had not sent one, one is owed by now.
    /// Nothing comes after it.
    Close(Option<CloseFrame>),
    /// Nothing that comes in means anything any more. The input was not looked at.
    Closed,
}

impl Connection {
    /// Makes a server's end of a connection whose handshake is done.
    #[must_use]
    pub fn server(limits: Rc<Limits>, deflate: Option<Deflate>, now: Instant) -> Self {
        Self::new(Role::Server, limits, deflate, now)
    }

    /// Makes a client's end of a connection whose handshake is done.
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

    /// Advances `input` past what was consumed and says what it was. Bytes not consumed must be presented again, in
    /// front of more.
    ///
    /// After this end has sent a close frame, messages, pings and pongs that still come are passed over, as a browser
    /// does.
    ///
    /// # Errors
    ///
    /// What the peer did wrong. From then on every call says [`Event::Closed`]; a close frame that tells the peer is
    /// owed, unless one has been sent.
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

    /// Says that the peer will send nothing more. To be called when [`receive`](Self::receive) has said
    /// [`Event::NeedData`] and there will be none.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::Truncated`] if no close frame had come: what applications know as 1006.
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        let is_over = self.is_over();
        self.finish();
        self.timer.clear();
        if is_over { Ok(()) } else { Err(ProtocolError::Truncated) }
    }

    /// When [`handle_deadline`](Self::handle_deadline) is to be called; `None` while nothing is expected of the peer.
    /// Changes with every call, so ask after each turn.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.timer.at(&self.limits)
    }

    /// Makes a ping owed if the peer has been quiet for long, or ends the connection if a deadline has passed, and says
    /// which. After [`Expired::Close`] only the transport is left to be closed.
    pub fn handle_deadline(&mut self, now: Instant) -> Option<Expired> {
        match self.timer.due(&self.limits, now)? {
            Due::Ping => {
                self.pending_control.ping();
                None
            }
            Due::Expired(expired) => {
                if expired == Expired::Pong {
                    self.fail(CloseCode::INTERNAL_ERROR, "ping timed out", now);
                }
                self.finish();
                self.timer.clear();
                Some(expired)
            }
        }
    }

    /// Says that nothing was read for a while by this end's own choice: the peer's silence counts from `now` on.
    pub fn resume(&mut self, now: Instant) {
        if self.is_open {
            self.timer.note_received(now);
        }
    }

    /// Whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether nothing more is received, and nothing sent but what is owed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.receiving == ReceiveState::Closed
    }

    /// Whether this is a server's end, which closes the transport once the connection is over.
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

    /// Begins a data frame, and ends it if it is all there.
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

    /// Does what a control frame asks for; `None` where nobody need know.
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
                    let code = payload.get(..2).unwrap_or_default();
                    self.pending_control.close(code.to_vec());
                }
                self.finish();
                self.await_end(now);
                Ok(Some(Event::Close(frame)))
            }
            _ if is_closing => Ok(None),
            Opcode::Ping => {
                let payload = Bytes::from(payload);
                self.pending_control.pong(payload.clone(), &self.limits)?;
                Ok(Some(Event::Ping(payload)))
            }
            _ => Ok(Some(Event::Pong(Bytes::from(payload)))),
        }
    }

    /// Ends the connection for a reason that the peer is told, unless it has been sent a close frame before.
    fn fail(&mut self, code: CloseCode, reason: impl fmt::Display, now: Instant) {
        if self.is_open {
            let payload = close::format(code, &reason.to_string());
            self.pending_control.close(payload.unwrap_or_default());
        }
        self.finish();
        self.await_end(now);
    }

    /// Receives and sends nothing more but what is owed.
    fn finish(&mut self) {
        self.incoming = None;
        self.deflate = None;
        self.receiving = ReceiveState::Closed;
        self.is_open = false;
    }

    /// A server need not wait for its client before it closes the transport.
    fn await_end(&mut self, now: Instant) {
        match self.role {
            Role::Server => self.timer.clear(),
            Role::Client(_) => self.timer.closing(now),
        }
    }

    /// A close frame has been written: what comes from now on is passed over.
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

/// Takes a control frame off the front of `input` and unmasks its payload; `None` while it is not all there.
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

/// Takes up to `skip` bytes off the front of `input`.
fn pass_over(input: &mut &[u8], skip: &mut u64) {
    let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(input.len());
    *input = input.get(passed..).unwrap_or_default();
    *skip -= passed as u64;
}
