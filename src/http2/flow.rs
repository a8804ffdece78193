//! The windows that this end grants (RFC 9113 §5.2).
//!
//! A stream may send as much as its window has room behind the content that its handler has not taken. The connection
//! gets its credit back as soon as content lies in the buffer of its stream. So a handler that does not read delays its
//! own stream only.
//!
//! A window doubles while the handler keeps up, as far as the windows of all streams stay within
//! [`Limits::max_receive_window`](super::Limits::max_receive_window).

use std::time::Instant;

use super::connection::{CONNECTION_WINDOW, Connection};
use super::frame::put_window_update;
use super::key::StreamKey;

impl Connection {
    /// Tells whether the handler of a stream waits for content; if it does, the clock of its pace runs.
    ///
    /// A tunnel may be silent, so it has no pace.
    pub fn set_awaited(&mut self, stream: StreamKey, is_awaited: bool, now: Instant) {
        if let Some(state) = self.streams.get_mut(stream) {
            let is_content = state.state.may_receive() && !state.is_tunnel();
            state.pace.set_awaited(is_awaited && is_content, now);
        }
    }

    /// Tells how much received content of a stream its handler has not taken.
    ///
    /// Writes the window update that this makes possible.
    pub fn set_unread(&mut self, stream: StreamKey, unread_bytes: usize, out: &mut Vec<u8>) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        if state.unread_bytes == unread_bytes {
            return;
        }
        let before = core::mem::replace(&mut state.unread_bytes, unread_bytes);
        self.unread_bytes = self.unread_bytes.saturating_sub(before) + unread_bytes;
        if unread_bytes == 0 {
            self.budget.forgive_small_data(core::mem::take(&mut state.small_frames));
        }
        self.replenish_stream(stream, out);
        self.replenish_connection(out);
    }

    /// Raises the window of a stream at once, for a handler that waits for all of `bytes` more.
    ///
    /// At most 1 MiB, and within the limit of the connection.
    pub fn raise_window(&mut self, stream: StreamKey, bytes: u64, out: &mut Vec<u8>) {
        let wanted = i64::try_from(bytes).unwrap_or(CONNECTION_WINDOW).min(CONNECTION_WINDOW);
        self.raise_stream_target(stream, wanted);
        self.put_stream_update(stream, out);
    }

    /// Raises the target of a stream, as far as the limit of the connection admits.
    fn raise_stream_target(&mut self, key: StreamKey, wanted: i64) {
        let granted: i64 = self.streams.iter().map(|(_, stream)| stream.receive_target).sum();
        let limit = i64::try_from(self.limits.max_receive_window).unwrap_or(i64::MAX);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let most = stream.receive_target + limit.saturating_sub(granted).max(0);
        stream.receive_target = stream.receive_target.max(wanted.min(most));
        let target = stream.receive_target;
        self.raise_connection_target(target);
    }

    /// Raises the target of the connection, within its limit.
    pub(super) fn raise_connection_target(&mut self, wanted: i64) {
        let limit = i64::try_from(self.limits.max_receive_window).unwrap_or(i64::MAX);
        self.receive_target = self.receive_target.max(wanted.min(limit));
    }

    /// Gives credit back to a stream if half of its window is free. A handler that keeps up gets twice the window: it
    /// may be what limits the peer.
    pub(super) fn replenish_stream(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let whole = stream.receive_target;
        let unread = i64::try_from(stream.unread_bytes).unwrap_or(i64::MAX);
        let mut window = stream.receive_window;
        let is_due = stream.wants_credit() && window.replenish(whole - unread, whole).is_some();
        if is_due && unread <= whole / 4 {
            self.raise_stream_target(key, whole.saturating_mul(2));
        }
        if is_due {
            self.put_stream_update(key, out);
        }
    }

    /// Writes the update that the target of a stream admits, if it is worth one.
    fn put_stream_update(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.wants_credit()) else {
            return;
        };
        let unread = i64::try_from(stream.unread_bytes).unwrap_or(i64::MAX);
        let target = stream.receive_target;
        if let Some(increment) = stream.receive_window.replenish(target - unread, target) {
            put_window_update(stream.id, increment, out);
        }
    }

    /// Gives credit back to the connection if half of its window is free, unless handlers leave too much unread.
    pub(super) fn replenish_connection(&mut self, out: &mut Vec<u8>) {
        if self.unread_bytes <= self.limits.max_receive_window
            && let Some(increment) = self.receive_window.replenish(self.receive_target, self.receive_target)
        {
            put_window_update(0, increment, out);
        }
    }
}
