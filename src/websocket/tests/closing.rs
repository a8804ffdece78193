//! Autobahn's section 7: the closing handshake, its codes and its reasons.

use super::super::{CloseCode, Event, ProtocolError as Error, SendError};
use super::transcript::{Seen, run};
use super::{Bench, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, closing, masked, plain};

/// 7.1.1 to 7.1.4, 7.1.6: bytes behind a close frame are ignored.
#[test]
fn a_close_frame_is_answered_once_and_ends_everything() {
    let close = || masked(FIN | CLOSE, &closing(1000, b""));
    for after in [
        Vec::new(),
        close(),
        masked(FIN | TEXT, b"late"),
        masked(FIN | PING, b""),
        vec![0xff; 300],
    ] {
        let outcome = run(&[masked(FIN | TEXT, b"Hello"), close(), after].concat());
        assert_eq!(
            outcome.events,
            [Seen::Text("Hello".to_owned()), Seen::Close(Some((1000, String::new())))]
        );
        assert_eq!(outcome.error, None);
        assert_eq!(
            outcome.sent,
            [plain(FIN | TEXT, b"Hello"), plain(FIN | CLOSE, &closing(1000, b""))].concat()
        );
    }
}

/// 7.1.5.
#[test]
fn a_close_frame_may_come_between_fragments() {
    let outcome = run(&[
        masked(TEXT, b"fragment1"),
        masked(FIN | CLOSE, b""),
        masked(FIN | CONTINUATION, b"fragment2"),
    ]
    .concat());
    assert_eq!(outcome.events, [Seen::Close(None)]);
    assert_eq!(outcome.sent, plain(FIN | CLOSE, b""));
}

/// 7.3.1 to 7.3.6.
#[test]
fn close_frames_have_no_payload_or_a_code_and_a_reason() {
    let outcome = run(&masked(FIN | CLOSE, b"\x03"));
    assert_eq!((outcome.error, outcome.events), (Some(Error::CloseTruncated), vec![]));
    assert_eq!(outcome.sent[2..4], [0x03, 0xea]);

    for reason in ["", "Hello World!", &"*".repeat(123), "µ"] {
        let outcome = run(&masked(FIN | CLOSE, &closing(1000, reason.as_bytes())));
        assert_eq!(outcome.events, [Seen::Close(Some((1000, reason.to_owned())))]);
        assert_eq!(
            outcome.sent,
            plain(FIN | CLOSE, &closing(1000, b"")),
            "the code comes back"
        );
    }
    let outcome = run(&masked(FIN | CLOSE, &closing(1000, &[b'*'; 124])));
    assert_eq!(outcome.error, Some(Error::ControlTooLong));
}

/// 7.5.1.
#[test]
fn a_reason_is_text() {
    for reason in [&b"\xce\xba\xed\xa0\x80edited"[..], b"\xff", b"\xc3"] {
        let outcome = run(&masked(FIN | CLOSE, &closing(1000, reason)));
        assert_eq!((outcome.error, outcome.events), (Some(Error::InvalidUtf8), vec![]));
        assert_eq!(outcome.sent[2..4], [0x03, 0xef]);
    }
}

/// 7.7.x, 7.9.x, 7.13.x: every code.
#[test]
fn only_assigned_close_codes_are_accepted() {
    for code in 0..=u16::MAX {
        let is_valid = match code {
            0..1000 | 1004..=1006 | 1015..3000 | 5000.. => false,
            1000..=1003 | 1007..=1014 | 3000..5000 => true,
        };
        assert_eq!(
            CloseCode::new(code).map(CloseCode::number),
            is_valid.then_some(code),
            "{code}"
        );
        let mut bench = Bench::server();
        let result = bench.receive_all(&masked(FIN | CLOSE, &closing(code, b"")));
        let sent = bench.sent();
        if is_valid {
            assert!(
                matches!(result, Ok(Event::Close(Some(frame))) if frame.code.number() == code),
                "{code}"
            );
            assert_eq!(sent, plain(FIN | CLOSE, &closing(code, b"")), "{code}");
        } else {
            assert_eq!(result, Err(Error::CloseCode), "{code}");
            assert_eq!(sent[2..4], [0x03, 0xea], "{code}");
        }
        assert!(bench.connection.is_over());
    }
}

/// After this end has begun to close, frames are skipped until the peer's close frame, however they are cut.
#[test]
fn frames_after_our_close_frame_are_skipped() {
    let mut late = [
        masked(FIN | CONTINUATION, b"rest"),
        masked(FIN | TEXT, &[b'x'; 300]),
        masked(FIN | PING, b"ping"),
        masked(FIN | PONG, b"pong"),
        masked(FIN | TEXT, b"\xff\xff is not looked at"),
        masked(TEXT, b""),
        masked(FIN | CLOSE, &closing(1001, b"goodbye")),
    ]
    .concat();
    let mut first = masked(TEXT, b"a fragment, half of it");
    late.splice(0..0, first.split_off(15));
    for size in [1, 2, 7, 300, usize::MAX] {
        let mut bench = Bench::server();
        bench.receive_all(&first).unwrap();
        let mut out = Vec::new();
        bench
            .connection
            .close(CloseCode::GOING_AWAY, "goodbye", bench.now, &mut out)
            .unwrap();
        assert_eq!(out, plain(FIN | CLOSE, &closing(1001, b"goodbye")));
        assert!(!bench.connection.is_open() && !bench.connection.is_over());

        let mut buffer = Vec::new();
        let mut events = Vec::new();
        for piece in late.chunks(size) {
            buffer.extend_from_slice(piece);
            let mut input = buffer.as_slice();
            match bench.receive(&mut input).unwrap() {
                Event::NeedData => {}
                event => events.push(Seen::from(event)),
            }
            buffer = input.to_vec();
        }
        assert_eq!(
            events,
            [Seen::Close(Some((1001, "goodbye".to_owned())))],
            "pieces of {size}"
        );
        assert!(bench.connection.is_over());
        assert_eq!(bench.sent(), b"", "nothing comes after a close frame");
    }
}

#[test]
fn nothing_can_be_sent_after_a_close_frame() {
    let mut closed = Bench::server();
    closed
        .connection
        .close(CloseCode::NORMAL, "", closed.now, &mut closed.out)
        .unwrap();
    let mut answered = Bench::server();
    answered.receive_all(&masked(FIN | CLOSE, b"")).unwrap();
    let mut failed = Bench::server();
    failed.receive_all(b"\xff\x80\0\0\0\0").unwrap_err();
    for mut bench in [closed, answered, failed] {
        bench.sent();
        let Bench {
            connection,
            deflaters,
            now,
            out,
        } = &mut bench;
        assert_eq!(connection.send("x", deflaters, out), Err(SendError::Closed));
        assert_eq!(connection.ping(b"", out), Err(SendError::Closed));
        assert_eq!(
            connection.close(CloseCode::NORMAL, "", *now, out),
            Err(SendError::Closed)
        );
        assert_eq!(connection.share(), Err(SendError::Closed));
        assert!(!connection.has_pending_control() && out.is_empty());
    }
}

#[test]
fn a_control_frame_with_too_long_a_payload_is_not_sent() {
    let Bench {
        mut connection,
        now,
        mut out,
        ..
    } = Bench::server();
    assert_eq!(connection.ping(&[0; 126], &mut out), Err(SendError::ControlTooLong));
    let reason = "*".repeat(124);
    assert_eq!(
        connection.close(CloseCode::NORMAL, &reason, now, &mut out),
        Err(SendError::ReasonTooLong)
    );
    assert!(out.is_empty() && connection.is_open());
    connection.ping(&[0; 125], &mut out).unwrap();
    connection
        .close(CloseCode::NORMAL, &reason[1..], now, &mut out)
        .unwrap();
    assert_eq!(out.len(), 127 + 127);
}

/// Without a close frame, applications know the end as 1006 (`docs/threats.md#vanished-peer`).
#[test]
fn the_end_of_the_transport_is_an_error_unless_a_close_frame_came_before() {
    let mut bench = Bench::server();
    bench.receive_all(&masked(TEXT, b"half")).unwrap();
    assert_eq!(bench.connection.receive_eof(), Err(Error::Truncated));
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
    assert_eq!(bench.sent(), b"", "the transport has ended, so no frame is written");
    assert_eq!(bench.connection.receive_eof(), Ok(()), "once");

    let mut bench = Bench::server();
    bench.receive_all(&masked(FIN | CLOSE, b"")).unwrap();
    assert_eq!(bench.connection.receive_eof(), Ok(()));
    assert_eq!(bench.sent(), plain(FIN | CLOSE, b""), "the answer is still pending");
}
