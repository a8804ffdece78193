//! Content on its way to a handler.
//!
//! Content is requested lazily: until the handler waits for it, the driver pushes nothing. So `100 (Continue)` is held
//! back (RFC 9110 §10.1.1), and a handler that stops reading stops the peer.
//!
//! Invariant: unread content and its buffer stay below a limit plus the last push of the driver. It is [`WINDOW_BYTES`]
//! if read in pieces, and the body limit if read whole.

use core::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::parts::{BodyError, BodyLength, RETAINED_BYTES_MAX};
use super::waker::store;
use crate::memory::{self, OutOfMemory};
use crate::message::{HeaderName, HeaderValue, Headers};

/// Most content that is read ahead of a handler that reads in pieces. 64 KiB: a `recv` rarely returns more, so a
/// handler that keeps up never waits for the window.
const WINDOW_BYTES: usize = 64 * 1024;

/// The content of one request that has arrived and was not read.
#[derive(Default)]
pub(super) struct Incoming {
    length: BodyLength,
    demand: Demand,
    unread: BytesMut,
    received_bytes: u64,
    /// Rest of the current chunk: content that the peer has announced beyond the received bytes.
    announced_bytes: u64,
    trailers: Headers,
    /// Whether the driver has more content to push.
    is_coming: bool,
    error: Option<BodyError>,
    waker: Option<Waker>,
}

/// How the handler reads.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Demand {
    /// It has not read yet.
    #[default]
    Nothing,
    /// In pieces, with the window, up to a limit.
    Pieces { bytes_max: u64 },
    /// All at once, up to a limit.
    Whole { bytes_max: u64 },
}

impl Demand {
    /// Most unread content, apart from the last push.
    fn bytes_max(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Pieces { .. } => WINDOW_BYTES,
            Self::Whole { bytes_max } => usize::try_from(bytes_max).unwrap_or(usize::MAX),
        }
    }
}

/// The driver's end. A method that changes the state returns the waker that its caller must wake.
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

    /// How many bytes a handler still waits for that reads the whole.
    pub(super) fn wanted_bytes(&self) -> u64 {
        match (self.demand, self.length) {
            (Demand::Whole { bytes_max }, BodyLength::Known(length)) => {
                length.min(bytes_max).saturating_sub(self.received_bytes)
            }
            (Demand::Whole { bytes_max }, _) => bytes_max.saturating_sub(self.received_bytes),
            (Demand::Nothing | Demand::Pieces { .. }, _) => 0,
        }
    }

    pub(super) fn unread_bytes(&self) -> usize {
        self.unread.len()
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

    /// Notes the rest of a chunk. If that exceeds the handler's limit, the handler is woken to see the error.
    pub(super) fn announce(&mut self, bytes: u64) -> Option<Waker> {
        self.announced_bytes = bytes;
        if self.wants_more() { None } else { self.waker.take() }
    }

    /// Most unread content, apart from the last push: at most the announced length.
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

    /// Fails the content, unless it is complete. The first failure stays.
    pub(super) fn fail(&mut self, error: BodyError) -> Option<Waker> {
        if self.is_coming {
            self.error.get_or_insert(error);
        }
        self.waker.take()
    }
}

/// The handler's end.
impl Incoming {
    /// Forgets the request and keeps at most [`RETAINED_BYTES_MAX`] bytes of memory. Returns a waker for the caller to
    /// drop: its drop may borrow this state again.
    pub(super) fn reset(&mut self) -> Option<Waker> {
        // Most requests have no content, so there is nothing to reset.
        if self.length == BodyLength::Empty {
            return self.waker.take();
        }
        self.length = BodyLength::Empty;
        self.demand = Demand::Nothing;
        self.is_coming = false;
        self.error = None;
        self.trailers.clear();
        self.unread.clear();
        if self.received_bytes > RETAINED_BYTES_MAX as u64 {
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

    /// Fails if the announced length, of the whole or of a chunk, exceeds the limit. The check runs before those bytes
    /// are requested.
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

    /// Lower bound of the content's length, in bytes.
    fn expected_bytes(&self) -> u64 {
        self.received_bytes.saturating_add(self.announced_bytes)
    }

    fn wait<T>(&mut self, demand: Demand, waker: &Waker) -> Poll<T> {
        self.demand = demand;
        store(&mut self.waker, waker);
        Poll::Pending
    }

    /// Takes the unread content without allocating if it is empty.
    fn take_unread(&mut self) -> Bytes {
        if self.unread.is_empty() {
            Bytes::new()
        } else {
            self.unread.split().freeze()
        }
    }
}

/// Reserves room for `bytes` more, up to `bytes_max` in all. `BytesMut` cannot grow fallibly, so it becomes a `Vec` for
/// the growth.
fn make_room(unread: &mut BytesMut, bytes: usize, bytes_max: usize) -> Result<(), OutOfMemory> {
    let mut buffer = match core::mem::take(unread).freeze().try_into_mut() {
        Ok(own) => Vec::from(own),
        // The handler still holds a piece of this memory.
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
