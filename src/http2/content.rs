//! DATA frames: content in pieces as it arrives, padding, and what is dropped (RFC 9113 §6.1).
//!
//! A frame is judged by its header, before any of its bytes: windows, content-length, and whether its stream may
//! receive. Padding and dropped content give their credit back to the windows at the end of the frame.

use std::time::Instant;

use super::connection::{Connection, Event, Received, Turn};
use super::data::Content;
use super::error::{ConnectionError, ErrorCode};
use super::frame::{FRAME_HEADER_BYTES, FrameHeader, flag};
use super::key::StreamKey;
use super::stream::{Step, Stream};

/// Content of a DATA frame below which the frame is a small one. 256 bytes.
const SMALL_DATA_BYTES: usize = 256;

impl Connection {
    /// Reads the header of a DATA frame, and the length of its padding.
    pub(super) fn begin_content<'b>(
        &mut self,
        header: FrameHeader,
        input: &mut &'b [u8],
        turn: &mut Turn<'_>,
    ) -> Received<'b> {
        let rest = input.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        let (overhead, padding, rest) = if header.has(flag::PADDED) {
            if header.length == 0 {
                return Err(ConnectionError::frame_size(
                    "a padded frame has no length of its padding",
                ));
            }
            let Some((&padding, rest)) = rest.split_first() else {
                return Ok(Some(Event::NeedData));
            };
            (1, usize::from(padding), rest)
        } else {
            (0, 0, rest)
        };
        let left = header
            .length
            .checked_sub(overhead + padding)
            .ok_or(ConnectionError::protocol("the padding is longer than its frame"))?;
        if header.length > self.receive_window.room() {
            return Err(ConnectionError::flow_control(
                "content exceeds the window of the connection",
            ));
        }
        if self.is_unopened(header.stream) {
            return Err(ConnectionError::protocol("content of a stream that was never opened"));
        }
        *input = rest;
        self.receive_window.use_up(header.length);
        self.budget.received(left, &self.limits);
        let mut content = Content {
            stream: None,
            left,
            padding,
            ends_stream: header.has(flag::END_STREAM),
        };
        if left == 0 && !content.ends_stream {
            self.budget.charge_control(&self.limits, turn.now)?;
        }
        let refused = match self.streams.find(header.stream) {
            None => {
                self.frame_on_closed(header.stream, turn.now, turn.out)?;
                None
            }
            Some(key) => match self.admit(key, header.length, content) {
                Ok(()) => {
                    content.stream = Some(key);
                    // The messages of a WebSocket are small, and its window bounds what waits of them.
                    if left > 0 && left < SMALL_DATA_BYTES && !content.ends_stream && !self.is_tunnel(key) {
                        self.charge_small_data(key)?;
                    }
                    None
                }
                Err(code) => self.reset_for_peer(key, code, turn.now, turn.out)?,
            },
        };
        self.set_content(content);
        Ok(refused)
    }

    /// Accounts for a frame of an open stream.
    fn admit(&mut self, key: StreamKey, frame_bytes: usize, content: Content) -> Result<(), ErrorCode> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Err(ErrorCode::STREAM_CLOSED);
        };
        if !stream.state.may_receive() {
            return Err(ErrorCode::STREAM_CLOSED);
        }
        if frame_bytes > stream.receive_window.room() {
            return Err(ErrorCode::FLOW_CONTROL_ERROR);
        }
        if let Some(left) = &mut stream.content_left {
            let rest = left.checked_sub(content.left as u64).ok_or(ErrorCode::PROTOCOL_ERROR)?;
            if content.ends_stream && rest > 0 {
                return Err(ErrorCode::PROTOCOL_ERROR);
            }
            *left = rest;
        }
        stream.receive_window.use_up(frame_bytes);
        stream.awaits_continue = false;
        Ok(())
    }

    /// Reads the rest of a DATA frame, as far as it has come.
    pub(super) fn receive_content<'b>(
        &mut self,
        mut content: Content,
        input: &mut &'b [u8],
        turn: &mut Turn<'_>,
    ) -> Received<'b> {
        // The application may have reset the stream since the header.
        content.stream = content.stream.filter(|key| {
            let stream = self.streams.get(*key);
            stream.is_some_and(|stream| stream.state.may_receive())
        });
        if content.left > 0 {
            if input.is_empty() {
                return Ok(Some(Event::NeedData));
            }
            let (data, rest) = input.split_at(content.left.min(input.len()));
            *input = rest;
            content.left -= data.len();
            self.set_content(content);
            return Ok(content.stream.map(|stream| {
                self.content_came(stream, data.len(), turn.now);
                Event::Data { stream, data }
            }));
        }
        let padding = content.padding.min(input.len());
        *input = input.get(padding..).unwrap_or_default();
        content.padding -= padding;
        if content.padding > 0 {
            self.set_content(content);
            return Ok(Some(Event::NeedData));
        }
        self.content_ended();
        self.replenish_connection(turn.out);
        let Some(stream) = content.stream else { return Ok(None) };
        if content.ends_stream {
            self.step(stream, Step::ReceiveEnd);
            return Ok(Some(Event::End { stream }));
        }
        self.replenish_stream(stream, turn.out);
        Ok(None)
    }

    fn is_tunnel(&self, key: StreamKey) -> bool {
        self.streams.get(key).is_some_and(Stream::is_tunnel)
    }

    fn charge_small_data(&mut self, key: StreamKey) -> Result<(), ConnectionError> {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.small_frames += 1;
        }
        self.budget.charge_small_data(&self.limits)
    }

    fn content_came(&mut self, key: StreamKey, bytes: usize, now: Instant) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.unread_bytes += bytes;
            stream.pace.came(bytes, now);
            self.unread_bytes += bytes;
        }
    }
}
