//! One HTTP/2 connection: the frames it receives, and the state that all of its halves share.
//!
//! `content` receives DATA, `blocks` header blocks, `control` the
//! other frames. `send` writes, `flow` grants windows, `deadline` keeps
//! the time.

use std::rc::Rc;
use std::time::Instant;

use super::block::Block;
use super::budget::Budget;
use super::clock::Clock;
use super::data::Content;
use super::error::{ConnectionError, ErrorCode};
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, flag, kind};
use super::hpack::{Decoder, Encoder};
use super::key::StreamKey;
use super::limits::Limits;
use super::pace::Pace;
use super::schedule::Schedule;
use super::settings::{self, PeerSettings, Role};
use super::stream::{State, Step};
use super::streams::Streams;
use super::window::{WINDOW_INITIAL, Window};
use crate::message::{RequestHead, StatusCode};

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The connection window in bytes: 1 MiB, so that 16 handlers that do not read leave the others their window.
pub(super) const CONNECTION_WINDOW: i64 = 1024 * 1024;

/// One end of an HTTP/2 connection, without socket and without the content of messages.
///
/// The caller keeps what has arrived and presents it to [`receive`](Self::receive). All methods that write append to a
/// buffer that the caller sends.
///
/// 1. **Begin**: [`begin`](Self::begin) writes the first frames.
/// 2. **Receive**: [`receive`](Self::receive) until it returns [`NeedData`](Event::NeedData). Tell the machine how much
///    content handlers have not taken, with [`set_unread`](Self::set_unread).
/// 3. **Send**: [`send_head`](Self::send_head), then content as [`next_sender`](Self::next_sender) admits it, and
///    [`send_last`](Self::send_last).
/// 4. **Release** each stream once its handler has ended, with [`release`](Self::release).
/// 5. **Deadlines**: after any of these, [`poll_deadline`](Self::poll_deadline) returns when to call
///    [`handle_deadline`](Self::handle_deadline).
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) is_secure: bool,
    pub(super) limits: Rc<Limits>,
    pub(super) peer: PeerSettings,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams,
    pub(super) schedule: Schedule,
    receiving: Receiving,
    /// A header block that is not complete.
    pub(super) block: Option<Box<Block>>,
    pub(super) receive_window: Window,
    pub(super) receive_target: i64,
    /// Received content of all streams that no handler has taken.
    pub(super) unread_bytes: usize,
    pub(super) send_window: Window,
    pub(super) budget: Budget,
    pub(super) clock: Clock,
    pub(super) going_away: GoingAway,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy)]
enum Receiving {
    /// The preface, of which this many bytes have come.
    Preface(usize),
    /// The first SETTINGS.
    FirstFrame,
    Frame,
    Content(Content),
    /// Payload that is dropped.
    Skip(usize),
    /// Nothing is read any more.
    Closed,
}

/// How far a graceful end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoingAway {
    No,
    /// The first GOAWAY was written; requests that cross it are answered.
    Announced(Instant),
    /// The last stream was named; later ones are ignored.
    Last(u32),
}

/// How much content a request announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentLength {
    /// None.
    Empty,
    /// The number in `content-length`.
    Known(u64),
    /// Any number of bytes.
    Unknown,
}

/// What [`Connection::receive`] found in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// More bytes are needed. Present the rest of the input again, in front of them.
    NeedData,
    /// The output is full. Send it, and call again; the input was not read.
    Blocked,
    /// The connection accepts no more input. The input was not read.
    Closed,
    /// The head of a request was received; it is in the [`RequestHead`]. Release the stream in the end.
    Request {
        /// The stream.
        stream: StreamKey,
        /// The announced content; no [`End`](Event::End) follows an empty one.
        length: ContentLength,
    },
    /// A request, or the trailers of one, gets an error as its answer. Release the stream in the end.
    Refused {
        /// The stream.
        stream: StreamKey,
        /// The status of the answer.
        status: StatusCode,
        /// What is wrong, for the client.
        reason: &'static str,
    },
    /// The head of a response was received; its fields are in the [`RequestHead`]. Clients only.
    Response {
        /// The stream.
        stream: StreamKey,
        /// The status; after one below 200 another head follows.
        status: StatusCode,
        /// Whether the response ends here.
        ends: bool,
    },
    /// Part of the content; never empty.
    Data {
        /// The stream.
        stream: StreamKey,
        /// The bytes.
        data: &'b [u8],
    },
    /// Trailers, which end the message; their fields are in the [`RequestHead`].
    Trailers {
        /// The stream.
        stream: StreamKey,
    },
    /// The message is complete.
    End {
        /// The stream.
        stream: StreamKey,
    },
    /// The stream was reset, by the peer or because of it. Release it once its handler has ended.
    Reset {
        /// The stream.
        stream: StreamKey,
        /// Why.
        code: ErrorCode,
    },
    /// The peer opens no further streams, and answers none above the last one it names.
    GoAway {
        /// The last stream that the peer has handled or will handle.
        last: u32,
        /// Why.
        code: ErrorCode,
    },
}

impl Event<'_> {
    /// Returns an event that borrows nothing; `None` for content.
    #[must_use]
    pub fn without_data(self) -> Option<Event<'static>> {
        Some(match self {
            Event::Data { .. } => return None,
            Event::NeedData => Event::NeedData,
            Event::Blocked => Event::Blocked,
            Event::Closed => Event::Closed,
            Event::Request { stream, length } => Event::Request { stream, length },
            Event::Refused { stream, status, reason } => Event::Refused { stream, status, reason },
            Event::Response { stream, status, ends } => Event::Response { stream, status, ends },
            Event::Trailers { stream } => Event::Trailers { stream },
            Event::End { stream } => Event::End { stream },
            Event::Reset { stream, code } => Event::Reset { stream, code },
            Event::GoAway { last, code } => Event::GoAway { last, code },
        })
    }
}

/// What one call of [`Connection::receive`] reads into and writes to.
pub(super) struct Turn<'t> {
    pub(super) head: &'t mut RequestHead,
    pub(super) now: Instant,
    pub(super) out: &'t mut Vec<u8>,
}

/// The result of reading a part of the input; `None` goes on.
pub(super) type Received<'b> = Result<Option<Event<'b>>, ConnectionError>;

impl Connection {
    /// Creates the machine of a server for a connection accepted at `now`.
    ///
    /// `is_secure` says which `:scheme` its requests must have.
    #[must_use]
    pub fn server(limits: Rc<Limits>, is_secure: bool, now: Instant) -> Self {
        Self::new(Role::Server, limits, is_secure, now)
    }

    /// Creates the machine of a client for a connection made at `now`.
    #[must_use]
    pub fn client(limits: Rc<Limits>, is_secure: bool, now: Instant) -> Self {
        Self::new(Role::Client, limits, is_secure, now)
    }

    fn new(role: Role, limits: Rc<Limits>, is_secure: bool, now: Instant) -> Self {
        Self {
            role,
            is_secure,
            peer: PeerSettings::INITIAL,
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            streams: Streams::default(),
            schedule: Schedule::default(),
            receiving: match role {
                Role::Server => Receiving::Preface(0),
                Role::Client => Receiving::FirstFrame,
            },
            block: None,
            receive_window: Window::new(WINDOW_INITIAL),
            receive_target: WINDOW_INITIAL,
            unread_bytes: 0,
            send_window: Window::new(WINDOW_INITIAL),
            budget: Budget::new(&limits, now),
            clock: Clock::new(now),
            going_away: GoingAway::No,
            limits,
        }
    }

    /// Writes the first frames: the preface of a client, SETTINGS, and the window of the connection.
    pub fn begin(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.role == Role::Client {
            out.extend_from_slice(PREFACE);
        }
        settings::put_own(self.role, &self.limits, out);
        self.clock.settings_sent(now);
        self.raise_connection_target(CONNECTION_WINDOW);
        self.replenish_connection(out);
    }

    /// Advances `input` past what was consumed and returns what it was.
    ///
    /// Present bytes that were not consumed again, in front of more. `head` holds the fields of a request, a response or
    /// trailers until the next call.
    ///
    /// # Errors
    ///
    /// Fails if the peer broke a rule or a limit after which the connection ends. The GOAWAY is written, and every later
    /// call returns [`Event::Closed`].
    pub fn receive<'b>(
        &mut self,
        input: &mut &'b [u8],
        head: &mut RequestHead,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Event<'b>, ConnectionError> {
        let turn = &mut Turn { head, now, out };
        loop {
            if turn.out.len() >= self.limits.max_queued_bytes && !self.is_closed() {
                return Ok(Event::Blocked);
            }
            let step = match self.receiving {
                Receiving::Preface(matched) => self.receive_preface(matched, input),
                Receiving::FirstFrame | Receiving::Frame => self.receive_frame(input, turn),
                Receiving::Content(content) => self.receive_content(content, input, turn),
                Receiving::Skip(left) => self.skip(left, input),
                Receiving::Closed => return Ok(Event::Closed),
            };
            match step {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    self.fail(error, turn.out);
                    return Err(error);
                }
            }
        }
    }

    fn receive_preface<'b>(&mut self, matched: usize, input: &mut &'b [u8]) -> Received<'b> {
        let expected = PREFACE.get(matched..).unwrap_or_default();
        let count = expected.len().min(input.len());
        let (came, rest) = input.split_at(count);
        if !expected.starts_with(came) {
            return Err(ConnectionError::protocol("the preface is malformed"));
        }
        *input = rest;
        if count == expected.len() {
            self.receiving = Receiving::FirstFrame;
            return Ok(None);
        }
        self.receiving = Receiving::Preface(matched + count);
        Ok(Some(Event::NeedData))
    }

    /// Reads a frame. All but DATA and unknown ones are read whole; their headers are judged before.
    fn receive_frame<'b>(&mut self, input: &mut &'b [u8], turn: &mut Turn<'_>) -> Received<'b> {
        let Some(header) = FrameHeader::read(input) else {
            return Ok(Some(Event::NeedData));
        };
        header.check()?;
        self.check_order(header)?;
        match header.kind {
            kind::DATA => return self.begin_content(header, input, turn),
            kind::HEADERS
            | kind::PRIORITY
            | kind::RST_STREAM
            | kind::SETTINGS
            | kind::PUSH_PROMISE
            | kind::PING
            | kind::GOAWAY
            | kind::WINDOW_UPDATE
            | kind::CONTINUATION
            | kind::PRIORITY_UPDATE => {}
            _ => {
                self.budget.charge_control(&self.limits, turn.now)?;
                *input = input.get(FRAME_HEADER_BYTES..).unwrap_or_default();
                self.receiving = Receiving::Skip(header.length);
                return Ok(None);
            }
        }
        let Some((frame, rest)) = input.split_at_checked(FRAME_HEADER_BYTES + header.length) else {
            if matches!(header.kind, kind::HEADERS | kind::CONTINUATION) {
                self.clock.block_begun(turn.now);
            }
            return Ok(Some(Event::NeedData));
        };
        *input = rest;
        self.receiving = Receiving::Frame;
        let payload = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        match header.kind {
            kind::HEADERS => self.receive_headers(header, payload, turn),
            kind::CONTINUATION => self.receive_continuation(header, payload, turn),
            _ => self.receive_control(header, payload, turn.now, turn.out),
        }
    }

    /// Checks that a frame may come now.
    fn check_order(&self, header: FrameHeader) -> Result<(), ConnectionError> {
        if matches!(self.receiving, Receiving::FirstFrame) && (header.kind != kind::SETTINGS || header.has(flag::ACK)) {
            return Err(ConnectionError::protocol("the first frame is not SETTINGS"));
        }
        match &self.block {
            Some(block) => block.check_next(header, &self.limits),
            None if header.kind == kind::CONTINUATION => {
                Err(ConnectionError::protocol("a CONTINUATION continues no header block"))
            }
            None => Ok(()),
        }
    }

    fn skip<'b>(&mut self, left: usize, input: &mut &'b [u8]) -> Received<'b> {
        let count = left.min(input.len());
        *input = input.get(count..).unwrap_or_default();
        if count < left {
            self.receiving = Receiving::Skip(left - count);
            return Ok(Some(Event::NeedData));
        }
        self.receiving = Receiving::Frame;
        Ok(None)
    }

    pub(super) fn set_content(&mut self, content: Content) {
        self.receiving = Receiving::Content(content);
    }

    pub(super) fn content_ended(&mut self) {
        self.receiving = Receiving::Frame;
    }

    /// Whether the peer's preface and its first SETTINGS have come.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.receiving, Receiving::Preface(_) | Receiving::FirstFrame)
    }

    /// Returns whether nothing is read any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.receiving, Receiving::Closed)
    }

    /// Returns whether the connection is over: it accepts no stream, and none is open.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let accepts_none = self.is_closed() || matches!(self.going_away, GoingAway::Last(_));
        accepts_none && self.streams.open_count() == 0
    }

    /// Returns whether no stream is held.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.held() == 0
    }

    /// Returns since when the connection has been without a stream, if it is.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        self.clock.idle_since
    }

    /// Returns every open stream.
    pub fn open_streams(&self) -> impl Iterator<Item = StreamKey> {
        self.streams.open()
    }

    /// Returns whether more of a stream's message is to come.
    #[must_use]
    pub fn is_receiving(&self, stream: StreamKey) -> bool {
        self.streams
            .get(stream)
            .is_some_and(|stream| stream.state.may_receive())
    }

    /// Returns whether a stream is open.
    #[must_use]
    pub fn is_open(&self, stream: StreamKey) -> bool {
        self.streams
            .get(stream)
            .is_some_and(|stream| stream.state != State::Closed)
    }

    /// Announces that the connection ends: streams in progress, and those that cross the announcement, still finish.
    pub fn go_away(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.going_away == GoingAway::No && !self.is_closed() {
            self.going_away = GoingAway::Announced(now);
            frame::put_go_away((1 << 31) - 1, ErrorCode::NO_ERROR, "", out);
        }
    }

    /// Names the last stream; later ones are ignored.
    pub(super) fn name_last_stream(&mut self, out: &mut Vec<u8>) {
        let last = self.streams.highest_of_peer;
        self.going_away = GoingAway::Last(last);
        frame::put_go_away(last, ErrorCode::NO_ERROR, "", out);
    }

    /// Records that the peer sends nothing more.
    ///
    /// Streams stay open, so that complete requests are still answered.
    pub fn receive_eof(&mut self) {
        self.going_away = GoingAway::Last(self.streams.highest_of_peer);
        self.block = None;
        self.receiving = Receiving::Closed;
    }

    /// Ends the connection with an error, and all of its streams.
    pub(super) fn fail(&mut self, error: ConnectionError, out: &mut Vec<u8>) {
        self.receiving = Receiving::Closed;
        self.block = None;
        for stream in self.streams.open().collect::<Vec<_>>() {
            self.step(stream, Step::Reset);
        }
        frame::put_go_away(self.streams.highest_of_peer, error.code, error.reason, out);
    }

    /// Closes a connection without streams, and without an error.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.is_closed() {
            return;
        }
        self.receiving = Receiving::Closed;
        frame::put_go_away(self.streams.highest_of_peer, ErrorCode::NO_ERROR, "", out);
    }

    /// Resets a stream for a reason of the application, which is not charged to the peer.
    pub fn reset(&mut self, stream: StreamKey, code: ErrorCode, out: &mut Vec<u8>) {
        if self.is_open(stream) {
            frame::put_reset(stream.id(), code, out);
            self.step(stream, Step::Reset);
        }
    }

    /// Resets a stream whose handler has failed, or has left a tunnel before its end.
    pub fn give_up(&mut self, stream: StreamKey, out: &mut Vec<u8>) {
        if let Some(state) = self.streams.get(stream) {
            self.reset(stream, state.give_up_code(), out);
        }
    }

    /// Resets a stream because of the peer, which is charged for it.
    pub(super) fn reset_for_peer<'b>(
        &mut self,
        stream: StreamKey,
        code: ErrorCode,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Received<'b> {
        self.budget.charge_reset(&self.limits, now)?;
        self.reset(stream, code, out);
        Ok(Some(Event::Reset { stream, code }))
    }

    /// Takes a step of a stream's state. A stream that is closed by it is unregistered; every charge for a reset is made
    /// before this.
    pub(super) fn step(&mut self, key: StreamKey, step: Step) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.advance(step);
        if stream.state != State::Closed {
            return;
        }
        self.unread_bytes = self.unread_bytes.saturating_sub(stream.unread_bytes);
        stream.unread_bytes = 0;
        self.budget
            .forgive_small_data(core::mem::take(&mut stream.small_frames));
        stream.ready_bytes = 0;
        stream.progress = None;
        stream.pace = Pace::default();
        self.schedule.remove(key);
        self.streams.close(key, step == Step::Reset);
    }

    /// Frees the place of a stream whose handler has ended.
    ///
    /// An open stream is [given up](Self::give_up).
    pub fn release(&mut self, stream: StreamKey, now: Instant, out: &mut Vec<u8>) {
        self.give_up(stream, out);
        self.streams.release(stream);
        if self.streams.held() == 0 {
            self.clock.idle_begun(now);
        }
    }

    /// Answers a frame for a stream that is closed: it is ignored if the stream was reset a moment ago.
    pub(super) fn frame_on_closed(&mut self, id: u32, now: Instant, out: &mut Vec<u8>) -> Result<(), ConnectionError> {
        if self.streams.was_reset(id) {
            return self.budget.charge_control(&self.limits, now);
        }
        self.refuse_stream(id, ErrorCode::STREAM_CLOSED, now, out)
    }

    /// Resets a stream that is not held, and charges the peer for it.
    pub(super) fn refuse_stream(
        &mut self,
        id: u32,
        code: ErrorCode,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ConnectionError> {
        self.budget.charge_reset(&self.limits, now)?;
        frame::put_reset(id, code, out);
        self.streams.remember_reset(id);
        Ok(())
    }

    /// Returns whether everything is as before the first stream.
    ///
    /// None is held, no content is unread, nothing waits to be sent, and no credit of the connection is lost.
    #[must_use]
    pub fn is_quiescent(&self) -> bool {
        let mut window = self.receive_window;
        self.streams.held() == 0
            && self.streams.open_count() == 0
            && self.schedule.is_empty()
            && self.unread_bytes == 0
            && self.block.is_none()
            && window.replenish(self.receive_target, self.receive_target).is_none()
    }

    /// Returns whether a stream was never opened.
    pub(super) fn is_unopened(&self, id: u32) -> bool {
        match id % 2 {
            1 if self.role == Role::Server => id > self.streams.highest_of_peer,
            1 => id > self.streams.highest_of_own,
            _ => true,
        }
    }
}
