//! Tests of the whole machine. [`transcript`] runs bytes through it with every split; [`attacks`] has the attacks by
//! their ids.

mod attacks;
mod client;
mod deadlines;
mod exchanges;
mod flow;
mod limits;
mod properties;
mod refused;
mod schedule;
mod transcript;
mod tunnels;
mod wire;

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Connection, ConnectionError, ErrorCode, Event, Limits, ResponseStart, StreamKey};
use crate::message::testing::{date, epoch};
use crate::message::{RequestHead, ResponseHead, StatusCode};
use wire::{Frame, first_bytes, frames};

/// A server's connection, driven by hand.
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
        let mut bench = Self {
            connection: Connection::server(Rc::new(limits), false, now),
            head: RequestHead::new(),
            now,
            out: Vec::new(),
        };
        bench.connection.begin(now, &mut bench.out);
        bench
    }

    /// A connection behind the preface and the settings of both ends, with nothing left to send.
    fn begun() -> Self {
        Self::begun_with(Limits::default())
    }

    fn begun_with(limits: Limits) -> Self {
        let mut bench = Self::with(limits);
        assert_eq!(bench.receive_all(&first_bytes()), []);
        bench.out.clear();
        bench
    }

    fn receive<'b>(&mut self, input: &mut &'b [u8]) -> Result<Event<'b>, ConnectionError> {
        self.connection.receive(input, &mut self.head, self.now, &mut self.out)
    }

    /// Receives everything, and returns the events that concern streams.
    fn receive_all<'b>(&mut self, mut input: &'b [u8]) -> Vec<Event<'b>> {
        self.try_receive_all(&mut input).unwrap()
    }

    fn try_receive_all<'b>(&mut self, input: &mut &'b [u8]) -> Result<Vec<Event<'b>>, ConnectionError> {
        let mut events = Vec::new();
        loop {
            match self.receive(input)? {
                Event::NeedData => return Ok(events),
                Event::Blocked => {
                    // The caller sends what is there.
                    self.out.clear();
                }
                Event::Closed => return Ok(events),
                event => events.push(event),
            }
        }
    }

    /// Receives bytes that end the connection; returns its code.
    fn fail(&mut self, mut input: &[u8]) -> ErrorCode {
        let error = self.try_receive_all(&mut input).expect_err("the connection ends");
        let last = self.sent().pop().expect("a GOAWAY is written");
        assert_eq!(last.kind, 7, "{last:?}");
        assert_eq!(last.payload[4..8], error.code.0.to_be_bytes());
        assert_eq!(self.receive(&mut &b"x"[..]), Ok(Event::Closed));
        error.code
    }

    /// Receives a request and returns its stream.
    fn request(&mut self, bytes: &[u8]) -> StreamKey {
        let events = self.receive_all(bytes);
        match events[..] {
            [Event::Request { stream, .. }] => stream,
            _ => panic!("{events:?}"),
        }
    }

    /// Takes the frames that were written.
    fn sent(&mut self) -> Vec<Frame> {
        frames(&std::mem::take(&mut self.out))
    }

    fn send_head(&mut self, stream: StreamKey, head: &ResponseHead, length: Option<u64>, ends: bool) {
        let date = date();
        let start = ResponseStart {
            head,
            length,
            ends,
            date: &date,
        };
        self.connection.send_head(stream, start, &mut self.out).unwrap();
    }

    /// Sends a whole response with a status alone, and releases the stream.
    fn respond(&mut self, stream: StreamKey) {
        self.send_head(stream, &ResponseHead::new(StatusCode::OK), Some(0), true);
        self.connection.release(stream, self.now, &mut self.out);
    }

    /// Begins a response of `bytes` bytes, which wait for their turn.
    fn begin_response(&mut self, stream: StreamKey, bytes: usize) {
        self.send_head(stream, &ResponseHead::new(StatusCode::OK), Some(bytes as u64), false);
        self.connection.set_ready(stream, bytes, self.now);
    }

    /// Sends what the windows admit, at most `bytes_max`; returns which stream sent how much, in order.
    fn pump(&mut self, bytes_max: usize) -> Vec<(u32, usize)> {
        let mut sent = Vec::new();
        let mut left = bytes_max;
        while left > 0
            && let Some((stream, bytes)) = self.connection.next_sender(self.now)
        {
            let bytes = bytes.min(left);
            left -= bytes;
            self.connection
                .send_data(stream, &vec![b'x'; bytes], &mut self.out)
                .unwrap();
            sent.push((stream.id(), bytes));
        }
        sent
    }

    /// Every stream that was not released.
    fn held(&self) -> Vec<StreamKey> {
        self.connection.streams.iter().map(|(stream, _)| stream).collect()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Resets and releases every stream, and checks that nothing remains.
    fn check_quiescent(&mut self) {
        for stream in self.held() {
            self.connection.release(stream, self.now, &mut self.out);
        }
        assert!(self.connection.is_quiescent(), "{:#?}", self.connection);
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 768, "{} bytes", size_of::<Connection>());
}
