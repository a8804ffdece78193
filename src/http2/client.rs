//! The client's half: requests go out, responses come in (RFC 9113 §8.1).
//!
//! The server's half and this one share frames, windows, budgets and the schedule. A client refuses pushes, and its
//! streams count against the limit of the peer.

use super::block::WholeBlock;
use super::connection::{Connection, Event, GoingAway, Received, Turn};
use super::encode;
use super::error::{ErrorCode, SendError};
use super::frame::flag;
use super::head::{self, Fault, HeadError};
use super::hpack::Indexing;
use super::key::StreamKey;
use super::send::put_block;
use super::stream::{Sending, Step, Stream};
use crate::message::{Headers, Method, has_no_content};

/// Highest id of a stream (RFC 9113 §5.1.1).
const STREAM_ID_MAX: u32 = (1 << 31) - 1;

/// The head of a request, and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct RequestStart<'a> {
    /// The method.
    pub method: &'a Method,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port.
    pub authority: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// The other fields.
    pub fields: &'a Headers,
    /// The length of the content, if it is known.
    pub length: Option<u64>,
    /// Neither content nor trailers follow.
    pub ends: bool,
}

impl Connection {
    /// Returns whether a request can be sent now.
    #[must_use]
    pub fn may_open(&self) -> bool {
        self.going_away == GoingAway::No
            && !self.is_closed()
            && self.streams.held() < self.peer.max_concurrent_streams as usize
            && self.streams.highest_of_own < STREAM_ID_MAX
    }

    /// Opens a stream with the head of a request.
    ///
    /// Content follows as in a response.
    ///
    /// # Errors
    ///
    /// Fails with [`SendError::NoStream`] if [`may_open`](Self::may_open) is false.
    pub fn open(&mut self, request: RequestStart<'_>, out: &mut Vec<u8>) -> Result<StreamKey, SendError> {
        if !self.may_open() {
            return Err(SendError::NoStream);
        }
        let id = match self.streams.highest_of_own {
            0 => 1,
            last => last + 2,
        };
        self.streams.highest_of_own = id;
        self.clock.idle_ended();
        let key = self.streams.insert(Stream::new(id, self.peer.initial_window));
        if let Some(stream) = self.streams.get_mut(key) {
            stream.is_head = *request.method == Method::HEAD;
            stream.sending = Sending::Content(request.length);
        }
        let flags = if request.ends { flag::END_STREAM } else { 0 };
        put_block(&mut self.encoder, id, flags, out, |encoder, out| {
            encoder.put(b":method", request.method.as_str().as_bytes(), Indexing::Insert, out);
            encoder.put(b":scheme", request.scheme.as_bytes(), Indexing::Insert, out);
            encoder.put(b":authority", request.authority.as_bytes(), Indexing::Insert, out);
            encoder.put(b":path", request.path.as_bytes(), Indexing::Omit, out);
            for (name, value) in request.fields.iter() {
                encode::put_field(encoder, name, value, out);
            }
            if let Some(length) = request.length {
                let mut digits = itoa::Buffer::new();
                encoder.put(b"content-length", digits.format(length).as_bytes(), Indexing::Omit, out);
            }
        });
        if request.ends {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.sending = Sending::Ended;
            }
            self.step(key, Step::SendEnd);
        }
        Ok(key)
    }

    /// Reads the block of an open stream: an interim or final head, or trailers.
    pub(super) fn end_response<'b>(&mut self, block: WholeBlock<'_>, turn: &mut Turn<'_>) -> Received<'b> {
        let (id, ends) = (block.stream, block.ends_stream);
        let Some(key) = self.streams.find(id) else {
            return Ok(None);
        };
        if self.streams.get(key).is_some_and(|stream| stream.has_response) {
            return self.end_trailers(block, turn);
        }
        let read = head::read_response(&mut self.decoder, block.bytes, turn.head, &self.limits);
        let response = match read {
            Ok(response) => response,
            Err(HeadError::Connection(error)) => return Err(error),
            Err(HeadError::Stream(Fault::Malformed | Fault::Refused { .. })) => {
                return self.reset_for_peer(key, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out);
            }
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(None);
        };
        let is_final = !response.status.is_informational();
        if !stream.state.may_receive() || !is_final && ends {
            return self.reset_for_peer(key, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out);
        }
        if is_final {
            stream.has_response = true;
            let has_content = !stream.is_head && !has_no_content(response.status);
            stream.content_left = response.content_length.filter(|_| has_content);
            if ends {
                if stream.content_left.is_some_and(|left| left > 0) {
                    return self.reset_for_peer(key, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out);
                }
                self.step(key, Step::ReceiveEnd);
            }
        }
        Ok(Some(Event::Response {
            stream: key,
            status: response.status,
            ends,
        }))
    }
}
