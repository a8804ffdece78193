//! What a WebSocket's handler and its driver share: the protocol machine, the event that waits for the handler, and the output that waits for
//! the socket.
//!
//! Invariant: at most one event waits. No waker is woken, and nothing of the application runs, while a cell is borrowed.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::{Context as Task, Poll, Waker};
use std::rc::Rc;
use std::time::Instant;

use super::socket::TrySendError;
use crate::app::App;
use crate::error::{Error, Result};
use crate::pubsub::SubscriberId;
use crate::websocket::{CloseCode, Connection, Encoding, Event, Expired, Message, SendError};

/// How much output may wait for the peer before a sender waits. 64 KiB: four times what Linux gives a socket's send buffer to begin with. One
/// message more is let in whatever its size.
pub const OUTGOING_BYTES_MAX: usize = 64 * 1024;

/// One WebSocket between its handler and its driver.
pub struct Link {
    pub(super) app: Rc<App>,
    machine: RefCell<Connection>,
    output: RefCell<Vec<u8>>,
    event: RefCell<Option<Event>>,
    end: RefCell<Option<Box<End>>>,
    /// The handler waits for an event.
    wants_event: Cell<bool>,
    /// The driver is at work, and need not be woken.
    is_driven: Cell<bool>,
    driver: RefCell<Option<Waker>>,
    /// Who waits for room in the output.
    room: RefCell<Vec<Waker>>,
    subscriber: Cell<Option<SubscriberId>>,
    has_deliveries: Cell<bool>,
}

/// How the connection ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: Option<u16>,
    pub(super) reason: String,
}

/// What came of bytes that were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// More bytes are needed.
    Nothing,
    /// Something for the handler.
    Event,
    /// Nothing that comes means anything any more.
    Over,
}

/// What the handler is told.
pub(super) enum News {
    Event(Event),
    End(Box<End>),
}

/// The driver's end.
impl Link {
    pub(super) fn new(app: &Rc<App>, machine: Connection) -> Rc<Self> {
        Rc::new(Self {
            app: Rc::clone(app),
            machine: RefCell::new(machine),
            output: RefCell::default(),
            event: RefCell::default(),
            end: RefCell::default(),
            wants_event: Cell::new(false),
            is_driven: Cell::new(false),
            driver: RefCell::default(),
            room: RefCell::default(),
            subscriber: Cell::new(None),
            has_deliveries: Cell::new(false),
        })
    }

    /// The driver begins to work; `waker` wakes it from now on.
    pub fn begin_turn(&self, waker: &Waker) {
        self.is_driven.set(true);
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            let before = driver.replace(waker.clone());
            drop(driver);
            drop(before);
        }
    }

    /// The driver waits: what is sent from now on must wake it.
    pub fn end_turn(&self) {
        self.is_driven.set(false);
    }

    /// Whether bytes are to be received: the handler waits for them, or they are passed over on the way to the peer's close frame.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let machine = self.machine.borrow();
        !machine.is_over() && (self.wants_event.get() || !machine.is_open())
    }

    /// Says that bytes are received again after the handler was busy: the peer's silence counts from `now` on.
    pub fn resume(&self, now: Instant) {
        self.machine.borrow_mut().resume(now);
    }

    /// Takes what it can off the front of `input`, up to one event. To be called while [`wants_input`](Self::wants_input).
    pub fn receive(&self, input: &mut &[u8], now: Instant) -> Heard {
        let mut deflaters = self.app.sockets.deflaters.borrow_mut();
        let event = self.machine.borrow_mut().receive(input, &mut deflaters, now);
        drop(deflaters);
        match event {
            Ok(Event::NeedData) => Heard::Nothing,
            Ok(Event::Close(frame)) => {
                let end = frame.map(|frame| End {
                    code: Some(frame.code.number()),
                    reason: frame.reason,
                });
                self.end(end.unwrap_or_default());
                Heard::Over
            }
            Ok(Event::Closed) => Heard::Over,
            Ok(event @ (Event::Message(_) | Event::Ping(_) | Event::Pong(_))) => {
                self.wants_event.set(false);
                *self.event.borrow_mut() = Some(event);
                Heard::Event
            }
            Err(error) => {
                tracing::debug!(%error, "a peer broke the WebSocket protocol");
                self.end(End {
                    code: Some(error.close_code().number()),
                    reason: error.to_string(),
                });
                Heard::Over
            }
        }
    }

    /// Says that nothing more will come, whether the peer has closed as it should or the connection broke.
    pub fn receive_eof(&self) {
        // Without a close frame it is the end that has no code; with one it has been told.
        self.machine.borrow_mut().receive_eof().unwrap_or_default();
        self.end(End::default());
    }

    /// When [`handle_deadline`](Self::handle_deadline) is to be called.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.machine.borrow().poll_deadline()
    }

    /// Does what the time asks for: a ping is owed, or the peer has gone.
    pub fn handle_deadline(&self, now: Instant) -> Option<Expired> {
        let expired = self.machine.borrow_mut().handle_deadline(now);
        if expired.is_some() {
            self.end(End::default());
        }
        expired
    }

    /// Begins to close.
    ///
    /// # Errors
    ///
    /// The reason is too long, or one end has begun to close before.
    pub fn close(&self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        let output = &mut self.output.borrow_mut();
        self.machine.borrow_mut().close(code, reason, now, output)?;
        self.wake();
        Ok(())
    }

    /// Whether anything waits to be sent.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.borrow().is_empty() || self.machine.borrow().is_owing()
    }

    /// Takes all that waits to be sent, what the protocol owes included. To be called when the socket takes it.
    pub fn take_output(&self) -> Vec<u8> {
        let mut output = self.output.take();
        self.machine.borrow_mut().send_owed(&mut output);
        self.wake_senders();
        output
    }

    /// Gives a buffer to write into, if there is none.
    pub fn lend_buffer(&self, make: impl FnOnce() -> Vec<u8>) {
        let mut output = self.output.borrow_mut();
        if output.capacity() == 0 {
            *output = make();
        }
    }

    /// Takes the buffer back if nothing was written.
    pub fn reclaim_buffer(&self) -> Option<Vec<u8>> {
        let mut output = self.output.borrow_mut();
        (output.is_empty() && output.capacity() > 0).then(|| core::mem::take(&mut *output))
    }

    /// Whether nothing more is received, nor sent but what waits.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.machine.borrow().is_over()
    }

    /// Whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.machine.borrow().is_open()
    }

    /// Who this socket is among the subscribers of its shard, once it is one.
    pub(super) fn subscriber(&self) -> Option<SubscriberId> {
        self.subscriber.get()
    }

    /// Says who it is; `None` once it has left.
    pub(super) fn set_subscriber(&self, subscriber: Option<SubscriberId>) {
        self.subscriber.set(subscriber);
    }

    /// What frames made for many this peer can be sent; `None` once either end has begun to close.
    pub(super) fn shared_encoding(&self) -> Option<Encoding> {
        self.machine.borrow_mut().share().ok()
    }

    /// Says whether publications wait for this socket, and wakes its driver if they do.
    pub(super) fn set_deliveries(&self, wait: bool) {
        self.has_deliveries.set(wait);
        if wait {
            self.wake();
        }
    }

    /// Whether publications wait for this socket.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        self.has_deliveries.get()
    }

    fn end(&self, end: End) {
        self.end.borrow_mut().get_or_insert_with(|| Box::new(end));
        self.wake_senders();
    }

    fn wake_senders(&self) {
        let waiting = self.room.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn wake(&self) {
        if !self.is_driven.get() {
            let driver = self.driver.borrow().clone();
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }
}

/// The handler's end.
impl Link {
    /// The next event; the end comes last, once.
    pub(super) fn poll_news(&self) -> Poll<News> {
        if let Some(event) = self.event.take() {
            return Poll::Ready(News::Event(event));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(News::End(end));
        }
        self.wants_event.set(true);
        Poll::Pending
    }

    pub(super) fn try_send(&self, message: &Message) -> Result<(), TrySendError> {
        let mut machine = self.machine.borrow_mut();
        if !machine.is_open() {
            return Err(TrySendError::Closed);
        }
        let mut output = self.output.borrow_mut();
        if output.len() >= OUTGOING_BYTES_MAX {
            return Err(TrySendError::Full);
        }
        let mut deflaters = self.app.sockets.deflaters.borrow_mut();
        let sent = machine.send(message, &mut deflaters, &mut output);
        drop((machine, output, deflaters));
        self.wake();
        sent.map_err(|_| TrySendError::Closed)
    }

    pub(super) fn poll_send(&self, message: &Message, task: &Task<'_>) -> Poll<Result> {
        match self.try_send(message) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(TrySendError::Closed) => Poll::Ready(Err(Error::peer_gone())),
            Err(TrySendError::Full) => {
                let waker = task.waker().clone();
                let mut room = self.room.borrow_mut();
                if !room.iter().any(|known| known.will_wake(&waker)) {
                    room.push(waker);
                }
                Poll::Pending
            }
        }
    }

    pub(super) fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        let output = &mut self.output.borrow_mut();
        self.machine.borrow_mut().ping(payload, output)?;
        self.wake();
        Ok(())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("machine", &self.machine)
            .field("wants_event", &self.wants_event)
            .finish_non_exhaustive()
    }
}
