//! The attacks of the table in `docs/threats.md`, by the ids of the project's list, against the machine.
//!
//! Attacks that are refused by their bytes alone are beside those rules. C05 to C08, C14, C15 and C32 are in `refused`,
//! `limits` and the tests of HPACK. C12 is in `deadlines`, C25 and C28 are in `schedule`.

use super::super::hpack::Encoder;
use super::wire::*;
use super::*;

/// Repeats frames with new stream ids until the connection ends; returns how often they were accepted.
fn until_ended(bench: &mut Bench, rounds_max: u32, frames: impl Fn(u32) -> Vec<u8>) -> (u32, Option<ErrorCode>) {
    for round in 0..rounds_max {
        let bytes = frames(1 + 2 * round);
        match bench.try_receive_all(&mut bytes.as_slice()) {
            Ok(events) => {
                for event in events {
                    if let Event::Request { stream, .. } | Event::Reset { stream, .. } = event
                        && !bench.connection.is_open(stream)
                    {
                        bench.connection.release(stream, bench.now, &mut bench.out);
                    }
                }
            }
            Err(error) => return (round, Some(error.code)),
        }
        bench.out.clear();
    }
    (rounds_max, None)
}

const CALM: Option<ErrorCode> = Some(ErrorCode::ENHANCE_YOUR_CALM);

#[test]
fn c01_rapid_reset_ends_the_connection() {
    let mut bench = Bench::begun();
    assert_eq!(
        until_ended(&mut bench, 1_000_000, |id| [get(id), reset(id, 8)].concat()),
        (100, CALM)
    );
}

/// The reset comes when the answer is already out.
#[test]
fn c01_resets_of_answered_requests_count_too() {
    let mut bench = Bench::begun();
    for index in 0..100 {
        let stream = bench.request(&get(1 + 2 * index));
        bench.respond(stream);
        bench.receive_all(&reset(1 + 2 * index, 8));
    }
    let stream = bench.request(&get(201));
    bench.respond(stream);
    assert_eq!(bench.fail(&reset(201, 8)), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn c02_resets_that_the_peer_provokes_are_charged_alike() {
    let provocations: [fn(u32) -> Vec<u8>; 7] = [
        |id| [post(id), window_update(id, 0)].concat(),
        |id| [post(id), window_update(id, (1 << 31) - 1)].concat(),
        |id| [get(id), data(id, false, b"x")].concat(),
        |id| [get(id), get(id)].concat(),
        |id| {
            [
                with_fields(id, false, &[("content-length", "1")]),
                data(id, false, b"xy"),
            ]
            .concat()
        },
        |id| [post(id), headers(id, false, &[])].concat(),
        |id| headers(id, true, &[(":method", "GET")]),
    ];
    for (index, provocation) in provocations.into_iter().enumerate() {
        let mut bench = Bench::begun();
        let (rounds, code) = until_ended(&mut bench, 1000, provocation);
        assert_eq!((rounds, code), (100, CALM), "provocation {index}");
    }
    // Streams beyond the limit.
    let mut bench = Bench::begun();
    let (rounds, code) = until_ended(&mut bench, 1000, get);
    assert_eq!((rounds, code), (200, CALM));
    // Content beyond the window of a stream.
    let mut bench = Bench::begun();
    let beyond = |id| [post(id), data(id, false, &[0; 16_384]).repeat(4)].concat();
    let (rounds, _) = until_ended(&mut bench, 1000, beyond);
    assert!(rounds <= 100, "{rounds}");
}

#[test]
fn c02_a_priority_of_the_wrong_length_or_on_itself_ends_the_connection() {
    for payload in [&[0, 0, 0, 3][..], &[0, 0, 0, 1, 0]] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        bench.fail(&frame(2, 0, 1, payload));
    }
}

#[test]
fn c03_endless_continuation_ends_the_connection() {
    let mut bench = Bench::begun();
    let mut bytes = frame(1, 1, 1, &[0; 16_384]);
    bytes.extend(frame(9, 0, 1, &[0; 16_384]).repeat(1000));
    assert_eq!(bench.fail(&bytes), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn c04_an_empty_continuation_ends_the_connection() {
    let mut bench = Bench::begun();
    let bytes = [frame(1, 1, 1, &[]), frame(9, 0, 1, &[])].concat();
    assert_eq!(bench.fail(&bytes), ErrorCode::PROTOCOL_ERROR);
}

/// A large entry, referred to again and again, in a block of 10 KB.
#[test]
fn c05_a_bomb_of_indices_stops_at_four_times_the_limit() {
    let mut bench = Bench::begun();
    let mut bomb = vec![0x40, 1, b'x', 0x7f, 0x81, 0x1e];
    bomb.extend([b'v'; 4000]);
    bomb.extend([0xbe; 10_000]);
    assert_eq!(bench.fail(&frame(1, 5, 1, &bomb)), ErrorCode::ENHANCE_YOUR_CALM);
    assert!(bench.head.fields().len() <= 100);
}

/// One byte on the wire, one field in memory.
#[test]
fn c06_crumbs_of_cookie_are_counted_and_blocked_streams_are_cut() {
    let mut bench = Bench::begun();
    bench.receive_all(&settings(&[(4, 0)]));
    let mut bomb = block(&GET);
    bomb.extend([0x40, 6]);
    bomb.extend(b"cookie\x01a");
    bomb.extend([0xbe; 500]);
    let bytes = frame(1, 5, 1, &bomb);
    let events = bench.receive_all(&bytes);
    assert!(
        matches!(
            events[..],
            [Event::Refused {
                status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                ..
            }]
        ),
        "{events:?}"
    );
    bench.check_quiescent();
}

#[test]
fn c07_malformed_blocks_end_the_connection() {
    for block in [
        &[0x80][..],
        &[0xbe],
        &[0x3f, 0xe2, 0x1f],
        &[0x82, 0x20],
        &[0, 0x81, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0],
    ] {
        let mut bench = Bench::begun();
        assert_eq!(
            bench.fail(&frame(1, 5, 1, block)),
            ErrorCode::COMPRESSION_ERROR,
            "{block:02x?}"
        );
    }
}

#[test]
fn c08_the_table_for_the_peer_is_4_kib_whatever_it_asks() {
    let mut bench = Bench::begun();
    bench.receive_all(&settings(&[(1, u32::MAX)]));
    let stream = bench.request(&get(1));
    bench.respond(stream);
    let first = bench.sent().into_iter().find(|frame| frame.kind == 1).unwrap();
    // No size update: the table keeps its 4 KiB.
    assert_eq!(first.payload[0], 0x88);
    let mut encoder = Encoder::new();
    encoder.set_peer_table_size(usize::MAX);
    let mut out = Vec::new();
    encoder.begin_block(&mut out);
    assert_eq!(out, b"");
}

#[test]
fn c09_floods_of_control_frames_end_the_connection_or_stop_the_reading() {
    let floods = [
        frame(6, 0, 0, &[0; 8]),
        settings(&[]),
        settings(&[(3, 1); 2730]),
        frame(0xfe, 0, 0, b""),
        frame(2, 0, 99, &[0, 0, 0, 0, 1]),
        frame(4, 1, 0, b""),
        window_update(0, 1),
    ];
    for flood in floods {
        let mut bench = Bench::begun();
        let (rounds, code) = until_ended(&mut bench, 1_000_000, |_| flood.clone());
        assert!(rounds <= 200, "{rounds}");
        assert_eq!(code, CALM, "{:02x?}", &flood[..9]);
    }
    // A peer that does not read its acknowledgements.
    let mut bench = Bench::begun_with(Limits {
        max_control_frames: u32::MAX,
        ..Limits::default()
    });
    let pings = frame(6, 0, 0, &[0; 8]).repeat(10_000);
    let mut input = pings.as_slice();
    while bench.receive(&mut input) != Ok(Event::Blocked) {}
    assert!(bench.out.len() < 65_536 + 17);
}

#[test]
fn c10_resets_that_cannot_be_sent_are_bounded() {
    let mut bench = Bench::begun();
    let mut input = Vec::new();
    for round in 0..10_000 {
        input.extend(headers(1 + 2 * round, true, &[("x", "no pseudo-fields")]));
    }
    assert_eq!(bench.fail(&input), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn c11_useless_data_ends_the_connection_and_loses_no_credit() {
    for content in [&b""[..], b"x"] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        let flood = data(1, false, content).repeat(1_000);
        assert_eq!(bench.fail(&flood), ErrorCode::ENHANCE_YOUR_CALM);
    }
    // DATA behind a reset is dropped, and its credit returns.
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    bench.receive_all(&reset(1, 8));
    bench.connection.release(stream, bench.now, &mut bench.out);
    bench.receive_all(&data(1, false, &[0; 16_384]).repeat(150));
    bench.check_quiescent();
}

#[test]
fn c13_a_peer_that_opens_no_window_is_not_polled_for_content() {
    let mut bench = Bench::begun();
    bench.receive_all(&settings(&[(4, (1 << 31) - 1)]));
    for index in 0..100 {
        let stream = bench.request(&get(1 + 2 * index));
        bench.begin_response(stream, 1 << 30);
    }
    bench.out.clear();
    // The window of the connection is the protocol's.
    let sent: usize = bench.pump(usize::MAX).iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sent, 65_535);
    bench.check_quiescent();
}

#[test]
fn c16_a_length_is_judged_before_a_byte_is_buffered() {
    let mut bench = Bench::begun();
    assert_eq!(
        bench.fail(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
        ErrorCode::FRAME_SIZE_ERROR
    );
}

#[test]
fn c17_settings_out_of_range_end_the_connection() {
    for (id, value, code) in [
        (5, 0, ErrorCode::PROTOCOL_ERROR),
        (5, 1 << 24, ErrorCode::PROTOCOL_ERROR),
        (4, 1 << 31, ErrorCode::FLOW_CONTROL_ERROR),
        (2, 2, ErrorCode::PROTOCOL_ERROR),
    ] {
        let mut bench = Bench::begun();
        assert_eq!(bench.fail(&settings(&[(id, value)])), code, "{id} {value}");
    }
    // A window of a stream above its maximum.
    let mut bench = Bench::begun();
    bench.request(&post(1));
    bench.receive_all(&window_update(1, 1 << 30));
    assert_eq!(bench.fail(&settings(&[(4, 1 << 30)])), ErrorCode::FLOW_CONTROL_ERROR);
}

#[test]
fn c18_window_updates_of_0_beyond_the_maximum_and_of_streams_that_are_not_open() {
    let mut bench = Bench::begun();
    assert_eq!(bench.fail(&window_update(0, 0)), ErrorCode::PROTOCOL_ERROR);
    let mut bench = Bench::begun();
    assert_eq!(
        bench.fail(&window_update(0, (1 << 31) - 1)),
        ErrorCode::FLOW_CONTROL_ERROR
    );
    let mut bench = Bench::begun();
    assert_eq!(bench.fail(&window_update(1, 1)), ErrorCode::PROTOCOL_ERROR);
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    bench.respond(stream);
    bench.out.clear();
    assert_eq!(bench.receive_all(&window_update(1, 1)), []);
    assert_eq!(bench.sent(), []);
    bench.check_quiescent();
}

#[test]
fn c19_malformed_frames_end_the_connection() {
    let padded = |payload: &[u8]| frame(1, 8 | 4 | 1, 1, payload);
    for (bytes, code) in [
        (padded(b""), ErrorCode::FRAME_SIZE_ERROR),
        (padded(&[1]), ErrorCode::PROTOCOL_ERROR),
        (padded(&[5, 0x82]), ErrorCode::PROTOCOL_ERROR),
        (frame(1, 0x20 | 4 | 1, 1, &[0; 4]), ErrorCode::FRAME_SIZE_ERROR),
        (frame(1, 0x28 | 4 | 1, 1, &[0; 5]), ErrorCode::FRAME_SIZE_ERROR),
        (get(2), ErrorCode::PROTOCOL_ERROR),
        (get(0), ErrorCode::PROTOCOL_ERROR),
        (frame(5, 4, 1, &[0, 0, 0, 2]), ErrorCode::PROTOCOL_ERROR),
        (reset(1, 8), ErrorCode::PROTOCOL_ERROR),
        (reset(0, 8), ErrorCode::PROTOCOL_ERROR),
        (frame(3, 0, 1, &[0; 3]), ErrorCode::FRAME_SIZE_ERROR),
        (data(0, true, b""), ErrorCode::PROTOCOL_ERROR),
        (frame(6, 0, 1, &[0; 8]), ErrorCode::PROTOCOL_ERROR),
        (frame(4, 0, 1, b""), ErrorCode::PROTOCOL_ERROR),
        (frame(4, 0, 0, b"12345"), ErrorCode::FRAME_SIZE_ERROR),
        (frame(4, 1, 0, b"123456"), ErrorCode::FRAME_SIZE_ERROR),
        (frame(7, 0, 1, &[0; 8]), ErrorCode::PROTOCOL_ERROR),
        (frame(7, 0, 0, &[0; 7]), ErrorCode::FRAME_SIZE_ERROR),
        (frame(9, 4, 1, b""), ErrorCode::PROTOCOL_ERROR),
        (frame(0x10, 0, 1, b"\0\0\0\x01u=1"), ErrorCode::PROTOCOL_ERROR),
        (frame(0x10, 0, 0, b"\0\0\0"), ErrorCode::FRAME_SIZE_ERROR),
        (frame(0x10, 0, 0, b"\0\0\0\0u=1"), ErrorCode::PROTOCOL_ERROR),
    ] {
        let mut bench = Bench::begun();
        assert_eq!(bench.fail(&bytes), code, "{bytes:02x?}");
    }
    // A lower id than the last, and the highest.
    let mut bench = Bench::begun();
    let stream = bench.request(&get((1 << 31) - 1));
    bench.respond(stream);
    bench.out.clear();
    assert_eq!(bench.receive_all(&get(5)), []);
    assert_eq!(bench.sent()[0].payload, ErrorCode::STREAM_CLOSED.0.to_be_bytes());
}

#[test]
fn c20_a_storm_of_priorities_ends_the_connection() {
    let mut bench = Bench::begun();
    let (rounds, code) = until_ended(&mut bench, 10_000, |id| frame(2, 0, id, &[0x80, 0, 0, 0, 255]));
    assert_eq!((rounds, code), (199, CALM));
}

#[test]
fn c21_half_a_preface_and_http_1_end_the_connection() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.fail(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ErrorCode::PROTOCOL_ERROR
    );
}

#[test]
fn c22_c33_an_extended_connect_is_refused_while_it_is_not_announced() {
    let mut bench = Bench::begun();
    for (id, method) in [(1, "CONNECT"), (3, "GET")] {
        let mut fields = GET.to_vec();
        fields[0].1 = method;
        fields.push((":protocol", "websocket"));
        assert_eq!(bench.receive_all(&headers(id, false, &fields)), []);
    }
    bench.check_quiescent();
}

#[test]
fn c24_an_upload_goes_on_beside_a_hundred_whose_handlers_read_nothing() {
    let mut bench = Bench::begun_with(Limits {
        max_concurrent_streams: 101,
        ..Limits::default()
    });
    let mut credit = 1_i64 << 20;
    let mut send = |bench: &mut Bench, bytes: Vec<u8>, count: i64| {
        assert!(credit >= count, "the connection has no credit");
        credit -= count;
        bench.receive_all(&bytes);
        for frame in bench.sent() {
            if frame.kind == 8 && frame.stream == 0 {
                credit += i64::from(u32::from_be_bytes(frame.payload.try_into().unwrap()));
            }
        }
    };
    for index in 0..100 {
        bench.request(&post(1 + 2 * index));
        for _ in 0..3 {
            send(&mut bench, data(1 + 2 * index, false, &[0; 16_384]), 16_384);
        }
        send(&mut bench, data(1 + 2 * index, false, &[0; 16_383]), 16_383);
    }
    let upload = bench.request(&post(201));
    for _ in 0..1000 {
        send(&mut bench, data(201, false, &[0; 16_384]), 16_384);
        bench.connection.set_unread(upload, 0, &mut bench.out);
        for frame in bench.sent() {
            if frame.kind == 8 && frame.stream == 0 {
                panic!("the credit of the connection returns with the frame");
            }
        }
    }
    bench.check_quiescent();
}

#[test]
fn c27_requests_that_are_refused_for_their_fields_are_charged() {
    let mut bench = Bench::begun();
    let mut fields = GET.to_vec();
    fields[1].1 = "https";
    for index in 0..100 {
        let bytes = headers(1 + 2 * index, true, &fields);
        let [Event::Refused { stream, .. }] = bench.receive_all(&bytes)[..] else {
            panic!("refused");
        };
        bench.respond(stream);
        bench.out.clear();
    }
    assert_eq!(bench.fail(&headers(201, true, &fields)), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn c29_priorities_of_streams_that_are_not_open_are_not_remembered() {
    let mut bench = Bench::begun();
    let update = |id: u32| frame(0x10, 0, 0, &[&(1 + 2 * id).to_be_bytes()[..], b"u=0"].concat());
    let (rounds, code) = until_ended(&mut bench, 1_000_000, update);
    assert_eq!((rounds, code), (199, CALM));
}

#[test]
fn c31_a_lower_window_during_a_hundred_responses_is_waited_out() {
    let mut bench = Bench::begun();
    bench.receive_all(&window_update(0, 1 << 28));
    for index in 0..100 {
        let stream = bench.request(&get(1 + 2 * index));
        bench.begin_response(stream, 200_000);
    }
    bench.out.clear();
    bench.pump(usize::MAX);
    bench.out.clear();
    bench.receive_all(&settings(&[(4, 0)]));
    assert_eq!(bench.pump(usize::MAX), []);
    bench.receive_all(&settings(&[(4, 200_000)]));
    let sent: usize = bench.pump(usize::MAX).iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sent, 100 * (200_000 - 65_535));
    bench.out.clear();
    bench.check_quiescent();
}

/// Honest clients that resemble an attack.
#[test]
fn clients_that_cancel_half_a_page_or_send_six_continuations_are_served() {
    let mut bench = Bench::begun();
    for index in 0..30 {
        let stream = bench.request(&get(1 + 2 * index));
        if index % 2 == 0 {
            bench.receive_all(&reset(1 + 2 * index, 8));
            bench.connection.release(stream, bench.now, &mut bench.out);
        } else {
            bench.respond(stream);
        }
    }
    let block = block(&GET);
    let mut frames = frame(1, 1, 61, &block[..3]);
    for index in 0..5 {
        frames.extend(frame(9, 0, 61, &block[3 + index..4 + index]));
    }
    frames.extend(frame(9, 4, 61, &block[8..]));
    let stream = bench.request(&frames);
    bench.respond(stream);
    bench.check_quiescent();
}
