//! One HTTP/1 connection as seen by a server: the receiving half and what both halves share. [`send`](super::send) is
//! the other half.

use std::rc::Rc;
use std::time::Instant;

use super::content::{ContentReader, Piece};
use super::deadline::PeerDeadline;
use super::encode::ResponseContent;
use super::error::{Expired, ParseError};
use super::framing::Framing;
use super::head::HeadReader;
use super::limits::Limits;
use super::request::Exchange;
use super::state::{ReceiveState, SendState, State, Step};
use crate::message::RequestHead;

/// A server's end of an HTTP/1 connection, without a socket and without a buffer.
///
/// There are four families of calls, and one order of use per exchange:
///
/// 1. **Bytes in**: [`receive`](Self::receive) with whatever has arrived, again and again until it says
///    [`NeedData`](Event::NeedData) or [`Blocked`](Event::Blocked); [`receive_eof`](Self::receive_eof) when the peer
///    has half-closed.
/// 2. **Bytes out**: [`send_continue`](Self::send_continue) if [`expects_continue`](Self::expects_continue) and the
///    content is wanted, then [`send_head`](Self::send_head), any number of [`send_data`](Self::send_data),
///    [`send_end`](Self::send_end). They may begin before the content is complete. They append to a buffer that the
///    caller writes to the socket.
/// 3. **Turning over**: [`next_exchange`](Self::next_exchange) once after `send_end`.
/// 4. **Time**: after any of these, [`poll_deadline`](Self::poll_deadline) says when to call
///    [`handle_deadline`](Self::handle_deadline).
///
/// An idle connection owns no memory but this value.
#[derive(Debug)]
pub struct Connection {
    pub(super) limits: Rc<Limits>,
    pub(super) deadline: PeerDeadline,
    head: HeadReader,
    /// Of the request at hand.
    content: ContentReader,
    /// What is left of the response at hand.
    pub(super) response: ResponseContent,
    pub(super) exchange: Exchange,
    /// No exchange after this one.
    pub(super) is_closing: bool,
    pub(super) state: State,
}

/// What [`Connection::receive`] found in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// Nothing more can be said without more bytes. What is left of the input must be presented again, in front of
    /// them.
    NeedData,
    /// A head was received; it is in the [`RequestHead`].
    Request,
    /// Some of the content; never empty. Chunk boundaries mean nothing.
    Data(&'b [u8]),
    /// A trailer field. It is not one of the request's fields and must not be treated as one (RFC 9110 §6.5.1).
    Trailer {
        /// The name as sent; compare without case.
        name: &'b str,
        /// The value, without surrounding blanks.
        value: &'b [u8],
    },
    /// The request is complete. Comes once per request, also after empty content.
    End,
    /// The request is complete and its response is not; call again after [`Connection::next_exchange`]. The input was
    /// not looked at.
    Blocked,
    /// The connection speaks another protocol since `101`; the input is that protocol's, untouched.
    Upgraded,
    /// Nothing that comes in means anything any more. The input was not looked at.
    Closed,
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next request, which may already be in the input.
    KeepAlive,
    /// The rest of this request's content, which [`Connection::receive`] throws away before it reads the next request.
    Drain,
    /// Nothing: flush, then close so that the peer can still read what was sent (RFC 9112 §9.6).
    Close,
    /// Another protocol, since `101`.
    Upgraded,
}

impl Connection {
    /// Makes the machine for a connection accepted just now.
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

    /// Advances `input` past what was consumed and says what it was. Bytes not consumed must be presented again, in
    /// front of more. `head` holds the request once [`Event::Request`] is returned, until it is passed in with the
    /// next; after an error it holds nothing of use.
    ///
    /// Content is asked for by this call: while it says [`Event::NeedData`], the peer is on the clock.
    ///
    /// # Errors
    ///
    /// What the peer did wrong. From then on every call says [`Event::Closed`]; if no response has begun, one can still
    /// be sent. Errors in content that is being thrown away say [`Event::Closed`] at once, because the response is
    /// already out.
    pub fn receive<'b>(
        &mut self,
        input: &mut &'b [u8],
        head: &mut RequestHead,
        now: Instant,
    ) -> Result<Event<'b>, ParseError> {
        let receiving = self.state.receiving;
        let result = match receiving {
            ReceiveState::Drain if let Some(event) = self.drain(input, now) => return Ok(event),
            ReceiveState::Head | ReceiveState::Drain => self.receive_head(input, head, now),
            ReceiveState::Content => self.receive_content(input, now),
            ReceiveState::Complete => return Ok(Event::Blocked),
            ReceiveState::Upgraded => return Ok(Event::Upgraded),
            ReceiveState::Closed => return Ok(Event::Closed),
        };
        result.inspect_err(|_| self.refuse())
    }

    /// Says that the peer will send nothing more. To be called when [`receive`](Self::receive) has said
    /// [`Event::NeedData`] and there will be none; what was pipelined before the end is thereby answered first.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if that leaves a request incomplete.
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

    /// Turns to the next request after [`send_end`](Self::send_end). Called before it, or when the connection is not to
    /// persist, it says [`Next::Close`]; called again, what it said before.
    ///
    /// Content nobody read is thrown away up to [`Limits::drain_bytes_max`] and [`Limits::drain_timeout`], so that what
    /// follows it is read as the next request and nothing inside it is.
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

    /// Lets no exchange follow the one at hand: the next head written says `Connection: close`. A head that has been
    /// written promised more, so then one more request is answered.
    pub fn close_after_response(&mut self) {
        self.is_closing = true;
    }

    /// When [`handle_deadline`](Self::handle_deadline) is to be called; `None` while nothing is expected of the peer.
    /// Changes with every call, so ask after each turn.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.deadline.at(&self.limits)
    }

    /// Ends the connection if a deadline has passed, and says which. Where [`Expired::status`] has one and no response
    /// has begun, that response can still be sent.
    pub fn handle_deadline(&mut self, now: Instant) -> Option<Expired> {
        let expired = self.deadline.expired(&self.limits, now)?;
        match expired {
            Expired::Head | Expired::Body => self.refuse(),
            Expired::Idle | Expired::Drain => self.close(),
        }
        Some(expired)
    }

    /// Since when the connection has been idle between two requests; `None` while it is not, and before the first.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        self.deadline.idle_since()
    }

    /// Whether no request has begun: the connection can be closed without anybody missing an answer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::IDLE && !self.head.has_begun()
    }

    /// Whether all of the request at hand has been received. True before [`Event::End`] has been fetched, and true
    /// between requests.
    #[must_use]
    pub fn is_request_complete(&self) -> bool {
        match self.state.receiving {
            ReceiveState::Content | ReceiveState::Drain => self.content.remaining() == Some(0),
            ReceiveState::Head | ReceiveState::Complete | ReceiveState::Upgraded => true,
            ReceiveState::Closed => false,
        }
    }

    /// How many bytes of content are still to be received, where the framing tells.
    #[must_use]
    pub fn content_remaining(&self) -> Option<u64> {
        match self.state.receiving {
            ReceiveState::Content | ReceiveState::Drain => self.content.remaining(),
            _ => Some(0),
        }
    }

    /// How many bytes of content are still to come, at least: what is left of the length, or of the chunk whose size line has been received
    /// (RFC 9112 §7.1). So content beyond a limit can be refused before it comes.
    #[must_use]
    pub fn content_announced(&self) -> u64 {
        match self.state.receiving {
            ReceiveState::Content | ReceiveState::Drain => self.content.announced(),
            _ => 0,
        }
    }

    /// Whether the peer waits for `100 Continue`, or a final response, before it sends content.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.exchange.awaits_continue
            && !self.exchange.has_content
            && self.state.sending == SendState::Head
            && !self.is_request_complete()
            && self.state.receiving == ReceiveState::Content
    }

    /// Whether a response is owed or under way.
    #[must_use]
    pub fn is_responding(&self) -> bool {
        matches!(self.state.sending, SendState::Head | SendState::Content)
    }

    /// Whether the connection speaks another protocol, since `101`.
    #[must_use]
    pub fn is_upgraded(&self) -> bool {
        self.state.receiving == ReceiveState::Upgraded
    }

    /// Whether the head of the final response has been sent, so that an error can only be shown by closing.
    #[must_use]
    pub fn is_head_sent(&self) -> bool {
        matches!(self.state.sending, SendState::Content | SendState::Ended)
    }

    /// Whether content may follow: the head of the final response has been sent, and neither its status nor the method rules
    /// content out.
    #[must_use]
    pub fn takes_content(&self) -> bool {
        self.state.sending == SendState::Content && self.response != ResponseContent::None
    }

    /// Whether closing the connection is what ends the content of the response at hand, or of the last one: an HTTP/1.0 peer takes
    /// what it has got by then for the whole.
    #[must_use]
    pub fn is_ended_by_close(&self) -> bool {
        self.response == ResponseContent::UntilClose
    }

    /// Whether another request will be read after the exchange at hand, as far as is known now. Final once the head has
    /// been sent.
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

    /// Everything but the response's own part in whether the connection persists.
    ///
    /// A peer that was not told to go on may send its content after the final response, or may not (RFC 9110 §10.1.1):
    /// unless all of it is here, nobody knows what the next byte is.
    pub(super) fn can_persist(&self) -> bool {
        let is_drainable = || {
            let is_small = self.content_announced() <= self.limits.drain_bytes_max;
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
                // Who waits to be told to go on is not late.
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

    /// Throws content away. Says what keeps the next head from being read, if anything does.
    fn drain<'b>(&mut self, input: &mut &'b [u8], now: Instant) -> Option<Event<'b>> {
        loop {
            let presented = input.len();
            let piece = self.content.receive(input, &self.limits);
            let drained = self.deadline.drained(presented - input.len());
            let expected = drained.saturating_add(self.content.announced());
            match piece {
                Ok(Piece::End) => break,
                Ok(_) if expected > self.limits.drain_bytes_max => {
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

    /// Ends the receiving half for something the peer did or did not do; the response is still owed.
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
