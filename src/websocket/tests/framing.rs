//! Autobahn's sections 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragmentation.

use super::super::ProtocolError as Error;
use super::transcript::{Seen, run};
use super::{BINARY, Bench, CLOSE, CONTINUATION, FIN, KEY, PING, PONG, RSV1, TEXT, closing, masked, plain};
use crate::websocket::{Event, Limits};

/// A client's close frame, which ends most transcripts, and its answer.
fn ending() -> (Vec<u8>, Vec<u8>) {
    (
        masked(FIN | CLOSE, &closing(1000, b"")),
        plain(FIN | CLOSE, &closing(1000, b"")),
    )
}

/// Checks that the transcript fails with this error and its code, after these events.
#[track_caller]
fn refused(frames: &[Vec<u8>], error: Error, events: &[Seen]) {
    let outcome = run(&frames.concat());
    assert_eq!((outcome.error, outcome.events.as_slice()), (Some(error), events));
    let code = error.close_code().number();
    let frame = plain(FIN | CLOSE, &closing(code, error.to_string().as_bytes()));
    assert!(outcome.sent.ends_with(&frame), "{:?}", outcome.sent);
}

/// RFC 6455 §5.7, byte for byte.
#[test]
fn the_examples_of_the_rfc() {
    let outcome = run(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(outcome.events, [Seen::Text("Hello".to_owned())]);
    assert_eq!(outcome.sent, b"\x81\x05Hello");
    let outcome = run(b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(outcome.events, [Seen::Ping(b"Hello".to_vec())]);
    assert_eq!(outcome.sent, b"\x8a\x05Hello");
    let outcome = run(b"\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d\x80\x82\x3d\x37\xfa\x21\x51\x58");
    assert_eq!(outcome.events, [Seen::Text("Hello".to_owned())]);
}

/// 1.1, 1.2: every length at which the header changes its form.
#[test]
fn messages_of_every_form_of_length_are_echoed() {
    for length in [0, 1, 124, 125, 126, 127, 128, 65535, 65536] {
        let payload = vec![b'*'; length];
        let (end, end_sent) = ending();
        let bytes = [masked(FIN | TEXT, &payload), end.clone()].concat();
        let outcome = run(&bytes);
        assert_eq!(
            outcome.events.first(),
            Some(&Seen::Text("*".repeat(length))),
            "{length}"
        );
        assert_eq!(
            outcome.sent,
            [plain(FIN | TEXT, &payload), end_sent.clone()].concat(),
            "{length}"
        );

        let payload = vec![0xfe; length];
        let outcome = run(&[masked(FIN | BINARY, &payload), end].concat());
        assert_eq!(
            outcome.sent,
            [plain(FIN | BINARY, &payload), end_sent].concat(),
            "{length}"
        );
        assert_eq!(outcome.events.first(), Some(&Seen::Binary(payload)), "{length}");
    }
}

/// 2.1 to 2.4, 2.6.
#[test]
fn pings_are_answered_with_their_payload() {
    for payload in [
        &b""[..],
        b"Hello, world!",
        b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
        &[0xfe; 125],
    ] {
        let outcome = run(&masked(FIN | PING, payload));
        assert_eq!(outcome.events, [Seen::Ping(payload.to_vec())]);
        assert_eq!(outcome.sent, plain(FIN | PONG, payload));
    }
}

/// 2.5, 3.x, 4.x, 5.1, 5.2: headers that are invalid by themselves (`docs/threats.md#malformed-frames`).
#[test]
fn invalid_headers_are_rejected() {
    let hello = || masked(FIN | TEXT, b"Hello");
    let echoed = [Seen::Text("Hello".to_owned())];
    let mut cases = vec![
        (masked(FIN | PING, &[0xfe; 126]), Error::ControlTooLong),
        (masked(FIN | PONG, &[0xfe; 126]), Error::ControlTooLong),
        (masked(FIN | CLOSE, &[0x20; 126]), Error::ControlTooLong),
        (masked(PING, b"fragment"), Error::ControlFragmented),
        (masked(PONG, b"fragment"), Error::ControlFragmented),
        (masked(CLOSE, b""), Error::ControlFragmented),
        (masked(FIN | CONTINUATION, b"what?"), Error::ContinuationUnexpected),
        (masked(CONTINUATION, b"what?"), Error::ContinuationUnexpected),
        (plain(FIN | TEXT, b"Hello"), Error::MaskMissing),
        (plain(FIN | PING, b""), Error::MaskMissing),
        (plain(FIN | CLOSE, b""), Error::MaskMissing),
    ];
    for bits in 1..8 {
        for opcode in [TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE] {
            cases.push((masked(FIN | bits << 4 | opcode, b"x"), Error::ReservedBit));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((masked(FIN | opcode, b""), Error::ReservedOpcode));
        cases.push((masked(FIN | opcode, b"reserved opcode payload"), Error::ReservedOpcode));
    }
    for (frame, error) in cases {
        refused(&[hello(), frame.clone(), masked(FIN | PING, b"")], error, &echoed);
        refused(&[frame], error, &[]);
    }
}

/// RFC 6455 §5.2: the fewest bytes that hold the length, and less than 2⁶³.
#[test]
fn lengths_are_written_in_the_fewest_bytes() {
    let heads: [&[u8]; 7] = [
        b"\x82\xfe\x00\x00",
        b"\x82\xfe\x00\x7d",
        b"\x89\xfe\x00\x05",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x7e",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
        b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for head in heads {
        refused(&[[head, &KEY].concat()], Error::PayloadLength, &[]);
    }
}

/// 2.7 to 2.9: unsolicited pongs.
#[test]
fn unsolicited_pongs_are_events_without_an_answer() {
    let outcome = run(&[
        masked(FIN | PONG, b"unsolicited"),
        masked(FIN | PONG, b""),
        masked(FIN | PING, b"p"),
    ]
    .concat());
    let events = [
        Seen::Pong(b"unsolicited".to_vec()),
        Seen::Pong(Vec::new()),
        Seen::Ping(b"p".to_vec()),
    ];
    assert_eq!(outcome.events, events);
    assert_eq!(outcome.sent, plain(FIN | PONG, b"p"));
}

/// 2.10, 2.11.
#[test]
fn ten_pings_get_ten_pongs_in_order() {
    let pings: Vec<_> = (0..10)
        .map(|number| masked(FIN | PING, format!("payload-{number}").as_bytes()))
        .collect();
    let pongs: Vec<_> = (0..10)
        .map(|number| plain(FIN | PONG, format!("payload-{number}").as_bytes()))
        .collect();
    assert_eq!(run(&pings.concat()).sent, pongs.concat());

    let mut bench = Bench::server();
    for ping in &pings {
        bench.receive_all(ping).unwrap();
    }
    assert_eq!(bench.sent(), pongs.concat(), "also when they wait for each other");
}

/// 5.19 over a slow wire: a reply does not overtake the pong of an earlier ping.
#[test]
fn a_reply_does_not_overtake_a_pong() {
    let mut bench = Bench::server();
    bench.receive_all(&masked(FIN | PING, b"first")).unwrap();
    let Bench {
        connection,
        deflaters,
        out,
        ..
    } = &mut bench;
    connection.send("second", deflaters, out).unwrap();
    let expected = [plain(FIN | PONG, b"first"), plain(FIN | TEXT, b"second")].concat();
    assert_eq!(bench.sent(), expected);
}

/// A peer that pings and does not read (`docs/threats.md#ping-flood`).
#[test]
fn unread_pongs_are_bounded_and_then_close_the_connection() {
    let mut bench = Bench::server();
    let limits = Limits::default();
    for number in 0..limits.max_unread_pings {
        let payload = number.to_be_bytes();
        assert!(
            matches!(bench.receive_all(&masked(FIN | PING, &payload)), Ok(Event::Ping(_))),
            "{number}"
        );
    }
    assert_eq!(bench.receive_all(&masked(FIN | PING, b"")), Err(Error::TooManyPings));
    let last = limits.max_unread_pings - u16::from(limits.max_queued_pongs)..limits.max_unread_pings;
    let mut expected: Vec<_> = last.map(|number| plain(FIN | PONG, &number.to_be_bytes())).collect();
    expected.push(plain(FIN | CLOSE, &closing(1008, b"too many pings")));
    assert_eq!(bench.sent(), expected.concat());

    let mut bench = Bench::server();
    for _ in 0..3 * limits.max_unread_pings {
        bench.receive_all(&masked(FIN | PING, b"")).unwrap();
        assert_eq!(
            bench.sent(),
            plain(FIN | PONG, b""),
            "a peer that reads may ping for ever"
        );
    }
}

/// 5.3 to 5.8: fragments, with and without control frames between them.
#[test]
fn fragments_make_one_message_and_control_frames_pass_between_them() {
    let message = [masked(TEXT, b"fragment1"), masked(FIN | CONTINUATION, b"fragment2")];
    let joined = Seen::Text("fragment1fragment2".to_owned());
    assert_eq!(run(&message.concat()).events, std::slice::from_ref(&joined));

    let ping = masked(FIN | PING, b"ping payload");
    let pong = masked(FIN | PONG, b"");
    let [first, last] = message;
    let outcome = run(&[first, ping.clone(), masked(CONTINUATION, b""), pong, ping, last].concat());
    let pinged = Seen::Ping(b"ping payload".to_vec());
    assert_eq!(outcome.events, [pinged.clone(), Seen::Pong(Vec::new()), pinged, joined]);
    let ponged = plain(FIN | PONG, b"ping payload");
    assert_eq!(
        outcome.sent,
        [ponged.clone(), ponged, plain(FIN | TEXT, b"fragment1fragment2")].concat()
    );
}

/// 5.9 to 5.18.
#[test]
fn fragments_out_of_order_are_rejected() {
    let (first, last) = (masked(TEXT, b"fragment1"), masked(FIN | CONTINUATION, b"fragment2"));
    let text = || masked(FIN | TEXT, b"x");
    let joined = Seen::Text("fragment1fragment2".to_owned());
    refused(&[last.clone(), text()], Error::ContinuationUnexpected, &[]);
    refused(&[first.clone(), text()], Error::ContinuationExpected, &[]);
    refused(
        &[first.clone(), masked(FIN | BINARY, b"")],
        Error::ContinuationExpected,
        &[],
    );
    refused(&[first.clone(), first.clone()], Error::ContinuationExpected, &[]);
    refused(
        &[first.clone(), last.clone(), last],
        Error::ContinuationUnexpected,
        &[joined],
    );
    refused(
        &[first, masked(FIN | RSV1 | CONTINUATION, b"")],
        Error::ReservedBit,
        &[],
    );
}

/// 5.19, 5.20.
#[test]
fn five_fragments_and_two_pings() {
    let parts = [
        (TEXT, "1"),
        (CONTINUATION, "2"),
        (CONTINUATION, "3"),
        (CONTINUATION, "4"),
        (FIN | CONTINUATION, "5"),
    ];
    let mut bytes = Vec::new();
    for (first, part) in parts {
        bytes.extend(masked(first, part.as_bytes()));
        if part == "2" || part == "4" {
            bytes.extend(masked(FIN | PING, part.as_bytes()));
        }
    }
    let outcome = run(&bytes);
    let pinged = |payload: &str| Seen::Ping(payload.into());
    assert_eq!(
        outcome.events,
        [pinged("2"), pinged("4"), Seen::Text("12345".to_owned())]
    );
}
