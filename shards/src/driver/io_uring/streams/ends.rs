//! How a peer ends its connection, under io_uring: a poll for its end beside the receive, and one look that a receive
//! needs.

use std::os::fd::AsFd;
use std::task::{Context, Poll, Waker};

use io_uring::cqueue;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::StreamSocket;
use crate::driver::io_uring::operation::{Operation, SlotKey, Token};
use crate::driver::io_uring::request::Request;
use crate::driver::io_uring::ring::Ring;
use crate::driver::io_uring::states::{Receive, StreamState};
use crate::driver::io_uring::wakers::{remember, wake};
use crate::driver::peer_end::{PeerEnd, RDHUP, is_peers_doing};

impl StreamSocket {
    /// Waits for a change of the peer's end.
    pub(crate) fn poll_peer_end(&self, cx: &Context<'_>) -> Poll<PeerEnd> {
        let mut streams = self.ring.streams.borrow_mut();
        let Some(stream) = streams.find(self.key) else {
            return Poll::Ready(PeerEnd::Gone);
        };
        if let Some(end) = stream.end.report() {
            return Poll::Ready(end);
        }
        if !stream.is_end_watched {
            self.ring.watch_end(self.key, stream);
        }
        remember(&mut stream.end_waker, cx);
        Poll::Pending
    }

    /// Records that our half is about to be closed.
    pub(crate) fn note_shutdown(&self) {
        if let Some(stream) = self.ring.streams.borrow_mut().find(self.key) {
            stream.end.shut_down();
        }
    }

    /// Returns whether our half has been closed.
    pub(crate) fn has_shut_down(&self) -> bool {
        let mut streams = self.ring.streams.borrow_mut();
        streams.find(self.key).is_some_and(|stream| stream.end.has_shut_down())
    }
}

impl Ring {
    /// Arms a multishot poll for the peer's end.
    ///
    /// A one-shot poll armed again after a FIN would complete at once, forever: the kernel adds RDHUP to any requested
    /// events. A multishot poll completes on changes, and once for what has already happened. Arriving bytes do not
    /// complete it.
    fn watch_end(&self, key: SlotKey, stream: &mut StreamState) {
        let token = Token::new(Operation::PeerEnd, key);
        self.push(Request::poll(stream.descriptor(), RDHUP, token));
        stream.is_end_watched = true;
        stream.pending += 1;
    }

    /// Handles a completion of the poll for the peer's end: an event, or its end.
    pub(in crate::driver::io_uring) fn peer_ended(&self, key: SlotKey, result: i32, flags: u32) {
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.find(key) else { return };
        if !cqueue::more(flags) {
            stream.pending -= 1;
            stream.is_end_watched = false;
            if stream.closing {
                self.close_if_quiet(key, stream);
                return;
            }
        }
        // Out of memory to watch it: the next `poll_peer_end` asks again.
        let Ok(events) = u32::try_from(result) else { return };
        let has_news = stream.end.note(events);
        if !has_news && !stream.is_end_watched {
            // The kernel ended the poll because the completion queue was full.
            self.watch_end(key, stream);
        }
        let waker = stream.end_waker.take_if(|_| has_news);
        drop(streams);
        wake(waker);
    }
}

impl StreamState {
    /// Returns whether the peer's end is in the socket, which the multishot receive may never report.
    ///
    /// Called after the first completion since the receive was armed. The kernel's receive reads what is there, then
    /// waits. If bytes and the end behind them both arrive between, they wake it once. It reads the bytes and waits
    /// again, and the end, already past, does not wake it any more. Linux 6.18 loses a TCP reset behind bytes this way,
    /// and any end on Unix sockets. It does so 2 to 17 times in 100,000 connections that end right behind their bytes.
    /// With `IORING_RECVSEND_POLL_FIRST` it does so every time (shown by the test `lost_end`).
    ///
    /// One look suffices. Once the first completion is taken, a lost end is in the socket. Later completions lose
    /// nothing: an end that comes while the receive waits wakes it. If bytes and end wake it together, the kernel looks
    /// twice.
    pub(super) fn may_have_lost_its_end(&self) -> bool {
        self.socket
            .as_ref()
            .is_some_and(|socket| poll_now(socket, PollFlags::RDHUP))
    }

    /// Takes the task waiting for the peer's end after a failed receive or send. The kernel reports an error once, and
    /// the poll may miss it.
    pub(super) fn take_failed_waker(&mut self) -> Option<Waker> {
        let receive_error = match self.receive {
            Receive::Ended(errno) => errno,
            _ => 0,
        };
        let has_failed = is_peers_doing(receive_error) || is_peers_doing(self.send_error);
        if has_failed && self.end.note_failure() {
            return self.end_waker.take();
        }
        None
    }
}

/// Returns whether poll(2) finds one of these events, an error or a hang-up; a failing poll counts as one.
fn poll_now(socket: &impl AsFd, events: PollFlags) -> bool {
    let mut asked = [PollFd::new(socket, events)];
    rustix::event::poll(&mut asked, Some(&Timespec::default())) != Ok(0)
}
