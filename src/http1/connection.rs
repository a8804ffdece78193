//! One HTTP/1 connection from the server's side: the receiving half and the state shared with the sending half,
//! [`send`](super::send).

use std::rc::Rc;
use std::time::Instant;

use super::chunked::Piece;
use super::content::ContentReader;
use super::deadline::PeerDeadline;
use super::encode::ResponseContent;
use super::error::{Expired, ParseError};
use super::framing::Framing;
use super::head::HeadReader;
use super::limits::Limits;
use super::request::Exchange;
use super::state::{ReceiveState, SendState, State, Step};
use crate::message::RequestHead;

/// A server's end of an HTTP/1 connection, without socket and buffer.
///
/// Call its methods in this order for each exchange:
///
/// 1. **Receive**: [`receive`](Self::receive) with whatever has arrived, until it returns [`NeedData`](Event::NeedData)
///    or [`Blocked`](Event::Blocked). Call [`receive_eof`](Self::receive_eof) when the peer has half-closed.
/// 2. **Send**: [`send_continue`](Self::send_continue) if [`expects_continue`](Self::expects_continue) and the content
///    is wanted. Then [`send_head`](Self::send_head), any number of [`send_data`](Self::send_data), and
///    [`send_end`](Self::send_end). Sending may begin before the content is complete. The methods append to a buffer
///    that the caller writes to the socket.
/// 3. **Turn over**: [`next_exchange`](Self::next_exchange) once after `send_end`.
/// 4. **Deadlines**: after any of these, [`poll_deadline`](Self::poll_deadline) returns when to call
///    [`handle_deadline`](Self::handle_deadline).
///
/// An idle connection owns no memory except this value.
#[derive(Debug)]
pub struct Connection {
    pub(super) limits: Rc<Limits>,
    pub(super) deadline: PeerDeadline,
    head: HeadReader,
    /// The content of the current request.
    content: ContentReader,
    /// The rest of the current response.
    pub(super) response: ResponseContent,
    pub(super) exchange: Exchange,
    /// No exchange follows the current one.
    pub(super) is_closing: bool,
    pub(super) state: State,
}

/// What [`Connection::receive`] found in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// More bytes are needed. Present the rest of the input again, in front of them.
    NeedData,
    /// A head was received; it is in the [`RequestHead`].
    Request,
    /// Part of the content; never empty. Chunk boundaries carry no meaning.
    Data(&'b [u8]),
    /// A trailer field. Do not treat it as one of the request's fields (RFC 9110 §6.5.1).
    Trailer {
        /// The name as sent; compare it without case.
        name: &'b str,
        /// The value without surrounding blanks.
        value: &'b [u8],
    },
    /// The request is complete. Returned once per request, also after empty content.
    End,
    /// The request is complete but its response is not; call again after [`Connection::next_exchange`]. The input was
    /// not read.
    Blocked,
    /// The connection speaks another protocol since `101`; the input belongs to it, unread.
    Upgraded,
    /// The connection accepts no more input. The input was not read.
    Closed,
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next request, which may already be in the input.
    KeepAlive,
    /// The rest of this request's content, which [`Connection::receive`] discards before it reads the next request.
    Drain,
    /// Nothing: flush, then close so that the peer can still read what was sent (RFC 9112 §9.6).
    Close,
    /// Another protocol, since `101`.
    Upgraded,
}

impl Connection {
    /// Creates the machine of a connection accepted at `now`.
    #[must_use]
    pub fn new(limits: Rc<Limits>, now: Instant) -> Self {
        Self {
            limits,
            deadline: PeerDeadline::accepted(now),
            head: HeadReader::default(),
            content: ContentReader::new(Framing::Empty),
            response: ResponseContent::None,
            exchange: Exchange::NONE,
            is_closing: false,
            state: State::IDLE,
        }
    }

    /// Advances `input` past what was consumed and returns what it was.
    ///
    /// Present bytes that were not consumed again, in front of more. `head` holds the request after [`Event::Request`],
    /// until the next call; after an error its content is meaningless. Calling this method asks for content: after
    /// [`Event::NeedData`] the peer's timeouts run.
    ///
    /// # Errors
    ///
    /// Fails if the peer broke a rule or a limit. Every later call returns [`Event::Closed`]; a response can still be
    /// sent if none has begun. An error in discarded content returns [`Event::Closed`] at once, because the response
    /// has already been sent.
    pub fn receive<'b>(
        &mut self,
        input: &mut &'b [u8],
        head: &mut RequestHead,
        now: Instant,
    ) -> Result<Event<'b>, ParseError> {
        let receiving = self.state.receiving;
        let result = match receiving {
            // `None`: the content ended within this input, and the next head follows in it.
            ReceiveState::Drain if let Some(event) = self.drain(input, now) => return Ok(event),
            ReceiveState::Head | ReceiveState::Drain => self.receive_head(input, head, now),
            ReceiveState::Content => self.receive_content(input, now),
            ReceiveState::Complete => return Ok(Event::Blocked),
            ReceiveState::Upgraded => return Ok(Event::Upgraded),
            ReceiveState::Closed => return Ok(Event::Closed),
        };
        result.inspect_err(|_| self.refuse())
    }

    /// Records that the peer will send nothing more.
    ///
    /// Call it after [`receive`](Self::receive) has returned [`Event::NeedData`], so that requests pipelined before the
    /// end are answered first.
    ///
    /// # Errors
    ///
    /// Fails with [`ParseError::Truncated`] if a request is incomplete.
    pub fn receive_eof(&mut self) -> Result<(), ParseError> {
        self.is_closing = true;
        match self.state.receiving {
            ReceiveState::Head if self.head.has_begun() => {
                self.refuse();
                Err(ParseError::Truncated)
            }
            ReceiveState::Content if !self.is_request_complete() => {
                self.refuse();
                Err(ParseError::Truncated)
            }
            ReceiveState::Head | ReceiveState::Drain => {
                self.close();
                Ok(())
            }
            ReceiveState::Content | ReceiveState::Complete | ReceiveState::Upgraded | ReceiveState::Closed => Ok(()),
        }
    }

    /// Turns to the next request after [`send_end`](Self::send_end).
    ///
    /// Returns [`Next::Close`] if called before `send_end` or if the connection does not persist. Further calls return
    /// the same value.
    ///
    /// Unread content is discarded, up to [`Limits::max_drain_bytes`] and [`Limits::drain_timeout`]. So nothing inside
    /// it can be read as the next request.
    pub fn next_exchange(&mut self, now: Instant) -> Next {
        match (self.state.receiving, self.state.sending) {
            (ReceiveState::Upgraded, _) => return Next::Upgraded,
            (ReceiveState::Drain, _) => return Next::Drain,
            (ReceiveState::Head, SendState::Idle) => return Next::KeepAlive,
            _ => {}
        }
        if self.state.sending != SendState::Ended || !self.exchange.persists {
            self.close();
            return Next::Close;
        }
        if self.is_request_complete() {
            self.advance(Step::NextExchange);
            self.begin_exchange(now);
            return Next::KeepAlive;
        }
        self.advance(Step::DrainContent);
        self.deadline.drain_begun(now);
        Next::Drain
    }

    /// Ends the connection after the current exchange: the next head sends `Connection: close`.
    ///
    /// If the head has already been sent without it, one more request is answered.
    pub fn close_after_response(&mut self) {
        self.is_closing = true;
    }

    /// Returns when to call [`handle_deadline`](Self::handle_deadline), or `None` while the peer owes nothing.
    ///
    /// The value changes with every call, so query it after each turn.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.deadline.at(&self.limits)
    }

    /// Ends the connection if a deadline has passed, and returns which one.
    ///
    /// If [`Expired::status`] has a status and no response has begun, that response can still be sent.
    pub fn handle_deadline(&mut self, now: Instant) -> Option<Expired> {
        let expired = self.deadline.expired(&self.limits, now)?;
        match expired {
            Expired::Head | Expired::Body => self.refuse(),
            Expired::Idle | Expired::Drain => self.close(),
        }
        Some(expired)
    }

    /// Returns since when the connection has been idle between two requests, or `None` if it is busy or before its
    /// first request.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        self.deadline.idle_since()
    }

    /// Returns since when the peer's last bytes are awaited, or were until the connection refused them.
    #[must_use]
    pub fn waits_since(&self) -> Instant {
        self.deadline.since()
    }

    /// Returns whether no request has begun, so that closing the connection loses no response.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::IDLE && !self.head.has_begun()
    }

    /// Returns whether the current request has been received completely; true also before [`Event::End`] was returned,
    /// and between requests.
    #[must_use]
    pub fn is_request_complete(&self) -> bool {
        match self.state.receiving {
            ReceiveState::Content | ReceiveState::Drain => self.content.remaining() == Some(0),
            ReceiveState::Head | ReceiveState::Complete | ReceiveState::Upgraded => true,
            ReceiveState::Closed => false,
        }
    }

    /// Returns how many bytes of content are still to come, or `None` if the framing does not tell.
    #[must_use]
    pub fn content_remaining(&self) -> Option<u64> {
        match self.state.receiving {
            ReceiveState::Content | ReceiveState::Drain => self.content.remaining(),
            _ => Some(0),
        }
    }

    /// Returns the least number of content bytes still to come.
    ///
    /// That is the rest of the length, or of the chunk whose size line has arrived (RFC 9112 §7.1). So oversized
    /// content can be rejected before it arrives.
    #[must_use]
    pub fn content_announced(&self) -> u64 {
        match self.state.receiving {
            ReceiveState::Content | ReceiveState::Drain => self.content.announced(),
            _ => 0,
        }
    }

    /// Returns whether the peer waits for `100 Continue`, or a final response, before it sends content.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.exchange.awaits_continue
            && !self.exchange.has_content
            && self.state.sending == SendState::Head
            && !self.is_request_complete()
            && self.state.receiving == ReceiveState::Content
    }

    /// Returns whether a response must be sent or is being sent.
    #[must_use]
    pub fn is_responding(&self) -> bool {
        matches!(self.state.sending, SendState::Head | SendState::Content)
    }

    /// Returns whether the connection speaks another protocol, since `101`.
    #[must_use]
    pub fn is_upgraded(&self) -> bool {
        self.state.receiving == ReceiveState::Upgraded
    }

    /// Returns whether the head of the final response has been sent, so that an error can only be shown by closing.
    #[must_use]
    pub fn is_head_sent(&self) -> bool {
        matches!(self.state.sending, SendState::Content | SendState::Ended)
    }

    /// Returns whether content may follow: the head of the final response has been sent, and neither status nor method
    /// rules content out.
    #[must_use]
    pub fn takes_content(&self) -> bool {
        self.state.sending == SendState::Content && self.response != ResponseContent::None
    }

    /// Returns whether closing the connection is what ends the content of the current or last response, as with an
    /// HTTP/1.0 peer.
    #[must_use]
    pub fn is_ended_by_close(&self) -> bool {
        self.response == ResponseContent::UntilClose
    }

    /// Returns whether another request will be read after the current exchange, as far as known; final once the head
    /// has been sent.
    #[must_use]
    pub fn persists(&self) -> bool {
        match self.state.sending {
            SendState::Idle => !self.is_closing,
            SendState::Head => self.can_persist(),
            SendState::Content | SendState::Ended => {
                self.exchange.persists && !matches!(self.state.receiving, ReceiveState::Closed | ReceiveState::Upgraded)
            }
        }
    }

    /// Returns whether the connection may persist, apart from what the response decides.
    ///
    /// A peer that received no `100 Continue` may or may not send its content after the final response (RFC 9110
    /// §10.1.1). Unless all content is here, the meaning of the next byte is unknown.
    pub(super) fn can_persist(&self) -> bool {
        let is_drainable = || {
            let is_small = self.content_announced() <= self.limits.max_drain_bytes;
            is_small && !self.exchange.awaits_continue
        };
        self.exchange.persists && !self.is_closing && (self.is_request_complete() || is_drainable())
    }

    pub(super) fn advance(&mut self, step: Step) {
        if let Some(state) = self.state.after(step) {
            self.state = state;
        } else {
            debug_assert!(false, "{step:?} cannot happen in {:?}", self.state);
        }
    }

    fn receive_head<'b>(
        &mut self,
        input: &mut &'b [u8],
        head: &mut RequestHead,
        now: Instant,
    ) -> Result<Event<'b>, ParseError> {
        let framing = self.head.receive(input, head, &mut self.exchange, &self.limits)?;
        let Some(framing) = framing else {
            if self.head.has_begun() {
                self.deadline.head_begun(now);
            }
            return Ok(Event::NeedData);
        };
        self.deadline.head_ended();
        self.content = ContentReader::new(framing);
        self.advance(Step::RequestHead);
        Ok(Event::Request)
    }

    fn receive_content<'b>(&mut self, input: &mut &'b [u8], now: Instant) -> Result<Event<'b>, ParseError> {
        let presented = input.len();
        let piece = self.content.receive(input, &self.limits)?;
        let consumed = presented - input.len();
        self.exchange.has_content |= consumed > 0;
        match piece {
            Piece::NeedData => {
                // A peer that waits for `100 Continue` is not late.
                if !self.expects_continue() {
                    self.deadline.content_awaited(consumed, now);
                }
                Ok(Event::NeedData)
            }
            Piece::Data(data) => {
                self.deadline.content_came(consumed, now);
                Ok(Event::Data(data))
            }
            Piece::Trailer { name, value } => {
                self.deadline.content_came(consumed, now);
                Ok(Event::Trailer { name, value })
            }
            Piece::End => {
                self.deadline.clear();
                self.advance(Step::RequestEnd);
                Ok(Event::End)
            }
        }
    }

    /// Discards content. Returns an event if the next head cannot be read yet.
    fn drain<'b>(&mut self, input: &mut &'b [u8], now: Instant) -> Option<Event<'b>> {
        loop {
            let presented = input.len();
            let piece = self.content.receive(input, &self.limits);
            let drained = self.deadline.drained(presented - input.len());
            let expected = drained.saturating_add(self.content.announced());
            match piece {
                Ok(Piece::End) => break,
                // Announced content counts, so content beyond the limit is never awaited.
                Ok(_) if expected > self.limits.max_drain_bytes => {
                    self.close();
                    return Some(Event::Closed);
                }
                Ok(Piece::NeedData) => return Some(Event::NeedData),
                Ok(Piece::Data(_) | Piece::Trailer { .. }) => {}
                Err(_) => {
                    self.close();
                    return Some(Event::Closed);
                }
            }
        }
        self.advance(Step::Drained);
        self.begin_exchange(now);
        None
    }

    fn begin_exchange(&mut self, now: Instant) {
        self.exchange = Exchange::NONE;
        self.deadline.exchange_ended(now);
    }

    /// Ends the receiving half after an error or a timeout; the response can still be sent.
    fn refuse(&mut self) {
        self.deadline.clear();
        self.exchange.persists = false;
        self.advance(Step::Refuse);
    }

    fn close(&mut self) {
        self.deadline.clear();
        self.exchange.persists = false;
        self.advance(Step::Close);
    }
}
