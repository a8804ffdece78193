//! What a subscriber's bytes mean, alike for WebSockets and event streams: messages, announced losses, pings.

use super::notice;
use crate::load::event_stream::{self, EventReader};
use crate::load::run_result::Failure;
use crate::load::websocket::frame::Violation;
use crate::load::websocket::message::{Message, MessageReader};

/// The name of the event that announces missed messages.
const NOTICE: &[u8] = b"notice";

/// Turns the bytes of one subscriber's connection into what it received.
#[derive(Debug)]
pub(super) enum Reader {
    WebSocket(MessageReader),
    Events(EventReader),
}

/// What a subscriber received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received<'bytes> {
    /// A published message.
    Message(&'bytes [u8]),
    /// The server announced this number of missed messages.
    Missed(u64),
    /// Requires a pong with the same payload.
    Ping(&'bytes [u8]),
}

impl Reader {
    /// Passes what `bytes` complete to `on_received`, in order.
    ///
    /// # Errors
    ///
    /// The server ended the subscription or violated the protocol, or the first error of `on_received`.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        mut on_received: impl FnMut(Received<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let missed = |text: &[u8]| notice::missed(text).ok_or(Failure::WrongBody).map(Received::Missed);
        let received = match self {
            Self::WebSocket(reader) => reader.receive(bytes, |message| {
                let received = match message {
                    Message::Data { is_text: true, payload } => missed(payload)?,
                    Message::Data { payload, .. } => Received::Message(payload),
                    Message::Ping(payload) => Received::Ping(payload),
                    Message::Pong => return Ok(()),
                    Message::Close(_) => return Err(Stop(Failure::ClosedEarly)),
                };
                Ok(on_received(received)?)
            }),
            Self::Events(reader) => reader.receive(bytes, |event| {
                let received = match event.name {
                    [] => Received::Message(event.data),
                    NOTICE => missed(event.data)?,
                    _ => return Err(Stop(Failure::WrongBody)),
                };
                Ok(on_received(received)?)
            }),
        };
        received.map_err(|Stop(failure)| failure)
    }
}

/// Why reading from a connection ends.
struct Stop(Failure);

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self(match violation {
            // A message of another length is wrong content in a valid frame.
            Violation::TooLong { .. } => Failure::WrongBody,
            _ => Failure::Malformed,
        })
    }
}

impl From<event_stream::Violation> for Stop {
    fn from(violation: event_stream::Violation) -> Self {
        Self(match violation {
            event_stream::Violation::TooLong => Failure::WrongBody,
            event_stream::Violation::Chunked => Failure::Malformed,
            event_stream::Violation::Ended => Failure::ClosedEarly,
        })
    }
}
