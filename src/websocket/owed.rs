//! What the protocol owes the peer and no application asked for: pongs, the keep-alive ping, a close frame. It waits
//! here until the caller has room for it, and is bounded whether the peer reads or not.

use std::collections::VecDeque;

use bytes::Bytes;

use super::error::ProtocolError;
use super::limits::Limits;

/// The frames owed, in the order they are to be sent: pongs, ping, close.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Payloads. No memory is kept while there is none.
    pongs: VecDeque<Bytes>,
    /// Pings since pongs were last sent.
    pings_unread: u16,
    is_ping_owed: bool,
    close: Option<Box<[u8]>>,
}

impl Owed {
    /// A ping came that is to be answered. If the peer lets too many answers wait, the oldest is dropped.
    pub(super) fn pong(&mut self, payload: Bytes, limits: &Limits) -> Result<(), ProtocolError> {
        if self.pings_unread >= limits.pings_unread_max {
            return Err(ProtocolError::TooManyPings);
        }
        self.pings_unread += 1;
        while !self.pongs.is_empty() && self.pongs.len() >= usize::from(limits.pongs_queued_max) {
            self.pongs.pop_front();
        }
        self.pongs.push_back(payload);
        Ok(())
    }

    pub(super) fn ping(&mut self) {
        self.is_ping_owed = true;
    }

    pub(super) fn close(&mut self, payload: Vec<u8>) {
        self.close = Some(payload.into_boxed_slice());
        self.is_ping_owed = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pongs.is_empty() && !self.is_ping_owed && self.close.is_none()
    }

    /// The pongs, which count as sent.
    pub(super) fn take_pongs(&mut self) -> VecDeque<Bytes> {
        self.pings_unread = 0;
        core::mem::take(&mut self.pongs)
    }

    pub(super) fn take_ping(&mut self) -> bool {
        core::mem::take(&mut self.is_ping_owed)
    }

    pub(super) fn take_close(&mut self) -> Option<Box<[u8]>> {
        self.close.take()
    }
}
