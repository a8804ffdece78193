//! Messages that are malformed, or that are answered with an error.

use super::wire::*;
use super::*;

enum Verdict {
    Malformed,
    Status(u16),
    Accepted,
}

fn check(fields: &[(&str, &str)], ends: bool, verdict: &Verdict) {
    let mut bench = Bench::begun();
    let bytes = headers(1, ends, fields);
    let events = bench.receive_all(&bytes);
    match verdict {
        Verdict::Malformed => {
            assert_eq!(events, [], "{fields:?}");
            let sent = bench.sent();
            assert_eq!(sent[0].payload, ErrorCode::PROTOCOL_ERROR.0.to_be_bytes(), "{fields:?}");
        }
        Verdict::Status(expected) => match events[..] {
            [Event::Refused { status, .. }] => assert_eq!(status.as_u16(), *expected, "{fields:?}"),
            _ => panic!("{fields:?}: {events:?}"),
        },
        Verdict::Accepted => assert!(matches!(events[..], [Event::Request { .. }]), "{fields:?}: {events:?}"),
    }
    // The connection goes on.
    bench.request(&get(3));
    bench.check_quiescent();
}

fn with(fields: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&GET[..], fields].concat()
}

fn changed(index: usize, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields = GET.to_vec();
    fields[index].1 = value;
    fields
}

#[test]
fn c14_malformed_fields_reset_the_stream() {
    for fields in [
        with(&[("", "a")]),
        with(&[("X-Upper", "a")]),
        with(&[("x", "a\r\nb")]),
        with(&[("x", "a\0")]),
        with(&[("x", " a")]),
        with(&[("x", "a\t")]),
        with(&[("connection", "close")]),
        with(&[("keep-alive", "timeout=5")]),
        with(&[("proxy-connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "h2c")]),
        with(&[("te", "gzip")]),
        with(&[("te", "trailers, gzip")]),
        with(&[(":path", "/b")]),
        with(&[("x", "a"), (":authority", "a")]),
        with(&[(":unknown", "a")]),
        with(&[(":status", "200")]),
        with(&[("host", "b")]),
        with(&[("host", "a"), ("host", "b")]),
        with(&[("content-length", "+1")]),
        with(&[("content-length", "1, 1")]),
        with(&[("content-length", "1"), ("content-length", "1")]),
        GET[1..].to_vec(),
        [&GET[..1], &GET[2..]].concat(),
        [&GET[..2], &GET[3..]].concat(),
        GET[..3].to_vec(),
        [&GET[..], &GET[..1]].concat(),
        changed(0, ""),
        changed(0, "G T"),
        changed(2, ""),
        changed(2, "u@a"),
        changed(2, "a,b"),
    ] {
        check(&fields, false, &Verdict::Malformed);
    }
}

#[test]
fn c32_paths_are_absolute_and_have_no_fragment() {
    for path in ["", "*", "a", "http://a/", "/a#b", "/a b", "/\u{e9}", "/a?b#c"] {
        let mut fields = GET.to_vec();
        fields[3].1 = path;
        check(&fields, true, &Verdict::Malformed);
    }
    for path in ["/", "//", "//evil.example/", "/a?b=c?d", "/%zz", "/|\"{}"] {
        let mut fields = GET.to_vec();
        fields[3].1 = path;
        check(&fields, true, &Verdict::Accepted);
    }
    let mut options = changed(3, "*");
    options[0].1 = "OPTIONS";
    check(&options, true, &Verdict::Accepted);
}

#[test]
fn what_can_be_answered_is_answered() {
    check(&changed(1, "https"), true, &Verdict::Status(400));
    check(&changed(1, "ftp"), true, &Verdict::Status(400));
    check(
        &changed(0, "METHOD-OF-MORE-THAN-32-CHARACTERS"),
        true,
        &Verdict::Status(501),
    );
    check(&with(&[("expect", "200-ok")]), false, &Verdict::Status(417));
    check(
        &[(":method", "CONNECT"), (":authority", "a:80")],
        false,
        &Verdict::Status(501),
    );
}

#[test]
fn what_is_unusual_is_accepted() {
    check(&with(&[("te", "trailers")]), true, &Verdict::Accepted);
    check(&with(&[("host", "a")]), true, &Verdict::Accepted);
    check(&with(&[("content-length", "0")]), true, &Verdict::Accepted);
    check(&changed(1, "HTTP"), true, &Verdict::Accepted);
    check(&[GET[0], GET[1], GET[3], ("host", "a:80")], true, &Verdict::Accepted);
    check(&with(&[("x", "\u{e9}\u{ff}"), ("empty", "")]), true, &Verdict::Accepted);
}

#[test]
fn c15_a_length_that_is_not_the_contents_resets_the_stream() {
    check(&with(&[("content-length", "10")]), true, &Verdict::Malformed);
    for frames in [
        vec![data(1, true, b"abc")],
        vec![data(1, false, b"abcde")],
        vec![data(1, false, b"abc"), headers(1, true, &[("x", "a")])],
        vec![data(1, false, b"abcd"), data(1, false, b"e")],
    ] {
        let mut bench = Bench::begun();
        bench.request(&with_fields(1, false, &[("content-length", "4")]));
        let bytes = frames.concat();
        let events = bench.receive_all(&bytes);
        assert!(
            matches!(
                events.last(),
                Some(Event::Reset {
                    code: ErrorCode::PROTOCOL_ERROR,
                    ..
                })
            ),
            "{events:?}"
        );
        assert!(!events.iter().any(|event| matches!(event, Event::End { .. })));
        bench.check_quiescent();
    }
}

#[test]
fn trailers_may_not_have_pseudo_fields_and_must_end_the_stream() {
    for (ends, fields) in [
        (true, vec![(":path", "/")]),
        (true, vec![("x", "a"), (":status", "200")]),
        (true, vec![("connection", "close")]),
        (true, vec![("X", "a")]),
        (false, vec![("x", "a")]),
    ] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        let bytes = headers(1, ends, &fields);
        let events = bench.receive_all(&bytes);
        assert!(
            matches!(
                events[..],
                [Event::Reset {
                    code: ErrorCode::PROTOCOL_ERROR,
                    ..
                }]
            ),
            "{fields:?}"
        );
        bench.check_quiescent();
    }
}
