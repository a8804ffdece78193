//! Connected sockets: recv(2) when readable, send(2) at once, and a task for what the kernel does not take.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::io::unix::AsyncFd;

use super::Epoll;
use super::ends::EndKey;
use super::received::Pooled;
use super::send::Outgoing;
use crate::driver::peer_end::{EndSeen, PeerEnd, is_peers_doing};
use crate::driver::received::Received;
use crate::net::send_buffer::SendBuffer;
use crate::os::sys::watch;

/// How often one stream receives before the shard's other tasks and the clock get their turn. 16: as many buffers as a
/// connection may hold under io_uring by default. Otherwise a peer that sends as fast as it is read would occupy the
/// shard.
const RECEIVES_IN_A_ROW_MAX: u16 = 16;

/// How often one stream sends everything at once before the others get their turn. 16, as for receiving. Otherwise a
/// peer that reads as fast as it is sent to would occupy the shard; io_uring lets each stream send once per turn.
const SENDS_IN_A_ROW_MAX: u16 = 16;

/// A handle to a connected socket; dropping it ends what is being sent and closes the socket.
pub(crate) struct StreamSocket {
    stream: Rc<StreamState>,
}

struct StreamState {
    epoll: Rc<Epoll>,
    /// The socket, or why it could not be watched.
    socket: Result<AsyncFd<OwnedFd>, Errno>,
    /// The error that ended receiving; the kernel reports it only once.
    receive_error: Cell<Option<Errno>>,
    /// Number of receives since its task last waited.
    receives_in_a_row: Cell<u16>,
    /// Number of sends since then, or since the kernel last took only a part.
    sends_in_a_row: Cell<u16>,
    /// What the kernel did not take at once; a task of its own sends it.
    outgoing: RefCell<Option<Outgoing>>,
    /// The task waiting until all is sent.
    sent_waker: Cell<Option<Waker>>,
    /// The task that sends the rest.
    sender_waker: Cell<Option<Waker>>,
    send_error: Cell<Option<Errno>>,
    /// What is known of the peer's end, also before it is watched.
    end: Cell<EndSeen>,
    end_key: Cell<Option<EndKey>>,
    sent_bytes: Cell<u64>,
    /// The handle has been dropped.
    closing: Cell<bool>,
}

impl StreamSocket {
    /// Starts to watch a connected socket.
    pub(crate) fn new(epoll: &Rc<Epoll>, socket: OwnedFd) -> Self {
        epoll.streams.set(epoll.streams.get() + 1);
        let stream = StreamState {
            epoll: Rc::clone(epoll),
            socket: watch(socket).map_err(|(_, error)| error),
            receive_error: Cell::new(None),
            receives_in_a_row: Cell::new(0),
            sends_in_a_row: Cell::new(0),
            outgoing: RefCell::new(None),
            sent_waker: Cell::new(None),
            sender_waker: Cell::new(None),
            send_error: Cell::new(None),
            end: Cell::new(EndSeen::default()),
            end_key: Cell::new(None),
            sent_bytes: Cell::new(0),
            closing: Cell::new(false),
        };
        Self {
            stream: Rc::new(stream),
        }
    }

    /// Waits for the result of a connect(2) in progress.
    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.stream.socket.as_ref().map_err(|&error| error)?;
        loop {
            let Poll::Ready(ready) = socket.poll_write_ready(cx) else {
                return Poll::Pending;
            };
            let mut ready = ready?;
            let connected = SockRef::from(socket);
            if let Some(error) = connected.take_error()? {
                return Poll::Ready(Err(error));
            }
            if connected.peer_addr().is_ok() {
                return Poll::Ready(Ok(()));
            }
            ready.clear_ready();
        }
    }

    /// Takes the next received bytes; `None` at the end of the stream.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let StreamState { epoll, socket, .. } = &*self.stream;
        let socket = socket.as_ref().map_err(|&error| error)?;
        if let Some(error) = self.stream.receive_error.get() {
            return Poll::Ready(Err(error.into()));
        }
        let receives = &self.stream.receives_in_a_row;
        // The task is woken again at once, behind the tasks already runnable.
        if receives.get() == RECEIVES_IN_A_ROW_MAX {
            receives.set(0);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let Poll::Ready(ready) = socket.poll_read_ready(cx) else {
                receives.set(0);
                self.stream.sends_in_a_row.set(0);
                return Poll::Pending;
            };
            let mut ready = ready?;
            let mut bytes = epoll.receive_pool.take();
            // A pooled buffer usually has this capacity already.
            bytes
                .try_reserve_exact(epoll.config.receive_buffer_bytes)
                .map_err(|_| Errno::NOMEM)?;
            match recv(socket, spare_capacity(&mut bytes), RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Poll::Ready(Ok(None)),
                Ok(_) => {
                    receives.set(receives.get() + 1);
                    // The buffer was not filled, so the socket is empty: further bytes are a new event.
                    if bytes.len() < bytes.capacity() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(Some(Received::pooled(Pooled::new(epoll, bytes)))));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => {
                    self.stream.receive_error.set(Some(error));
                    self.stream.note_failure(error);
                    return Poll::Ready(Err(error.into()));
                }
            }
            epoll.receive_pool.give_back(bytes);
        }
    }

    /// Waits for a change of the peer's end.
    pub(crate) fn poll_peer_end(&self, cx: &Context<'_>) -> Poll<PeerEnd> {
        let StreamState { epoll, socket, .. } = &*self.stream;
        let Ok(socket) = socket else {
            return Poll::Ready(PeerEnd::Gone);
        };
        let key = match self.stream.end_key.get() {
            Some(key) => key,
            None => {
                let mut seen = self.stream.end.get();
                if let Some(end) = seen.report() {
                    return Poll::Ready(end);
                }
                let Ok(key) = epoll.ends.watch(socket.as_fd(), seen) else {
                    // Out of memory to watch it: the next call asks again.
                    return Poll::Pending;
                };
                self.stream.end_key.set(Some(key));
                key
            }
        };
        epoll.ends.poll(key, cx)
    }

    /// Records that our half is about to be closed.
    pub(crate) fn note_shutdown(&self) {
        self.stream.note_end(|seen| {
            seen.shut_down();
            false
        });
    }

    /// Returns whether our half has been closed.
    pub(crate) fn has_shut_down(&self) -> bool {
        self.stream.end.get().has_shut_down()
    }

    /// Waits until the last send is complete.
    pub(crate) fn poll_sent(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.stream.send_error.get() {
            return Poll::Ready(Err(error.into()));
        }
        if self.stream.outgoing.borrow().is_none() {
            let sends = &self.stream.sends_in_a_row;
            if sends.get() < SENDS_IN_A_ROW_MAX {
                return Poll::Ready(Ok(()));
            }
            sends.set(0);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.stream.sent_waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Returns whether a send is in flight.
    pub(crate) fn is_sending(&self) -> bool {
        self.stream.outgoing.borrow().is_some()
    }

    /// Sends as much as the kernel takes now, and starts a task for the rest; none [is in flight](Self::is_sending).
    pub(crate) fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        let stream = &self.stream;
        if let Some(error) = stream.send_error.get() {
            return Err(error.into());
        }
        debug_assert!(
            stream.outgoing.borrow().is_none(),
            "one send at a time keeps the bytes in order"
        );
        *stream.outgoing.borrow_mut() = Some(Outgoing::new(buffer));
        stream.sends_in_a_row.set(stream.sends_in_a_row.get() + 1);
        if !stream.write() {
            stream.sends_in_a_row.set(0);
            // Without tasks the shard has ended, and its streams are about to be closed.
            if let Some(tasks) = stream.epoll.tasks.upgrade() {
                let stream = Rc::clone(stream);
                let rest = poll_fn(move |cx| stream.poll_rest(cx));
                tasks.spawn(Location::caller(), Box::pin(rest));
            }
        }
        Ok(())
    }

    /// Returns how many bytes the kernel has taken in all, and when it last took a part of the current send.
    pub(crate) fn sent(&self) -> (u64, Option<Instant>) {
        let outgoing = self.stream.outgoing.borrow();
        let (bytes, advanced) = outgoing.as_ref().map_or((0, None), |out| (out.sent(), out.advanced()));
        (self.stream.sent_bytes.get() + bytes, advanced)
    }

    /// Runs `call` on the descriptor, for calls that neither read nor write.
    pub(crate) fn with_descriptor<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        let socket = self.stream.socket.as_ref().map_err(|&error| error)?;
        Ok(call(socket.as_fd()))
    }

    pub(crate) fn epoll(&self) -> &Rc<Epoll> {
        &self.stream.epoll
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        self.stream.closing.set(true);
        self.stream.sent_waker.set(None);
        if let Some(sender) = self.stream.sender_waker.take() {
            sender.wake();
        }
    }
}

impl StreamState {
    /// Writes what is left to send; returns whether all is sent.
    fn write(&self) -> bool {
        let mut outgoing = self.outgoing.borrow_mut();
        let Some(rest) = &mut *outgoing else { return true };
        let written = match &self.socket {
            Ok(socket) => rest.write(socket.as_fd()),
            Err(error) => Err((*error).into()),
        };
        match written {
            Ok(false) => return false,
            Ok(true) => {}
            Err(error) => {
                self.send_error.set(Some(errno(&error)));
                self.note_failure(errno(&error));
            }
        }
        if let Some(sent) = outgoing.take() {
            self.sent_bytes.set(self.sent_bytes.get() + sent.sent());
            if let Some(buffer) = sent.into_owned() {
                self.epoll.pool.give_back(buffer);
            }
        }
        true
    }

    /// Wakes the task waiting for the peer's end after a failed receive or send, because the kernel reports an error
    /// only once.
    fn note_failure(&self, error: Errno) {
        if is_peers_doing(error.raw_os_error()) {
            self.note_end(EndSeen::note_failure);
        }
    }

    fn note_end(&self, note: impl Fn(&mut EndSeen) -> bool) {
        let mut seen = self.end.get();
        note(&mut seen);
        self.end.set(seen);
        if let Some(key) = self.end_key.get() {
            self.epoll.ends.note(key, note);
        }
    }

    /// Writes whenever there is room, until all is sent or the handle is dropped.
    fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(socket) = &self.socket else {
            return Poll::Ready(());
        };
        while !self.closing.get() {
            let mut ready = match socket.poll_write_ready(cx) {
                Poll::Ready(Ok(ready)) => ready,
                Poll::Ready(Err(error)) => {
                    self.send_error.set(Some(errno(&error)));
                    break;
                }
                Poll::Pending => {
                    self.sender_waker.set(Some(cx.waker().clone()));
                    return Poll::Pending;
                }
            };
            if self.write() {
                break;
            }
            ready.clear_ready();
        }
        if let Some(waiting) = self.sent_waker.take() {
            waiting.wake();
        }
        Poll::Ready(())
    }
}

impl Drop for StreamState {
    fn drop(&mut self) {
        self.epoll.streams.set(self.epoll.streams.get() - 1);
        if let (Ok(socket), Some(key)) = (&self.socket, self.end_key.get()) {
            self.epoll.ends.forget(key, socket.as_fd());
        }
        // Closed first, so that a listener waiting for a descriptor finds one.
        self.socket = Err(Errno::NOTCONN);
        self.epoll.descriptor_freed();
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
