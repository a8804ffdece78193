//! A request whose handler runs in a task of its own, as the connection sees it: a channel.

use std::rc::Rc;

use crate::app::{Channel, PeerGone, ResponseEnd};
use crate::http2::StreamKey;
use crate::message::Headers;

/// A stream with a handler that waits, or a response that does.
pub(super) struct WaitingStream {
    pub(super) key: StreamKey,
    pub(super) channel: Rc<Channel>,
    /// Content that is on its way into the output.
    pub(super) flush: Option<PendingFlush>,
}

/// A flush that is not sent whole.
pub(super) struct PendingFlush {
    /// The handler's buffer, which returns to the handler.
    buffer: Vec<u8>,
    written: usize,
    end: Option<ResponseEnd>,
}

impl WaitingStream {
    pub(super) fn new(key: StreamKey, channel: Rc<Channel>) -> Self {
        Self {
            key,
            channel,
            flush: None,
        }
    }

    /// Tells the handler that the peer has gone, and gives the flush back.
    pub(super) fn close(&mut self) {
        if let Some(flush) = self.flush.take() {
            self.channel.flushed(flush.buffer, Err(PeerGone));
        }
        self.channel.close();
    }

    /// Tells the handler that its flush was sent.
    pub(super) fn flushed(&mut self) {
        if let Some(flush) = self.flush.take() {
            self.channel.flushed(flush.buffer, Ok(()));
        }
    }
}

impl PendingFlush {
    pub(super) fn new(buffer: Vec<u8>, end: Option<ResponseEnd>) -> Self {
        Self {
            buffer,
            written: 0,
            end,
        }
    }

    /// What is not written yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.get(self.written..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
    }

    /// The trailers behind the content, if the response is complete with it.
    pub(super) fn trailers(&self) -> Option<&Headers> {
        match &self.end {
            Some(ResponseEnd::Complete { trailers }) => Some(trailers),
            Some(ResponseEnd::BrokenOff) | None => None,
        }
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.end == Some(ResponseEnd::BrokenOff)
    }
}
