//! Tests of the whole machine in the order of the Autobahn suite's sections, for what only its inside shows: events,
//! errors, memory.
//!
//! The suite's own cases stand in `tests/autobahn/`. [`transcript`] cuts bytes in every way; [`pair`] and [`races`]
//! connect two machines; [`interop`] talks to tungstenite, which shares only the header's parser.

mod closing;
mod compression;
mod deadlines;
mod framing;
mod handshakes;
mod interop;
mod limits;
mod pair;
mod properties;
mod races;
mod text;
mod transcript;

use std::rc::Rc;
use std::time::Instant;

use super::{Connection, Deflaters, Duplex, Event, Limits, ProtocolError};
use crate::message::testing::epoch;

/// The masking key of these tests.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The bits of the first byte.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

fn deflaters() -> Deflaters {
    Deflaters::new(6, 1 << 20)
}

/// A client's frame, made without the code under test.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len(), 0x80);
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A server's frame.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len(), 0);
    frame.extend(payload);
    frame
}

fn head(first: u8, payload_bytes: usize, mask_bit: u8) -> Vec<u8> {
    let mut head = vec![first];
    match payload_bytes {
        0..=125 => head.push(mask_bit | u8::try_from(payload_bytes).unwrap()),
        126..=0xffff => {
            head.push(mask_bit | 126);
            head.extend(u16::try_from(payload_bytes).unwrap().to_be_bytes());
        }
        _ => {
            head.push(mask_bit | 127);
            head.extend((payload_bytes as u64).to_be_bytes());
        }
    }
    head
}

/// A close frame's payload.
fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// One end, its deflaters and clock, and its output.
struct Bench {
    connection: Connection,
    deflaters: Deflaters,
    now: Instant,
    out: Vec<u8>,
}

impl Bench {
    fn server() -> Self {
        Self::server_with(Limits::default())
    }

    fn server_with(limits: Limits) -> Self {
        let now = epoch();
        Self {
            connection: Connection::server(Rc::new(limits), None, now),
            deflaters: deflaters(),
            now,
            out: Vec::new(),
        }
    }

    fn receive(&mut self, input: &mut &[u8]) -> Result<Event, ProtocolError> {
        self.connection.receive(input, &mut self.deflaters, self.now)
    }

    /// Receives one event from bytes that must all be consumed.
    fn receive_all(&mut self, mut input: &[u8]) -> Result<Event, ProtocolError> {
        let event = self.receive(&mut input)?;
        assert_eq!(input, b"", "consumed");
        Ok(event)
    }

    /// The output since the last call, pending control frames included.
    fn sent(&mut self) -> Vec<u8> {
        self.connection.send_pending_control(&mut self.out);
        core::mem::take(&mut self.out)
    }
}

#[test]
fn an_idle_connection_is_small() {
    let bytes = [size_of::<Connection>(), size_of::<Duplex>()];
    assert!(bytes[0] <= 176 && bytes[1] <= 400, "{bytes:?} bytes");
}
