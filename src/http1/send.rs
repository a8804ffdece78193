//! The sending half of a [`Connection`]: one response per request, framed so that its end is unambiguous.
//!
//! Invariant: a failed call has written nothing, and what has been written is always the beginning of a well-formed
//! response.

use std::time::Instant;

use http::StatusCode;

use super::chunked::{encode_chunk, encode_end};
use super::connection::Connection;
use super::encode::{self, BodyLength, Persistence, ResponseContent};
use super::error::SendError;
use super::state::{ReceiveState, SendState, Step};
use super::version::MinorVersion;
use crate::message::{Headers, HttpDate, ResponseHead};

impl Connection {
    /// Writes `100 Continue` if the peer waits for it, and returns whether it did.
    ///
    /// Writes at most once per request, and never after content has arrived or a response has begun (RFC 9110 §10.1.1).
    /// The peer's time for its content begins at `now`.
    pub fn send_continue(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !self.expects_continue() {
            return false;
        }
        self.exchange.awaits_continue = false;
        self.deadline.content_awaited(0, now);
        out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        true
    }

    /// Writes the head of a response; `length` is the length of the application's content, even if status or method
    /// (204, 304, HEAD) suppress it.
    ///
    /// This method writes `Content-Length`, `Transfer-Encoding`, `Connection` and `Date`. An application may set
    /// `Content-Length`, which its content must then match; `Connection: close`, which is honoured; and `Date`, which
    /// is kept.
    ///
    /// A 1xx status other than 101 is interim: it has no framing, is not sent to an HTTP/1.0 peer, and a final head
    /// must follow. After 101 the connection is [`Upgraded`](super::Event::Upgraded).
    ///
    /// After a [`ParseError`](super::ParseError) or an expired deadline, this writes a last response with `Connection:
    /// close`.
    ///
    /// # Errors
    ///
    /// Fails if the application made a mistake. Nothing was written, so another head can be sent.
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
        // A head that fails halfway is removed from the output.
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

    /// Writes part of the content; empty data, and content that status or method suppress, writes nothing.
    ///
    /// # Errors
    ///
    /// Fails with [`SendError::BodyTooLong`] if this exceeds `Content-Length`: nothing is written, and the connection
    /// must be aborted. Fails with [`SendError::HeadNotSent`] before a head and with [`SendError::AlreadyEnded`] after
    /// the end.
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

    /// Accounts for content that the caller sends itself, unchanged, behind everything written so far.
    ///
    /// Returns false, and accounts for nothing, where content has framing of its own or is suppressed; it then goes
    /// through [`send_data`](Self::send_data).
    ///
    /// # Errors
    ///
    /// As [`send_data`](Self::send_data).
    pub fn send_unframed(&mut self, bytes: usize) -> Result<bool, SendError> {
        self.check_content_may_follow()?;
        match &mut self.response {
            ResponseContent::None | ResponseContent::Chunked { .. } => Ok(false),
            ResponseContent::Length(left) => {
                *left = left.checked_sub(bytes as u64).ok_or(SendError::BodyTooLong)?;
                Ok(true)
            }
            ResponseContent::UntilClose => Ok(true),
        }
    }

    /// Writes a leading zero of the next chunk-size, to test whether the peer's socket is still open.
    ///
    /// A peer that reads ignores it (RFC 9112 §7.1: `1*HEXDIG`); the kernel of a peer that has closed its socket
    /// answers with a reset. Does nothing unless [`takes_probes`](Self::takes_probes).
    pub fn send_probe(&mut self, out: &mut Vec<u8>) {
        if self.takes_probes()
            && let ResponseContent::Chunked { probes } = &mut self.response
        {
            *probes = probes.saturating_add(1);
            out.push(b'0');
        }
    }

    /// Returns whether [`send_probe`](Self::send_probe) fits this response and fewer than `probes_max` probes were
    /// sent.
    #[must_use]
    pub fn wants_probe(&self, probes_max: u8) -> bool {
        self.takes_probes() && matches!(self.response, ResponseContent::Chunked { probes } if probes < probes_max)
    }

    /// Returns whether content is being sent whose framing allows [`send_probe`](Self::send_probe).
    #[must_use]
    pub fn takes_probes(&self) -> bool {
        self.state.sending == SendState::Content && matches!(self.response, ResponseContent::Chunked { .. })
    }

    /// Writes the last content and ends the response: [`send_data`](Self::send_data) and [`send_end`](Self::send_end)
    /// in one.
    ///
    /// # Errors
    ///
    /// Fails like these two. Nothing was written, and the connection must be aborted.
    pub fn send_last(&mut self, data: &[u8], trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), SendError> {
        let start = out.len();
        self.send_data(data, out)?;
        let ended = self.send_end(trailers, out);
        ended.inspect_err(|_| out.truncate(start))
    }

    /// Ends the response.
    ///
    /// Trailers are sent with the chunked coding only and dropped otherwise, as RFC 9110 §6.5.1 allows.
    ///
    /// # Errors
    ///
    /// Fails with [`SendError::BodyTooShort`] if `Content-Length` promised more: the connection must be aborted, never
    /// padded. Fails with [`SendError::TrailerForbidden`] for a trailer field that RFC 9110 §6.5.1 rules out. Fails
    /// with [`SendError::HeadNotSent`] before a head and with [`SendError::AlreadyEnded`] after the end.
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

    /// Returns whether an informational head may be sent. HTTP/1.0 has no interim responses.
    fn may_send_informational(&self, status: StatusCode) -> Result<bool, SendError> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.exchange.version == Some(MinorVersion::One));
        }
        let is_open = matches!(self.state.receiving, ReceiveState::Content | ReceiveState::Complete);
        if !is_open || !self.exchange.offers_upgrade || !self.is_request_complete() {
            return Err(SendError::UpgradeNotAsked);
        }
        Ok(true)
    }

    /// Records that an informational head was written.
    fn informational_sent(&mut self, status: StatusCode) {
        match status {
            StatusCode::SWITCHING_PROTOCOLS => self.advance(Step::SwitchingProtocols),
            StatusCode::CONTINUE => self.exchange.awaits_continue = false,
            _ => {}
        }
    }

    /// Writes a complete head; returns how its content is delimited and whether the connection persists.
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
            (true, MinorVersion::One) | (false, MinorVersion::Zero) => Persistence::Implied,
            (false, MinorVersion::One) => Persistence::Close,
            (true, MinorVersion::Zero) => Persistence::KeepAlive,
        };
        options.write_end(framing, persistence, date, out);
        Ok((framing.content, persists))
    }
}
