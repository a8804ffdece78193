//! Tests of the whole machine. [`transcript`] runs bytes through it with every split; [`reference`] is a second, slow
//! reader that shares no code with it.

mod accepted;
mod client;
mod client_exchanges;
mod deadlines;
mod exchanges;
mod limits;
mod linear;
mod properties;
mod reference;
mod refused;
mod responses;
mod transcript;

use std::rc::Rc;
use std::time::Instant;

use super::{BodyLength, Connection, Event, Limits, ParseError, SendError};
use crate::message::testing::{date, epoch};
use crate::message::{RequestHead, ResponseHead, StatusCode};

/// A request whose handler must never run when it follows a rejected one.
const CANARY: &[u8] = b"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection with default limits, driven by hand.
struct Bench {
    connection: Connection,
    head: RequestHead,
    now: Instant,
    out: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let now = epoch();
        Self {
            connection: Connection::new(Rc::new(limits), now),
            head: RequestHead::new(),
            now,
            out: Vec::new(),
        }
    }

    /// Creates a connection that has just received the head `request` and nothing else.
    fn after(request: &str) -> Self {
        let mut bench = Self::new();
        let mut input = request.as_bytes();
        assert_eq!(bench.receive(&mut input), Ok(Event::Request), "{request}");
        assert_eq!(input, b"", "{request}");
        bench
    }

    fn receive<'b>(&mut self, input: &mut &'b [u8]) -> Result<Event<'b>, ParseError> {
        self.connection.receive(input, &mut self.head, self.now)
    }

    /// Receives one event from bytes that must all be consumed.
    fn receive_all<'b>(&mut self, mut input: &'b [u8]) -> Result<Event<'b>, ParseError> {
        let event = self.receive(&mut input);
        assert_eq!(input, b"", "consumed");
        event
    }

    fn send_head(&mut self, head: &ResponseHead, length: BodyLength) -> Result<(), SendError> {
        self.connection.send_head(head, length, &date(), &mut self.out)
    }

    fn send_data(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.connection.send_data(data, &mut self.out)
    }

    fn send_end(&mut self) -> Result<(), SendError> {
        self.connection.send_end(None, &mut self.out)
    }

    /// Sends a complete response with content of known length.
    fn respond(&mut self, status: StatusCode, content: &[u8]) {
        self.send_head(&ResponseHead::new(status), BodyLength::Known(content.len() as u64))
            .unwrap();
        self.send_data(content).unwrap();
        self.send_end().unwrap();
    }

    /// Returns what has been sent, without the line `Date`, which every final head has.
    fn sent(&self) -> String {
        String::from_utf8(self.out.clone())
            .unwrap()
            .replace("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", "")
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 160, "{} bytes", size_of::<Connection>());
}
