//! The state that a WebSocket's user and its driver share, on a server or a client: the protocol machine, one waiting
//! event, the output. The user on a server is a handler.
//!
//! Invariant: at most one event waits. While a cell is borrowed, no waker is woken and no application code runs.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::{Context as Task, Poll, Waker};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use super::waiters::{Place, Waiters};
use super::{CloseCode, Connection, Deflaters, Encoding, Event, Expired, Message, ProtocolError, SendError};

/// Most output in bytes that waits for the peer before a sender waits; one more message of any size is accepted. 64
/// KiB: four times the initial send buffer of a Linux socket.
pub const OUTGOING_BYTES_MAX: usize = 64 * 1024;

/// One WebSocket between its user and its driver.
pub struct Duplex {
    machine: RefCell<Connection>,
    /// Shared by all sockets of the shard.
    deflaters: Rc<RefCell<Deflaters>>,
    output: RefCell<Vec<u8>>,
    event: RefCell<Option<Event>>,
    end: RefCell<Option<Box<End>>>,
    /// Whether the user waits for an event.
    wants_event: Cell<bool>,
    /// Whether the driver is running; then it needs no wake-up.
    is_driven: Cell<bool>,
    /// Whether the peer has closed its half or gone; messages from before may still be received.
    has_peer_finished: Cell<bool>,
    driver: RefCell<Option<Waker>>,
    waiters: RefCell<Waiters>,
}

/// How a connection ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The code of the peer's close frame, or of ours after a protocol error.
    ///
    /// `None` if the connection broke, or if the peer's close frame had none.
    pub code: Option<u16>,
    /// The reason that came with the code; empty if the frame had none.
    pub reason: String,
}

/// The result of [`Duplex::receive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveOutcome {
    /// The machine needs more bytes.
    Nothing,
    /// An event waits for the user.
    Event,
    /// The connection is over; the rest of the input is ignored.
    Over,
    /// The connection is over because of this error, which the driver logs.
    Failed(ProtocolError),
}

/// An event or the end, for the user.
#[derive(Debug)]
pub enum SocketEvent {
    /// An event of the protocol.
    Event(Event),
    /// How the connection ended; the last that comes.
    End(Box<End>),
}

/// The driver's side.
impl Duplex {
    /// Makes the shared state of a connection after its handshake.
    ///
    /// `deflaters` belong to the shard.
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
            has_peer_finished: Cell::new(false),
            driver: RefCell::default(),
            waiters: RefCell::default(),
        }
    }

    /// Marks the driver as running and stores its waker.
    pub fn begin_turn(&self, waker: &Waker) {
        self.is_driven.set(true);
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            let before = driver.replace(waker.clone());
            drop(driver);
            drop(before);
        }
    }

    /// Marks the driver as waiting; output from now on wakes it.
    pub fn end_turn(&self) {
        self.is_driven.set(false);
    }

    /// Returns whether the driver must receive: the user waits for an event, or the peer's close frame is awaited.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let machine = self.machine.borrow();
        !machine.is_over() && (self.wants_event.get() || !machine.is_open())
    }

    /// Restarts the peer's silence timer at `now`, after a time in which nothing was received because the user was
    /// busy.
    pub fn resume(&self, now: Instant) {
        self.machine.borrow_mut().resume(now);
    }

    /// Consumes input up to one event.
    ///
    /// Call it only while [`wants_input`](Self::wants_input).
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
                // The handler is busy now, so the driver must stop receiving for it.
                self.wants_event.set(false);
                *self.event.borrow_mut() = Some(event);
                ReceiveOutcome::Event
            }
            Err(error) => {
                self.end(End {
                    code: Some(error.close_code().number()),
                    reason: error.to_string(),
                });
                ReceiveOutcome::Failed(error)
            }
        }
    }

    /// Reports that the peer has closed its half, or has gone, perhaps behind bytes that were not received.
    ///
    /// Sends fail from now on, and [`closed`](Self::closed) ends. What came before is still received.
    pub fn peer_finished(&self) {
        self.has_peer_finished.set(true);
        self.wake_all();
    }

    /// Ends the connection, because the peer has closed or the connection broke.
    pub fn receive_eof(&self) {
        // After a close frame the end is set already; without one it has neither code nor reason.
        self.machine.borrow_mut().receive_eof().unwrap_or_default();
        self.end(End::default());
    }

    /// Returns when to call [`handle_deadline`](Self::handle_deadline).
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.machine.borrow().poll_deadline()
    }

    /// Queues a keep-alive ping, or ends the connection if the peer missed its deadline.
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
    /// The reason is longer than 123 bytes, or either end has begun to close.
    pub fn close(&self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        let output = &mut self.output.borrow_mut();
        self.machine.borrow_mut().close(code, reason, now, output)?;
        self.wake();
        Ok(())
    }

    /// Returns whether messages or control frames wait to be sent.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.borrow().is_empty() || self.machine.borrow().has_pending_control()
    }

    /// Takes the output, pending control frames included.
    ///
    /// Call it only when the socket accepts a send.
    pub fn take_output(&self) -> Vec<u8> {
        let mut output = self.output.take();
        self.machine.borrow_mut().send_pending_control(&mut output);
        self.wake_senders();
        output
    }

    /// Sets the output buffer, if it has none.
    pub fn lend_buffer(&self, make: impl FnOnce() -> Vec<u8>) {
        let mut output = self.output.borrow_mut();
        if output.capacity() == 0 {
            *output = make();
        }
    }

    /// Takes the output buffer back if it is empty.
    pub fn reclaim_buffer(&self) -> Option<Vec<u8>> {
        let mut output = self.output.borrow_mut();
        (output.is_empty() && output.capacity() > 0).then(|| core::mem::take(&mut *output))
    }

    /// Returns whether the connection is over: nothing more is received, and only pending output is sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.machine.borrow().is_over()
    }

    /// Returns whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.has_peer_finished.get() && self.machine.borrow().is_open()
    }

    /// Returns whether [`closed`](Self::closed) has ended: the connection is over, or its peer has left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.has_peer_finished.get() || self.is_over()
    }

    /// Returns the encoding in which this peer reads shared frames; `None` once either end has begun to close.
    pub fn shared_encoding(&self) -> Option<Encoding> {
        if self.has_peer_finished.get() {
            return None;
        }
        self.machine.borrow_mut().share().ok()
    }

    /// Returns whether this is a server's end, which closes the transport; a client waits for that (RFC 6455 §7.1.1).
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.machine.borrow().is_server()
    }

    fn end(&self, end: End) {
        self.end.borrow_mut().get_or_insert_with(|| Box::new(end));
        self.wake_all();
    }

    fn wake_senders(&self) {
        let senders = self.waiters.borrow_mut().take_senders();
        senders.wake();
    }

    fn wake_all(&self) {
        let waiters = self.waiters.borrow_mut().take_all();
        waiters.wake();
    }

    /// Wakes the driver.
    pub fn wake(&self) {
        if !self.is_driven.get() {
            let driver = self.driver.borrow().clone();
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }
}

/// The user's side.
impl Duplex {
    /// Returns the next event; the end comes last, and once.
    pub fn poll_event(&self) -> Poll<SocketEvent> {
        if let Some(event) = self.event.take() {
            return Poll::Ready(SocketEvent::Event(event));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(SocketEvent::End(end));
        }
        self.wants_event.set(true);
        Poll::Pending
    }

    /// Returns the next message; pings and pongs are skipped.
    ///
    /// Await it in the driver's task only, because it registers no waker.
    ///
    /// # Errors
    ///
    /// The connection has ended. The end is returned once; a later call waits forever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the message is returned by the next call.
    pub async fn next_message(&self) -> Result<Message, Box<End>> {
        loop {
            match poll_fn(|_| self.poll_event()).await {
                SocketEvent::Event(Event::Message(message)) => return Ok(message),
                SocketEvent::Event(_) => {}
                SocketEvent::End(end) => return Err(end),
            }
        }
    }

    /// Waits until the connection is over, or its peer has left; ready at once if either is so.
    ///
    /// A driver that receives nothing for a busy user reports the peer's end with
    /// [`peer_finished`](Self::peer_finished).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call ends at the same time.
    pub async fn closed(&self) {
        let mut place = Place::among(&self.waiters);
        poll_fn(|task| {
            if self.is_closed() {
                return Poll::Ready(());
            }
            place.set_waker(task.waker());
            Poll::Pending
        })
        .await;
    }

    /// Sends a message if the output has room.
    ///
    /// # Errors
    ///
    /// [`SendError`]: the output is full, memory is short, or the connection is closed.
    pub fn try_send(&self, message: &Message) -> Result<(), SendError> {
        let mut machine = self.machine.borrow_mut();
        if self.has_peer_finished.get() || !machine.is_open() {
            return Err(SendError::Closed);
        }
        let mut output = self.output.borrow_mut();
        if output.len() >= OUTGOING_BYTES_MAX {
            return Err(SendError::Full);
        }
        let mut deflaters = self.deflaters.borrow_mut();
        let sent = machine.send(message, &mut deflaters, &mut output);
        // A waker may run the driver at once, so no cell stays borrowed.
        drop((machine, output, deflaters));
        self.wake();
        sent
    }

    /// Sends a message, or waits for room.
    ///
    /// # Errors
    ///
    /// The connection is closed, or memory is short.
    pub fn poll_send(&self, message: &Message, task: &Task<'_>) -> Poll<Result<(), SendError>> {
        match self.try_send(message) {
            Err(SendError::Full) => {
                self.waiters.borrow_mut().await_room(task.waker());
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        }
    }

    /// Sends a ping if the output has room.
    ///
    /// # Errors
    ///
    /// The output is full, the payload is longer than 125 bytes, or the connection is closed.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        if self.has_peer_finished.get() {
            return Err(SendError::Closed);
        }
        let mut output = self.output.borrow_mut();
        if output.len() >= OUTGOING_BYTES_MAX {
            return Err(SendError::Full);
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
