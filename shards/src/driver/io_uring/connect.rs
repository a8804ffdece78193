//! Outgoing connections in the ring: one connect request each.
//!
//! Invariant: the slot owns the socket and the address until the completion. Dropping the future cancels the request;
//! the socket is closed when the kernel has released both.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::memory::Fixed;
use super::operation::{Operation, SlotKey, Token};
use super::request::Request;
use super::ring::{Ring, SharedRing};
use super::states::PendingConnect;
use super::streams::StreamSocket;
use super::wakers::{remember, wake};

/// A handle to a connection in progress; dropping it gives up the attempt.
pub(crate) struct Connecting {
    ring: SharedRing,
    key: SlotKey,
}

impl Connecting {
    /// Starts to connect a socket.
    pub(crate) fn new(ring: &SharedRing, socket: OwnedFd, address: SockAddr) -> Self {
        let pending = PendingConnect {
            socket,
            address: Fixed::new(address),
            outcome: None,
            waker: None,
            closing: false,
        };
        let descriptor = pending.socket.as_raw_fd();
        let (address, length) = ((*pending.address).as_ptr(), pending.address.len());
        let key = ring.pending_connects.borrow_mut().insert(pending);
        let token = Token::new(Operation::Connect, key);
        // SAFETY: the slot keeps the address, unchanged and in place, until `connected` has seen the completion.
        ring.push(unsafe { Request::connect(descriptor, address.cast(), length, token) });
        Self {
            ring: Rc::clone(ring),
            key,
        }
    }

    /// Waits for the connection; must not be polled again after it was ready.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<StreamSocket>> {
        let mut pending_connects = self.ring.pending_connects.borrow_mut();
        if let Some(pending) = pending_connects.find(self.key)
            && pending.outcome.is_none()
        {
            remember(&mut pending.waker, cx);
            return Poll::Pending;
        }
        let pending = pending_connects.remove(self.key);
        drop(pending_connects);
        match pending {
            Some(PendingConnect {
                outcome: Some(0),
                socket,
                ..
            }) => Poll::Ready(Ok(StreamSocket::new(&self.ring, socket))),
            failed => {
                let errno = failed.as_ref().and_then(|pending| pending.outcome);
                drop(failed);
                self.ring.descriptor_freed();
                Poll::Ready(Err(io::Error::from_raw_os_error(errno.unwrap_or(libc::ENOTCONN))))
            }
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let mut pending_connects = self.ring.pending_connects.borrow_mut();
        let Some(pending) = pending_connects.find(self.key) else {
            return;
        };
        pending.closing = true;
        pending.waker = None;
        if pending.outcome.is_none() {
            self.ring.push_cancel(Operation::Connect, self.key);
            return;
        }
        let pending = pending_connects.remove(self.key);
        drop(pending_connects);
        drop(pending);
        self.ring.descriptor_freed();
    }
}

impl Ring {
    /// Handles the completion of a connect request.
    pub(super) fn connected(&self, key: SlotKey, result: i32) {
        let mut pending_connects = self.pending_connects.borrow_mut();
        let Some(pending) = pending_connects.find(key) else {
            return;
        };
        if pending.closing {
            // The handle is gone, so the result does not matter.
            let pending = pending_connects.remove(key);
            drop(pending_connects);
            drop(pending);
            self.descriptor_freed();
            return;
        }
        pending.outcome = Some(-result);
        let waker = pending.waker.take();
        drop(pending_connects);
        wake(waker);
    }
}
