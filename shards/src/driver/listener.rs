//! A listening socket, of either driver.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Reactor;
use super::{epoll, io_uring};

/// A handle to a listening socket. Dropping it ends accepting; connections it has accepted and not handed over are closed.
pub(crate) enum ListenerSocket {
    Ring(io_uring::ListenerSocket),
    Epoll(epoll::ListenerSocket),
}

impl ListenerSocket {
    /// Puts a listening socket into the reactor.
    pub(crate) fn new(reactor: &Reactor, socket: OwnedFd) -> Self {
        match reactor {
            Reactor::Ring(ring) => Self::Ring(io_uring::ListenerSocket::new(ring, socket)),
            Reactor::Epoll(epoll) => Self::Epoll(epoll::ListenerSocket::new(epoll, socket)),
        }
    }

    /// Takes the next accepted socket. After an error the next call tries again; when descriptors have run out, once one is freed.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        match self {
            Self::Ring(listener) => listener.poll_accept(cx),
            Self::Epoll(listener) => listener.poll_accept(cx),
        }
    }

    /// Lets an exhausted listener try again at the next [`poll_accept`](Self::poll_accept).
    pub(crate) fn retry(&self) {
        match self {
            Self::Ring(listener) => listener.retry(),
            Self::Epoll(listener) => listener.retry(),
        }
    }

    /// Ends accepting; ready when no more connections will come in. What was accepted stays to be taken.
    pub(crate) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Ring(listener) => listener.poll_quiet(cx),
            // It accepts one at a time, when asked.
            Self::Epoll(_) => Poll::Ready(()),
        }
    }

    /// Takes what was accepted before the listener went quiet.
    pub(crate) fn take_accepted(&self) -> Option<OwnedFd> {
        match self {
            Self::Ring(listener) => listener.take_accepted(),
            Self::Epoll(_) => None,
        }
    }

    /// Whether the driver wants the socket in blocking mode: the ring does the waiting itself, epoll does not.
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
