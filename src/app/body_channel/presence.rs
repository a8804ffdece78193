//! Whether the peer of a request is there.

use core::task::Waker;

/// Whether the peer is there, and the tasks that wait for it to go.
#[derive(Default)]
pub(super) struct PeerPresence {
    pub(super) is_gone: bool,
    /// Counts requests, so that a [`Closed`] kept beyond its request ignores the next one.
    pub(super) request: u64,
    /// One slot for each waiting [`Closed`], reused after its drop.
    pub(super) wakers: Vec<Option<Waker>>,
}

impl PeerPresence {
    /// Marks the peer as gone; returns the wakers of waiting tasks.
    pub(super) fn close(&mut self) -> Vec<Option<Waker>> {
        self.is_gone = true;
        core::mem::take(&mut self.wakers)
    }

    /// Ends the request; returns the wakers of tasks that still wait, which few requests have.
    #[inline]
    pub(super) fn next_request(&mut self) -> Option<Vec<Option<Waker>>> {
        self.is_gone = false;
        self.request = self.request.wrapping_add(1);
        (!self.wakers.is_empty()).then(|| core::mem::take(&mut self.wakers))
    }
}
