//! The channel between a handler and the driver of its connection: content comes in, flushed content goes out, and the
//! peer's end is reported.
//!
//! HTTP/1.1 runs both ends in one task: the driver polls the handler, moves bytes, and polls again. A wait still stores
//! its waker, because a handler may join or select futures that have wakers of their own.
//!
//! An [`ExchangeTask`](super::ExchangeTask) runs the handler beside the driver. The driver [sets its waker](Channel::set_waker),
//! and each end wakes the other.
//!
//! Wakers are woken and dropped while nothing is borrowed, because both may call back into the channel.

mod closed;
mod incoming;
mod outgoing;
mod parts;
mod presence;
mod task;
mod waker;

use core::cell::RefCell;
use core::fmt;
use core::task::{Poll, Waker};

use bytes::Bytes;

use crate::message::{HeaderName, HeaderValue, Headers};

pub use closed::Closed;
pub(super) use parts::RETAINED_BYTES_MAX;
pub use parts::{BodyError, BodyLength, Flush, PeerGone, ResponseEnd};
pub use task::TaskState;

use incoming::Incoming;
use outgoing::Outgoing;
use presence::PeerPresence;
use task::TaskLink;

/// The state that both ends share.
///
/// The driver uses the public methods, and a [`Context`](super::Context) uses the others.
#[derive(Default)]
pub struct Channel {
    incoming: RefCell<Incoming>,
    outgoing: RefCell<Outgoing>,
    presence: RefCell<PeerPresence>,
    task: RefCell<TaskLink>,
}

/// The driver's end.
impl Channel {
    /// Sets the announced length.
    ///
    /// Call it once, before [`App::respond`](super::App::respond).
    pub fn begin(&self, length: BodyLength) {
        self.incoming.borrow_mut().begin(length);
    }

    /// Returns whether the handler reads content and has room for more; the driver pushes only then.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        self.incoming.borrow().wants_more()
    }

    /// Returns how many bytes a handler still waits for that reads the content as a whole; 0 for any other.
    ///
    /// At most the body's limit. A driver may grant its peer that much at once.
    #[must_use]
    pub fn wanted_bytes(&self) -> u64 {
        self.incoming.borrow().wanted_bytes()
    }

    /// Hands over decoded content.
    ///
    /// If memory is short, the content fails with [`BodyError::OutOfMemory`].
    pub fn push_data(&self, data: &[u8]) {
        self.change_incoming(|incoming| incoming.push(data));
    }

    /// Announces the rest of the current chunk, beyond the pushed bytes.
    ///
    /// If it exceeds the handler's limit, the handler is woken and `wants_body` becomes false.
    pub fn announce(&self, bytes: u64) {
        self.change_incoming(|incoming| incoming.announce(bytes));
    }

    /// Hands over one trailer field.
    ///
    /// Trailers stay apart from the head's fields (RFC 9110 §6.5.1).
    pub fn push_trailer(&self, name: HeaderName, value: HeaderValue) {
        self.incoming.borrow_mut().push_trailer(name, value);
    }

    /// Ends the content.
    pub fn end_body(&self) {
        self.change_incoming(Incoming::end);
    }

    /// Fails the content.
    pub fn fail_body(&self, error: BodyError) {
        self.change_incoming(|incoming| incoming.fail(error));
    }

    /// Takes the flush that the handler waits for.
    ///
    /// The driver answers with [`Channel::flushed`].
    pub fn take_flush(&self) -> Option<Flush> {
        self.outgoing.borrow_mut().take()
    }

    /// Reports that the socket took the flush, or never will.
    ///
    /// `buffer` is the flush's data, for reuse.
    pub fn flushed(&self, buffer: Vec<u8>, result: Result<(), PeerGone>) {
        let waker = self.outgoing.borrow_mut().flushed(buffer, result);
        wake(waker);
    }

    /// Reports that the peer sends nothing more: it has gone, or it has closed its sending half and waits for the
    /// response.
    ///
    /// Tasks that wait for the peer to go are woken, and the response is still sent.
    pub fn peer_finished(&self) {
        let wakers = self.presence.borrow_mut().close();
        wake(wakers.into_iter().flatten());
    }

    /// Reports that the peer has gone, which ends every wait.
    pub fn close(&self) {
        self.change_incoming(|incoming| incoming.fail(BodyError::PeerGone));
        let waker = self.outgoing.borrow_mut().close();
        wake(waker);
        self.peer_finished();
    }

    /// Reports that the peer takes too little: as [`close`](Self::close), and the response counts as broken off.
    pub fn break_off(&self) {
        self.task.borrow_mut().is_broken_off = true;
        self.close();
    }

    fn change_incoming(&self, change: impl FnOnce(&mut Incoming) -> Option<Waker>) {
        let waker = change(&mut self.incoming.borrow_mut());
        wake(waker);
    }
}

/// The driver's end, where the handler runs in a task of its own: an [`ExchangeTask`](super::ExchangeTask).
impl Channel {
    /// Sets the task to wake when the handler waits for content, takes some, hands over a flush, or ends.
    ///
    /// What the handler did before the call wakes no task, so look once afterwards.
    pub fn set_waker(&self, waker: &Waker) {
        let before = self.task.borrow_mut().set_waker(waker);
        drop(before);
    }

    /// Returns how many pushed bytes the handler has not taken.
    ///
    /// A driver whose peer may send ahead grants it the rest of a window, also before the handler reads.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.incoming.borrow().unread_bytes()
    }

    /// Closes as [`close`](Self::close), and has the task drop its handler at once.
    ///
    /// `on_finish` still runs.
    pub fn cancel(&self) {
        self.close();
        let waker = self.task.borrow_mut().cancel();
        wake(waker);
    }

    /// Returns how many bytes of content were flushed through the channel, of all requests, for a log.
    #[must_use]
    pub fn flushed_bytes(&self) -> u64 {
        self.outgoing.borrow().flushed_bytes()
    }

    /// Returns whether the task has let go of its [`Tunnel`](super::Tunnel): whatever is open of the stream is reset.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.task.borrow().is_given_up
    }

    /// Returns how the task of the exchange stands.
    #[must_use]
    pub fn task_state(&self) -> TaskState {
        self.task.borrow().state()
    }
}

/// The task's end.
impl Channel {
    /// Forgets the task of an earlier exchange.
    pub(super) fn begin_task(&self) {
        let before = self.task.take();
        drop(before);
    }

    /// Tells the driver how the task ended.
    pub(super) fn end_task(&self, state: TaskState) {
        let before = self.task.replace(TaskLink::ended(state));
        if state == TaskState::Dropped {
            // No reset follows, so futures that wait for the peer would wait for ever.
            self.peer_finished();
        }
        wake(before.driver());
    }

    /// Tells the driver that the task sends and receives nothing more.
    pub(super) fn give_up(&self) {
        self.task.borrow_mut().is_given_up = true;
        self.wake_driver();
    }

    /// Returns whether the driver has taken and sent what was flushed.
    pub(super) fn is_flushed(&self) -> bool {
        self.outgoing.borrow().is_flushed()
    }

    /// Ready once the driver has cancelled the handler.
    pub(super) fn poll_cancelled(&self, waker: &Waker) -> Poll<()> {
        self.task.borrow_mut().poll_cancelled(waker)
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.task.borrow().is_broken_off
    }

    /// Fails once the peer has gone; until then its end wakes the task.
    pub(super) fn check_peer(&self, waker: &Waker) -> Result<(), PeerGone> {
        self.outgoing.borrow_mut().check_peer(waker)
    }

    /// Wakes the driver's task, if the handler has another.
    fn wake_driver(&self) {
        let driver = self.task.borrow().driver();
        wake(driver);
    }
}

/// The handler's end.
impl Channel {
    /// Forgets the request; keeps at most [`RETAINED_BYTES_MAX`] bytes of memory in each direction.
    pub(super) fn reset(&self) {
        let wakers = (self.incoming.borrow_mut().reset(), self.outgoing.borrow_mut().reset());
        drop(wakers);
        let wakers = self.presence.borrow_mut().next_request();
        if let Some(wakers) = wakers {
            wake(wakers.into_iter().flatten());
        }
    }

    /// The number of the request, which the next one does not share.
    pub(super) fn request(&self) -> u64 {
        self.presence.borrow().request
    }

    pub(super) fn body_length(&self) -> BodyLength {
        self.incoming.borrow().length()
    }

    /// The trailer fields that have arrived.
    pub(super) fn trailers(&self) -> Headers {
        self.incoming.borrow().trailers().clone()
    }

    /// The next piece of a body of at most `bytes_max` bytes; `None` at the end.
    pub(super) fn poll_piece(&self, bytes_max: u64, waker: &Waker) -> Poll<Result<Option<Bytes>, BodyError>> {
        let mut incoming = self.incoming.borrow_mut();
        let has_wanted = incoming.wants_more();
        let polled = incoming.poll_piece(bytes_max, waker);
        let has_changed = polled.is_ready() || incoming.wants_more() != has_wanted;
        drop(incoming);
        // A tunnel polls at each of its turns, mostly without a change.
        if has_changed {
            self.wake_driver();
        }
        polled
    }

    /// All unread content of a body of at most `bytes_max` bytes.
    pub(super) fn poll_whole(&self, bytes_max: u64, waker: &Waker) -> Poll<Result<Bytes, BodyError>> {
        let polled = self.incoming.borrow_mut().poll_whole(bytes_max, waker);
        self.wake_driver();
        polled
    }

    /// Hands a flush to the driver once the previous one was sent; `flush` is called only then.
    pub(super) fn poll_submit(&self, flush: impl FnOnce() -> Flush, waker: &Waker) -> Poll<Result<(), PeerGone>> {
        let polled = self.outgoing.borrow_mut().poll_submit(flush, waker);
        if polled == Poll::Ready(Ok(())) {
            self.wake_driver();
        }
        polled
    }

    /// Waits until the flush was sent; returns a buffer for the next one.
    pub(super) fn poll_flushed(&self, waker: &Waker) -> Poll<Result<Vec<u8>, PeerGone>> {
        self.outgoing.borrow_mut().poll_flushed(waker)
    }

    pub(super) fn is_peer_gone(&self) -> bool {
        self.outgoing.borrow().is_peer_gone()
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
