//! Flushed content on its way to the socket. One flush at a time, so a slow peer delays its own handler only.

use core::task::{Poll, Waker};

use super::parts::{Flush, PeerGone, RETAINED_BYTES_MAX};
use super::waker::store;

/// The current flush, if any.
#[derive(Default)]
pub(super) struct Outgoing {
    state: FlushState,
    waker: Option<Waker>,
    /// The buffer of the last flush, for reuse.
    spare: Vec<u8>,
    peer_gone: bool,
    /// Bytes of content that were flushed, of all requests.
    flushed_bytes: u64,
}

#[derive(Default)]
enum FlushState {
    #[default]
    Idle,
    /// Not taken by the driver yet.
    Waiting(Flush),
    /// The driver is sending it.
    Sending,
    Done(Result<(), PeerGone>),
}

impl Outgoing {
    /// Forgets the request. Returns a waker for the caller to drop: its drop may borrow this state again.
    pub(super) fn reset(&mut self) -> Option<Waker> {
        self.state = FlushState::Idle;
        self.peer_gone = false;
        self.waker.take()
    }

    pub(super) fn take(&mut self) -> Option<Flush> {
        // A cheap check first: this runs for every request, and few handlers flush.
        if !matches!(self.state, FlushState::Waiting(_)) {
            return None;
        }
        match core::mem::replace(&mut self.state, FlushState::Sending) {
            FlushState::Waiting(flush) => Some(flush),
            FlushState::Idle | FlushState::Sending | FlushState::Done(_) => None,
        }
    }

    pub(super) fn flushed(&mut self, mut buffer: Vec<u8>, result: Result<(), PeerGone>) -> Option<Waker> {
        if buffer.capacity() <= RETAINED_BYTES_MAX {
            buffer.clear();
            self.spare = buffer;
        }
        self.state = FlushState::Done(result);
        self.waker.take()
    }

    pub(super) fn close(&mut self) -> Option<Waker> {
        self.peer_gone = true;
        self.waker.take()
    }

    pub(super) fn flushed_bytes(&self) -> u64 {
        self.flushed_bytes
    }

    pub(super) fn is_flushed(&self) -> bool {
        matches!(self.state, FlushState::Idle | FlushState::Done(_))
    }

    pub(super) fn is_peer_gone(&self) -> bool {
        self.peer_gone
    }

    /// Fails once the peer has gone; until then its end wakes the task.
    pub(super) fn check_peer(&mut self, waker: &Waker) -> Result<(), PeerGone> {
        if self.peer_gone {
            return Err(PeerGone);
        }
        store(&mut self.waker, waker);
        Ok(())
    }

    pub(super) fn poll_submit(&mut self, flush: impl FnOnce() -> Flush, waker: &Waker) -> Poll<Result<(), PeerGone>> {
        self.poll_idle(waker)?.map(|()| {
            let flush = flush();
            self.flushed_bytes = self.flushed_bytes.wrapping_add(flush.data.len() as u64);
            self.state = FlushState::Waiting(flush);
            Ok(())
        })
    }

    pub(super) fn poll_flushed(&mut self, waker: &Waker) -> Poll<Result<Vec<u8>, PeerGone>> {
        self.poll_idle(waker)?.map(|()| Ok(core::mem::take(&mut self.spare)))
    }

    /// Waits for the end of the current flush.
    fn poll_idle(&mut self, waker: &Waker) -> Poll<Result<(), PeerGone>> {
        if self.peer_gone {
            return Poll::Ready(Err(PeerGone));
        }
        match self.state {
            FlushState::Idle => Poll::Ready(Ok(())),
            FlushState::Done(result) => {
                self.state = FlushState::Idle;
                Poll::Ready(result)
            }
            FlushState::Waiting(_) | FlushState::Sending => {
                store(&mut self.waker, waker);
                Poll::Pending
            }
        }
    }
}
