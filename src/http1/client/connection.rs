//! The machine of one connection of an HTTP client: one exchange after the other (RFC 9112 §9.3).
//!
//! Invariant: a failed call has written nothing, and what has been written is always the beginning of a well-formed
//! request. A connection [can be reused](ClientConnection::next_exchange) only if both messages are complete, so that
//! no byte of one exchange is read as part of the next.

use std::rc::Rc;

use http::{Method, StatusCode};

use super::error::{RequestError, ResponseError};
use super::framing::{ResponseFields, ResponseFraming};
use super::reader::{HeadLimits, ResponseReader, is_interim};
use super::request::{RequestContent, RequestLength, RequestLine, write_framed_head};
use crate::http1::chunked::{Piece, encode_chunk, encode_end};
use crate::http1::content::ContentReader;
use crate::http1::limits::Limits;
use crate::message::{Headers, ResponseHead};

/// What the bytes of a response hold next.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseEvent<'b> {
    /// Nothing more; present what is left again, in front of more.
    NeedData,
    /// The head of an interim response, such as `100 Continue` (RFC 9110 §15.2).
    Interim(ResponseHead),
    /// The head of the response.
    Head(ResponseHead),
    /// Some content; never empty.
    Data(&'b [u8]),
    /// A trailer field.
    Trailer {
        /// As received.
        name: &'b str,
        /// Without surrounding blanks.
        value: &'b [u8],
    },
    /// The response is complete. Bytes behind it belong to no request, and stay unread.
    End,
}

/// What is received next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    /// Nothing: no request was sent.
    Idle,
    Head,
    Content,
    /// Content up to the end of the connection.
    UntilClose,
    Complete,
    /// Nothing more: the server broke a rule or closed too early.
    Failed,
}

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// A head.
    Head,
    Content(RequestContent),
    /// Nothing more in this exchange.
    Ended,
}

/// One connection to a server, as a client drives it.
#[derive(Debug)]
pub struct ClientConnection {
    limits: Rc<Limits>,
    reader: ResponseReader,
    content: ContentReader,
    receiving: Receiving,
    sending: Sending,
    /// The method of the request is HEAD.
    is_head: bool,
    persists: bool,
    /// Whether a byte of the response has arrived.
    has_response: bool,
}

impl ClientConnection {
    /// Makes the machine of a new connection, which applies the limits of heads, chunks and trailers.
    #[must_use]
    pub fn new(limits: Rc<Limits>) -> Self {
        Self {
            limits,
            reader: ResponseReader::default(),
            content: ContentReader::nothing(),
            receiving: Receiving::Idle,
            sending: Sending::Head,
            is_head: false,
            persists: true,
            has_response: false,
        }
    }

    /// Writes the head of a request.
    ///
    /// `fields` contains `Host`. This method writes `Content-Length`, `Transfer-Encoding` and `Connection`. An
    /// application may set `Content-Length`, which its content must then match, and `Connection: close`, which is
    /// honoured.
    ///
    /// # Errors
    ///
    /// The application made a mistake. Nothing was written, so another head can be sent.
    pub fn send_head(
        &mut self,
        line: RequestLine<'_>,
        fields: &Headers,
        length: RequestLength,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        if self.sending != Sending::Head || self.receiving != Receiving::Idle {
            return Err(RequestError::Busy);
        }
        let start = out.len();
        // A head that fails halfway is removed from the output.
        let written = write_framed_head(line, fields, length, out);
        let written = written.inspect_err(|_| out.truncate(start))?;
        self.sending = Sending::Content(written.content);
        self.receiving = Receiving::Head;
        self.is_head = *line.method == Method::HEAD;
        self.persists = !written.close;
        Ok(())
    }

    /// Writes part of the content; empty data writes nothing.
    ///
    /// # Errors
    ///
    /// Fails with [`RequestError::BodyTooLong`] if this exceeds `Content-Length`: nothing is written, and the connection
    /// must be aborted. Fails with [`RequestError::HeadNotSent`] before a head and with [`RequestError::AlreadyEnded`]
    /// after the end.
    pub fn send_data(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), RequestError> {
        if self.send_unframed(data.len())? {
            out.extend_from_slice(data);
        } else {
            encode_chunk(data, out);
        }
        Ok(())
    }

    /// Accounts for content that the caller sends itself, unchanged, behind everything written so far.
    ///
    /// Returns false, and accounts for nothing, where content has framing of its own; it then goes through
    /// [`send_data`](Self::send_data).
    ///
    /// # Errors
    ///
    /// As [`send_data`](Self::send_data).
    pub fn send_unframed(&mut self, bytes: usize) -> Result<bool, RequestError> {
        match self.content()? {
            RequestContent::Chunked => Ok(false),
            RequestContent::Length(left) => {
                *left = left.checked_sub(bytes as u64).ok_or(RequestError::BodyTooLong)?;
                Ok(true)
            }
        }
    }

    /// Ends the request.
    ///
    /// Trailers are sent with the chunked coding only and dropped otherwise, as RFC 9110 §6.5.1 allows.
    ///
    /// # Errors
    ///
    /// Fails with [`RequestError::BodyTooShort`] if `Content-Length` promised more: the connection must be aborted, never
    /// padded. Fails with [`RequestError::TrailerForbidden`] for a trailer field that RFC 9110 §6.5.1 rules out.
    /// Otherwise as [`send_data`](Self::send_data).
    pub fn send_end(&mut self, trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        match self.content()? {
            RequestContent::Length(0) => {}
            RequestContent::Length(_) => return Err(RequestError::BodyTooShort),
            RequestContent::Chunked => {
                encode_end(trailers, out).map_err(|_| RequestError::TrailerForbidden)?;
            }
        }
        self.sending = Sending::Ended;
        Ok(())
    }

    /// The framing of the content that is being sent.
    fn content(&mut self) -> Result<&mut RequestContent, RequestError> {
        match &mut self.sending {
            Sending::Head => Err(RequestError::HeadNotSent),
            Sending::Content(content) => Ok(content),
            Sending::Ended => Err(RequestError::AlreadyEnded),
        }
    }

    /// Consumes complete items from the front of `input` and returns what they hold.
    ///
    /// # Errors
    ///
    /// The server broke a rule or exceeded a limit; the connection cannot be used again.
    pub fn receive<'b>(&mut self, input: &mut &'b [u8]) -> Result<ResponseEvent<'b>, ResponseError> {
        let event = match self.receiving {
            Receiving::Head => self.receive_head(input),
            Receiving::Content => self.receive_content(input),
            Receiving::UntilClose if input.is_empty() => Ok(ResponseEvent::NeedData),
            Receiving::UntilClose => Ok(ResponseEvent::Data(core::mem::take(input))),
            Receiving::Complete => Ok(ResponseEvent::End),
            Receiving::Idle => Ok(ResponseEvent::NeedData),
            Receiving::Failed => Err(ResponseError::Truncated),
        };
        event.inspect_err(|_| self.receiving = Receiving::Failed)
    }

    fn receive_head<'b>(&mut self, input: &mut &'b [u8]) -> Result<ResponseEvent<'b>, ResponseError> {
        self.has_response |= !input.is_empty();
        let limits = HeadLimits {
            head_bytes_max: self.limits.max_header_bytes,
            fields_max: self.limits.max_header_count,
        };
        let Some((version, head)) = self.reader.next_head(input, limits)? else {
            return Ok(ResponseEvent::NeedData);
        };
        if is_interim(head.status) {
            return Ok(ResponseEvent::Interim(head));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ResponseError::UpgradeNotAsked);
        }
        let fields = ResponseFields::of(&head, version)?;
        self.persists &= fields.persists(version);
        match fields.framing(head.status, self.is_head)? {
            ResponseFraming::Delimited(framing) => {
                self.content = ContentReader::new(framing);
                self.receiving = Receiving::Content;
            }
            ResponseFraming::UntilClose => {
                self.persists = false;
                self.receiving = Receiving::UntilClose;
            }
        }
        Ok(ResponseEvent::Head(head))
    }

    fn receive_content<'b>(&mut self, input: &mut &'b [u8]) -> Result<ResponseEvent<'b>, ResponseError> {
        let piece = self
            .content
            .receive(input, &self.limits)
            .map_err(ResponseError::Chunked)?;
        Ok(match piece {
            Piece::NeedData => ResponseEvent::NeedData,
            Piece::Data(data) => ResponseEvent::Data(data),
            Piece::Trailer { name, value } => ResponseEvent::Trailer { name, value },
            Piece::End => {
                self.receiving = Receiving::Complete;
                ResponseEvent::End
            }
        })
    }

    /// Notes the end of what the server sends, which ends content without another end.
    ///
    /// # Errors
    ///
    /// [`ResponseError::Truncated`]: a response is awaited or incomplete.
    pub fn receive_eof(&mut self) -> Result<(), ResponseError> {
        self.persists = false;
        match self.receiving {
            Receiving::UntilClose => {
                self.receiving = Receiving::Complete;
                Ok(())
            }
            Receiving::Idle | Receiving::Complete => Ok(()),
            Receiving::Head | Receiving::Content | Receiving::Failed => {
                self.receiving = Receiving::Failed;
                Err(ResponseError::Truncated)
            }
        }
    }

    /// Returns whether a byte of the response has arrived, interim responses included.
    ///
    /// Until then the server may not have seen the request.
    #[must_use]
    pub fn has_response(&self) -> bool {
        self.has_response
    }

    /// Returns whether the head of the response has arrived.
    #[must_use]
    pub fn has_head(&self) -> bool {
        matches!(
            self.receiving,
            Receiving::Content | Receiving::UntilClose | Receiving::Complete
        )
    }

    /// Returns whether content of the request may still be sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        matches!(self.sending, Sending::Content(_))
    }

    /// Returns whether the response is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.receiving == Receiving::Complete
    }

    /// Returns how many bytes of content are still to come, if known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.receiving {
            Receiving::Content => self.content.remaining(),
            Receiving::Complete => Some(0),
            Receiving::Idle | Receiving::Head | Receiving::UntilClose | Receiving::Failed => None,
        }
    }

    /// Begins another exchange, if the connection persists; false if it must close.
    ///
    /// It persists if the request was sent whole, the response has ended, and neither side asked for the end.
    #[must_use]
    pub fn next_exchange(&mut self) -> bool {
        if !self.persists || self.receiving != Receiving::Complete || self.sending != Sending::Ended {
            return false;
        }
        self.reader = ResponseReader::default();
        self.receiving = Receiving::Idle;
        self.sending = Sending::Head;
        self.has_response = false;
        true
    }
}
