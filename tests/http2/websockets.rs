//! WebSockets over HTTP/2 (RFC 8441): the same handlers, with literal bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::eventually;
use crate::support::server::Server;
use crate::support::websocket::{self, Frame as Message};
use crate::wire::*;

/// The flag that announces SETTINGS_ENABLE_CONNECT_PROTOCOL.
const ACCEPTED: &str = "--http2-websockets";

/// The fields of a CONNECT for a WebSocket.
fn connect_fields(path: &str) -> [(&str, &str); 6] {
    [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", path),
        ("sec-websocket-version", "13"),
    ]
}

fn connect(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, 4, stream, &block(&connect_fields(path)))
}

/// A masked text message in a DATA frame.
fn text(stream: u32, text: &str) -> Vec<u8> {
    data(stream, false, &websocket::frame(0x81, text.as_bytes()))
}

/// How many sockets subscribe to the topic of the example.
fn subscribers(server: &Server) -> usize {
    let statistics = Http2::open(server).get(1, "/ws/statistics").content;
    let statistics: serde_json::Value = serde_json::from_slice(&statistics).unwrap();
    usize::try_from(statistics["subscribers"].as_u64().unwrap()).unwrap()
}

/// A connection with WebSockets on it.
struct Sockets {
    connection: Http2,
    /// Bytes of each stream that were not read.
    received: BTreeMap<u32, Vec<u8>>,
    /// The streams whose server has ended its half.
    ended: BTreeSet<u32>,
    /// The codes of the streams that were reset.
    reset: BTreeMap<u32, u32>,
}

impl Sockets {
    fn open(server: &Server) -> Self {
        let mut connection = Http2::open(server);
        let settings = connection.frame_of(SETTINGS);
        let entries = settings.payload.chunks(6);
        assert_eq!(entries.filter(|entry| **entry == [0, 8, 0, 0, 0, 1]).count(), 1);
        Self {
            connection,
            received: BTreeMap::new(),
            ended: BTreeSet::new(),
            reset: BTreeMap::new(),
        }
    }

    /// Opens a WebSocket on a stream.
    #[track_caller]
    fn connect(&mut self, stream: u32, path: &str) {
        self.connection.send(&connect(stream, path));
        self.read_until(|sockets| sockets.received.contains_key(&stream));
    }

    /// Reads frames until a condition holds.
    #[track_caller]
    fn read_until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let frame = self.connection.frame().expect("the connection ended");
            match frame.kind {
                HEADERS => {
                    assert_eq!((frame.status(), frame.ends_stream()), (200, false));
                    self.received.insert(frame.stream, Vec::new());
                }
                DATA => {
                    self.received.entry(frame.stream).or_default().extend(&frame.payload);
                    if frame.ends_stream() {
                        self.ended.insert(frame.stream);
                    } else if let Ok(length @ 1..) = u32::try_from(frame.payload.len()) {
                        let updates = [window_update(frame.stream, length), window_update(0, length)];
                        self.connection.send(&updates.concat());
                    }
                }
                RST_STREAM => drop(self.reset.insert(frame.stream, frame.number(0))),
                _ => {}
            }
        }
    }

    /// Waits for the next message of a stream.
    #[track_caller]
    fn message(&mut self, stream: u32) -> Message {
        let read = |sockets: &Self| Message::read(sockets.received.get(&stream)?);
        self.read_until(|sockets| read(sockets).is_some());
        let (message, length) = read(self).unwrap();
        self.received.get_mut(&stream).unwrap().drain(..length);
        message
    }

    fn send(&mut self, bytes: &[u8]) {
        self.connection.send(bytes);
    }
}

#[test]
fn a_socket_echoes_messages_in_any_pieces_and_closes_cleanly() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut sockets = Sockets::open(&server);
    sockets.connect(1, "/ws/echo");
    sockets.send(&text(1, "hello"));
    assert_eq!(sockets.message(1), Message::new(0x81, "hello"));
    for byte in websocket::frame(0x82, &[7; 300]) {
        sockets.send(&data(1, false, &[byte]));
    }
    assert_eq!(sockets.message(1), Message::new(0x82, [7; 300]));
    let large = "large ".repeat(50_000);
    let bytes = websocket::frame(0x81, large.as_bytes());
    // The first window is 64 KiB, of which the messages so far took some; the server grants more as its handler reads.
    let mut window = 65_000;
    for piece in bytes.chunks(16_384) {
        while window < piece.len() {
            let update = sockets.connection.frame_of(WINDOW_UPDATE);
            window += if update.stream == 1 {
                update.number(0) as usize
            } else {
                0
            };
        }
        window -= piece.len();
        sockets.send(&data(1, false, piece));
    }
    assert_eq!(sockets.message(1), Message::new(0x81, large));
    sockets.send(&data(1, false, &websocket::close(3000, "enough")));
    assert_eq!(sockets.message(1).close_code(), Some(3000));
    sockets.read_until(|sockets| sockets.ended.contains(&1));
    sockets.send(&data(1, true, b""));
    assert_eq!(sockets.connection.get(3, "/").status, 200);
    assert_eq!(sockets.reset, BTreeMap::new());
}

#[test]
fn requests_and_sockets_share_a_connection() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut sockets = Sockets::open(&server);
    sockets.connect(1, "/ws/echo");
    assert_eq!(sockets.connection.get(3, "/stream").content, b"onetwothree");
    sockets.connect(5, "/ws/echo");
    sockets.send(&[text(5, "five"), text(1, "one")].concat());
    assert_eq!(sockets.message(1), Message::new(0x81, "one"));
    assert_eq!(sockets.message(5), Message::new(0x81, "five"));
}

/// A CONNECT for anything but a WebSocket of this server is refused.
#[test]
fn c22_c33_other_connects_are_refused() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut connection = Http2::open(&server);
    for (stream, path, status) in [(1, "/", 405), (3, "/missing", 404)] {
        connection.send(&connect(stream, path));
        let head = connection.frame_of(HEADERS);
        assert_eq!((head.stream, head.status()), (stream, status));
        assert_eq!(connection.frame_of(RST_STREAM).number(0), 0);
    }
    let mut fields = connect_fields("/ws/echo");
    fields[1].1 = "connect-udp";
    connection.send(&frame(HEADERS, 4, 5, &block(&fields)));
    assert_eq!(connection.frame_of(HEADERS).status(), 501);
    for (stream, method) in [(7, "GET"), (9, "POST")] {
        let mut fields = connect_fields("/ws/echo");
        fields[0].1 = method;
        connection.send(&frame(HEADERS, 4, stream, &block(&fields)));
        let mut reset = connection.frame_of(RST_STREAM);
        if reset.stream == 5 {
            reset = connection.frame_of(RST_STREAM);
        }
        assert_eq!((reset.stream, reset.number(0)), (stream, 1));
    }
    // The version is checked as over HTTP/1.1.
    let fields = connect_fields("/ws/echo");
    connection.send(&frame(HEADERS, 4, 11, &block(&fields[..5])));
    assert_eq!(connection.frame_of(HEADERS).status(), 426);
}

#[test]
fn without_the_flag_the_protocol_is_malformed() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    let settings = connection.frame_of(SETTINGS);
    assert!(settings.payload.chunks(6).all(|entry| entry[..2] != [0, 8]));
    connection.send(&connect(1, "/ws/echo"));
    let reset = connection.frame_of(RST_STREAM);
    assert_eq!((reset.stream, reset.number(0)), (1, 1));
    assert_eq!(connection.get(3, "/").status, 200);
}

/// Sockets count as streams until their handlers have ended, and a reset ends the handler.
#[test]
fn c22_c30_a_reset_socket_frees_its_place_for_another() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut sockets = Sockets::open(&server);
    for stream in (1..200).step_by(2) {
        sockets.connect(stream, "/ws/sub");
    }
    sockets.send(&connect(201, "/ws/sub"));
    sockets.read_until(|sockets| sockets.reset.contains_key(&201));
    assert_eq!(sockets.reset[&201], 7, "REFUSED_STREAM");
    eventually("the handlers subscribe", || subscribers(&server) == 100);
    sockets.send(&(1..100).step_by(2).flat_map(reset).collect::<Vec<_>>());
    eventually("the handlers end", || subscribers(&server) == 50);
    for stream in (203..303).step_by(2) {
        sockets.connect(stream, "/ws/sub");
    }
    eventually("other handlers subscribe", || subscribers(&server) == 100);
}

/// A stop closes the sockets with 1001, and the streams end behind the close handshake.
#[test]
fn a_graceful_stop_says_goodbye_on_each_socket() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut sockets = Sockets::open(&server);
    for stream in [1, 3, 5] {
        sockets.connect(stream, "/ws/echo");
    }
    server.terminate();
    for stream in [1, 3, 5] {
        assert_eq!(sockets.message(stream).close_code(), Some(1001));
        sockets.send(&data(stream, false, &websocket::close(1001, "")));
    }
    sockets.read_until(|sockets| sockets.ended.len() == 3);
    for stream in [1, 3, 5] {
        sockets.send(&data(stream, true, b""));
    }
    assert!(matches!(sockets.connection.end(), None | Some(0)));
    drop(sockets);
    assert!(server.wait().success(), "{}", server.log());
}

/// END_STREAM is TCP's FIN: the socket ends without a close frame, and its stream with it.
#[test]
fn a_client_that_ends_its_half_gets_the_end() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut sockets = Sockets::open(&server);
    sockets.connect(1, "/ws/echo");
    sockets.send(&data(1, true, &websocket::frame(0x81, b"last")));
    assert_eq!(sockets.message(1), Message::new(0x81, "last"));
    sockets.read_until(|sockets| sockets.ended.contains(&1));
    assert_eq!(sockets.reset, BTreeMap::new());
}

/// A protocol error closes with a code, and the stream ends.
#[test]
fn an_unmasked_frame_closes_its_socket_alone() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut sockets = Sockets::open(&server);
    sockets.connect(1, "/ws/echo");
    sockets.connect(3, "/ws/echo");
    sockets.send(&data(1, false, b"\x81\x05hello"));
    assert_eq!(sockets.message(1).close_code(), Some(1002));
    sockets.read_until(|sockets| sockets.ended.contains(&1));
    sockets.send(&text(3, "other"));
    assert_eq!(sockets.message(3), Message::new(0x81, "other"));
}

/// Publications reach a thousand sockets on ten connections, and each of them once.
#[test]
fn a_publication_reaches_a_thousand_sockets_on_ten_connections() {
    let server = Server::start("conformance", &[ACCEPTED]);
    let mut connections: Vec<Sockets> = (0..10).map(|_| Sockets::open(&server)).collect();
    for sockets in &mut connections {
        for stream in (1..200).step_by(2) {
            sockets.send(&connect(stream, "/ws/sub"));
        }
        sockets.read_until(|sockets| sockets.received.len() == 100);
    }
    eventually("the handlers subscribe", || subscribers(&server) == 1000);
    let mut publisher = Sockets::open(&server);
    publisher.connect(1, "/ws/pub");
    for number in 0..10 {
        publisher.send(&text(1, &format!("number {number}")));
    }
    for sockets in &mut connections {
        for stream in (1..200).step_by(2) {
            for number in 0..10 {
                assert_eq!(sockets.message(stream), Message::new(0x81, format!("number {number}")));
            }
        }
    }
}
