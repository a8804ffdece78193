//! The sending half of a [`Connection`]: one response per request, framed so that its end cannot be mistaken.
//!
//! Invariant: a call that fails has written nothing, and what has been written is always the beginning of a well-formed
//! response.

use std::time::Instant;

use http::StatusCode;

use super::chunked::{encode_chunk, encode_end};
use super::connection::Connection;
use super::encode::{self, BodyLength, Persistence, ResponseContent};
use super::error::SendError;
use super::state::{ReceiveState, SendState, Step};
use crate::message::{Headers, HttpDate, ResponseHead, Version};

impl Connection {
    /// Tells the peer to go on, if it waits to be told; says whether anything was written. At most once per request,
    /// and never after content has come or a response has begun (RFC 9110 §10.1.1). The peer's time for its content
    /// begins `now`.
    pub fn send_continue(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !self.expects_continue() {
            return false;
        }
        self.exchange.awaits_continue = false;
        self.deadline.content_awaited(0, now);
        out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        true
    }

    /// Writes the head of a response. `length` is that of the content the application has in hand, also where the
    /// status or the method (204, 304, HEAD) means that it is not sent.
    ///
    /// `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` are seen to here. An application may set
    /// `Content-Length`, which is then held to; `Connection: close`, which is honoured; and `Date`, which is kept.
    ///
    /// A 1xx status other than 101 is interim: it is written without framing, not at all to an HTTP/1.0 peer, and the
    /// final head is still owed. After 101, the connection is [`Upgraded`](super::Event::Upgraded).
    ///
    /// After a [`ParseError`](super::ParseError) or a passed deadline this writes one last response, which says
    /// `Connection: close`.
    ///
    /// # Errors
    ///
    /// What the application did wrong. Nothing was written, so another head can be.
    pub fn send_head(
        &mut self,
        head: &ResponseHead,
        length: BodyLength,
        date: &HttpDate,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match self.state.sending {
            SendState::Head => {}
            SendState::Idle => return Err(SendError::NoRequest),
            SendState::Content | SendState::Ended => return Err(SendError::HeadAlreadySent),
        }
        let is_final = !head.status.is_informational();
        if !is_final && !self.may_send_informational(head.status)? {
            return Ok(());
        }
        let start = out.len();
        let written = self.write_head(head, length, is_final.then_some(date), out);
        let (content, persists) = written.inspect_err(|_| out.truncate(start))?;
        if is_final {
            self.response = content;
            self.exchange.persists = persists;
            self.advance(Step::ResponseHead);
        } else {
            self.informational_sent(head.status);
        }
        Ok(())
    }

    /// Writes some of the content. Empty data, and content that the status or the method rules out, writes nothing.
    ///
    /// # Errors
    ///
    /// [`SendError::BodyTooLong`] if this is more than `Content-Length` promised: none of it is written, and the
    /// connection must be cut. [`SendError::HeadNotSent`] before a head, [`SendError::AlreadyEnded`] after the end.
    pub fn send_data(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_content_may_follow()?;
        match &mut self.response {
            ResponseContent::None => return Ok(()),
            ResponseContent::Chunked { .. } => {
                encode_chunk(data, out);
                return Ok(());
            }
            ResponseContent::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(SendError::BodyTooLong)?
            }
            ResponseContent::UntilClose => {}
        }
        out.extend_from_slice(data);
        Ok(())
    }

    /// Writes a leading zero of the next chunk-size, which changes nothing for a peer that reads (RFC 9112 §7.1: `1*HEXDIG`), while the
    /// kernel of a peer that has closed its socket answers it with a reset. Only while [`takes_probes`](Self::takes_probes).
    pub fn send_probe(&mut self, out: &mut Vec<u8>) {
        if self.takes_probes()
            && let ResponseContent::Chunked { probes } = &mut self.response
        {
            *probes = probes.saturating_add(1);
            out.push(b'0');
        }
    }

    /// Whether [`send_probe`](Self::send_probe) has a place in this response, which has had fewer than `probes_max`.
    #[must_use]
    pub fn wants_probe(&self, probes_max: u8) -> bool {
        self.takes_probes() && matches!(self.response, ResponseContent::Chunked { probes } if probes < probes_max)
    }

    /// Whether content is under way whose framing has a place for [`send_probe`](Self::send_probe).
    #[must_use]
    pub fn takes_probes(&self) -> bool {
        self.state.sending == SendState::Content && matches!(self.response, ResponseContent::Chunked { .. })
    }

    /// Writes the last of the content and ends the response: [`send_data`](Self::send_data) and [`send_end`](Self::send_end) in one.
    ///
    /// # Errors
    ///
    /// Theirs. Nothing was written, and the connection must be cut.
    pub fn send_last(&mut self, data: &[u8], trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), SendError> {
        let start = out.len();
        self.send_data(data, out)?;
        let ended = self.send_end(trailers, out);
        ended.inspect_err(|_| out.truncate(start))
    }

    /// Ends the response. Trailers travel in the chunked coding only; elsewhere they are dropped, as RFC 9110 §6.5.1
    /// lets any hop do.
    ///
    /// # Errors
    ///
    /// [`SendError::BodyTooShort`] if `Content-Length` promised more: the connection must be cut, never padded.
    /// [`SendError::TrailerForbidden`] for a trailer field that RFC 9110 §6.5.1 rules out.
    /// [`SendError::HeadNotSent`] before a head, [`SendError::AlreadyEnded`] after the end.
    pub fn send_end(&mut self, trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_content_may_follow()?;
        match self.response {
            ResponseContent::None | ResponseContent::Length(0) | ResponseContent::UntilClose => {}
            ResponseContent::Length(_) => return Err(SendError::BodyTooShort),
            ResponseContent::Chunked { .. } => encode_end(trailers, out)?,
        }
        self.advance(Step::ResponseEnd);
        Ok(())
    }

    fn check_content_may_follow(&self) -> Result<(), SendError> {
        match self.state.sending {
            SendState::Idle | SendState::Head => Err(SendError::HeadNotSent),
            SendState::Content => Ok(()),
            SendState::Ended => Err(SendError::AlreadyEnded),
        }
    }

    /// Whether an informational head is to be written. A peer of HTTP/1.0 knows no interim ones.
    fn may_send_informational(&self, status: StatusCode) -> Result<bool, SendError> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.exchange.version == Some(Version::Http11));
        }
        let is_open = matches!(self.state.receiving, ReceiveState::Content | ReceiveState::Complete);
        if !is_open || !self.exchange.offers_upgrade || !self.is_request_complete() {
            return Err(SendError::UpgradeNotAsked);
        }
        Ok(true)
    }

    /// An informational head was written.
    fn informational_sent(&mut self, status: StatusCode) {
        match status {
            StatusCode::SWITCHING_PROTOCOLS => self.advance(Step::SwitchingProtocols),
            StatusCode::CONTINUE => self.exchange.awaits_continue = false,
            _ => {}
        }
    }

    /// Writes a head whole; says how its content is delimited and whether the connection persists, of which an interim head says
    /// nothing.
    fn write_head(
        &self,
        head: &ResponseHead,
        length: BodyLength,
        date: Option<&HttpDate>,
        out: &mut Vec<u8>,
    ) -> Result<(ResponseContent, bool), SendError> {
        let version = self.exchange.version.unwrap_or_default();
        let options = encode::write_fields(head, out)?;
        let framing = options.framing(head.status, length, self.exchange.is_head, version)?;
        let persists = self.can_persist() && !options.close && framing.content != ResponseContent::UntilClose;
        let persistence = match (persists || head.status.is_informational(), version) {
            (true, Version::Http11) | (false, Version::Http10) => Persistence::Implied,
            (false, Version::Http11) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
        };
        options.write_end(framing, persistence, date, out);
        Ok((framing.content, persists))
    }
}
