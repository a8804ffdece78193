//! Outgoing connections in the ring: one connect request each.
//!
//! Invariant: the slot owns the socket and the address until the completion is in. Dropping the future that asked for the connection
//! cancels the request; the socket is closed when the kernel has let go of both.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use io_uring::{opcode, types};
use socket2::SockAddr;

use super::operation::{Operation, SlotKey, Token};
use super::streams::{StreamSocket, remember, wake};
use super::{Ring, SharedRing};

/// One connection on its way.
pub(super) struct PendingConnect {
    socket: OwnedFd,
    /// Boxed because the kernel is told where it is.
    address: Box<SockAddr>,
    /// How it ended, once it has: zero, or an errno.
    outcome: Option<i32>,
    waker: Option<Waker>,
    closing: bool,
}

/// A handle to a connection on its way. Dropping it gives the connection up.
pub(crate) struct Connecting {
    ring: SharedRing,
    key: SlotKey,
}

impl Connecting {
    /// Has a socket connected.
    pub(crate) fn new(ring: &SharedRing, socket: OwnedFd, address: SockAddr) -> Self {
        let pending = PendingConnect {
            socket,
            address: Box::new(address),
            outcome: None,
            waker: None,
            closing: false,
        };
        let descriptor = types::Fd(pending.socket.as_raw_fd());
        let entry = opcode::Connect::new(descriptor, pending.address.as_ptr().cast(), pending.address.len()).build();
        let key = ring.pending_connects.borrow_mut().insert(pending);
        ring.push(entry.user_data(Token::new(Operation::Connect, key).to_user_data()));
        Self {
            ring: Rc::clone(ring),
            key,
        }
    }

    /// Waits for the connection; not to be polled after it was ready.
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
    /// A connect request has completed.
    pub(super) fn connected(&self, key: SlotKey, result: i32) {
        let mut pending_connects = self.pending_connects.borrow_mut();
        let Some(pending) = pending_connects.find(key) else {
            return;
        };
        if pending.closing {
            // Connected or not: nobody wants it any more.
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

impl PendingConnect {
    /// Gives up the memory the kernel may still read, to be leaked.
    pub(super) fn take_kernel_memory(&mut self) -> impl Sized + use<> {
        let nowhere = SockAddr::from(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        std::mem::replace(&mut self.address, Box::new(nowhere))
    }
}
