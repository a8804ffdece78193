//! How a peer ends its connection, under io_uring: a poll for its end beside the receive, and the one look that a receive needs.

use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, Waker};

use io_uring::{cqueue, opcode, types};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Receive, StreamSocket, StreamState, remember, wake};
use crate::driver::io_uring::Ring;
use crate::driver::io_uring::operation::{Operation, SlotKey, Token};
use crate::driver::peer_end::{PeerEnd, RDHUP, is_peers_doing};

impl StreamSocket {
    /// Waits for news of the peer's end.
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

    /// Notes that our half is about to be closed.
    pub(crate) fn note_shutdown(&self) {
        if let Some(stream) = self.ring.streams.borrow_mut().find(self.key) {
            stream.end.shut_down();
        }
    }

    /// Whether our half has been closed.
    pub(crate) fn has_shut_down(&self) -> bool {
        let mut streams = self.ring.streams.borrow_mut();
        streams.find(self.key).is_some_and(|stream| stream.end.has_shut_down())
    }
}

impl Ring {
    /// Has the kernel say how the peer ends the connection, as often as that changes.
    ///
    /// Multishot, because a one-shot poll that is armed again after a FIN completes at once, without end: the kernel adds RDHUP to whatever
    /// events are asked for. A multishot poll completes when something happens, and once for what has happened before. The arrival of
    /// bytes does not concern it.
    fn watch_end(&self, key: SlotKey, stream: &mut StreamState) {
        let token = Token::new(Operation::PeerEnd, key);
        let entry = opcode::PollAdd::new(types::Fd(stream.descriptor), RDHUP)
            .multi(true)
            .build();
        self.push(entry.user_data(token.to_user_data()));
        stream.is_end_watched = true;
        stream.pending += 1;
    }

    /// The poll for the peer's end has seen something, or has ended.
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
        // Where there was no memory to watch it, the next look asks again.
        let Ok(events) = u32::try_from(result) else { return };
        let has_news = stream.end.note(events);
        if !has_news && !stream.is_end_watched {
            // The completion queue was full, and the kernel ended the poll.
            self.watch_end(key, stream);
        }
        let waker = stream.end_waker.take_if(|_| has_news);
        drop(streams);
        wake(waker);
    }
}

impl StreamState {
    /// Whether the peer's end is in the socket and the multishot receive, which has just completed for the first time since it was armed,
    /// may never tell of it.
    ///
    /// The kernel's receive reads what there is and then waits to be woken. Where bytes and the end behind them are both there at the moment it
    /// begins to wait (they came after the socket was read), they wake it once: that goes to the bytes, the receive waits again, and the end,
    /// which has happened already, wakes it no more. Linux 6.18 loses a reset behind bytes on TCP in this way, and on Unix sockets any
    /// end; by chance it does so 2 to 17 times in 100,000 connections that end right behind their bytes, with `IORING_RECVSEND_POLL_FIRST`
    /// every time (the test `lost_end` shows it). Later completions lose nothing: an end that comes while the receive waits wakes it by
    /// itself, and where both wake it at once the kernel looks twice. So one look is enough: when the first completion since the arming is
    /// taken out of the ring, the end that may be lost is in the socket.
    pub(super) fn may_have_lost_its_end(&self) -> bool {
        poll_now(self.as_fd(), PollFlags::RDHUP)
    }

    /// The task that waits for the peer's end, where receiving or sending has just failed: the kernel says an error once, and the poll may miss it.
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

/// Whether poll(2) finds one of these events, a failure or a hang-up in a socket; a poll that fails itself is taken for one.
fn poll_now(socket: BorrowedFd<'_>, events: PollFlags) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(socket, events)];
    rustix::event::poll(&mut asked, Some(&Timespec::default())) != Ok(0)
}
