//! What a WebSocket's user and its driver share, at either end of it: the protocol machine, the event that waits for the user, and the output that
//! waits for the socket. The user of a server's end is a handler.
//!
//! Invariant: at most one event waits. No waker is woken, and nothing of the application runs, while a cell is borrowed.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::{Context as Task, Poll, Waker};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use super::socket::TrySendError;
use crate::websocket::{CloseCode, Connection, Deflaters, Encoding, Event, Expired, Message, ProtocolError, SendError};

/// How much output may wait for the peer before a sender waits. 64 KiB: four times what Linux gives a socket's send buffer to begin with. One
/// message more is let in whatever its size.
pub const OUTGOING_BYTES_MAX: usize = 64 * 1024;

/// One WebSocket between its user and its driver.
pub struct Duplex {
    machine: RefCell<Connection>,
    /// The shard's.
    deflaters: Rc<RefCell<Deflaters>>,
    output: RefCell<Vec<u8>>,
    event: RefCell<Option<Event>>,
    end: RefCell<Option<Box<End>>>,
    /// The user waits for an event.
    wants_event: Cell<bool>,
    /// The driver is at work, and need not be woken.
    is_driven: Cell<bool>,
    driver: RefCell<Option<Waker>>,
    /// Who waits for room in the output.
    room: RefCell<Vec<Waker>>,
}

/// How a connection ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The code of the peer's close frame, or of the one that told it what it did wrong; `None` if the connection broke, or if the peer's frame
    /// had none.
    pub code: Option<u16>,
    /// The reason beside it; empty for none.
    pub reason: String,
}

/// What came of bytes that were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveOutcome {
    /// More bytes are needed.
    Nothing,
    /// Something for the user.
    Event,
    /// Nothing that comes means anything any more.
    Over,
}

/// What the user is told.
pub(super) enum SocketEvent {
    Event(Event),
    End(Box<End>),
}

/// The driver's end.
impl Duplex {
    /// Makes the two ends of a connection whose handshake is done; `deflaters` are the shard's.
    #[must_use]
    pub fn new(machine: Connection, deflaters: &Rc<RefCell<Deflaters>>) -> Self {
        Self {
            machine: RefCell::new(machine),
            deflaters: Rc::clone(deflaters),
            output: RefCell::default(),
            event: RefCell::default(),
            end: RefCell::default(),
            wants_event: Cell::new(false),
            is_driven: Cell::new(false),
            driver: RefCell::default(),
            room: RefCell::default(),
        }
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

    /// Whether bytes are to be received: the user waits for them, or they are passed over on the way to the peer's close frame.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let machine = self.machine.borrow();
        !machine.is_over() && (self.wants_event.get() || !machine.is_open())
    }

    /// Says that bytes are received again after the user was busy: the peer's silence counts from `now` on.
    pub fn resume(&self, now: Instant) {
        self.machine.borrow_mut().resume(now);
    }

    /// Takes what it can off the front of `input`, up to one event. To be called while [`wants_input`](Self::wants_input).
    pub fn receive(&self, input: &mut &[u8], now: Instant) -> ReceiveOutcome {
        let mut deflaters = self.deflaters.borrow_mut();
        let event = self.machine.borrow_mut().receive(input, &mut deflaters, now);
        drop(deflaters);
        match event {
            Ok(Event::NeedData) => ReceiveOutcome::Nothing,
            Ok(Event::Close(frame)) => {
                let end = frame.map(|frame| End {
                    code: Some(frame.code.number()),
                    reason: frame.reason,
                });
                self.end(end.unwrap_or_default());
                ReceiveOutcome::Over
            }
            Ok(Event::Closed) => ReceiveOutcome::Over,
            Ok(event @ (Event::Message(_) | Event::Ping(_) | Event::Pong(_))) => {
                self.wants_event.set(false);
                *self.event.borrow_mut() = Some(event);
                ReceiveOutcome::Event
            }
            Err(error) => {
                match error {
                    ProtocolError::OutOfMemory => tracing::warn!("a WebSocket is closed for want of memory"),
                    _ => tracing::debug!(%error, "a peer broke the WebSocket protocol"),
                }
                self.end(End {
                    code: Some(error.close_code().number()),
                    reason: error.to_string(),
                });
                ReceiveOutcome::Over
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
        !self.output.borrow().is_empty() || self.machine.borrow().has_pending_control()
    }

    /// Takes all that waits to be sent, what the protocol owes included. To be called when the socket takes it.
    pub fn take_output(&self) -> Vec<u8> {
        let mut output = self.output.take();
        self.machine.borrow_mut().send_pending_control(&mut output);
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

    /// What frames made for many this peer can be sent; `None` once either end has begun to close.
    pub(super) fn shared_encoding(&self) -> Option<Encoding> {
        self.machine.borrow_mut().share().ok()
    }

    /// Whether this end closes the transport once the connection is over: a server does, a client waits for it (RFC 6455 §7.1.1).
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.machine.borrow().is_server()
    }

    fn end(&self, end: End) {
        self.end.borrow_mut().get_or_insert_with(|| Box::new(end));
        self.wake_senders();
    }

    fn wake_senders(&self) {
        let waiting = self.room.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake(&self) {
        if !self.is_driven.get() {
            let driver = self.driver.borrow().clone();
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }
}

/// The user's end.
impl Duplex {
    /// The next event; the end comes last, once.
    pub(super) fn poll_event(&self) -> Poll<SocketEvent> {
        if let Some(event) = self.event.take() {
            return Poll::Ready(SocketEvent::Event(event));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(SocketEvent::End(end));
        }
        self.wants_event.set(true);
        Poll::Pending
    }

    /// The next message; pings and pongs are passed over. To be awaited in the driver's own task.
    ///
    /// # Errors
    ///
    /// The end, once.
    pub async fn next_message(&self) -> Result<Message, Box<End>> {
        loop {
            match poll_fn(|_| self.poll_event()).await {
                SocketEvent::Event(Event::Message(message)) => return Ok(message),
                SocketEvent::Event(_) => {}
                SocketEvent::End(end) => return Err(end),
            }
        }
    }

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    ///
    /// There is none, or the connection is closed.
    pub fn try_send(&self, message: &Message) -> Result<(), TrySendError> {
        let mut machine = self.machine.borrow_mut();
        if !machine.is_open() {
            return Err(TrySendError::Closed);
        }
        let mut output = self.output.borrow_mut();
        if output.len() >= OUTGOING_BYTES_MAX {
            return Err(TrySendError::Full);
        }
        let mut deflaters = self.deflaters.borrow_mut();
        let sent = machine.send(message, &mut deflaters, &mut output);
        drop((machine, output, deflaters));
        self.wake();
        sent.map_err(|error| match error {
            SendError::OutOfMemory => TrySendError::OutOfMemory,
            _ => TrySendError::Closed,
        })
    }

    /// Sends a message, or waits for room.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub fn poll_send(&self, message: &Message, task: &Task<'_>) -> Poll<Result<(), SendError>> {
        match self.try_send(message) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(TrySendError::Closed) => Poll::Ready(Err(SendError::Closed)),
            Err(TrySendError::OutOfMemory) => Poll::Ready(Err(SendError::OutOfMemory)),
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

    /// Sends a ping if there is room for it now.
    ///
    /// # Errors
    ///
    /// There is none, the payload is too long, or the connection is closed.
    pub fn ping(&self, payload: &[u8]) -> crate::error::Result {
        let mut output = self.output.borrow_mut();
        if output.len() >= OUTGOING_BYTES_MAX {
            return Err(TrySendError::Full.into());
        }
        self.machine.borrow_mut().ping(payload, &mut output)?;
        drop(output);
        self.wake();
        Ok(())
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Duplex")
            .field("machine", &self.machine)
            .field("wants_event", &self.wants_event)
            .finish_non_exhaustive()
    }
}
