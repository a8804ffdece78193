//! A WebSocket of a test: the client's protocol machine over a blocking connection.

use std::fmt;
use std::rc::Rc;

use http::{StatusCode, header};
use squall_shards::clock;

use super::response::read_head;
use super::wire::Wire;
use crate::error::{Error, HttpError, Result};
use crate::message::Headers;
use crate::websocket::{
    ClientHandshake, ClientHandshakeError, CloseCode, CloseFrame, Connection, Deflaters, Event, Limits, Message,
    SendError,
};

/// The nonce of the handshakes, of the example in RFC 6455 §1.3; a test needs no unpredictable one.
const NONCE: [u8; 16] = *b"the sample nonce";

/// The masking key of the frames, of the example in RFC 6455 §5.7; a test needs no unpredictable one.
const MASK_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Largest message that a test receives. 64 MiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A WebSocket to the application under test; each call blocks, at most for the client's timeout.
///
/// Pings are answered while a call receives. Compression is not offered. Dropping it closes the connection without a
/// close frame.
pub struct TestWebSocket {
    wire: Wire,
    machine: Connection,
    deflaters: Deflaters,
    subprotocol: Option<String>,
}

impl TestWebSocket {
    /// Returns the handshake with the subprotocols in `headers`, and adds its fields there.
    pub(super) fn handshake(headers: &mut Headers) -> Result<ClientHandshake> {
        let offers = headers
            .iter()
            .filter(|(name, _)| **name == header::SEC_WEBSOCKET_PROTOCOL);
        let offers = offers.filter_map(|(_, value)| value.to_str().ok());
        let mut handshake = ClientHandshake::new(NONCE);
        for offer in offers.flat_map(|list| list.split(',')) {
            handshake = handshake.subprotocol(offer.trim());
        }
        for (name, value) in handshake.fields()?.iter() {
            headers.set(name.clone(), value.clone());
        }
        Ok(handshake)
    }

    /// Sends the request and checks the response.
    pub(super) fn open(mut wire: Wire, request: &[u8], handshake: &ClientHandshake) -> Result<Self> {
        let head = wire.exchange(request, read_head)?;
        let deflaters = Deflaters::default();
        let agreement = handshake.check(&head, &deflaters).map_err(|error| match error {
            ClientHandshakeError::Status(status) => not_switched(status),
            error => error.into(),
        })?;
        let limits = Limits {
            max_message_bytes: MESSAGE_BYTES_MAX,
            ..Limits::default()
        };
        let mask_keys = Box::new(|| MASK_KEY);
        Ok(Self {
            wire,
            machine: Connection::client(Rc::new(limits), agreement.deflate, mask_keys, clock::now()),
            deflaters,
            subprotocol: agreement.subprotocol,
        })
    }

    /// Returns the subprotocol that the application chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// Either end has begun to close, or the application does not read.
    pub fn send(&mut self, message: impl Into<Message>) -> Result {
        let mut output = Vec::new();
        self.machine.send(&message.into(), &mut self.deflaters, &mut output)?;
        self.wire.restart();
        self.wire.send(&output)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// The timeout passes, the application closes the WebSocket, or it violates the protocol.
    pub fn receive(&mut self) -> Result<Message> {
        match self.next_event()? {
            Event::Message(message) => Ok(message),
            Event::Close(Some(CloseFrame { code, reason })) => Err(Error::new(format!(
                "could not receive a message: the application closed the WebSocket with {code}: {reason}"
            ))),
            _ => Err(Error::new(
                "could not receive a message: the application closed the WebSocket",
            )),
        }
    }

    /// Waits until the application closes the WebSocket; returns its code and reason, or `None` if it gave none.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive); or a message arrives first.
    pub fn receive_close(&mut self) -> Result<Option<CloseFrame>> {
        match self.next_event()? {
            Event::Close(frame) => Ok(frame),
            Event::Message(message) => Err(Error::new(format!(
                "could not receive the close frame: a message came first: {message:?}"
            ))),
            _ => Err(Error::new("could not receive the close frame: it came before")),
        }
    }

    /// Closes the WebSocket and waits for the application's close frame; messages that come before it are dropped.
    ///
    /// # Errors
    ///
    /// The code may not be sent, the WebSocket is already closed, or the timeout passes.
    pub fn close(&mut self, code: u16, reason: &str) -> Result<Option<CloseFrame>> {
        let code = CloseCode::new(code).ok_or(SendError::CloseCode(code))?;
        let mut output = Vec::new();
        self.machine.close(code, reason, clock::now(), &mut output)?;
        self.wire.restart();
        self.wire.send(&output)?;
        self.receive_close()
    }

    /// Waits for a message or the end, and answers pings meanwhile.
    fn next_event(&mut self) -> Result<Event> {
        self.wire.restart();
        loop {
            let mut rest = self.wire.received();
            let presented = rest.len();
            let event = self.machine.receive(&mut rest, &mut self.deflaters, clock::now());
            let consumed = presented - rest.len();
            self.wire.consume(consumed);
            let mut answers = Vec::new();
            self.machine.send_pending_control(&mut answers);
            self.wire.send(&answers)?;
            match event? {
                Event::NeedData if self.wire.receive()? => {}
                Event::NeedData => self.machine.receive_eof()?,
                Event::Ping(_) | Event::Pong(_) => {}
                event => return Ok(event),
            }
        }
    }
}

/// Makes the error of a response that does not switch protocols.
fn not_switched(status: StatusCode) -> Error {
    let number = status.as_u16();
    let cure = match status {
        status if status.is_success() => "; add the route with Application::websocket",
        StatusCode::NOT_FOUND => "; no route has this path",
        _ => "",
    };
    let text =
        format!("could not open the WebSocket: the route answered {number} instead of switching protocols{cure}");
    HttpError::new(status).with_message(text).into()
}

impl fmt::Debug for TestWebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestWebSocket")
            .field("machine", &self.machine)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}
