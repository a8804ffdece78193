//! The memory of a WebSocket's machine: what a peer declares, sends and compresses.
//!
//! `allocation_counter` counts for each thread. An allocator that counts for the process would count other tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail it by panicking; clippy.toml excuses only the test functions themselves"
)]

use std::rc::Rc;
use std::time::Instant;

use flate2::{Compress, Compression, FlushCompress};
use squall::message::{Method, RequestHead, ResponseHead, TargetForm};
use squall::websocket::{Connection, Deflate, DeflateConfig, Deflaters, Event, Limits, ProtocolError, ServerHandshake};

/// The masking key of every frame.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
/// The bits of the first byte.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// The free memory that a check of a growing message looks for.
const HEADROOM_BYTES: u64 = 1024 * 1024;

/// How many pings the flood has.
const PINGS: usize = 100_000;

/// A server's end, and what it compresses with.
struct Bench {
    connection: Connection,
    deflaters: Deflaters,
    now: Instant,
}

impl Bench {
    fn server() -> Self {
        Self::with(Limits::default(), None)
    }

    fn with(limits: Limits, deflate: Option<Deflate>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from a number")]
        let now = Instant::now();
        Self {
            connection: Connection::server(Rc::new(limits), deflate, now),
            deflaters: deflaters(),
            now,
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

    /// The pending control frames.
    fn control(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.connection.send_pending_control(&mut out);
        out
    }
}

fn deflaters() -> Deflaters {
    Deflaters::new(6, 1 << 20)
}

/// The result of an offer of compression without parameters.
fn deflate() -> Option<Deflate> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let mut text = "example.com".to_owned();
    let host = 0..text.len();
    let spans = fields.map(|(name, value)| {
        let start = text.len();
        text.push_str(name);
        let end = text.len();
        text.push_str(value);
        (start..end, end..text.len())
    });
    let mut head = RequestHead::new();
    let mut builder = head.rewrite();
    builder
        .bytes(text.as_bytes())
        .method(Method::GET)
        .target(TargetForm::Origin, "/")
        .path(0..1, None)
        .authority(host);
    for (name, value) in spans {
        builder.field(name, value);
    }
    let handshake = ServerHandshake::new(&head).unwrap();
    let (config, mut response) = (DeflateConfig::default(), ResponseHead::default());
    handshake
        .respond(None, Some(&config), &deflaters(), &mut response)
        .unwrap()
}

/// A client's frame.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Only a header arrives (`docs/threats.md#declared-length`).
#[test]
fn a_declared_length_is_rejected_by_its_header_without_allocating() {
    for (length, error) in [
        (1_u64 << 63 | 1, ProtocolError::PayloadLength),
        (1 << 62, ProtocolError::MessageTooBig),
        (1 << 30, ProtocolError::MessageTooBig),
        ((1 << 20) + 1, ProtocolError::MessageTooBig),
    ] {
        let mut bench = Bench::server();
        let header = [&[FIN | BINARY, 0xff][..], &length.to_be_bytes(), &KEY].concat();
        let info = allocation_counter::measure(|| {
            assert_eq!(bench.receive_all(&header), Err(error));
        });
        assert!(info.bytes_max < 200, "{length}: {} bytes", info.bytes_max);
    }
    let mut bench = Bench::server();
    let header = [&[FIN | BINARY, 0xff][..], &(1_u64 << 20).to_be_bytes(), &KEY].concat();
    let info = allocation_counter::measure(|| {
        assert_eq!(bench.receive_all(&header), Ok(Event::NeedData));
    });
    assert!(
        info.bytes_max < 200,
        "a length within the limit: {} bytes",
        info.bytes_max
    );
}

#[test]
fn a_connection_keeps_no_memory_between_messages() {
    let mut bench = Bench::server();
    let frames = [
        masked(TEXT, &[b'x'; 70_000]),
        masked(FIN | PING, b"ping"),
        masked(FIN | CONTINUATION, b"end"),
    ]
    .concat();
    let info = allocation_counter::measure(|| {
        let mut input = frames.as_slice();
        while bench.receive(&mut input) != Ok(Event::NeedData) {}
        drop(bench.control());
    });
    assert_eq!(info.count_current, 0, "{} bytes are kept", info.bytes_current);
}

/// A small message costs one allocation, its payload.
#[test]
fn a_small_message_is_allocated_once() {
    let mut bench = Bench::server();
    let frame = masked(FIN | TEXT, &[b'x'; 64]);
    let info = allocation_counter::measure(|| {
        let event = bench.receive_all(&frame).unwrap();
        assert!(matches!(event, Event::Message(_)));
    });
    assert_eq!((info.count_total, info.bytes_total), (1, 64));
}

/// A bomb, whole and in fragments, stops at the limit (`docs/threats.md#decompression-bomb`).
#[test]
fn inflating_stops_at_the_limit() {
    let limits = Limits::default().max_message_bytes(100_000);
    for (length, is_allowed) in [(99_999, true), (100_000, true), (100_001, false), (30_000_000, false)] {
        let zeros = vec![0; length];
        let mut bomb = Vec::with_capacity(length / 100 + 1024);
        Compress::new(Compression::default(), false)
            .compress_vec(&zeros, &mut bomb, FlushCompress::Sync)
            .unwrap();
        let bomb = bomb.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap();
        let (first, last) = bomb.split_at(bomb.len() / 2);
        for frames in [
            masked(FIN | RSV1 | BINARY, bomb),
            [masked(RSV1 | BINARY, first), masked(FIN | CONTINUATION, last)].concat(),
        ] {
            let mut bench = Bench::with(limits.clone(), deflate());
            let mut input = frames.as_slice();
            let mut result = None;
            let info = allocation_counter::measure(|| result = Some(bench.receive(&mut input)));
            let result = result.unwrap();
            assert_eq!(result.is_ok(), is_allowed, "{length}");
            if !is_allowed {
                assert_eq!(result, Err(ProtocolError::MessageTooBig), "{length}");
                let kept = info.bytes_max.saturating_sub(HEADROOM_BYTES);
                assert!(kept < 500_000, "{length}: {kept} bytes");
            }
        }
    }
}

/// Pings without end from a peer that does not read cost as much as sixteen pongs (`docs/threats.md#ping-flood`).
#[test]
fn unread_pongs_keep_memory_bounded() {
    let mut bench = Bench::server();
    let pings = masked(FIN | PING, &[b'p'; 125]).repeat(PINGS);
    let mut input = pings.as_slice();
    let mut answered = 0;
    let info = allocation_counter::measure(|| {
        let error = loop {
            match bench.receive(&mut input) {
                Ok(Event::Ping(_)) => answered += 1,
                Ok(event) => panic!("{event:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, ProtocolError::TooManyPings);
    });
    assert_eq!(answered, 1024);
    assert!(info.bytes_max < 8 * 1024, "{} bytes", info.bytes_max);
    assert_eq!(bench.control().len(), 16 * 127 + 2 + 2 + "too many pings".len());
}
