//! Content on its way to a handler.
//!
//! It is asked for lazily: nothing is wanted before the handler waits for it, which is what holds `100 (Continue)` back
//! (RFC 9110 §10.1.1), and a handler that stops reading stops the peer. Invariant: unread content, and the memory it is kept in, stays
//! below [`WINDOW_BYTES`] if it is read in pieces, and below the limit of the body if it is read whole, plus what the driver pushed last.

use core::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::{BodyError, BodyLength, KEPT_BYTES_MAX, store};
use crate::memory::{self, OutOfMemory};
use crate::message::{HeaderName, HeaderValue, Headers};

/// How far content is read ahead of a handler that reads it in pieces. What one `recv` brings is rarely more than 64 KiB, so a
/// handler that keeps up never waits for the window.
const WINDOW_BYTES: usize = 64 * 1024;

/// The content of one request, as far as it has come and has not been read.
#[derive(Default)]
pub(super) struct Incoming {
    length: BodyLength,
    demand: Demand,
    unread: BytesMut,
    received_bytes: u64,
    /// What will come beyond that, at least, by the peer's own word: the rest of the current chunk.
    announced_bytes: u64,
    trailers: Headers,
    /// Whether there is content that has not been pushed yet.
    is_coming: bool,
    error: Option<BodyError>,
    waker: Option<Waker>,
}

/// How the handler reads.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Demand {
    /// Not at all, so far.
    #[default]
    Nothing,
    /// Piece by piece, with the window, up to a limit.
    Pieces { bytes_max: u64 },
    /// All of it at once, up to a limit.
    Whole { bytes_max: u64 },
}

impl Demand {
    /// How much unread content there can come to be, but for what the driver pushes last.
    fn bytes_max(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Pieces { .. } => WINDOW_BYTES,
            Self::Whole { bytes_max } => usize::try_from(bytes_max).unwrap_or(usize::MAX),
        }
    }
}

/// The driver's end. What changes the state gives back the waker to be woken.
impl Incoming {
    pub(super) fn begin(&mut self, length: BodyLength) {
        self.length = length;
        self.is_coming = !matches!(length, BodyLength::Empty | BodyLength::Known(0));
    }

    pub(super) fn wants_more(&self) -> bool {
        let has_room = match self.demand {
            Demand::Nothing => false,
            Demand::Pieces { bytes_max } => self.unread.len() < WINDOW_BYTES && self.expected_bytes() <= bytes_max,
            Demand::Whole { bytes_max } => self.expected_bytes() <= bytes_max,
        };
        has_room && self.is_coming && self.error.is_none()
    }

    pub(super) fn push(&mut self, data: &[u8]) -> Option<Waker> {
        let bytes_max = self.unread_bytes_max();
        if !self.unread.try_reclaim(data.len()) && make_room(&mut self.unread, data.len(), bytes_max).is_err() {
            self.unread = BytesMut::new();
            return self.fail(BodyError::OutOfMemory);
        }
        self.unread.extend_from_slice(data);
        self.received_bytes = self.received_bytes.saturating_add(data.len() as u64);
        self.announced_bytes = self.announced_bytes.saturating_sub(data.len() as u64);
        self.waker.take()
    }

    /// Takes note of what will come. If that is more than the handler reads, it is woken to find out.
    pub(super) fn announce(&mut self, bytes: u64) -> Option<Waker> {
        self.announced_bytes = bytes;
        if self.wants_more() { None } else { self.waker.take() }
    }

    /// How much unread content there can come to be, but for what is pushed last: no more than was announced, if it was.
    fn unread_bytes_max(&self) -> usize {
        let wanted = self.demand.bytes_max();
        match self.length {
            BodyLength::Known(length) => wanted.min(usize::try_from(length).unwrap_or(usize::MAX)),
            BodyLength::Empty | BodyLength::Unknown => wanted,
        }
    }

    pub(super) fn push_trailer(&mut self, name: HeaderName, value: HeaderValue) {
        self.trailers.add(name, value);
    }

    pub(super) fn end(&mut self) -> Option<Waker> {
        self.is_coming = false;
        self.waker.take()
    }

    /// Content that has come whole cannot fail any more; of two failures the first is the reason.
    pub(super) fn fail(&mut self, error: BodyError) -> Option<Waker> {
        if self.is_coming {
            self.error.get_or_insert(error);
        }
        self.waker.take()
    }
}

/// The handler's end.
impl Incoming {
    /// Forgets the request, keeping memory up to the bound; gives back what must not be dropped while this is borrowed.
    pub(super) fn reset(&mut self) -> Option<Waker> {
        // A request without content, as most are, leaves nothing behind.
        if self.length == BodyLength::Empty {
            return self.waker.take();
        }
        self.length = BodyLength::Empty;
        self.demand = Demand::Nothing;
        self.is_coming = false;
        self.error = None;
        self.trailers.clear();
        self.unread.clear();
        if self.received_bytes > KEPT_BYTES_MAX as u64 {
            self.unread = BytesMut::new();
        }
        self.received_bytes = 0;
        self.announced_bytes = 0;
        self.waker.take()
    }

    pub(super) fn length(&self) -> BodyLength {
        self.length
    }

    pub(super) fn trailers(&self) -> &Headers {
        &self.trailers
    }

    pub(super) fn poll_piece(&mut self, bytes_max: u64, waker: &Waker) -> Poll<Result<Option<Bytes>, BodyError>> {
        self.check(bytes_max)?;
        if !self.unread.is_empty() {
            Poll::Ready(Ok(Some(self.take_unread())))
        } else if self.is_coming {
            self.wait(Demand::Pieces { bytes_max }, waker)
        } else {
            Poll::Ready(Ok(None))
        }
    }

    pub(super) fn poll_whole(&mut self, bytes_max: u64, waker: &Waker) -> Poll<Result<Bytes, BodyError>> {
        self.check(bytes_max)?;
        if self.is_coming {
            self.wait(Demand::Whole { bytes_max }, waker)
        } else {
            Poll::Ready(Ok(self.take_unread()))
        }
    }

    /// Whether content may still be read: an announced length, of the whole or of a chunk, is checked before its bytes are asked for.
    fn check(&mut self, bytes_max: u64) -> Result<(), BodyError> {
        let is_too_large = match self.length {
            BodyLength::Known(length) => length > bytes_max,
            BodyLength::Empty | BodyLength::Unknown => self.expected_bytes() > bytes_max,
        };
        let error = if is_too_large {
            Some(BodyError::TooLarge)
        } else {
            self.error
        };
        match error {
            Some(error) => {
                self.demand = Demand::Nothing;
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// How long the content is at least.
    fn expected_bytes(&self) -> u64 {
        self.received_bytes.saturating_add(self.announced_bytes)
    }

    fn wait<T>(&mut self, demand: Demand, waker: &Waker) -> Poll<T> {
        self.demand = demand;
        store(&mut self.waker, waker);
        Poll::Pending
    }

    /// Takes what has come; nothing costs nothing.
    fn take_unread(&mut self) -> Bytes {
        if self.unread.is_empty() {
            Bytes::new()
        } else {
            self.unread.split().freeze()
        }
    }
}

/// Makes room for so many bytes more, of `bytes_max` in the end. A `BytesMut` has no growth that can be refused, so it becomes the `Vec` it is made of for that long.
fn make_room(unread: &mut BytesMut, bytes: usize, bytes_max: usize) -> Result<(), OutOfMemory> {
    let mut buffer = match core::mem::take(unread).freeze().try_into_mut() {
        Ok(own) => Vec::from(own),
        // The handler still has what was taken out of the same memory.
        Err(shared) => {
            let mut copy = Vec::new();
            memory::append(&mut copy, &shared)?;
            copy
        }
    };
    memory::make_room_within(&mut buffer, bytes, bytes_max)?;
    *unread = Bytes::from(buffer).into();
    Ok(())
}
