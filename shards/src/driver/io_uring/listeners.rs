//! Listening sockets in the ring: one multishot accept each, and what to do when descriptors run out.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use io_uring::cqueue;

use super::operation::{Operation, SlotKey, Token};
use super::request::Request;
use super::ring::{Ring, SharedRing, count};
use super::states::{Accept, ListenerState};
use super::wakers::{remember, wake};
use crate::os::sys::is_passing_accept_error;

/// How many accepted sockets may wait for the application before the accept is cancelled; the rest wait in the kernel's
/// backlog.
const ACCEPTED_MAX: usize = 1024;

/// A handle to a listening socket; dropping it ends accepting and closes accepted connections that were not taken.
pub(crate) struct ListenerSocket {
    ring: SharedRing,
    key: SlotKey,
    socket: Rc<OwnedFd>,
}

impl ListenerSocket {
    pub(crate) fn new(ring: &SharedRing, socket: OwnedFd) -> Self {
        let socket = Rc::new(socket);
        let listener = ListenerState {
            socket: Rc::clone(&socket),
            accept: Accept::Idle,
            accepted: VecDeque::new(),
            error: None,
            waker: None,
            closing: false,
        };
        let key = ring.listeners.borrow_mut().insert(listener);
        Self {
            ring: Rc::clone(ring),
            key,
            socket,
        }
    }

    /// Takes the next accepted socket; after an error the next call retries.
    pub(crate) fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let mut listeners = self.ring.listeners.borrow_mut();
        let Some(listener) = listeners.find(self.key) else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the listener is closed",
            )));
        };
        if let Some(socket) = listener.accepted.pop_front() {
            return Poll::Ready(Ok(socket));
        }
        if let Some(errno) = listener.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        if listener.accept == Accept::Idle {
            self.ring.arm_accept(self.key, listener);
        }
        remember(&mut listener.waker, cx);
        Poll::Pending
    }

    /// Lets an exhausted listener retry at the next [`poll_accept`](Self::poll_accept).
    pub(crate) fn retry(&self) {
        if let Some(listener) = self.ring.listeners.borrow_mut().find(self.key)
            && listener.accept == Accept::Exhausted
        {
            listener.accept = Accept::Idle;
        }
    }

    /// Ends accepting through the ring; ready once the kernel has confirmed it. Accepted sockets remain to be taken.
    pub(crate) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        let mut listeners = self.ring.listeners.borrow_mut();
        let Some(listener) = listeners.find(self.key) else {
            return Poll::Ready(());
        };
        match listener.accept {
            Accept::Idle | Accept::Exhausted => return Poll::Ready(()),
            Accept::Armed => {
                listener.accept = Accept::Cancelling;
                self.ring.cancel_accept(self.key);
            }
            Accept::Cancelling => {}
        }
        remember(&mut listener.waker, cx);
        Poll::Pending
    }

    /// Takes a socket accepted before the listener went quiet.
    pub(crate) fn take_accepted(&self) -> Option<OwnedFd> {
        self.ring.listeners.borrow_mut().find(self.key)?.accepted.pop_front()
    }

    pub(crate) fn ring(&self) -> &SharedRing {
        &self.ring
    }
}

impl AsFd for ListenerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for ListenerSocket {
    fn drop(&mut self) {
        let mut listeners = self.ring.listeners.borrow_mut();
        let Some(listener) = listeners.find(self.key) else {
            return;
        };
        listener.closing = true;
        listener.accepted.clear();
        match listener.accept {
            Accept::Armed => self.ring.cancel_accept(self.key),
            Accept::Cancelling => {}
            Accept::Idle | Accept::Exhausted => drop(listeners.remove(self.key)),
        }
    }
}

impl Ring {
    fn arm_accept(&self, key: SlotKey, listener: &mut ListenerState) {
        self.push(Request::accept(&*listener.socket, Token::new(Operation::Accept, key)));
        listener.accept = Accept::Armed;
    }

    fn cancel_accept(&self, key: SlotKey) {
        self.push(Request::cancel(Token::new(Operation::Accept, key)));
    }

    /// Handles a completion of the multishot accept: a connection, or its end.
    pub(super) fn accepted(&self, key: SlotKey, result: i32, flags: u32) {
        // SAFETY: a result of zero or more is a descriptor the kernel has just made for this ring; no other owner exists.
        let socket = (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result) });
        let mut listeners = self.listeners.borrow_mut();
        // A late completion of a dropped listener: the socket closes as it goes out of scope.
        let Some(listener) = listeners.find(key) else { return };
        let more = cqueue::more(flags);
        if listener.closing {
            if !more {
                drop(listeners.remove(key));
            }
            return;
        }
        if let Some(socket) = socket {
            count(&self.counters.accepted);
            listener.accepted.push_back(socket);
            if more && listener.accept == Accept::Armed && listener.accepted.len() >= ACCEPTED_MAX {
                listener.accept = Accept::Cancelling;
                self.cancel_accept(key);
            }
        }
        if !more {
            listener.accept = match -result {
                libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => {
                    count(&self.counters.accept_pauses);
                    listener.error = Some(-result);
                    Accept::Exhausted
                }
                // A client that hung up in the backlog, an interruption or a cancellation does not concern the listener.
                errno if errno <= 0 || is_passing_accept_error(errno) => Accept::Idle,
                errno => {
                    listener.error = Some(errno);
                    Accept::Idle
                }
            };
        }
        let waker = listener.waker.take();
        drop(listeners);
        wake(waker);
    }

    /// Lets exhausted listeners retry at once, because a descriptor was freed.
    pub(super) fn descriptor_freed(&self) {
        let mut listeners = self.listeners.borrow_mut();
        if listeners.len() == 0 {
            return;
        }
        let mut wakers = Vec::new();
        for (_, listener) in listeners.iter_mut() {
            if listener.accept == Accept::Exhausted {
                listener.accept = Accept::Idle;
                wakers.extend(listener.waker.take());
            }
        }
        drop(listeners);
        for waker in wakers {
            waker.wake();
        }
    }
}
