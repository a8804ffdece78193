//! The invariants for any bytes of a WebSocket peer. A violation panics. libFuzzer calls these functions through
//! `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use std::rc::Rc;
use std::time::Instant;

use squall::message::{Method, RequestHead, ResponseHead, TargetForm};
use squall::websocket::{
    CloseFrame, Connection, Deflate, DeflateConfig, Deflaters, Event, Limits, Message, ProtocolError, ServerHandshake,
};

/// The limits of a connection in these runs.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Frames to a connection that inflates with context takeover. Every split gives the same events, and messages stay
/// within the limit. The output is a sequence of whole frames of which only the last closes.
pub(crate) fn frames(data: &[u8]) {
    let whole = read([data], true);
    check(&whole);
    assert_eq!(read(data.chunks(1), true), whole, "byte by byte");
    let middle = data.len() / 2;
    assert_eq!(read([&data[..middle], &data[middle..]], true), whole, "cut at {middle}");
}

/// A compressed message: one frame and two inflate to the same, and the result survives compressing and inflating
/// again.
pub(crate) fn deflate(data: &[u8]) {
    let whole = read([frame(0xc2, data).as_slice()], true);
    check(&whole);
    let (first, last) = data.split_at(data.len() / 2);
    let in_two = read([[frame(0x42, first), frame(0x80, last)].concat().as_slice()], true);
    assert_eq!((&in_two.events, in_two.error), (&whole.events, whole.error));
    if let [Seen::Binary(inflated)] = whole.events.as_slice() {
        // The echo is a server's frame; a client's differs by its mask.
        let echoed = whole.sent.as_slice();
        let (first, payload) = (echoed[0], payload(echoed));
        let again = read([frame(first, payload).as_slice()], true);
        assert_eq!(again.events, [Seen::Binary(inflated.clone())]);
    }
}

/// The payload of a text, in one frame, in two, and with one byte per frame. It is accepted if the standard library
/// accepts it as UTF-8, and refused at the latest when it is complete.
pub(crate) fn utf8(data: &[u8]) {
    let data = &data[..data.len().min(1000)];
    let (first, last) = data.split_at(data.len() / 2);
    let mut bytes = frame(0x01, b"");
    for byte in data {
        bytes.extend(frame(0, &[*byte]));
    }
    bytes.extend(frame(0x80, b""));
    for transcript in [
        frame(0x81, data),
        [frame(0x01, first), frame(0x80, last)].concat(),
        bytes,
    ] {
        let transcript = read(transcript.chunks(100), false);
        match str::from_utf8(data) {
            Ok(text) => assert_eq!(transcript.events, [Seen::Text(text.to_owned())]),
            Err(_) => assert_eq!(
                (transcript.events, transcript.error),
                (vec![], Some(ProtocolError::InvalidUtf8))
            ),
        }
    }
}

/// The events of some bytes.
#[derive(Debug, Default, PartialEq)]
struct Transcript {
    events: Vec<Seen>,
    error: Option<ProtocolError>,
    sent: Vec<u8>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
}

/// Runs pieces through a server that echoes.
fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, inflates: bool) -> Transcript {
    let now = start();
    let mut deflaters = Deflaters::new(1, 1 << 20);
    let limits = Limits::default().max_message_bytes(MESSAGE_BYTES_MAX);
    let deflate = inflates.then(|| negotiated(&deflaters)).flatten();
    let mut connection = Connection::server(Rc::new(limits), deflate, now);
    let mut transcript = Transcript::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut input = buffer.as_slice();
        loop {
            let event = connection.receive(&mut input, &mut deflaters, now);
            if let Ok(Event::Message(message)) = &event {
                let sent = connection.send(message, &mut deflaters, &mut transcript.sent);
                sent.expect("the connection is open");
            }
            connection.send_pending_control(&mut transcript.sent);
            transcript.events.push(match event {
                Ok(Event::NeedData) => break,
                Ok(Event::Closed) => return transcript,
                Ok(Event::Message(Message::Text(text))) => Seen::Text(text.as_str().to_owned()),
                Ok(Event::Message(Message::Binary(bytes))) => Seen::Binary(bytes.to_vec()),
                Ok(Event::Ping(payload)) => Seen::Ping(payload.to_vec()),
                Ok(Event::Pong(payload)) => Seen::Pong(payload.to_vec()),
                Ok(Event::Close(frame)) => Seen::Close(frame),
                Err(error) => {
                    transcript.error = Some(error);
                    return transcript;
                }
            });
        }
        assert!(input.len() <= 130, "more than an unfinished control frame is left");
        buffer = input.to_vec();
    }
    transcript
}

fn check(transcript: &Transcript) {
    for event in &transcript.events {
        match event {
            Seen::Text(text) => assert!(text.len() <= MESSAGE_BYTES_MAX),
            Seen::Binary(bytes) => assert!(bytes.len() <= MESSAGE_BYTES_MAX),
            Seen::Ping(payload) | Seen::Pong(payload) => assert!(payload.len() <= 125),
            Seen::Close(_) => {}
        }
    }
    let mut sent = transcript.sent.as_slice();
    let mut is_closed = false;
    while !sent.is_empty() {
        assert!(!is_closed, "nothing comes after a close frame");
        is_closed = sent[0] == 0x88;
        let (_, end) = place(sent);
        sent = &sent[end..];
    }
    let closes = transcript.error.is_some() || matches!(transcript.events.last(), Some(Seen::Close(_)));
    assert_eq!(is_closed, closes);
}

/// The payload of the first server frame.
fn payload(bytes: &[u8]) -> &[u8] {
    let (start, end) = place(bytes);
    &bytes[start..end]
}

/// The range of the payload in a server's frame.
fn place(bytes: &[u8]) -> (usize, usize) {
    let (start, length) = match bytes[1] {
        126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        length => (2, usize::from(length)),
    };
    assert!(
        length <= MESSAGE_BYTES_MAX,
        "an echo is longer than the limit on messages"
    );
    (start, start + length)
}

/// A client's frame, masked with a key that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// permessage-deflate with context takeover both ways, as a handshake gives it.
fn negotiated(deflaters: &Deflaters) -> Option<Deflate> {
    let fields = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let mut text = String::from("/a");
    let places = fields.map(|(name, value)| {
        let start = text.len();
        text.push_str(name);
        text.push_str(value);
        (start..start + name.len(), start + name.len()..text.len())
    });
    let mut head = RequestHead::new();
    let mut builder = head.rewrite();
    builder
        .bytes(text.as_bytes())
        .method(Method::GET)
        .target(TargetForm::Origin, "/")
        .path(0..1, None)
        .authority(1..2);
    for (name, value) in places {
        builder.field(name, value);
    }
    let config = DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true)
        .min_compressed_bytes(0);
    let handshake = ServerHandshake::new(&head).expect("a handshake");
    let mut response = ResponseHead::default();
    let deflate = handshake.respond(None, Some(&config), deflaters, &mut response);
    deflate.expect("no subprotocol is chosen")
}

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from a number")]
fn start() -> Instant {
    Instant::now()
}
