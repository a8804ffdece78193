//! Control frames that the protocol itself sends: pongs, the keep-alive ping, a close frame. They wait here until the
//! caller has room, in bounded memory even if the peer does not read.

use std::collections::VecDeque;

use bytes::Bytes;

use super::error::ProtocolError;
use super::limits::Limits;

/// The pending control frames, in the order of sending: pongs, ping, close.
#[derive(Debug, Default)]
pub(super) struct PendingControl {
    /// `None` while empty, so that an idle connection keeps no memory.
    payloads: Option<Box<Payloads>>,
    /// Pings since pongs were last sent.
    pings_unread: u16,
    is_ping_pending: bool,
}

/// The payloads of the pongs and the close frame.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    pub(super) pongs: VecDeque<Bytes>,
    pub(super) close: Option<Vec<u8>>,
}

impl PendingControl {
    /// Queues a pong; beyond the limit the oldest is dropped.
    pub(super) fn pong(&mut self, payload: Bytes, limits: &Limits) -> Result<(), ProtocolError> {
        if self.pings_unread >= limits.max_unread_pings {
            return Err(ProtocolError::TooManyPings);
        }
        self.pings_unread += 1;
        let pongs = &mut self.payloads.get_or_insert_default().pongs;
        while !pongs.is_empty() && pongs.len() >= usize::from(limits.max_queued_pongs) {
            pongs.pop_front();
        }
        pongs.push_back(payload);
        Ok(())
    }

    pub(super) fn ping(&mut self) {
        self.is_ping_pending = true;
    }

    pub(super) fn close(&mut self, payload: Vec<u8>) {
        self.payloads.get_or_insert_default().close = Some(payload);
        self.is_ping_pending = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_none() && !self.is_ping_pending
    }

    /// Number of pending frames.
    pub(super) fn frames(&self) -> usize {
        let payloads = self.payloads.as_ref();
        let pongs_and_close = payloads.map_or(0, |payloads| {
            payloads.pongs.len() + usize::from(payloads.close.is_some())
        });
        pongs_and_close + usize::from(self.is_ping_pending)
    }

    /// Takes all pending frames, which count as sent: their payloads, and whether a ping is among them.
    pub(super) fn take(&mut self) -> (Payloads, bool) {
        self.pings_unread = 0;
        let payloads = self.payloads.take().map(|payloads| *payloads);
        (payloads.unwrap_or_default(), core::mem::take(&mut self.is_ping_pending))
    }
}
