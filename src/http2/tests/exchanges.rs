//! Responses: heads, ends, trailers, what is dropped, and the graceful end.

use super::super::hpack::Decoder;
use super::super::{Expired, SendError};
use super::wire::*;
use super::*;
use crate::message::{HeaderName, HeaderValue, Headers, header};

/// Decodes the fields of a frame with a block.
fn fields(decoder: &mut Decoder, frame: &Frame) -> Vec<(String, String)> {
    let (mut block, mut out, mut fields) = (frame.payload.as_slice(), Vec::new(), Vec::new());
    decoder.begin_block();
    while let Some(field) = decoder.next_field(&mut block, &mut out).unwrap() {
        let text = String::from_utf8(out.clone()).unwrap();
        let (name, value) = text.split_at(field.name_bytes);
        fields.push((name.to_owned(), value.to_owned()));
        out.clear();
    }
    fields
}

fn head(status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
    for (name, value) in fields {
        head.headers
            .add(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    head
}

#[test]
fn a_response_has_its_fields_and_those_of_the_machine() {
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    let response = head(
        200,
        &[
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("x-a", " b "),
            ("set-cookie", "c=d"),
        ],
    );
    bench.send_head(stream, &response, Some(3), false);
    bench
        .connection
        .send_last(stream, b"abc", None, &mut bench.out)
        .unwrap();
    bench.connection.release(stream, bench.now, &mut bench.out);
    let sent = bench.sent();
    assert_eq!(
        fields(&mut Decoder::new(), &sent[0]),
        [
            (":status", "200"),
            ("x-a", "b"),
            ("set-cookie", "c=d"),
            ("content-length", "3"),
            ("date", "Thu, 01 Jan 1970 00:00:00 GMT")
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(
        (sent[0].flags, sent[1].flags, sent[1].payload.as_slice()),
        (4, 1, &b"abc"[..])
    );
    assert_eq!(sent.len(), 2);
    bench.check_quiescent();
}

/// The peer applies its new limit when the acknowledgement comes (RFC 7541 §4.2, RFC 9113 §4.3.1). So the next block
/// begins with the update, whether or not the encoder has used its table.
#[test]
fn the_block_behind_an_acknowledged_table_size_begins_with_the_update() {
    const EMPTY: &[u8] = &[0x20];
    const WHOLE: &[u8] = &[0x3f, 0xe1, 0x1f];
    let cases: [(&[&[u32]], Vec<u8>); 10] = [
        (&[&[0]], EMPTY.to_vec()),
        (&[&[30]], vec![0x3e]),
        (&[&[4096]], vec![]),
        (&[&[u32::MAX]], vec![]),
        (&[&[0, 4096]], [EMPTY, WHOLE].concat()),
        (&[&[0, u32::MAX]], [EMPTY, WHOLE].concat()),
        (&[&[30, 0, 20]], [EMPTY, &[0x34]].concat()),
        (&[&[0], &[4096]], [EMPTY, WHOLE].concat()),
        (&[&[20], &[0], &[10], &[5]], [EMPTY, &[0x25]].concat()),
        (&[&[u32::MAX, 30], &[20]], vec![0x34]),
    ];
    for (frames, expected) in cases {
        for is_table_used in [false, true] {
            let mut bench = Bench::begun();
            let mut decoder = Decoder::new();
            if is_table_used {
                let stream = bench.request(&get(1));
                bench.send_head(stream, &head(200, &[("x-a", "b")]), Some(0), true);
                fields(&mut decoder, &bench.sent()[0]);
            }
            // The request of a block that precedes the change.
            let before = bench.request(&get(3));
            let after = bench.request(&get(5));
            bench.send_head(before, &head(200, &[("x-a", "b")]), Some(0), true);
            for sizes in frames {
                let entries: Vec<_> = sizes.iter().map(|size| (1, *size)).collect();
                assert_eq!(bench.receive_all(&settings(&entries)), []);
            }
            bench.send_head(after, &head(200, &[("x-a", "b")]), Some(0), true);
            let sent = bench.sent();
            let (first, last) = (&sent[0], &sent[sent.len() - 1]);
            let acknowledged = &sent[1..sent.len() - 1];
            assert!(
                acknowledged.iter().all(|frame| (frame.kind, frame.flags) == (4, 1)),
                "{sent:?}"
            );
            assert_eq!(acknowledged.len(), frames.len());
            assert_eq!(first.payload[0], 0x88, "{frames:?}");
            assert_eq!(
                last.payload[..expected.len() + 1],
                [&expected[..], &[0x88]].concat(),
                "{frames:?}"
            );
            assert_eq!(fields(&mut decoder, first), fields(&mut decoder, last), "{frames:?}");
        }
    }
}

/// An interim head, and trailers, are blocks too.
#[test]
fn the_update_of_the_table_size_precedes_interim_heads_and_trailers() {
    let mut bench = Bench::begun();
    let stream = bench.request(&with_fields(1, false, &[("expect", "100-continue")]));
    assert_eq!(bench.receive_all(&settings(&[(1, 0)])), []);
    bench.connection.send_continue(stream, &mut bench.out);
    bench.send_head(stream, &head(200, &[]), None, false);
    assert_eq!(bench.receive_all(&settings(&[(1, 10)])), []);
    let trailers = head(200, &[("x-checksum", "7")]).headers;
    bench
        .connection
        .send_last(stream, b"a", Some(&trailers), &mut bench.out)
        .unwrap();
    let sent = bench.sent();
    let blocks: Vec<_> = sent.iter().filter(|frame| frame.kind == 1).collect();
    let first_bytes: Vec<_> = blocks.iter().map(|frame| frame.payload[0]).collect();
    assert_eq!(first_bytes, [0x20, 0x88, 0x2a], "{sent:?}");
}

/// The second head on a connection is indices alone.
#[test]
fn a_repeated_head_is_a_few_bytes() {
    let mut bench = Bench::begun();
    for id in [1, 3] {
        let stream = bench.request(&get(id));
        bench.send_head(stream, &head(200, &[("content-type", "text/plain")]), Some(0), true);
        bench.connection.release(stream, bench.now, &mut bench.out);
    }
    let sent = bench.sent();
    assert_eq!((sent[0].flags, sent[1].flags), (5, 5));
    assert!(sent[1].payload.len() <= 7, "{:02x?}", sent[1].payload);
}

#[test]
fn head_204_and_304_have_no_content() {
    let (mut bench, mut decoder) = (Bench::begun(), Decoder::new());
    for (id, method, status) in [(1, "HEAD", 200), (3, "GET", 204), (5, "GET", 304)] {
        let mut request = GET;
        request[0].1 = method;
        let stream = bench.request(&headers(id, true, &request));
        bench.send_head(stream, &head(status, &[]), Some(3), false);
        bench.connection.send_data(stream, b"abc", &mut bench.out).unwrap();
        bench
            .connection
            .send_last(stream, b"def", None, &mut bench.out)
            .unwrap();
        bench.connection.release(stream, bench.now, &mut bench.out);
        let sent = bench.sent();
        assert_eq!(sent.len(), 1, "{method} {status}");
        let sent_fields = fields(&mut decoder, &sent[0]);
        assert_eq!((sent[0].kind, sent[0].flags & 1), (1, 1));
        let has_length = sent_fields.iter().any(|(name, _)| name == "content-length");
        assert_eq!(has_length, method == "HEAD", "{sent_fields:?}");
    }
    bench.check_quiescent();
}

#[test]
fn trailers_follow_content_of_known_and_unknown_length() {
    let mut trailers = Headers::new();
    trailers.add(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    for length in [Some(2), None] {
        let mut bench = Bench::begun();
        let stream = bench.request(&get(1));
        bench.send_head(stream, &head(200, &[]), length, false);
        bench
            .connection
            .send_last(stream, b"ok", Some(&trailers), &mut bench.out)
            .unwrap();
        bench.connection.release(stream, bench.now, &mut bench.out);
        let sent = bench.sent();
        let kinds: Vec<_> = sent.iter().map(|frame| (frame.kind, frame.flags)).collect();
        assert_eq!(kinds, [(1, 4), (0, 0), (1, 5)]);
        let mut decoder = Decoder::new();
        fields(&mut decoder, &sent[0]);
        assert_eq!(
            fields(&mut decoder, &sent[2]),
            [("grpc-status".to_owned(), "0".to_owned())]
        );
        bench.check_quiescent();
    }
}

#[test]
fn mistakes_of_the_application_write_nothing() {
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    let date = date();
    let try_head = |bench: &mut Bench, response: &ResponseHead, length| {
        let start = ResponseStart {
            head: response,
            length,
            ends: false,
            date: &date,
        };
        bench.connection.send_head(stream, start, &mut bench.out)
    };
    assert_eq!(
        bench.connection.send_data(stream, b"x", &mut bench.out),
        Err(SendError::HeadNotSent)
    );
    assert_eq!(
        try_head(&mut bench, &head(101, &[]), None),
        Err(SendError::UpgradeNotAsked)
    );
    assert_eq!(
        try_head(&mut bench, &head(200, &[("content-length", "x")]), None),
        Err(SendError::ContentLengthInvalid)
    );
    assert_eq!(
        try_head(&mut bench, &head(200, &[("content-length", "4")]), Some(3)),
        Err(SendError::ContentLengthMismatch)
    );
    assert_eq!(bench.sent(), []);
    assert_eq!(
        try_head(&mut bench, &head(200, &[("content-length", "4")]), None),
        Ok(())
    );
    assert_eq!(
        try_head(&mut bench, &head(200, &[]), None),
        Err(SendError::HeadAlreadySent)
    );
    bench.out.clear();
    assert_eq!(
        bench.connection.send_data(stream, b"12345", &mut bench.out),
        Err(SendError::BodyTooLong)
    );
    assert_eq!(
        bench.connection.send_last(stream, b"123", None, &mut bench.out),
        Err(SendError::BodyTooShort)
    );
    let mut trailers = Headers::new();
    trailers.add(header::HOST, HeaderValue::from_static("a"));
    assert_eq!(
        bench
            .connection
            .send_last(stream, b"1234", Some(&trailers), &mut bench.out),
        Err(SendError::TrailerForbidden)
    );
    assert_eq!(bench.sent(), []);
    bench.check_quiescent();
}

#[test]
fn a_large_head_is_continued() {
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    let mut large = head(200, &[]);
    let value = HeaderValue::from_bytes(&[b'~'; 60_000]).unwrap();
    large.headers.add(HeaderName::from_static("x-big"), value);
    bench.send_head(stream, &large, Some(0), true);
    let sent = bench.sent();
    let kinds: Vec<_> = sent.iter().map(|frame| (frame.kind, frame.flags)).collect();
    assert_eq!(kinds, [(1, 1), (9, 0), (9, 0), (9, 4)]);
    let whole = Frame {
        payload: sent.iter().flat_map(|frame| frame.payload.clone()).collect(),
        ..sent[0].clone()
    };
    assert_eq!(fields(&mut Decoder::new(), &whole)[1].1.len(), 60_000);
}

#[test]
fn a_100_is_sent_only_where_it_is_awaited() {
    let mut bench = Bench::begun();
    let waiting = bench.request(&with_fields(1, false, &[("expect", "100-continue")]));
    bench.connection.send_continue(waiting, &mut bench.out);
    bench.connection.send_continue(waiting, &mut bench.out);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        fields(&mut Decoder::new(), &sent[0]),
        [(":status".to_owned(), "100".to_owned())]
    );
    let sending = bench.request(&with_fields(3, false, &[("expect", "100-continue")]));
    bench.receive_all(&data(3, false, b"x"));
    bench.connection.send_continue(sending, &mut bench.out);
    assert_eq!(bench.sent(), []);
    bench.check_quiescent();
}

/// RFC 9113 §8.1: the rest of an unread request is refused with NO_ERROR.
#[test]
fn a_response_before_the_end_of_its_request_resets_the_stream_without_an_error() {
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    bench.respond(stream);
    let sent = bench.sent();
    assert_eq!(
        sent.iter().map(|frame| (frame.kind, frame.flags)).collect::<Vec<_>>(),
        [(1, 5), (3, 0)]
    );
    assert_eq!(sent[1].payload, [0; 4]);
    // What was on its way is dropped, and its credit returns.
    for _ in 0..40 {
        assert_eq!(bench.receive_all(&data(1, false, &[b'x'; 16_384])), []);
    }
    assert!(bench.sent().iter().all(|frame| frame.kind == 8 && frame.stream == 0));
    bench.check_quiescent();
}

#[test]
fn a_graceful_end_names_the_last_stream_after_those_that_crossed() {
    let mut bench = Bench::begun();
    let first = bench.request(&get(1));
    bench.connection.go_away(bench.now, &mut bench.out);
    let announced = bench.sent();
    assert_eq!(
        (announced[0].kind, &announced[0].payload[..8]),
        (7, &[0x7f, 255, 255, 255, 0, 0, 0, 0][..])
    );
    let crossed = bench.request(&get(3));
    bench.wait(Duration::from_secs(1));
    assert_eq!(
        bench.connection.handle_deadline(bench.now, &mut bench.out),
        Some(Expired::GoneAway)
    );
    let named = bench.sent();
    assert_eq!(
        (named[0].kind, &named[0].payload[..8]),
        (7, &[0, 0, 0, 3, 0, 0, 0, 0][..])
    );
    assert_eq!(bench.receive_all(&get(5)), [], "a later stream is ignored");
    assert!(!bench.connection.is_finished());
    bench.respond(first);
    bench.respond(crossed);
    assert!(bench.connection.is_finished());
    bench.check_quiescent();
}
