//! The socket of a connection, with what waits to be read and to be sent.

#[cfg(feature = "rustls")]
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_shards::Deadline;

use crate::app::Peer;
use crate::memory::{self, OutOfMemory};
#[cfg(feature = "rustls")]
use crate::message::TlsInfo;
use crate::server::ending::{Ending, Flow, peer_gone};
use crate::transport::input::Input;
use crate::transport::progress::{Progress, UNWATCHED_BYTES_MAX, WriteLimits};
use crate::transport::socket::Socket;

/// A socket, and its bytes on both sides.
pub(super) struct Wire {
    pub(super) socket: Socket,
    pub(super) input: Input,
    pub(super) output: Vec<u8>,
    /// The one timer: each wait sets it to its own moment.
    pub(super) timer: Deadline,
    /// The peer has closed its sending half.
    pub(super) input_ended: bool,
    /// How fast the peer takes the send in flight, while that matters.
    progress: Option<Progress>,
    /// The send in flight is large enough to watch.
    is_watched: bool,
    peer: Option<Peer>,
    #[cfg(feature = "rustls")]
    tls: Option<Rc<TlsInfo>>,
}

impl Wire {
    pub(super) fn new(socket: Socket, input: Input, timer: Deadline, input_ended: bool, peer: Option<Peer>) -> Self {
        Self {
            socket,
            input,
            output: Vec::new(),
            timer,
            input_ended,
            progress: None,
            is_watched: false,
            peer,
            #[cfg(feature = "rustls")]
            tls: None,
        }
    }

    /// Returns what applications see of TLS, which the session is asked for once.
    #[cfg(feature = "rustls")]
    pub(super) fn tls(&mut self) -> Option<Rc<TlsInfo>> {
        if self.tls.is_none() {
            self.tls = self.socket.tls_info().map(Rc::new);
        }
        self.tls.clone()
    }

    /// Returns the peer, which the kernel is asked for once.
    pub(super) fn peer(&mut self) -> Peer {
        *self.peer.get_or_insert_with(|| Peer {
            address: self.socket.peer_address(),
            is_secure: self.socket.is_secure(),
        })
    }

    /// Receives into the input: true for bytes, false for the peer's end.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Flow<bool>> {
        match self.socket.poll_receive(cx) {
            Poll::Ready(Ok(Some(received))) => {
                self.input.push(received, &self.socket)?;
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Ok(None)) => {
                self.input_ended = true;
                Poll::Ready(Ok(false))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(peer_gone(error))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Makes room in the output, in a pooled buffer if the connection has none.
    #[inline]
    pub(super) fn make_room(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if self.output.capacity() == 0 {
            self.output = self.socket.take_buffer();
        }
        memory::make_room_to_answer(&mut self.output, bytes)
    }

    /// Returns an empty output buffer to the pool.
    pub(super) fn return_output(&mut self) {
        if self.output.is_empty() && self.output.capacity() > 0 {
            self.socket.return_buffer(std::mem::take(&mut self.output));
        }
    }

    /// Returns whether the kernel has taken the last send, so that another can start.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Flow> {
        let sent = self.socket.poll_sent(cx).map_err(peer_gone);
        if sent.is_ready() {
            self.progress = None;
            self.is_watched = false;
        }
        sent
    }

    /// Starts to send the output.
    pub(super) fn start_send(&mut self) -> Flow {
        let output = std::mem::take(&mut self.output);
        self.is_watched = output.len() > UNWATCHED_BYTES_MAX;
        self.socket.start_send(output).map_err(peer_gone)
    }

    /// Returns when to check the pace of the peer again, while output waits for it; aborts a peer that takes too little.
    pub(super) fn check_pace(&mut self, now: Instant, limits: &WriteLimits) -> Flow<Option<Instant>> {
        if !self.socket.is_sending() || self.output.is_empty() && !self.is_watched {
            return Ok(None);
        }
        let sent = self.socket.sent();
        let progress = self.progress.get_or_insert_with(|| Progress::new(now, sent, limits));
        let socket = &self.socket;
        if progress.note(now, sent, || socket.unacknowledged_bytes(), limits) {
            return Ok(Some(progress.deadline(now, limits)));
        }
        // The close becomes a reset, or the kernel would keep the unacknowledged bytes for minutes.
        self.socket.give_up();
        Err(Ending::Abort)
    }
}
