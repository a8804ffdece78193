//! Both halves of the machine, one speaking to the other.

use super::super::RequestStart;
use super::*;
use crate::message::{HeaderName, HeaderValue, Headers, Method};

/// A client and a server, and what is between them.
struct Pair {
    client: Bench,
    server: Bench,
}

impl Pair {
    fn new() -> Self {
        let now = epoch();
        let mut client = Bench {
            connection: Connection::client(Rc::new(Limits::default()), false, now),
            head: RequestHead::new(),
            now,
            out: Vec::new(),
        };
        client.connection.begin(now, &mut client.out);
        let mut pair = Self {
            client,
            server: Bench::new(),
        };
        pair.serve();
        pair.answer();
        pair.serve();
        pair
    }

    fn serve(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut self.client.out);
        let events = self.server.receive_all(&bytes);
        events.iter().map(|event| format!("{event:?}")).collect()
    }

    fn answer(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut self.server.out);
        let events = self.client.receive_all(&bytes);
        events.iter().map(|event| format!("{event:?}")).collect()
    }

    fn open(&mut self, method: &Method, fields: &Headers, ends: bool) -> StreamKey {
        let request = RequestStart {
            method,
            scheme: "http",
            authority: "a",
            path: "/p?q",
            fields,
            length: None,
            ends,
        };
        let client = &mut self.client;
        client.connection.open(request, &mut client.out).unwrap()
    }
}

#[test]
fn a_request_and_its_response_reach_the_other_half() {
    let mut pair = Pair::new();
    for round in 0..200 {
        let mut fields = Headers::new();
        fields.add(HeaderName::from_static("x-round"), HeaderValue::from(round));
        let stream = pair.open(&Method::POST, &fields, false);
        let client = &mut pair.client;
        client
            .connection
            .send_last(stream, b"ping", None, &mut client.out)
            .unwrap();
        let events = pair.serve();
        assert_eq!(events.len(), 3, "{events:?}");
        let head = &pair.server.head;
        assert_eq!((head.method(), head.target()), (&Method::POST, "/p?q"));
        assert_eq!(head.fields().get_str("x-round"), Some(round.to_string().as_str()));

        let key = pair.server.connection.open_streams().next().unwrap();
        pair.server
            .send_head(key, &ResponseHead::new(StatusCode::CREATED), None, false);
        let server = &mut pair.server;
        server.connection.set_unread(key, 0, &mut server.out);
        let mut trailers = Headers::new();
        trailers.add(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"));
        server
            .connection
            .send_last(key, b"pong", Some(&trailers), &mut server.out)
            .unwrap();
        server.connection.release(key, server.now, &mut server.out);
        let events = pair.answer();
        assert!(events[0].contains("201"), "{events:?}");
        assert!(events[2].starts_with("Trailers"), "{events:?}");
        assert_eq!(pair.client.head.fields().get("x-sum"), Some(&b"1"[..]));
        let client = &mut pair.client;
        client.connection.set_unread(stream, 0, &mut client.out);
        client.connection.release(stream, client.now, &mut client.out);
    }
    pair.client.check_quiescent();
    pair.server.check_quiescent();
}

#[test]
fn an_interim_head_precedes_the_final_one() {
    let mut pair = Pair::new();
    let stream = pair.open(&Method::GET, &Headers::new(), true);
    pair.serve();
    let key = pair.server.connection.open_streams().next().unwrap();
    pair.server
        .send_head(key, &ResponseHead::new(StatusCode::EARLY_HINTS), None, false);
    pair.server
        .send_head(key, &ResponseHead::new(StatusCode::OK), Some(0), true);
    let events = pair.answer();
    assert!(events[0].contains("103") && events[1].contains("200"), "{events:?}");
    pair.client
        .connection
        .release(stream, pair.client.now, &mut pair.client.out);
    pair.client.check_quiescent();
}

#[test]
fn the_peers_limit_on_streams_and_its_goaway_are_kept() {
    let mut pair = Pair::new();
    for _ in 0..100 {
        pair.open(&Method::GET, &Headers::new(), true);
    }
    assert!(!pair.client.connection.may_open());
    assert_eq!(pair.serve().len(), 100);
    pair.server.connection.go_away(pair.server.now, &mut pair.server.out);
    assert!(pair.answer()[0].starts_with("GoAway"));
    assert!(!pair.client.connection.may_open());
    pair.client.check_quiescent();
}

#[test]
fn pushes_and_streams_that_were_never_opened_end_the_connection() {
    for bytes in [
        wire::frame(5, 4, 1, &[0, 0, 0, 2]),
        wire::headers(2, true, &[(":status", "200")]),
        wire::headers(1, true, &[(":status", "200")]),
    ] {
        let mut pair = Pair::new();
        assert_eq!(pair.client.fail(&bytes), ErrorCode::PROTOCOL_ERROR);
    }
}

#[test]
fn a_malformed_response_resets_its_stream() {
    for fields in [
        vec![("x", "a")],
        vec![(":status", "2000")],
        vec![(":status", "200"), (":status", "200")],
        vec![(":status", "200"), ("connection", "close")],
        vec![(":status", "200"), ("content-length", "5")],
        vec![(":status", "103")],
    ] {
        let mut pair = Pair::new();
        pair.open(&Method::GET, &Headers::new(), true);
        let bytes = wire::headers(1, true, &fields);
        let events = pair.client.receive_all(&bytes);
        assert!(matches!(events[..], [Event::Reset { .. }]), "{fields:?}: {events:?}");
        pair.client.check_quiescent();
    }
}
