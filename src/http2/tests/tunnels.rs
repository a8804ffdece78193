//! Extended CONNECT (RFC 8441): what opens a tunnel, what refuses it, and how it ends.

use super::super::{ContentLength, SendError};
use super::wire::*;
use super::*;

/// The fields of a CONNECT for a WebSocket.
const CONNECT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/ws"),
];

fn connect(stream: u32) -> Vec<u8> {
    headers(stream, false, &CONNECT)
}

/// A connection that accepts WebSockets.
fn bench() -> Bench {
    Bench::begun_with(Limits {
        accepts_websockets: true,
        ..Limits::default()
    })
}

/// Opens a tunnel and drops its head.
fn open(bench: &mut Bench, id: u32) -> StreamKey {
    let stream = bench.request(&connect(id));
    let opened = bench
        .connection
        .open_tunnel(stream, &ResponseHead::new(StatusCode::OK), &date(), &mut bench.out);
    assert_eq!(opened, Ok(()));
    bench.out.clear();
    stream
}

/// The codes of the resets that were written.
fn resets(bench: &mut Bench) -> Vec<(u32, u32)> {
    let sent = bench.sent();
    let resets = sent.iter().filter(|frame| frame.kind == 3);
    resets
        .map(|frame| (frame.stream, u32::from_be_bytes(frame.payload[..4].try_into().unwrap())))
        .collect()
}

#[test]
fn the_setting_is_announced_only_if_websockets_are_accepted() {
    for (accepts_websockets, expected) in [(true, vec![0, 8, 0, 0, 0, 1]), (false, vec![])] {
        let mut bench = Bench::with(Limits {
            accepts_websockets,
            ..Limits::default()
        });
        let settings = bench.sent().remove(0);
        assert_eq!(settings.payload[18..], expected);
    }
}

#[test]
fn an_extended_connect_is_a_get_whose_head_says_so() {
    let mut bench = bench();
    let request = connect(1);
    let events = bench.receive_all(&request);
    let [Event::Request { length, .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(length, ContentLength::Unknown);
    let head = &bench.head;
    assert_eq!((head.method().as_str(), head.target()), ("GET", "/ws"));
    assert!(head.is_extended_connect());
    bench.request(&get(3));
    assert!(!bench.head.is_extended_connect(), "the next request is another");
}

/// RFC 8441 §4: the pseudo-field comes with CONNECT alone, once, and with all others (C33).
/// Names with values, in order.
type Fields = Vec<(&'static str, &'static str)>;

#[test]
fn a_protocol_with_another_method_or_without_a_path_is_malformed() {
    let with = |change: &dyn Fn(&mut Fields)| {
        let mut fields = CONNECT.to_vec();
        change(&mut fields);
        headers(1, false, &fields)
    };
    let malformed = [
        with(&|fields| fields[0].1 = "GET"),
        with(&|fields| fields[0].1 = "POST"),
        with(&|fields| fields[4].1 = "*"),
        with(&|fields| {
            fields.remove(2);
        }),
        with(&|fields| {
            fields.remove(3);
        }),
        with(&|fields| {
            fields.remove(4);
        }),
        with(&|fields| fields.push((":protocol", "websocket"))),
        with(&|fields| fields.insert(2, (":protocol", "websocket"))),
        with(&|fields| fields.push(("content-length", "0"))),
    ];
    for (index, request) in malformed.iter().enumerate() {
        let mut bench = bench();
        assert_eq!(bench.receive_all(request), [], "{index}");
        assert_eq!(resets(&mut bench), [(1, ErrorCode::PROTOCOL_ERROR.0)], "{index}");
    }
    // Their order has no meaning.
    let reordered = with(&|fields| fields.rotate_left(1));
    assert_eq!(bench().receive_all(&reordered).len(), 1);
}

#[test]
fn an_unknown_protocol_is_answered_501_and_one_that_was_not_announced_is_malformed() {
    let mut bench = bench();
    let mut fields = CONNECT;
    fields[1].1 = "connect-udp";
    let request = headers(1, false, &fields);
    let events = bench.receive_all(&request);
    let [Event::Refused { status, .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);

    let mut bench = Bench::begun();
    assert_eq!(bench.receive_all(&connect(1)), []);
    assert_eq!(resets(&mut bench), [(1, ErrorCode::PROTOCOL_ERROR.0)]);
}

#[test]
fn bytes_go_both_ways_until_each_end_has_ended() {
    let mut bench = bench();
    let stream = open(&mut bench, 1);
    let ping = data(1, false, b"ping");
    let events = bench.receive_all(&ping);
    assert_eq!(events, [Event::Data { stream, data: b"ping" }]);
    let connection = &mut bench.connection;
    connection.send_data(stream, b"pong", &mut bench.out).unwrap();
    connection.send_last(stream, b"", None, &mut bench.out).unwrap();
    let sent = bench.sent();
    assert_eq!(sent.len(), 2, "the tunnel still receives, so it is not reset: {sent:?}");
    assert_eq!((sent[1].flags, sent[1].payload.len()), (1, 0));
    let bye = data(1, true, b"bye");
    let events = bench.receive_all(&bye);
    assert_eq!(events, [Event::Data { stream, data: b"bye" }, Event::End { stream }]);
    bench.connection.set_unread(stream, 0, &mut bench.out);
    bench.check_quiescent();
    assert_eq!(resets(&mut bench), []);
}

/// RFC 8441 §5: a reset of TCP is RST_STREAM with CANCEL.
#[test]
fn a_tunnel_that_is_given_up_is_cancelled() {
    let mut bench = bench();
    let stream = open(&mut bench, 1);
    bench.connection.give_up(stream, &mut bench.out);
    assert_eq!(resets(&mut bench), [(1, ErrorCode::CANCEL.0)]);
    let stream = open(&mut bench, 3);
    bench.connection.release(stream, bench.now, &mut bench.out);
    assert_eq!(resets(&mut bench), [(3, ErrorCode::CANCEL.0)]);
    let stream = bench.request(&post(5));
    bench.connection.give_up(stream, &mut bench.out);
    assert_eq!(resets(&mut bench), [(5, ErrorCode::INTERNAL_ERROR.0)]);
}

/// A client takes content behind a 2xx for the bytes of the tunnel.
#[test]
fn a_connect_is_not_answered_with_a_successful_page() {
    let mut bench = bench();
    let stream = bench.request(&connect(1));
    let date = date();
    let start = |head| ResponseStart {
        head,
        length: Some(0),
        ends: true,
        date: &date,
    };
    let success = ResponseHead::new(StatusCode::OK);
    let sent = bench.connection.send_head(stream, start(&success), &mut bench.out);
    assert_eq!(sent, Err(SendError::TunnelNotOpened));
    let refusal = ResponseHead::new(StatusCode::FORBIDDEN);
    bench
        .connection
        .send_head(stream, start(&refusal), &mut bench.out)
        .unwrap();
    // The rest of a refused request is of no use.
    assert_eq!(resets(&mut bench), [(1, ErrorCode::NO_ERROR.0)]);
}

/// RFC 9113 §8.5: a tunnel has DATA alone.
#[test]
fn trailers_reset_a_tunnel() {
    let mut bench = bench();
    let stream = open(&mut bench, 1);
    let trailers = headers(1, true, &[("x-a", "b")]);
    let events = bench.receive_all(&trailers);
    let code = ErrorCode::PROTOCOL_ERROR;
    assert_eq!(events, [Event::Reset { stream, code }]);
}

/// A WebSocket may be silent for longer than content, and its messages may be small and many.
#[test]
fn a_tunnel_has_no_pace_and_no_budget_of_small_frames() {
    let mut bench = bench();
    let stream = open(&mut bench, 1);
    bench.connection.set_awaited(stream, true, bench.now);
    bench.wait(Duration::from_secs(600));
    assert_eq!(bench.connection.handle_deadline(bench.now, &mut bench.out), None);
    let message = data(1, false, b"message");
    for count in 1..=2000 {
        let events = bench.receive_all(&message);
        assert_eq!(events.len(), 1);
        bench.connection.set_unread(stream, 7 * count, &mut bench.out);
    }
    // Its window still bounds them: 64 KiB less what is unread.
    let rest = vec![b'x'; 16_384];
    let mut bytes = 14_000;
    while bytes + rest.len() <= 65_535 {
        bytes += rest.len();
        assert!(matches!(
            bench.receive_all(&data(1, false, &rest))[..],
            [Event::Data { .. }]
        ));
    }
    let excess = data(1, false, &rest);
    let events = bench.receive_all(&excess);
    let code = ErrorCode::FLOW_CONTROL_ERROR;
    assert_eq!(events, [Event::Reset { stream, code }]);
}
