//! The sending half: heads, content, ends and trailers of messages.
//!
//! Invariant: a failed call has written nothing, and leaves the encoder's table as it was. So a head is checked before
//! its first field is encoded.

use std::time::Instant;

use super::connection::Connection;
use super::encode;
use super::error::{ErrorCode, SendError};
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, PAYLOAD_BYTES_MAX, flag, kind};
use super::hpack::Encoder;
use super::key::StreamKey;
use super::schedule::TURN_BYTES;
use super::settings::Role;
use super::stream::{Progress, Sending, Step, Tunnel};
use crate::message::{Headers, HttpDate, ResponseHead, StatusCode, has_no_content, is_trailer_allowed};

/// Content that is sent at once although other streams wait. 4 KiB: it delays them by three packets.
const UNSCHEDULED_BYTES_MAX: usize = 4096;

/// The status 200 in the static table of HPACK.
const STATUS_OK: u8 = 8;

/// The head of a response, and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct ResponseStart<'a> {
    /// Status and fields.
    pub head: &'a ResponseHead,
    /// The length of all content, if it is known.
    pub length: Option<u64>,
    /// Neither content nor trailers follow.
    pub ends: bool,
    /// The date of the response.
    pub date: &'a HttpDate,
}

impl Connection {
    /// Writes the head of a response.
    ///
    /// This method writes `content-length` and `date`, and drops the fields of HTTP/1 connections. A status below 200
    /// is interim, and a final head must follow. A closed stream drops everything.
    ///
    /// # Errors
    ///
    /// Fails if the application made a mistake, or memory is short. Nothing was written, so another head can be sent.
    pub fn send_head(
        &mut self,
        stream: StreamKey,
        start: ResponseStart<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if !self.is_sending(stream) {
            return Ok(());
        }
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(());
        };
        if state.sending != Sending::Head {
            return Err(SendError::HeadAlreadySent);
        }
        let status = start.head.status;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(SendError::UpgradeNotAsked);
        }
        if state.tunnel == Tunnel::Asked && status.is_success() {
            return Err(SendError::TunnelNotOpened);
        }
        let framing = encode::framing(start.head, start.length, state.is_head)?;
        if status.is_informational() {
            put_block(&mut self.encoder, stream.id(), 0, out, |encoder, out| {
                encode::put_status(encoder, status, out);
                encode::put_fields(encoder, start.head, out);
            });
            return Ok(());
        }
        let ends = start.ends && framing.left.is_none_or(|left| left == 0) || state.is_head || has_no_content(status);
        let flags = if ends { flag::END_STREAM } else { 0 };
        put_block(&mut self.encoder, stream.id(), flags, out, |encoder, out| {
            if status == StatusCode::OK {
                encoder.put_static(STATUS_OK, out);
            } else {
                encode::put_status(encoder, status, out);
            }
            encode::put_fields(encoder, start.head, out);
            encode::put_own_fields(encoder, framing, start.date, out);
        });
        state.awaits_continue = false;
        if state.tunnel == Tunnel::Asked {
            state.tunnel = Tunnel::No;
        }
        if ends {
            self.end_sending(stream, out);
        } else {
            state.sending = Sending::Content(framing.left);
        }
        Ok(())
    }

    /// Accepts an extended CONNECT with a successful head, behind which bytes follow in both directions (RFC 8441 §5).
    ///
    /// # Errors
    ///
    /// As [`send_head`](Self::send_head).
    pub fn open_tunnel(
        &mut self,
        stream: StreamKey,
        head: &ResponseHead,
        date: &HttpDate,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if let Some(state) = self.streams.get_mut(stream)
            && state.tunnel == Tunnel::Asked
        {
            state.tunnel = Tunnel::Open;
        }
        let start = ResponseStart {
            head,
            length: None,
            ends: false,
            date,
        };
        self.send_head(stream, start, out)
    }

    /// Writes `100 Continue` if the peer waits for it.
    pub fn send_continue(&mut self, stream: StreamKey, out: &mut Vec<u8>) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        let is_due = state.awaits_continue && state.sending == Sending::Head && state.state.may_receive();
        state.awaits_continue = false;
        if is_due {
            put_block(&mut self.encoder, stream.id(), 0, out, |encoder, out| {
                encode::put_status(encoder, StatusCode::CONTINUE, out);
            });
        }
    }

    /// Returns whether content of this length can be sent at once.
    ///
    /// It must fit the windows. While other streams wait for their turn, it must also be short.
    #[must_use]
    pub fn fits(&self, stream: StreamKey, bytes: usize) -> bool {
        let Some(state) = self.streams.get(stream) else {
            return true;
        };
        let is_unscheduled = self.schedule.is_empty() || bytes <= UNSCHEDULED_BYTES_MAX;
        is_unscheduled && bytes <= state.send_window.room() && bytes <= self.send_window.room()
    }

    /// Tells how much content of a stream is ready, beyond what was sent.
    pub fn set_ready(&mut self, stream: StreamKey, bytes: usize, now: Instant) {
        if !self.is_sending(stream) {
            return;
        }
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        state.ready_bytes = bytes;
        if bytes == 0 {
            state.progress = None;
            self.schedule.remove(stream);
        } else {
            if state.send_window.room() == 0 {
                state.progress.get_or_insert(Progress { since: now, bytes: 0 });
            }
            self.schedule.insert(stream);
        }
    }

    /// Returns the stream that sends next, and how much: at most 16 KiB of what is ready.
    ///
    /// `None` if no content is ready, or no window is open for it.
    pub fn next_sender(&mut self, now: Instant) -> Option<(StreamKey, usize)> {
        if self.schedule.is_empty() {
            return None;
        }
        let room = self.send_window.room();
        let next = if room == 0 {
            None
        } else {
            self.schedule.next(&self.streams)
        };
        let Some(stream) = next else {
            self.clock.blocked(now);
            return None;
        };
        let state = self.streams.get(stream)?;
        let bytes = state
            .ready_bytes
            .min(TURN_BYTES)
            .min(state.send_window.room())
            .min(room);
        if let Some(state) = self.streams.get_mut(stream)
            && bytes == state.send_window.room()
            && bytes < state.ready_bytes
        {
            // The rest waits for the window, which this send uses up.
            state.progress.get_or_insert(Progress { since: now, bytes: 0 });
        }
        self.schedule.served(stream, &mut self.streams);
        Some((stream, bytes))
    }

    /// Writes content, which must fit the windows.
    ///
    /// # Errors
    ///
    /// Fails with [`SendError::BodyTooLong`] if this exceeds `Content-Length`, and with [`SendError::HeadNotSent`]
    /// before a head. Nothing is written, and the stream must be reset.
    pub fn send_data(&mut self, stream: StreamKey, data: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        if self.account(stream, data.len())? {
            for piece in data.chunks(PAYLOAD_BYTES_MAX) {
                frame::put(kind::DATA, 0, stream.id(), piece, out);
            }
        }
        Ok(())
    }

    /// Writes the last content, which must fit the windows, and the end of the message.
    ///
    /// # Errors
    ///
    /// As [`send_data`](Self::send_data). Fails with [`SendError::BodyTooShort`] if `Content-Length` promised more, and
    /// with [`SendError::TrailerForbidden`] for a trailer field that RFC 9110 §6.5.1 rules out.
    pub fn send_last(
        &mut self,
        stream: StreamKey,
        data: &[u8],
        trailers: Option<&Headers>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let trailers = trailers.filter(|trailers| !trailers.is_empty());
        if trailers.is_some_and(|trailers| !trailers.iter().all(|(name, _)| is_trailer_allowed(name))) {
            return Err(SendError::TrailerForbidden);
        }
        if let Some(state) = self.streams.get(stream)
            && let Sending::Content(Some(left)) = state.sending
            && left > data.len() as u64
        {
            return Err(SendError::BodyTooShort);
        }
        if !self.account(stream, data.len())? {
            return Ok(());
        }
        let mut pieces = data.chunks(PAYLOAD_BYTES_MAX).peekable();
        // Without trailers the last frame ends the stream, if need be an empty one.
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none() && trailers.is_none();
            let flags = if is_last { flag::END_STREAM } else { 0 };
            frame::put(kind::DATA, flags, stream.id(), piece, out);
        }
        match trailers {
            Some(trailers) => put_block(&mut self.encoder, stream.id(), flag::END_STREAM, out, |encoder, out| {
                encode::put_trailers(encoder, trailers, out);
            }),
            None if data.is_empty() => frame::put(kind::DATA, flag::END_STREAM, stream.id(), b"", out),
            None => {}
        }
        self.end_sending(stream, out);
        Ok(())
    }

    /// Writes a PING, whose answer shows that the peer is there.
    pub fn send_ping(&self, out: &mut Vec<u8>) {
        frame::put(kind::PING, 0, 0, &[0; 8], out);
    }

    /// Returns whether the head of a final response was sent.
    #[must_use]
    pub fn is_head_sent(&self, stream: StreamKey) -> bool {
        self.streams
            .get(stream)
            .is_none_or(|state| state.sending != Sending::Head)
    }

    /// Whether what is sent on a stream still reaches the peer.
    fn is_sending(&self, stream: StreamKey) -> bool {
        self.streams.get(stream).is_some_and(|state| state.state.may_send())
    }

    /// Accounts for content; false if it is dropped.
    fn account(&mut self, stream: StreamKey, bytes: usize) -> Result<bool, SendError> {
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(false);
        };
        match &mut state.sending {
            Sending::Head if state.state.may_send() => return Err(SendError::HeadNotSent),
            Sending::Head | Sending::Ended => return Ok(false),
            Sending::Content(_) if !state.state.may_send() => return Ok(false),
            Sending::Content(left) => {
                if let Some(left) = left {
                    *left = left.checked_sub(bytes as u64).ok_or(SendError::BodyTooLong)?;
                }
            }
        }
        state.send_window.use_up(bytes);
        state.ready_bytes = state.ready_bytes.saturating_sub(bytes);
        if let Some(progress) = &mut state.progress {
            progress.bytes += bytes as u64;
        }
        let is_ready = state.ready_bytes > 0;
        self.send_window.use_up(bytes);
        if bytes > 0 {
            self.clock.moved();
            self.budget.sent(bytes, &self.limits);
        }
        if !is_ready {
            self.schedule.remove(stream);
        }
        Ok(true)
    }

    /// Ends the sending half of a stream. The rest of an unread request is refused with NO_ERROR (RFC 9113 §8.1); a
    /// tunnel still receives.
    fn end_sending(&mut self, stream: StreamKey, out: &mut Vec<u8>) {
        let mut is_tunnel = false;
        if let Some(state) = self.streams.get_mut(stream) {
            state.sending = Sending::Ended;
            is_tunnel = state.is_tunnel();
        }
        self.step(stream, Step::SendEnd);
        if self.role == Role::Server && !is_tunnel {
            self.reset(stream, ErrorCode::NO_ERROR, out);
        }
    }
}

/// Writes a header block, in as many frames as it needs.
pub(super) fn put_block(
    encoder: &mut Encoder,
    stream: u32,
    flags: u8,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Encoder, &mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    encoder.begin_block(out);
    write(encoder, out);
    let block_start = start + FRAME_HEADER_BYTES;
    let length = out.len() - block_start;
    if length > PAYLOAD_BYTES_MAX {
        return split_block(stream, flags, block_start, out);
    }
    let header = FrameHeader {
        length,
        kind: kind::HEADERS,
        flags: flags | flag::END_HEADERS,
        stream,
    };
    if let Some(place) = out.get_mut(start..block_start) {
        place.copy_from_slice(&header.to_bytes());
    }
}

/// Writes a block that is longer than a frame again, as HEADERS and CONTINUATION.
#[cold]
fn split_block(stream: u32, flags: u8, block_start: usize, out: &mut Vec<u8>) {
    let block = out.split_off(block_start);
    out.truncate(block_start - FRAME_HEADER_BYTES);
    let mut pieces = block.chunks(PAYLOAD_BYTES_MAX).peekable();
    let (mut kind, mut flags) = (kind::HEADERS, flags);
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= flag::END_HEADERS;
        }
        frame::put(kind, flags, stream, piece, out);
        (kind, flags) = (kind::CONTINUATION, 0);
    }
}
