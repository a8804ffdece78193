//! A listening socket, of either driver.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Reactor;
use super::{epoll, io_uring};

/// A handle to a listening socket; dropping it ends accepting and closes accepted connections that were not taken.
pub(crate) enum ListenerSocket {
    Ring(io_uring::ListenerSocket),
    Epoll(epoll::ListenerSocket),
}

impl ListenerSocket {
    /// Adds a listening socket to the reactor.
    pub(crate) fn new(reactor: &Reactor, socket: OwnedFd) -> Self {
        match reactor {
            Reactor::Ring(ring) => Self::Ring(io_uring::ListenerSocket::new(ring, socket)),
            Reactor::Epoll(epoll) => Self::Epoll(epoll::ListenerSocket::new(epoll, socket)),
        }
    }

    /// Takes the next accepted socket; after an error the next call retries, and out of descriptors once one is freed.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        match self {
            Self::Ring(listener) => listener.poll_accept(cx),
            Self::Epoll(listener) => listener.poll_accept(cx),
        }
    }

    /// Lets an exhausted listener retry at the next [`poll_accept`](Self::poll_accept).
    pub(crate) fn retry(&self) {
        match self {
            Self::Ring(listener) => listener.retry(),
            Self::Epoll(listener) => listener.retry(),
        }
    }

    /// Ends accepting; ready once no more connections can arrive. Accepted ones remain to be taken.
    pub(crate) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Ring(listener) => listener.poll_quiet(cx),
            // epoll accepts one at a time, on request.
            Self::Epoll(_) => Poll::Ready(()),
        }
    }

    /// Takes a connection accepted before the listener went quiet.
    pub(crate) fn take_accepted(&self) -> Option<OwnedFd> {
        match self {
            Self::Ring(listener) => listener.take_accepted(),
            Self::Epoll(_) => None,
        }
    }

    /// Returns whether the driver needs the socket in blocking mode: the ring waits by itself, epoll does not.
    pub(crate) fn is_blocking(&self) -> bool {
        matches!(self, Self::Ring(_))
    }

    pub(crate) fn reactor(&self) -> Reactor {
        match self {
            Self::Ring(listener) => Reactor::Ring(Rc::clone(listener.ring())),
            Self::Epoll(listener) => Reactor::Epoll(Rc::clone(listener.epoll())),
        }
    }
}

impl AsFd for ListenerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ring(listener) => listener.as_fd(),
            Self::Epoll(listener) => listener.as_fd(),
        }
    }
}
