//! Two connected machines: a server and a client, a wire in each direction with a delay, and one clock.

use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use super::super::{
    ClientHandshake, CloseCode, Connection, Deflate, DeflateConfig, Deflaters, Event, Expired, Limits, Message,
    Payload, ProtocolError, SendError, ServerHandshake,
};
use super::handshakes::request;
use super::transcript::Seen;
use super::{deflaters, epoch};
use crate::message::ResponseHead;

/// One end and its outgoing wire.
pub(super) struct End {
    pub(super) connection: Connection,
    pub(super) deflaters: Deflaters,
    /// Sent bytes that have not arrived.
    pub(super) wire: Vec<u8>,
    pub(super) events: Vec<Seen>,
    pub(super) error: Option<ProtocolError>,
    unread: Vec<u8>,
}

pub(super) struct Pair {
    pub(super) server: End,
    pub(super) client: End,
    pub(super) now: Instant,
}

impl End {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            deflaters: deflaters(),
            wire: Vec::new(),
            events: Vec::new(),
            error: None,
            unread: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, message: Payload<'_>) -> Result<(), SendError> {
        self.connection.send(message, &mut self.deflaters, &mut self.wire)
    }

    fn close(&mut self, code: CloseCode, now: Instant) {
        self.connection.close(code, "", now, &mut self.wire).unwrap();
    }

    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.unread.extend_from_slice(bytes);
        let mut input = self.unread.as_slice();
        loop {
            match self.connection.receive(&mut input, &mut self.deflaters, now) {
                Ok(Event::NeedData | Event::Closed) => break,
                Ok(event) => self.events.push(Seen::from(event)),
                Err(error) => self.error = Some(error),
            }
        }
        self.connection.send_pending_control(&mut self.wire);
        self.unread = input.to_vec();
    }
}

impl Pair {
    pub(super) fn new(deflate: Option<&DeflateConfig>) -> Self {
        let now = epoch();
        let (server, client) = agree(deflate);
        let limits = Rc::new(Limits::default());
        let mut next = 0_u32;
        let mask_keys = Box::new(move || {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            next.to_be_bytes()
        });
        Self {
            server: End::new(Connection::server(Rc::clone(&limits), server, now)),
            client: End::new(Connection::client(limits, client, mask_keys, now)),
            now,
        }
    }

    /// Delivers everything sent to the server.
    fn deliver_to_server(&mut self) {
        let bytes = core::mem::take(&mut self.client.wire);
        self.server.receive(&bytes, self.now);
    }

    fn deliver_to_client(&mut self) {
        let bytes = core::mem::take(&mut self.server.wire);
        self.client.receive(&bytes, self.now);
    }

    /// Delivers everything, answers included, until both ends are silent.
    pub(super) fn settle(&mut self) {
        while !self.client.wire.is_empty() || !self.server.wire.is_empty() {
            self.deliver_to_server();
            self.deliver_to_client();
        }
    }
}

/// The result of both whole handshakes between a server and a client of the same configuration.
fn agree(deflate: Option<&DeflateConfig>) -> (Option<Deflate>, Option<Deflate>) {
    let deflaters = deflaters();
    let mut client = ClientHandshake::new(*b"the sample nonce");
    if let Some(config) = deflate {
        client = client.deflate(config.clone());
    }
    let fields = client.fields().unwrap();
    let lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let head = request("GET", "HTTP/1.1", &lines);
    let mut response = ResponseHead::default();
    let handshake = ServerHandshake::new(&head).unwrap();
    let server = handshake.respond(None, deflate, &deflaters, &mut response).unwrap();
    let agreement = client.check(&response, &deflaters).unwrap();
    assert_eq!(server.is_some(), agreement.deflate.is_some());
    (server, agreement.deflate)
}

fn closed(code: u16) -> Seen {
    Seen::Close(Some((code, String::new())))
}

#[test]
fn messages_arrive_as_they_were_sent() {
    let mut pair = Pair::new(None);
    let payloads = [
        Payload::Text("Hello"),
        Payload::Binary(b"\0\xff"),
        Payload::Text(""),
        Payload::Text("storm 🌪"),
    ];
    for payload in payloads {
        pair.client.send(payload).unwrap();
        pair.server.send(payload).unwrap();
    }
    pair.settle();
    assert_eq!(pair.client.events, pair.server.events);
    let sent = payloads.map(|payload| match payload {
        Payload::Text(text) => Seen::Text(text.to_owned()),
        Payload::Binary(bytes) => Seen::Binary(bytes.to_vec()),
    });
    assert_eq!(pair.client.events, sent);
}

#[test]
fn either_end_may_close_first() {
    for is_server in [true, false] {
        let mut pair = Pair::new(None);
        let (first, second) = if is_server {
            (&mut pair.server, &mut pair.client)
        } else {
            (&mut pair.client, &mut pair.server)
        };
        first.close(CloseCode::GOING_AWAY, pair.now);
        second.send(Payload::Text("on its way")).unwrap();
        pair.settle();
        for end in [&mut pair.server, &mut pair.client] {
            assert_eq!(end.events, [closed(1001)]);
            assert!(end.connection.is_over() && end.error.is_none());
        }
        assert_eq!(pair.server.connection.poll_deadline(), None);
        let patience = pair.client.connection.poll_deadline().unwrap() - pair.now;
        assert_eq!(
            patience,
            Duration::from_secs(5),
            "the client waits for the server to close the transport"
        );
        let at = pair.client.connection.poll_deadline().unwrap();
        assert_eq!(pair.client.connection.handle_deadline(at), Some(Expired::Close));
        assert_eq!(pair.client.connection.receive_eof(), Ok(()));
    }
}

/// The close frames cross; each end takes the other's as its answer.
#[test]
fn close_frames_that_cross_end_the_connection() {
    let mut pair = Pair::new(None);
    pair.server.close(CloseCode::GOING_AWAY, pair.now);
    pair.client.close(CloseCode::NORMAL, pair.now);
    pair.settle();
    assert_eq!(
        (pair.server.events, pair.client.events),
        (vec![closed(1000)], vec![closed(1001)])
    );
    assert!(pair.server.connection.is_over() && pair.client.connection.is_over());
}

/// The server's close frame crosses the client's error.
#[test]
fn a_failure_that_crosses_a_close_frame_ends_the_connection() {
    let mut pair = Pair::new(None);
    pair.client.wire.extend(b"\x83\x80\0\0\0\0");
    pair.server.close(CloseCode::NORMAL, pair.now);
    let sent = pair.server.wire.len();
    pair.deliver_to_server();
    assert_eq!(pair.server.error, Some(ProtocolError::ReservedOpcode));
    assert_eq!(pair.server.wire.len(), sent, "one close frame is enough");
    pair.settle();
    assert_eq!(pair.client.events, [closed(1000)]);
}

#[test]
fn an_answer_after_the_close_timeout_is_ignored() {
    let mut pair = Pair::new(None);
    pair.server.close(CloseCode::NORMAL, pair.now);
    pair.deliver_to_client();
    pair.now += Duration::from_secs(5);
    assert_eq!(pair.server.connection.handle_deadline(pair.now), Some(Expired::Close));
    pair.deliver_to_server();
    assert_eq!(pair.server.events, []);
}

/// Both ends ping; answered pings keep the connection open.
#[test]
fn keep_alive_pings_keep_an_idle_connection_open() {
    let mut pair = Pair::new(None);
    for _ in 0..100 {
        let ends = [&pair.server, &pair.client];
        pair.now = ends
            .iter()
            .filter_map(|end| end.connection.poll_deadline())
            .min()
            .unwrap();
        for end in [&mut pair.server, &mut pair.client] {
            assert_eq!(end.connection.handle_deadline(pair.now), None);
            end.connection.send_pending_control(&mut end.wire);
        }
        pair.settle();
    }
    for end in [pair.server, pair.client] {
        assert!(end.connection.is_open());
        assert!(end.events.iter().any(|event| matches!(event, Seen::Ping(_))));
        assert!(end.events.iter().any(|event| matches!(event, Seen::Pong(_))));
    }
}

/// Both directions are cut: each end pings, waits and gives up, at the times of its limits.
#[test]
fn both_ends_give_up_when_the_wire_is_cut() {
    let mut pair = Pair::new(None);
    let began = pair.now;
    for (seconds, expired) in [(25, None), (35, Some(Expired::Pong))] {
        let due = began + Duration::from_secs(seconds);
        for end in [&mut pair.server, &mut pair.client] {
            assert_eq!(end.connection.poll_deadline(), Some(due));
            assert_eq!(end.connection.handle_deadline(due), expired);
            end.connection.send_pending_control(&mut end.wire);
        }
    }
    for end in [&mut pair.server, &mut pair.client] {
        assert!(end.connection.is_over());
        assert_eq!(end.send(Payload::Text("hello?")), Err(SendError::Closed));
    }
    // The ping and close frame that each sent change nothing if they arrive late.
    pair.settle();
    assert_eq!((pair.server.events, pair.client.events), (vec![], vec![]));
    assert_eq!((pair.server.error, pair.client.error), (None, None));
}

/// Pings are lost, but other bytes arrive: the timeout counts from the last byte.
#[test]
fn any_byte_postpones_the_ping_and_a_late_pong_saves_the_connection() {
    let mut pair = Pair::new(None);
    for _ in 0..10 {
        pair.now += Duration::from_secs(24);
        pair.client.send(Payload::Text("still here")).unwrap();
        pair.deliver_to_server();
        let patience = pair.server.connection.poll_deadline().unwrap() - pair.now;
        assert_eq!(patience, Duration::from_secs(25), "no ping is due");
    }
    pair.now = pair.server.connection.poll_deadline().unwrap();
    assert_eq!(pair.server.connection.handle_deadline(pair.now), None);
    pair.server.connection.send_pending_control(&mut pair.server.wire);
    pair.deliver_to_client();
    pair.now += Duration::from_secs(10) - Duration::from_nanos(1);
    pair.deliver_to_server();
    assert_eq!(
        pair.server
            .connection
            .handle_deadline(pair.now + Duration::from_nanos(1)),
        None
    );
    assert_eq!(pair.server.events.last(), Some(&Seen::Pong(Vec::new())));
    assert!(pair.server.connection.is_open());
}

/// A client that half-closes has gone for the server: both ends see the end, and no deadline remains.
#[test]
fn a_half_closed_transport_ends_the_connection() {
    let mut pair = Pair::new(None);
    pair.client.send(Payload::Text("last words")).unwrap();
    pair.deliver_to_server();
    assert_eq!(pair.server.connection.receive_eof(), Err(ProtocolError::Truncated));
    assert_eq!(pair.server.events, [Seen::Text("last words".to_owned())]);
    assert_eq!(pair.server.send(Payload::Text("echo")), Err(SendError::Closed));
    assert!(
        !pair.server.connection.has_pending_control(),
        "the transport has ended, so no frame is pending"
    );
    assert_eq!(pair.client.connection.receive_eof(), Err(ProtocolError::Truncated));
    for end in [pair.server, pair.client] {
        assert_eq!(end.connection.poll_deadline(), None);
    }

    // Behind a close frame it is a clean end.
    let mut pair = Pair::new(None);
    pair.client.close(CloseCode::NORMAL, pair.now);
    pair.deliver_to_server();
    assert_eq!(pair.server.connection.receive_eof(), Ok(()));
    pair.deliver_to_client();
    assert_eq!(pair.client.events, [closed(1000)]);
    assert_eq!(pair.client.connection.receive_eof(), Ok(()));
}

#[test]
fn a_message_is_forwarded_without_a_copy() {
    let mut pair = Pair::new(None);
    let Ok(Event::Message(message)) = ({
        pair.client.send(Payload::Binary(&[7; 100])).unwrap();
        let bytes = core::mem::take(&mut pair.client.wire);
        pair.server
            .connection
            .receive(&mut bytes.as_slice(), &mut deflaters(), pair.now)
    }) else {
        panic!("no message")
    };
    let (Message::Binary(first), Message::Binary(second)) = (message.clone(), message) else {
        panic!("no bytes")
    };
    assert_eq!(first.as_ptr(), second.as_ptr());
}
