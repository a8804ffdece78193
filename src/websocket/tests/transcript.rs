//! Runs a client's bytes through an echo server, whole, byte by byte and at every two-way split, and checks that the
//! outcome is the same.

use std::rc::Rc;

use super::super::{CloseFrame, Connection, Deflate, Event, Limits, Message, ProtocolError};
use super::{deflaters, epoch};

/// The outcome of a transcript.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    pub(super) events: Vec<Seen>,
    pub(super) error: Option<ProtocolError>,
    /// Echoes, pongs and close frames.
    pub(super) sent: Vec<u8>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event> for Seen {
    fn from(event: Event) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.as_str().to_owned()),
            Event::Message(Message::Binary(bytes)) => Self::Binary(bytes.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(frame) => Self::Close(frame.map(|CloseFrame { code, reason }| (code.number(), reason))),
            Event::NeedData | Event::Closed => panic!("{event:?} is nothing that happened"),
        }
    }
}

/// Runs `bytes` in every partition and returns their common outcome.
pub(super) fn run(bytes: &[u8]) -> Outcome {
    run_with(bytes, &Limits::default(), || None)
}

/// The same with these limits and compression. A long transcript is split at some indexes only.
pub(super) fn run_with(bytes: &[u8], limits: &Limits, deflate: impl Fn() -> Option<Deflate>) -> Outcome {
    let whole = run_pieces([bytes], limits, deflate());
    let one_by_one = run_pieces(bytes.chunks(1), limits, deflate());
    assert_eq!(
        one_by_one,
        whole,
        "byte by byte: {:.200}",
        bytes.escape_ascii().to_string()
    );
    for cut in (1..bytes.len()).step_by(bytes.len() / 500 + 1) {
        let (first, second) = bytes.split_at(cut);
        let in_two = run_pieces([first, second], limits, deflate());
        assert_eq!(in_two, whole, "cut at {cut}: {:.200}", bytes.escape_ascii().to_string());
    }
    whole
}

/// Runs pieces through one connection and presents unconsumed bytes again.
pub(super) fn run_pieces<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limits: &Limits,
    deflate: Option<Deflate>,
) -> Outcome {
    let now = epoch();
    let mut deflaters = deflaters();
    let mut connection = Connection::server(Rc::new(limits.clone()), deflate, now);
    let mut outcome = Outcome::default();
    let mut buffer: Vec<u8> = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut input = buffer.as_slice();
        loop {
            let event = connection.receive(&mut input, &mut deflaters, now);
            if let Ok(Event::Message(message)) = &event {
                connection.send(message, &mut deflaters, &mut outcome.sent).unwrap();
            }
            connection.send_pending_control(&mut outcome.sent);
            match event {
                Ok(Event::NeedData) => break,
                Ok(Event::Closed) => return outcome,
                Ok(event) => outcome.events.push(Seen::from(event)),
                Err(error) => {
                    outcome.error = Some(error);
                    let untouched = input.len();
                    assert_eq!(connection.receive(&mut input, &mut deflaters, now), Ok(Event::Closed));
                    assert_eq!(input.len(), untouched, "after {error:?}");
                    return outcome;
                }
            }
        }
        assert!(input.len() <= 130, "more than an unfinished control frame is left");
        buffer = input.to_vec();
    }
    outcome
}
