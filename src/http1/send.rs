//! The sending half of a [`Connection`]: one response per request, framed so that its end cannot be mistaken.
//!
//! Invariant: a call that fails has written nothing, and what has been written is always the beginning of a well-formed
//! response.

use std::time::Instant;

use http::StatusCode;

use super::chunked::encode_chunk;
use super::connection::Connection;
use super::encode::{self, BodyLength, Content, Persistence};
use super::error::SendError;
use super::state::{Receiving, Sending, Step};
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
            Sending::Head => {}
            Sending::Idle => return Err(SendError::NoRequest),
            Sending::Content | Sending::Ended => return Err(SendError::HeadAlreadySent),
        }
        let start = out.len();
        let result = match head.status {
            StatusCode::SWITCHING_PROTOCOLS => self.send_switch(head, out),
            status if status.is_informational() => self.send_interim(head, out),
            _ => self.send_final(head, length, date, out),
        };
        result.inspect_err(|_| out.truncate(start))
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
            Content::None => {}
            Content::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(SendError::BodyTooLong)?;
                out.extend_from_slice(data);
            }
            Content::Chunked => encode_chunk(data, out),
            Content::UntilClose => out.extend_from_slice(data),
        }
        Ok(())
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
            Content::None | Content::Length(0) | Content::UntilClose => {}
            Content::Length(_) => return Err(SendError::BodyTooShort),
            Content::Chunked => {
                let fields = || trailers.into_iter().flat_map(Headers::iter);
                if !fields().all(|(name, _)| encode::is_trailer_allowed(name)) {
                    return Err(SendError::TrailerForbidden);
                }
                out.extend_from_slice(b"0\r\n");
                for (name, value) in fields() {
                    encode::write_field(name, value, out);
                }
                out.extend_from_slice(b"\r\n");
            }
        }
        self.advance(Step::ResponseEnd);
        Ok(())
    }

    fn check_content_may_follow(&self) -> Result<(), SendError> {
        match self.state.sending {
            Sending::Idle | Sending::Head => Err(SendError::HeadNotSent),
            Sending::Content => Ok(()),
            Sending::Ended => Err(SendError::AlreadyEnded),
        }
    }

    fn send_final(
        &mut self,
        head: &ResponseHead,
        length: BodyLength,
        date: &HttpDate,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let version = self.exchange.version.unwrap_or_default();
        let wishes = encode::write_fields(head, out)?;
        let framing = wishes.framing(head.status, length, self.exchange.is_head, version)?;
        let persists = self.can_persist() && !wishes.close && framing.content != Content::UntilClose;
        let persistence = match (persists, version) {
            (true, Version::Http11) | (false, Version::Http10) => Persistence::Implied,
            (false, Version::Http11) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
        };
        wishes.write_end(framing, persistence, Some(date), out);
        self.response = framing.content;
        self.exchange.persists = persists;
        self.advance(Step::ResponseHead);
        Ok(())
    }

    fn send_switch(&mut self, head: &ResponseHead, out: &mut Vec<u8>) -> Result<(), SendError> {
        let is_open = matches!(self.state.receiving, Receiving::Content | Receiving::Complete);
        if !is_open || !self.exchange.offers_upgrade || !self.is_request_complete() {
            return Err(SendError::UpgradeNotAsked);
        }
        self.write_informational(head, out)?;
        self.advance(Step::SwitchingProtocols);
        Ok(())
    }

    fn send_interim(&mut self, head: &ResponseHead, out: &mut Vec<u8>) -> Result<(), SendError> {
        if self.exchange.version != Some(Version::Http11) {
            return Ok(());
        }
        self.write_informational(head, out)?;
        if head.status == StatusCode::CONTINUE {
            self.exchange.awaits_continue = false;
        }
        Ok(())
    }

    fn write_informational(&self, head: &ResponseHead, out: &mut Vec<u8>) -> Result<(), SendError> {
        let version = self.exchange.version.unwrap_or_default();
        let wishes = encode::write_fields(head, out)?;
        let framing = wishes.framing(head.status, BodyLength::Known(0), false, version)?;
        wishes.write_end(framing, Persistence::Implied, None, out);
        Ok(())
    }
}
