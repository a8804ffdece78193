//! What the protocol owes the peer and no application asked for: pongs, the keep-alive ping, a close frame. It waits
//! here until the caller has room for it, and is bounded whether the peer reads or not.

use std::collections::VecDeque;

use bytes::Bytes;

use super::error::ProtocolError;
use super::limits::Limits;

/// The frames owed, in the order they are to be sent: pongs, ping, close.
#[derive(Debug, Default)]
pub(super) struct PendingControl {
    /// No memory is kept while there is nothing, as there is most of the time on most connections.
    payloads: Option<Box<Payloads>>,
    /// Pings since pongs were last sent.
    pings_unread: u16,
    is_ping_pending: bool,
}

/// What the pongs and the close frame are to carry.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    pub(super) pongs: VecDeque<Bytes>,
    pub(super) close: Option<Vec<u8>>,
}

impl PendingControl {
    /// A ping came that is to be answered. If the peer lets too many answers wait, the oldest is dropped.
    pub(super) fn pong(&mut self, payload: Bytes, limits: &Limits) -> Result<(), ProtocolError> {
        if self.pings_unread >= limits.pings_unread_max {
            return Err(ProtocolError::TooManyPings);
        }
        self.pings_unread += 1;
        let pongs = &mut self.payloads.get_or_insert_default().pongs;
        while !pongs.is_empty() && pongs.len() >= usize::from(limits.pongs_queued_max) {
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

    /// How many frames are owed.
    pub(super) fn frames(&self) -> usize {
        let payloads = self.payloads.as_ref();
        let pongs_and_close = payloads.map_or(0, |payloads| {
            payloads.pongs.len() + usize::from(payloads.close.is_some())
        });
        pongs_and_close + usize::from(self.is_ping_pending)
    }

    /// Takes all that is owed, which counts as sent: what the frames carry, and whether a ping goes between them.
    pub(super) fn take(&mut self) -> (Payloads, bool) {
        self.pings_unread = 0;
        let payloads = self.payloads.take().map(|payloads| *payloads);
        (payloads.unwrap_or_default(), core::mem::take(&mut self.is_ping_pending))
    }
}
