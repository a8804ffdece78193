//! Header blocks: HEADERS with its CONTINUATION frames, up to the event they give (RFC 9113 §4.3, §6.2, §6.10).
//!
//! A block that fits one frame is decoded where it lies. Only the pieces of a longer one are gathered, within a limit.

use super::block::{Block, WholeBlock};
use super::connection::{Connection, ContentLength, Event, GoingAway, Received, Turn};
use super::error::{ConnectionError, ErrorCode};
use super::frame::{FrameHeader, flag, without_padding};
use super::head::{self, Fault, HeadError, RequestInfo};
use super::key::StreamKey;
use super::priority::Priority;
use super::settings::Role;
use super::stream::{Step, Stream, Tunnel};
use crate::memory;

/// Bytes of the priority in HEADERS, which RFC 9113 §5.3.2 deprecates: a dependency and a weight.
const PRIORITY_BYTES: usize = 5;

impl Connection {
    pub(super) fn receive_headers<'b>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Received<'b> {
        let of_own = self.role == Role::Client && !self.is_unopened(header.stream);
        let of_peer = self.role == Role::Server && header.stream % 2 == 1;
        if !of_own && !of_peer {
            return Err(ConnectionError::protocol(
                "HEADERS open a stream that they may not open",
            ));
        }
        let mut fragment = without_padding(header, payload)?;
        if header.has(flag::PRIORITY) {
            fragment = fragment
                .get(PRIORITY_BYTES..)
                .ok_or(ConnectionError::frame_size("HEADERS are too short for their priority"))?;
        }
        let ends_stream = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            self.clock.block_ended();
            let block = WholeBlock {
                stream: header.stream,
                ends_stream,
                bytes: fragment,
            };
            return self.end_block(block, turn);
        }
        self.clock.block_begun(turn.now);
        let mut bytes = Vec::new();
        memory::append(&mut bytes, fragment)?;
        self.block = Some(Box::new(Block {
            stream: header.stream,
            ends_stream,
            bytes,
            continuations: 0,
        }));
        Ok(None)
    }

    pub(super) fn receive_continuation<'b>(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Received<'b> {
        let Some(mut block) = self.block.take() else {
            return Ok(None);
        };
        memory::append(&mut block.bytes, payload)?;
        block.continuations += 1;
        if header.has(flag::END_HEADERS) {
            self.clock.block_ended();
            let whole = WholeBlock {
                stream: block.stream,
                ends_stream: block.ends_stream,
                bytes: &block.bytes,
            };
            return self.end_block(whole, turn);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// Decodes a complete block.
    fn end_block<'b>(&mut self, block: WholeBlock<'_>, turn: &mut Turn<'_>) -> Received<'b> {
        let (id, ends_stream) = (block.stream, block.ends_stream);
        if self.streams.find(id).is_some() {
            return match self.role {
                Role::Server => self.end_trailers(block, turn),
                Role::Client => self.end_response(block, turn),
            };
        }
        if !self.is_unopened(id) {
            head::discard(&mut self.decoder, block.bytes, turn.head, &self.limits)?;
            self.frame_on_closed(id, turn.now, turn.out)?;
            return Ok(None);
        }
        if let GoingAway::Last(_) = self.going_away {
            head::discard(&mut self.decoder, block.bytes, turn.head, &self.limits)?;
            return Ok(None);
        }
        self.streams.highest_of_peer = id;
        if self.streams.held() >= self.limits.max_concurrent_streams as usize {
            head::discard(&mut self.decoder, block.bytes, turn.head, &self.limits)?;
            self.refuse_stream(id, ErrorCode::REFUSED_STREAM, turn.now, turn.out)?;
            return Ok(None);
        }
        match head::read_request(&mut self.decoder, block.bytes, turn.head, &self.limits, self.is_secure) {
            Ok(info) => self.open_stream(block, info, turn),
            Err(HeadError::Connection(error)) => Err(error),
            Err(HeadError::Stream(Fault::Malformed)) => {
                self.refuse_stream(id, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out)?;
                Ok(None)
            }
            Err(HeadError::Stream(Fault::Refused { status, reason })) => {
                self.budget.charge_reset(&self.limits, turn.now)?;
                let stream = self.register(id, ends_stream);
                Ok(Some(Event::Refused { stream, status, reason }))
            }
        }
    }

    /// Opens the stream of a request.
    fn open_stream<'b>(&mut self, block: WholeBlock<'_>, info: RequestInfo, turn: &mut Turn<'_>) -> Received<'b> {
        let (id, ends_stream) = (block.stream, block.ends_stream);
        // A length without content would let a handler wait for ever (RFC 9113 §8.1.1).
        if ends_stream && info.content_length.is_some_and(|length| length > 0) {
            self.refuse_stream(id, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out)?;
            return Ok(None);
        }
        self.budget.opened(&self.limits);
        let key = self.register(id, ends_stream);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.is_head = info.is_head;
            // The messages of a tunnel are useful one by one, and all tunnels share the connection.
            stream.priority = info.priority.filter(|_| !info.is_tunnel).unwrap_or(Priority::UNSET);
            stream.awaits_continue = info.expects_continue && !ends_stream && !info.is_tunnel;
            if info.is_tunnel {
                stream.tunnel = Tunnel::Asked;
            }
            stream.content_left = info.content_length;
        }
        let length = match info.content_length {
            _ if ends_stream => ContentLength::Empty,
            Some(length) => ContentLength::Known(length),
            None => ContentLength::Unknown,
        };
        Ok(Some(Event::Request { stream: key, length }))
    }

    fn register(&mut self, id: u32, ends_stream: bool) -> StreamKey {
        self.clock.idle_ended();
        let key = self.streams.insert(Stream::new(id, self.peer.initial_window));
        if ends_stream {
            self.step(key, Step::ReceiveEnd);
        }
        key
    }

    /// Reads the trailers of an open stream.
    pub(super) fn end_trailers<'b>(&mut self, block: WholeBlock<'_>, turn: &mut Turn<'_>) -> Received<'b> {
        let (id, ends_stream) = (block.stream, block.ends_stream);
        let read = head::read_trailers(&mut self.decoder, block.bytes, turn.head, &self.limits);
        if let Err(HeadError::Connection(error)) = read {
            return Err(error);
        }
        let Some(key) = self.streams.find(id) else {
            return Ok(None);
        };
        let Some(stream) = self.streams.get(key) else {
            return Ok(None);
        };
        if !stream.state.may_receive() {
            return self.reset_for_peer(key, ErrorCode::STREAM_CLOSED, turn.now, turn.out);
        }
        // A tunnel has no trailers (RFC 9113 §8.5).
        if !ends_stream || stream.is_tunnel() || stream.content_left.is_some_and(|left| left > 0) {
            return self.reset_for_peer(key, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out);
        }
        match read {
            Err(HeadError::Stream(Fault::Refused { status, reason })) => {
                self.budget.charge_reset(&self.limits, turn.now)?;
                self.step(key, Step::ReceiveEnd);
                Ok(Some(Event::Refused {
                    stream: key,
                    status,
                    reason,
                }))
            }
            Err(_) => self.reset_for_peer(key, ErrorCode::PROTOCOL_ERROR, turn.now, turn.out),
            Ok(()) => {
                self.step(key, Step::ReceiveEnd);
                Ok(Some(Event::Trailers { stream: key }))
            }
        }
    }
}
