//! The channel between a handler and the driver of its connection: content comes in, flushed content goes out, and the news that
//! the peer has gone.
//!
//! Both ends run in one task on one shard: the driver polls the handler, moves bytes, and polls again. A wait stores its waker
//! all the same, because a handler may join or select several futures, each with a waker of its own. A waker is woken and dropped
//! only while nothing here is borrowed, since either may come back.

mod closed;
mod incoming;
mod outgoing;

use core::cell::RefCell;
use core::fmt;
use core::task::{Poll, Waker};
use std::rc::Rc;

use bytes::Bytes;

use crate::error::{Error, HttpError};
use crate::http1::ParseError;
use crate::memory::OutOfMemory;
use crate::message::{HeaderName, HeaderValue, Headers, ResponseHead};

pub use closed::Closed;

use closed::PeerPresence;
use incoming::Incoming;
use outgoing::Outgoing;

/// How much memory an idle exchange keeps for content, in each direction: the buffer an HTTP/1 connection commonly has in the
/// kernel.
pub(super) const KEPT_BYTES_MAX: usize = 64 * 1024;

/// How much content a request announces (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// None at all.
    #[default]
    Empty,
    /// As much as `Content-Length` says.
    Known(u64),
    /// Chunked: the end is where the last chunk is.
    Unknown,
}

/// Why content stopped coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// It cannot be read on: broken framing (400), or trailers beyond their limits (431).
    Refused(ParseError),
    /// It came too slowly: 408.
    TimedOut,
    /// It is longer than the request may carry: 413.
    TooLarge,
    /// There is no memory to keep it in: 503.
    OutOfMemory,
    /// The peer has gone: nobody is left to answer.
    PeerGone,
}

/// What a handler flushes.
#[derive(Debug, Default)]
pub struct Flush {
    /// The head, in the first flush of a response.
    pub head: Option<ResponseHead>,
    /// Content. It may be empty: the head alone then goes out, and no chunk.
    pub data: Vec<u8>,
    /// The `Content-Length` the application set, if it did; with the head only.
    pub content_length: Option<u64>,
}

/// The peer has gone before all was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerGone;

/// The two ends' common state. The driver uses the public methods; a [`Context`](super::Context) uses the others.
#[derive(Default)]
pub struct Channel {
    incoming: RefCell<Incoming>,
    outgoing: RefCell<Outgoing>,
    presence: RefCell<PeerPresence>,
}

/// The driver's end.
impl Channel {
    /// Says what content the request announces: once, before [`App::respond`](super::App::respond).
    pub fn begin(&self, length: BodyLength) {
        self.incoming.borrow_mut().begin(length);
    }

    /// Whether the handler reads content and has room for more. The driver pushes only then.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        self.incoming.borrow().wants_more()
    }

    /// Hands over content, decoded. Where there is no memory for it, it has failed with [`BodyError::OutOfMemory`].
    pub fn push_data(&self, data: &[u8]) {
        self.change_incoming(|incoming| incoming.push(data));
    }

    /// Says how many bytes of content will come at least, beyond those pushed: what is left of the current chunk. Where that is more than the
    /// handler takes, it is woken and wants no more.
    pub fn announce(&self, bytes: u64) {
        self.change_incoming(|incoming| incoming.announce(bytes));
    }

    /// Hands over one trailer field. Trailers are kept apart from the head's fields (RFC 9110 §6.5.1).
    pub fn push_trailer(&self, name: HeaderName, value: HeaderValue) {
        self.incoming.borrow_mut().push_trailer(name, value);
    }

    /// Says that all content has been pushed.
    pub fn end_body(&self) {
        self.change_incoming(Incoming::end);
    }

    /// Says that no more content will come, and why.
    pub fn fail_body(&self, error: BodyError) {
        self.change_incoming(|incoming| incoming.fail(error));
    }

    /// Takes what the handler waits to have sent. The driver answers with [`Channel::flushed`].
    pub fn take_flush(&self) -> Option<Flush> {
        self.outgoing.borrow_mut().take()
    }

    /// Says that the socket took the flush, or never will; `buffer` is the flush's data, to be written into again.
    pub fn flushed(&self, buffer: Vec<u8>, result: Result<(), PeerGone>) {
        let waker = self.outgoing.borrow_mut().flushed(buffer, result);
        wake(waker);
    }

    /// Says that the peer will send nothing more. It may have gone, or it may have closed its sending half and wait for the response:
    /// who waits for it to go is told, and the response is still sent.
    pub fn peer_finished(&self) {
        let wakers = self.presence.borrow_mut().close();
        wake(wakers.into_iter().flatten());
    }

    /// Says that the peer has gone: every wait on it ends.
    pub fn close(&self) {
        self.change_incoming(|incoming| incoming.fail(BodyError::PeerGone));
        let waker = self.outgoing.borrow_mut().close();
        wake(waker);
        self.peer_finished();
    }

    fn change_incoming(&self, change: impl FnOnce(&mut Incoming) -> Option<Waker>) {
        let waker = change(&mut self.incoming.borrow_mut());
        wake(waker);
    }
}

/// The handler's end.
impl Channel {
    /// Forgets the request; keeps memory up to [`KEPT_BYTES_MAX`].
    pub(super) fn reset(&self) {
        let wakers = (self.incoming.borrow_mut().reset(), self.outgoing.borrow_mut().reset());
        drop(wakers);
        let wakers = self.presence.borrow_mut().next_request();
        // Nearly always nobody; this is on the way of every request.
        if !wakers.is_empty() {
            wake(wakers.into_iter().flatten());
        }
    }

    /// What the head announced.
    pub(super) fn body_length(&self) -> BodyLength {
        self.incoming.borrow().length()
    }

    /// The trailer fields that have come so far.
    pub(super) fn trailers(&self) -> Headers {
        self.incoming.borrow().trailers().clone()
    }

    /// The next piece of content, of a body of at most `bytes_max`; `None` at the end.
    pub(super) fn poll_piece(&self, bytes_max: u64, waker: &Waker) -> Poll<Result<Option<Bytes>, BodyError>> {
        self.incoming.borrow_mut().poll_piece(bytes_max, waker)
    }

    /// All content that has not been read yet, of a body of at most `bytes_max`.
    pub(super) fn poll_whole(&self, bytes_max: u64, waker: &Waker) -> Poll<Result<Bytes, BodyError>> {
        self.incoming.borrow_mut().poll_whole(bytes_max, waker)
    }

    /// Hands a flush to the driver, once the one before it has been sent; `flush` is called only then.
    pub(super) fn poll_submit(&self, flush: impl FnOnce() -> Flush, waker: &Waker) -> Poll<Result<(), PeerGone>> {
        self.outgoing.borrow_mut().poll_submit(flush, waker)
    }

    /// Waits until the flush handed over has been sent; gives back a buffer to write on with.
    pub(super) fn poll_flushed(&self, waker: &Waker) -> Poll<Result<Vec<u8>, PeerGone>> {
        self.outgoing.borrow_mut().poll_flushed(waker)
    }

    /// Whether the driver has said that the peer has gone.
    pub(super) fn is_peer_gone(&self) -> bool {
        self.outgoing.borrow().is_peer_gone()
    }

    /// A future that ends when the peer has gone.
    pub(super) fn closed(self: &Rc<Self>) -> Closed {
        Closed::new(self)
    }
}

impl BodyError {
    /// What a handler gets.
    pub(super) fn into_error(self) -> Error {
        let (status, message) = match self {
            Self::PeerGone => return Error::peer_gone(),
            Self::OutOfMemory => return OutOfMemory.into(),
            Self::Refused(error) => return HttpError::new(error.status()).with_message(error.to_string()).into(),
            Self::TimedOut => (408, "the content came too slowly"),
            Self::TooLarge => (413, "the content is too large"),
        };
        HttpError::new(status).with_message(message).into()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Channel")
            .field("body_length", &self.body_length())
            .field("wants_body", &self.wants_body())
            .finish_non_exhaustive()
    }
}

fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

/// Stores a waker unless it would wake the task that is stored already.
fn store(place: &mut Option<Waker>, waker: &Waker) {
    if !place.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
        *place = Some(waker.clone());
    }
}
