//! What the ring keeps of each socket, one slot each, with everything the kernel may use until a completion.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;

use socket2::SockAddr;

use super::buffers::BufferId;
use super::memory::Fixed;
use super::send::InFlight;
use crate::driver::peer_end::EndSeen;

/// The state of one connected socket.
pub(super) struct StreamState {
    /// `None` once its close has been queued: the kernel owns it then, and its number may be reused.
    pub(super) socket: Option<OwnedFd>,
    pub(super) receive: Receive,
    /// Received buffers not yet taken by the task, oldest first: a chain through the ring's `links`.
    pub(super) first: BufferId,
    pub(super) last: BufferId,
    pub(super) held: u16,
    pub(super) pending: u16,
    pub(super) closing: bool,
    /// The buffer of a plain receive: in flight, or filled and not yet taken.
    pub(super) plain: Option<Vec<u8>>,
    pub(super) receive_waker: Option<Waker>,
    pub(super) send_waker: Option<Waker>,
    pub(super) end_waker: Option<Waker>,
    /// What is known of the peer's end, and whether a poll for it is armed.
    pub(super) end: EndSeen,
    pub(super) is_end_watched: bool,
    pub(super) in_flight: Option<InFlight>,
    /// The error that ended sending, as an errno; 0 without one.
    pub(super) send_error: i32,
    pub(super) sent_bytes: u64,
}

/// The state of receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receive {
    /// No request is in flight.
    Idle,
    /// A multishot receive is armed and has not completed since.
    Fresh,
    /// It has delivered bytes and is still armed.
    Armed,
    /// It is being cancelled, because the connection holds its maximum of buffers.
    Cancelling,
    /// It ended for lack of a buffer; the stream is in the ring's `parked` queue.
    Parked,
    /// A receive into the stream's own buffer is armed.
    Plain,
    /// The stream has ended (0), or the socket has failed (errno).
    Ended(i32),
}

impl StreamState {
    /// Takes the bytes of a completed plain receive.
    pub(super) fn take_plain(&mut self) -> Option<Vec<u8>> {
        match self.receive {
            Receive::Plain => None,
            _ => self.plain.take(),
        }
    }

    /// Returns the descriptor for a request; -1, which the kernel refuses, once the close has been queued.
    #[inline]
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, OwnedFd::as_raw_fd)
    }

    /// Takes the memory the kernel may still use, to be leaked.
    pub(super) fn take_kernel_memory(&mut self) -> impl Sized + use<> {
        (self.in_flight.take(), self.plain.take())
    }
}

/// The state of one listening socket.
pub(super) struct ListenerState {
    pub(super) socket: Rc<OwnedFd>,
    pub(super) accept: Accept,
    pub(super) accepted: VecDeque<OwnedFd>,
    /// The error that paused accepting, as an errno, until the application gets it.
    pub(super) error: Option<i32>,
    pub(super) waker: Option<Waker>,
    pub(super) closing: bool,
}

/// The state of the accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    Idle,
    Armed,
    /// Being cancelled: too many accepted sockets wait, or accepting ends.
    Cancelling,
    /// Out of descriptors or memory: armed again when a descriptor is freed, or after the application's pause.
    Exhausted,
}

/// A connection in progress.
pub(super) struct PendingConnect {
    pub(super) socket: OwnedFd,
    /// At a fixed address, because the kernel reads it while slots move.
    pub(super) address: Fixed<SockAddr>,
    /// The result, once there is one: zero, or an errno.
    pub(super) outcome: Option<i32>,
    pub(super) waker: Option<Waker>,
    pub(super) closing: bool,
}

impl PendingConnect {
    /// Takes the memory the kernel may still read, to be leaked.
    pub(super) fn take_kernel_memory(&mut self) -> impl Sized + use<> {
        let nowhere = SockAddr::from(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        std::mem::replace(&mut self.address, Fixed::new(nowhere))
    }
}
