//! Connected sockets in the ring: receive into provided buffers, send from owned ones, close when nothing is in flight.
//!
//! Invariants of a [`StreamState`]: `pending` counts the requests whose last completion is outstanding. The descriptor
//! is closed only at zero, and the slot freed only when the close has completed. So no completion can find another
//! socket in its place.

mod ends;
#[cfg(test)]
mod lifetimes;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use io_uring::cqueue;

use super::buffers::BufferId;
use super::operation::{Operation, SlotKey, Token};
use super::received::Provided;
use super::request::Request;
use super::ring::{Ring, SharedRing, count};
use super::send::{Given, InFlight};
use super::states::{Receive, StreamState};
use super::wakers::{remember, wake};
use crate::driver::peer_end::EndSeen;
use crate::driver::received::Received;
use crate::net::send_buffer::SendBuffer;

/// How many streams may receive into their own buffers at once. 256: 1 MiB per shard at the default size, beside the
/// configured buffers. The others wait, mostly for one turn.
const PLAIN_RECEIVES_MAX: usize = 256;

/// A handle to a connected socket; dropping it cancels what is in flight and closes the socket.
pub(crate) struct StreamSocket {
    ring: SharedRing,
    key: SlotKey,
}

impl StreamSocket {
    /// Adds a connected socket to the ring.
    pub(crate) fn new(ring: &SharedRing, socket: OwnedFd) -> Self {
        let stream = StreamState {
            socket: Some(socket),
            receive: Receive::Idle,
            first: 0,
            last: 0,
            held: 0,
            pending: 0,
            closing: false,
            plain: None,
            receive_waker: None,
            send_waker: None,
            end_waker: None,
            end: EndSeen::default(),
            is_end_watched: false,
            in_flight: None,
            send_error: 0,
            sent_bytes: 0,
        };
        let key = ring.streams.borrow_mut().insert(stream);
        Self {
            ring: Rc::clone(ring),
            key,
        }
    }

    /// Takes the next received bytes; `None` at the end of the stream.
    pub(crate) fn poll_receive(&self, cx: &Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let mut streams = self.ring.streams.borrow_mut();
        let Some(stream) = streams.find(self.key) else {
            return Poll::Ready(Err(closed()));
        };
        if let Some((buffer, length)) = self.ring.take_held(stream) {
            self.ring.go_on_receiving(self.key, stream);
            let received = Received::provided(Provided::new(Rc::clone(&self.ring), buffer, length));
            return Poll::Ready(Ok(Some(received)));
        }
        if let Some(bytes) = stream.take_plain() {
            self.ring.go_on_receiving(self.key, stream);
            return Poll::Ready(Ok(Some(Received::from(bytes))));
        }
        match stream.receive {
            Receive::Ended(0) => return Poll::Ready(Ok(None)),
            Receive::Ended(errno) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            Receive::Idle => self.ring.arm_receive(self.key, stream),
            Receive::Fresh | Receive::Armed | Receive::Cancelling | Receive::Parked | Receive::Plain => {}
        }
        remember(&mut stream.receive_waker, cx);
        Poll::Pending
    }

    /// Waits until no send is in flight.
    pub(crate) fn poll_sent(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut streams = self.ring.streams.borrow_mut();
        let Some(stream) = streams.find(self.key) else {
            return Poll::Ready(Err(closed()));
        };
        if stream.send_error != 0 {
            return Poll::Ready(Err(io::Error::from_raw_os_error(stream.send_error)));
        }
        if stream.in_flight.is_none() {
            return Poll::Ready(Ok(()));
        }
        remember(&mut stream.send_waker, cx);
        Poll::Pending
    }

    /// Returns whether a send is in flight.
    pub(crate) fn is_sending(&self) -> bool {
        let mut streams = self.ring.streams.borrow_mut();
        streams.find(self.key).is_some_and(|stream| stream.in_flight.is_some())
    }

    /// Queues a send for the end of the turn, while none [is in flight](Self::is_sending).
    pub(crate) fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        let mut streams = self.ring.streams.borrow_mut();
        let Some(stream) = streams.find(self.key) else {
            return Err(closed());
        };
        if stream.send_error != 0 {
            return Err(io::Error::from_raw_os_error(stream.send_error));
        }
        debug_assert!(
            stream.in_flight.is_none(),
            "one send at a time keeps the bytes in order"
        );
        if !buffer.is_empty() {
            let in_flight = stream.in_flight.insert(InFlight::new(buffer));
            if in_flight.has_pages() {
                // Now and not at the end of the turn: pages are given by a call of their own.
                if self.ring.go_on_with_pages(self.key, stream) {
                    stream.in_flight = None;
                }
                if stream.send_error != 0 {
                    let error = io::Error::from_raw_os_error(stream.send_error);
                    let end_waker = stream.take_failed_waker();
                    drop(streams);
                    wake(end_waker);
                    return Err(error);
                }
            } else {
                self.ring.push_send(self.key, stream);
            }
        }
        Ok(())
    }

    /// Returns how many bytes the kernel has taken in all, and when it last took a part of the current send.
    pub(crate) fn sent(&self) -> (u64, Option<Instant>) {
        let mut streams = self.ring.streams.borrow_mut();
        streams.find(self.key).map_or((0, None), |stream| {
            let advanced = stream.in_flight.as_ref().and_then(InFlight::advanced);
            (stream.sent_bytes, advanced)
        })
    }

    /// Runs `call` on the descriptor, for calls that neither read nor write: addresses, options, shutdown.
    pub(crate) fn with_descriptor<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        let mut streams = self.ring.streams.borrow_mut();
        let socket = streams.find(self.key).and_then(|stream| stream.socket.as_ref());
        socket.map(|socket| call(socket.as_fd())).ok_or_else(closed)
    }

    pub(crate) fn ring(&self) -> &SharedRing {
        &self.ring
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        self.ring.close_stream(self.key);
    }
}

impl Ring {
    /// Arms a multishot receive into provided buffers.
    fn arm_receive(&self, key: SlotKey, stream: &mut StreamState) {
        let token = Token::new(Operation::Receive, key);
        self.push(Request::receive(stream.descriptor(), token));
        stream.receive = Receive::Fresh;
        stream.pending += 1;
    }

    /// Arms one receive into the stream's own buffer; out of memory, receiving fails with `ENOMEM`.
    fn arm_plain_receive(&self, key: SlotKey, stream: &mut StreamState) {
        let buffer_bytes = self.config.receive_buffer_bytes as usize;
        let mut buffer = Vec::new();
        if buffer.try_reserve_exact(buffer_bytes).is_err() {
            stream.receive = Receive::Ended(libc::ENOMEM);
            return;
        }
        buffer.resize(buffer_bytes, 0);
        count(&self.counters.plain_receives);
        let token = Token::new(Operation::ReceivePlain, key);
        let (start, length) = (buffer.as_mut_ptr(), self.config.receive_buffer_bytes);
        stream.plain = Some(buffer);
        // SAFETY: the buffer has this length. The slot keeps it, and does not use it, until `received_plain` has seen the
        // completion: `take_plain` takes none while a plain receive is armed.
        self.push(unsafe { Request::receive_into(stream.descriptor(), start, length, token) });
        stream.receive = Receive::Plain;
        stream.pending += 1;
        self.plain_receives.update(|count| count + 1);
    }

    fn push_send(&self, key: SlotKey, stream: &mut StreamState) {
        let descriptor = stream.descriptor();
        let Some(in_flight) = &mut stream.in_flight else { return };
        let token = Token::new(Operation::Send, key);
        // SAFETY: the slot keeps the send, and so its bytes, header and parts, unchanged until `sent` has seen the
        // completion. One send is in flight at a time.
        self.push(unsafe { Request::send(descriptor, in_flight.memory(), token) });
        stream.pending += 1;
    }

    /// Gives the socket more of the pages in flight; returns whether that send has ended. Otherwise the ring sends the next
    /// bytes as soon as the socket takes some.
    fn go_on_with_pages(&self, key: SlotKey, stream: &mut StreamState) -> bool {
        let (Some(in_flight), Some(socket)) = (&mut stream.in_flight, &stream.socket) else {
            return true;
        };
        match in_flight.give_pages(socket.as_fd(), &mut stream.sent_bytes) {
            Ok(Given::All) => return true,
            Ok(Given::Some) => self.push_send(key, stream),
            Err(error) => {
                stream.send_error = error.raw_os_error();
                return true;
            }
        }
        false
    }

    pub(super) fn push_cancel(&self, operation: Operation, key: SlotKey) {
        self.push(Request::cancel(Token::new(operation, key)));
    }

    /// Takes the oldest received buffer of a stream, with its length.
    fn take_held(&self, stream: &mut StreamState) -> Option<(BufferId, u32)> {
        if stream.held == 0 {
            return None;
        }
        let buffer = stream.first;
        let (length, next) = self.uring.buffers.borrow().link(buffer);
        stream.first = next;
        stream.held -= 1;
        Some((buffer, length))
    }

    /// Resumes a paused stream once it holds at most half of its maximum, before its task has to wait.
    fn go_on_receiving(&self, key: SlotKey, stream: &mut StreamState) {
        let room = stream.held <= self.config.receive_buffers_per_stream_max / 2;
        // Not while bytes are in the stream's own buffer: they come after those held, and before what is received next.
        if stream.receive == Receive::Idle && room && stream.plain.is_none() {
            self.arm_receive(key, stream);
        }
    }

    /// Handles a completion of the multishot receive: a buffer, or its end.
    pub(super) fn received(&self, key: SlotKey, result: i32, flags: u32) {
        let buffer = cqueue::buffer_select(flags);
        if buffer.is_some() {
            self.uring.buffers.borrow_mut().taken();
        }
        let mut streams = self.streams.borrow_mut();
        let stream = streams
            .find(key)
            .filter(|stream| !stream.closing || !cqueue::more(flags));
        let Some(stream) = stream else {
            // The stream is closing, or its slot was reused: the bytes have no reader.
            self.return_unread(buffer);
            return;
        };
        let more = cqueue::more(flags);
        if !more {
            stream.pending -= 1;
        }
        match (buffer, usize::try_from(result)) {
            (Some(buffer), Ok(length @ 1..)) if !stream.closing => self.append(stream, buffer, length),
            (buffer, _) => self.return_unread(buffer),
        }
        if stream.closing {
            self.close_if_quiet(key, stream);
            return;
        }
        self.after_receive(key, stream, result, more);
        let waker = stream.receive_waker.take();
        let end_waker = if more { None } else { stream.take_failed_waker() };
        drop(streams);
        wake(end_waker);
        let Some(waker) = waker else { return };
        waker.wake_by_ref();
        // Put back, because the same task will wait again and then need not clone its waker.
        if let Some(stream) = self.streams.borrow_mut().find(key) {
            stream.receive_waker.get_or_insert(waker);
        }
    }

    /// Decides after a completion of the multishot receive: continue, pause, park or end.
    fn after_receive(&self, key: SlotKey, stream: &mut StreamState, result: i32, more: bool) {
        // Judged after the completion was appended.
        let full = stream.held >= self.config.receive_buffers_per_stream_max;
        if more {
            let is_fresh = stream.receive == Receive::Fresh;
            if is_fresh {
                stream.receive = Receive::Armed;
            }
            // A multishot receive cannot be paused, only cancelled; it is armed again once half is read.
            if full && stream.receive == Receive::Armed {
                count(&self.counters.quota_cancels);
                self.push_cancel(Operation::Receive, key);
                stream.receive = Receive::Cancelling;
            } else if is_fresh && stream.may_have_lost_its_end() {
                // Armed again, it looks at the socket before it waits, and finds the remaining bytes and then the end.
                self.push_cancel(Operation::Receive, key);
                stream.receive = Receive::Cancelling;
            }
            return;
        }
        stream.receive = match -result {
            0 => Receive::Ended(0),
            libc::ENOBUFS => {
                count(&self.counters.parked);
                self.parked.borrow_mut().push_back(key);
                Receive::Parked
            }
            // Cancelled for its quota, interrupted, or ended by the kernel without an error: armed again when there is
            // room.
            errno if errno < 0 || matches!(errno, libc::ECANCELED | libc::EINTR | libc::EAGAIN) => Receive::Idle,
            errno => Receive::Ended(errno),
        };
        if stream.receive == Receive::Idle && !full {
            self.arm_receive(key, stream);
        }
    }

    fn append(&self, stream: &mut StreamState, buffer: BufferId, length: usize) {
        let mut buffers = self.uring.buffers.borrow_mut();
        buffers.set_length(buffer, length);
        if stream.held == 0 {
            stream.first = buffer;
        } else {
            buffers.set_next(stream.last, buffer);
        }
        stream.last = buffer;
        stream.held += 1;
    }

    fn return_unread(&self, buffer: Option<BufferId>) {
        if let Some(buffer) = buffer {
            // SAFETY: the kernel has filled it, and no slice of it was ever made.
            unsafe { self.uring.memory.poison(buffer) };
            self.uring.buffers.borrow_mut().give_back(buffer);
        }
    }

    /// Handles the completion of a plain receive.
    pub(super) fn received_plain(&self, key: SlotKey, result: i32) {
        self.plain_receives.update(|count| count.saturating_sub(1));
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.find(key) else { return };
        stream.pending -= 1;
        if stream.closing {
            stream.plain = None;
            self.close_if_quiet(key, stream);
            return;
        }
        match usize::try_from(result) {
            Ok(length @ 1..) => {
                if let Some(buffer) = &mut stream.plain {
                    buffer.truncate(length);
                }
                stream.receive = Receive::Idle;
            }
            _ => {
                stream.plain = None;
                stream.receive = match -result {
                    libc::ECANCELED | libc::EINTR | libc::EAGAIN => Receive::Idle,
                    errno => Receive::Ended(errno),
                };
            }
        }
        let (waker, end_waker) = (stream.receive_waker.take(), stream.take_failed_waker());
        drop(streams);
        wake(waker);
        wake(end_waker);
    }

    /// Publishes free buffers at the end of a turn and resumes parked streams in order of arrival.
    ///
    /// Streams without a buffer left receive into their own memory, so that one connection's slow handler does not stop
    /// another's receive. Out of memory too, their receive fails. Returns whether one failed, so that its task has to
    /// run.
    pub(super) fn settle_buffers(&self) -> bool {
        let mut buffers = self.uring.buffers.borrow_mut();
        let mut parked = self.parked.borrow_mut();
        // With parked streams every free buffer is published, otherwise only the warm window.
        buffers.publish(!parked.is_empty());
        if parked.is_empty() {
            return false;
        }
        let mut failed = Vec::new();
        let mut chances = buffers.published();
        drop(buffers);
        let mut streams = self.streams.borrow_mut();
        while let Some(key) = parked.pop_front() {
            let Some(stream) = streams.find(key) else { continue };
            if stream.receive != Receive::Parked || stream.closing {
                continue;
            }
            if stream.held >= self.config.receive_buffers_per_stream_max {
                // Its task must read what it holds first, which arms it again.
                stream.receive = Receive::Idle;
                continue;
            }
            if chances > 0 {
                chances -= 1;
                self.arm_receive(key, stream);
            } else if self.plain_receives.get() >= PLAIN_RECEIVES_MAX {
                // These receives complete at once, because bytes wait for all of them; then this stream gets its turn.
                parked.push_front(key);
                break;
            } else {
                self.arm_plain_receive(key, stream);
                if stream.receive != Receive::Plain {
                    failed.extend(stream.receive_waker.take());
                }
            }
        }
        // Tasks are woken outside the borrows.
        drop((streams, parked));
        let has_failed = !failed.is_empty();
        failed.into_iter().for_each(Waker::wake);
        has_failed
    }

    /// Handles the completion of a send: whole, in part, or with an error.
    pub(super) fn sent(&self, key: SlotKey, result: i32) {
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.find(key) else { return };
        stream.pending -= 1;
        let Some(in_flight) = &mut stream.in_flight else { return };
        let has_pages = in_flight.has_pages();
        let done = match usize::try_from(result) {
            Ok(sent) => {
                stream.sent_bytes += sent as u64;
                in_flight.advance(sent)
            }
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => false,
            Err(_) => {
                stream.send_error = -result;
                true
            }
        };
        // A short send: the rest goes out before anything else, so that bytes stay in order.
        if !done && !stream.closing {
            if !has_pages {
                self.push_send(key, stream);
                return;
            }
            if !self.go_on_with_pages(key, stream) {
                return;
            }
        }
        let buffer = stream.in_flight.take().and_then(InFlight::into_owned);
        let waker = stream.send_waker.take();
        let end_waker = match stream.send_error {
            0 => None,
            _ => stream.take_failed_waker(),
        };
        if stream.closing {
            self.close_if_quiet(key, stream);
        }
        drop(streams);
        if let Some(buffer) = buffer {
            self.pool.give_back(buffer);
        }
        wake(waker);
        wake(end_waker);
    }

    /// Begins to close a stream whose handle was dropped.
    fn close_stream(&self, key: SlotKey) {
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.find(key) else { return };
        stream.closing = true;
        stream.receive_waker = None;
        stream.send_waker = None;
        stream.end_waker = None;
        // Returned now, not at the close, because other connections may wait for buffers.
        while let Some((buffer, _)) = self.take_held(stream) {
            self.return_unread(Some(buffer));
        }
        drop(stream.take_plain());
        match stream.receive {
            Receive::Fresh | Receive::Armed | Receive::Cancelling => self.push_cancel(Operation::Receive, key),
            Receive::Plain => self.push_cancel(Operation::ReceivePlain, key),
            Receive::Idle | Receive::Parked | Receive::Ended(_) => {}
        }
        if stream.in_flight.is_some() {
            self.push_cancel(Operation::Send, key);
        }
        if stream.is_end_watched {
            self.push_cancel(Operation::PeerEnd, key);
        }
        self.close_if_quiet(key, stream);
    }

    /// Closes the descriptor once nothing is in flight on it.
    fn close_if_quiet(&self, key: SlotKey, stream: &mut StreamState) {
        if stream.pending == 0
            && let Some(socket) = stream.socket.take()
        {
            // The close is itself a request in flight: it keeps the slot until it completes.
            stream.pending = 1;
            self.push(Request::close(socket, Token::new(Operation::Close, key)));
        }
    }

    /// Frees the slot of a closed descriptor and lets exhausted listeners retry.
    pub(super) fn closed(&self, key: SlotKey) {
        drop(self.streams.borrow_mut().remove(key));
        self.descriptor_freed();
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is closed")
}
