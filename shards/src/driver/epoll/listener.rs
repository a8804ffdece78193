//! Listening sockets: accept4(2) one at a time, and what to do when descriptors run out.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::unix::AsyncFd;

use super::{Epoll, count};
use crate::os::sys::{is_passing_accept_error, watch};

/// A handle to a listening socket.
pub(crate) struct ListenerSocket {
    epoll: Rc<Epoll>,
    /// The watched socket, or why it could not be watched.
    socket: Result<AsyncFd<OwnedFd>, (OwnedFd, Errno)>,
    /// The count of freed descriptors when accepting ran out of descriptors or memory; retried once that count has grown.
    exhausted: Cell<Option<u64>>,
}

impl ListenerSocket {
    /// Starts to watch a listening socket.
    pub(crate) fn new(epoll: &Rc<Epoll>, socket: OwnedFd) -> Self {
        epoll.listeners.set(epoll.listeners.get() + 1);
        let nonblocking = rustix::io::ioctl_fionbio(&socket, true);
        debug_assert!(nonblocking.is_ok(), "a socket we own takes a flag: {nonblocking:?}");
        Self {
            epoll: Rc::clone(epoll),
            socket: watch(socket),
            exhausted: Cell::new(None),
        }
    }

    /// Takes the next waiting connection; after an error the next call retries, and out of descriptors once one is freed.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let socket = self.socket.as_ref().map_err(|(_, error)| *error)?;
        let freed = self.epoll.freed.get();
        // Without a descriptor freed since the failure, accept4(2) would only fail again.
        if self.exhausted.get() == Some(freed) {
            let mut waiting = self.epoll.exhausted.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        self.exhausted.set(None);
        loop {
            let Poll::Ready(ready) = socket.poll_read_ready(cx) else {
                return Poll::Pending;
            };
            let mut ready = ready?;
            match accept_with(socket, SocketFlags::CLOEXEC) {
                Ok(accepted) => {
                    count(&self.epoll.counters.accepted);
                    return Poll::Ready(Ok(accepted));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) if is_passing_accept_error(error.raw_os_error()) => {}
                Err(error) => {
                    if matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) {
                        count(&self.epoll.counters.accept_pauses);
                        self.exhausted.set(Some(freed));
                    }
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }

    /// Lets an exhausted listener retry at the next [`poll_accept`](Self::poll_accept).
    pub(crate) fn retry(&self) {
        self.exhausted.set(None);
    }

    pub(crate) fn epoll(&self) -> &Rc<Epoll> {
        &self.epoll
    }
}

impl AsFd for ListenerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Ok(socket) => socket.as_fd(),
            Err((socket, _)) => socket.as_fd(),
        }
    }
}

impl Drop for ListenerSocket {
    fn drop(&mut self) {
        self.epoll.listeners.set(self.epoll.listeners.get() - 1);
    }
}
