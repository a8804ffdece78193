//! A stream behind TLS: the verbs of a plain socket, with records in the buffers of the shard.
//!
//! Received ciphertext is decrypted where the kernel put it, into a pooled buffer. What is sent is sealed into another,
//! at the end of a turn. What TLS itself sends joins the next send, or leaves alone if nothing is in flight.
//!
//! Invariant: a socket that waits holds no buffer beside an incomplete record.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use squall_shards::{Received, SendBuffer, Stream, clock};

use super::session::{Session, SessionError};
use crate::memory::OutOfMemory;
use crate::message::TlsInfo;

/// How many receives without plaintext are processed before other tasks get a turn. 16 of 4 KiB each.
///
/// Empty records and key updates cost the shard time and give the application nothing.
const EMPTY_RECEIVES_MAX: u32 = 16;

/// The most bytes of TLS itself that wait for a send in flight. 16 KiB: a few alerts and tickets.
const PENDING_BYTES_MAX: usize = 16 * 1024;

/// A connected stream whose handshake is complete.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    stream: Stream,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    session: Session,
    /// Plaintext that came with the end of the handshake.
    early: Vec<u8>,
    /// Records of TLS itself that wait for the send in flight.
    pending: Vec<u8>,
    /// The caller knows of the peer's `close_notify`.
    has_ended: bool,
    /// The connection has ended without the peer's `close_notify`.
    is_truncated: bool,
    /// The session has failed: only its alert is still sent.
    has_failed: bool,
}

impl TlsSocket {
    /// Takes over a stream after its handshake, with the plaintext that came behind that, and what TLS still has to send.
    pub(super) fn new(stream: Stream, session: Session, early: Vec<u8>, pending: Vec<u8>) -> Self {
        Self {
            stream,
            state: RefCell::new(State {
                session,
                early,
                pending,
                has_ended: false,
                is_truncated: false,
                has_failed: false,
            }),
        }
    }

    #[inline]
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns what applications may know of the session.
    pub(crate) fn info(&self) -> TlsInfo {
        self.state.borrow().session.info()
    }

    /// Returns whether the peer's bytes have ended without its `close_notify`.
    ///
    /// Content that ends with the connection is then incomplete.
    pub(crate) fn is_truncated(&self) -> bool {
        self.state.borrow().is_truncated
    }

    /// Polls for plaintext; `None` at the end of what the peer sends, with its `close_notify` or without.
    ///
    /// After [`announce_end`](Self::announce_end) what comes is discarded.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let state = &mut *self.state.borrow_mut();
        if !state.early.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut state.early).into())));
        }
        // It may have come with the last plaintext.
        if state.session.peer_has_closed() && !state.has_ended {
            state.has_ended = true;
            return Poll::Ready(Ok(None));
        }
        // Behind this end's close_notify nothing is read for its content.
        if state.session.peer_has_closed() || state.session.has_closed() || state.has_failed {
            return self.poll_end(cx);
        }
        for _ in 0..EMPTY_RECEIVES_MAX {
            let Some(mut received) = ready!(self.stream.poll_receive(cx))? else {
                state.is_truncated = true;
                return Poll::Ready(Ok(None));
            };
            let mut plaintext = self.stream.take_buffer();
            let outcome = state.session.receive(&mut received, &mut plaintext, &mut state.pending);
            drop(received);
            self.send_pending(state);
            if let Err(error) = outcome.and_then(|()| state.check_pending()) {
                state.has_failed = true;
                return Poll::Ready(Err(error.into()));
            }
            if !plaintext.is_empty() {
                return Poll::Ready(Ok(Some(plaintext.into())));
            }
            self.stream.return_buffer(plaintext);
            if state.session.peer_has_closed() {
                state.has_ended = true;
                return Poll::Ready(Ok(None));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Discards what comes behind the peer's last record, until the peer closes its half.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        for _ in 0..EMPTY_RECEIVES_MAX {
            if ready!(self.stream.poll_receive(cx))?.is_none() {
                return Poll::Ready(Ok(None));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Seals a buffer and starts to send it; call it only while no send is in flight.
    pub(crate) fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        if state.has_failed {
            return Err(SessionError::NotOpen.into());
        }
        let mut output = match state.pending.is_empty() {
            true => self.stream.take_buffer(),
            false => std::mem::take(&mut state.pending),
        };
        let now = clock::now();
        match buffer {
            SendBuffer::Owned(plaintext) => {
                state.session.send(&plaintext, now, &mut output)?;
                self.stream.return_buffer(plaintext);
            }
            SendBuffer::Shared(plaintext) => state.session.send(&plaintext, now, &mut output)?,
            SendBuffer::Vectored(parts) => state.send_parts(&parts, now, &mut output)?,
        }
        self.stream.start_send(output)
    }

    /// Polls until the kernel has taken the send in flight and what TLS itself sends behind it.
    pub(crate) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_sent(cx))?;
            let state = &mut *self.state.borrow_mut();
            if state.pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.stream.start_send(std::mem::take(&mut state.pending))?;
        }
    }

    /// Sends the `close_notify` behind what was sent; wait with [`poll_sent`](Self::poll_sent) before closing.
    pub(crate) fn announce_end(&self) {
        let state = &mut *self.state.borrow_mut();
        if !state.has_failed && !state.session.has_closed() {
            // Without memory, or with keys used up, the peer gets no close_notify.
            state.session.close_notify(&mut state.pending).unwrap_or_default();
            self.send_pending(state);
        }
    }

    /// Returns whether the peer has everything that was sent, `close_notify` included.
    pub(crate) fn has_arrived(&self) -> bool {
        let state = self.state.borrow();
        let has_ended = state.session.has_closed() || state.has_failed;
        has_ended && state.pending.is_empty() && self.stream.has_arrived()
    }

    /// Sends what TLS itself has to say, unless a send is in flight.
    fn send_pending(&self, state: &mut State) {
        if !state.pending.is_empty() && !self.stream.is_sending() {
            // The next poll of the send reports an error.
            let pending = std::mem::take(&mut state.pending);
            self.stream.start_send(pending).unwrap_or_default();
        }
    }
}

impl State {
    /// Fails a peer that makes TLS answer and reads none of it.
    fn check_pending(&self) -> Result<(), SessionError> {
        match self.pending.len() > PENDING_BYTES_MAX {
            true => Err(SessionError::OutOfMemory(OutOfMemory)),
            false => Ok(()),
        }
    }

    /// Seals parts one by one.
    fn send_parts(&mut self, parts: &[bytes::Bytes], now: Instant, output: &mut Vec<u8>) -> Result<(), SessionError> {
        parts.iter().try_for_each(|part| self.session.send(part, now, output))
    }
}
