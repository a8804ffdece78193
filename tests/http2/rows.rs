//! Malformed and hostile peers by the ids of the project's list, over sockets. `attacks` has the floods.

use crate::attacks::{ENHANCE_YOUR_CALM, survive};
use crate::support::eventually;
use crate::support::server::Server;
use crate::wire::*;

/// The codes of GOAWAY and RST_STREAM that these tests await.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const COMPRESSION_ERROR: u32 = 9;

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/"),
];

/// Sends bytes on a new connection, which they end with this code.
#[track_caller]
fn ends(server: &Server, bytes: &[u8], code: u32) {
    let mut connection = Http2::open(server);
    connection.try_send(bytes);
    assert_eq!(connection.end(), Some(code), "{bytes:02x?}");
}

/// Sends bytes on a new connection, which reset stream 1 with this code; another request is answered.
#[track_caller]
fn resets(server: &Server, bytes: &[u8], code: u32) {
    let mut connection = Http2::open(server);
    connection.send(bytes);
    let reset = connection.frame_of(RST_STREAM);
    assert_eq!((reset.stream, reset.number(0)), (1, code), "{bytes:02x?}");
    assert_eq!(connection.get(3, "/").status, 200, "{bytes:02x?}");
}

#[test]
fn c07_malformed_blocks() {
    let server = Server::shared();
    let blocks: [&[u8]; 8] = [
        &[0x80],
        &[0xbe],
        &[0x82, 0x20],
        &[0x3f, 0xe2, 0x1f],
        // Huffman: EOS, padding of eight bits, and padding of zeros.
        &[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a'],
        &[0x00, 0x82, 0x1f, 0xff, 0x01, b'a'],
        &[0x00, 0x81, 0x18, 0x01, b'a'],
        &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    ];
    for block in blocks {
        ends(&server, &frame(HEADERS, 5, 1, block), COMPRESSION_ERROR);
    }
}

/// The encoder uses 4 KiB, whatever the peer allows.
#[test]
fn c08_a_table_of_four_gib() {
    let server = Server::shared();
    let mut connection = Http2::open_with(&server, &[(1, u32::MAX)]);
    for index in 0..500 {
        connection.send(&get(1 + 2 * index, &format!("/header?name=x-{index}&value=v{index}")));
        let head = connection.frame_of(HEADERS);
        // No update raises the table.
        assert!(head.payload[0] & 0xe0 != 0x20, "{:02x?}", head.payload);
    }
}

#[test]
fn c10_frames_whose_resets_queue_up() {
    let code = survive("data on half-closed streams", &[(4, 0)], |id| {
        [get(id, "/big?n=100000"), data(id, false, b"x")].concat()
    });
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

/// Windows that open byte by byte: the streams are cut after ten seconds, and the connection after that.
#[test]
fn c12_windows_that_open_byte_by_byte() {
    let server = Server::shared();
    let mut connection = Http2::open_with(&server, &[(4, 0)]);
    for index in 0..20 {
        let id = 1 + 2 * index;
        connection.send(&[get(id, "/big?n=1000000"), window_update(id, 1)].concat());
    }
    let mut cut = 0;
    while cut < 20 {
        let frame = connection.frame().expect("the connection stays");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.number(0), ENHANCE_YOUR_CALM);
            cut += 1;
        }
    }
    connection.send(&[get(41, "/"), window_update(41, 100)].concat());
    assert_eq!(connection.answer(41).status, 200);
}

#[test]
fn c14_malformed_fields() {
    let server = Server::shared();
    let with = |field: (&str, &str)| {
        let mut fields = GET.to_vec();
        fields.push(field);
        frame(HEADERS, 5, 1, &block(&fields))
    };
    for field in [
        ("", "a"),
        ("X-A", "a"),
        ("connection", "close"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("x-a", "b\r\nc"),
        ("x-a", "\0"),
        ("x-a", " b"),
        (":path", "/"),
        (":unknown", "a"),
        ("host", "other"),
    ] {
        resets(&server, &with(field), PROTOCOL_ERROR);
    }
    let mut late = GET.to_vec();
    late.insert(1, ("x-a", "b"));
    resets(&server, &frame(HEADERS, 5, 1, &block(&late)), PROTOCOL_ERROR);
}

#[test]
fn c15_lengths_that_are_not_the_contents() {
    let server = Server::shared();
    let ten = |ends| request(1, "POST", "/echo", ends, &[("content-length", "10")]);
    resets(&server, &ten(true), PROTOCOL_ERROR);
    resets(
        &server,
        &[ten(false), data(1, true, b"nine byte")].concat(),
        PROTOCOL_ERROR,
    );
    resets(
        &server,
        &[ten(false), data(1, false, b"eleven byte")].concat(),
        PROTOCOL_ERROR,
    );
    let early = frame(HEADERS, 5, 1, &block(&[("x-a", "b")]));
    resets(&server, &[ten(false), early].concat(), PROTOCOL_ERROR);
}

#[test]
fn c17_settings_out_of_range_and_negative_windows() {
    let server = Server::shared();
    for (entry, code) in [
        ((5, 0), PROTOCOL_ERROR),
        ((5, 1 << 24), PROTOCOL_ERROR),
        ((4, 1 << 31), FLOW_CONTROL_ERROR),
        ((2, 2), PROTOCOL_ERROR),
    ] {
        ends(&server, &settings(&[entry]), code);
    }
}

#[test]
fn c18_window_updates_that_are_0_too_large_or_for_idle_streams() {
    let server = Server::shared();
    ends(&server, &window_update(0, 0), PROTOCOL_ERROR);
    ends(&server, &window_update(0, (1 << 31) - 1), FLOW_CONTROL_ERROR);
    ends(&server, &window_update(1, 1), PROTOCOL_ERROR);
    resets(
        &server,
        &[post(1, "/echo"), window_update(1, 0)].concat(),
        PROTOCOL_ERROR,
    );
    let overflow = [post(1, "/echo"), window_update(1, (1 << 31) - 1)].concat();
    resets(&server, &overflow, FLOW_CONTROL_ERROR);
    // That of a stream that has ended is ignored.
    let mut connection = Http2::open(&server);
    assert_eq!(connection.get(1, "/").status, 200);
    connection.send(&window_update(1, 1));
    assert_eq!(connection.get(3, "/").status, 200);
}

#[test]
fn c20_a_storm_of_priorities() {
    let code = survive("priorities", &[], |id| frame(2, 0, id, &[0, 0, 0, 0, 7]).repeat(20));
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

#[test]
fn c21_http_1_behind_the_preface() {
    let server = Server::shared();
    let mut connection = Http2::connect(&server);
    connection.send(&[PREFACE, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    assert!(matches!(connection.end(), Some(PROTOCOL_ERROR | 6)));
    let mut connection = server.connect();
    connection.send(b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(connection.response("PRI").unwrap().status >= 400);
}

/// After any attack nothing of it remains: the descriptors are those of before.
#[test]
fn c23_nothing_remains_of_connections_that_ended() {
    let server = Server::start("conformance", &[]);
    // The first request opens what the server keeps open.
    let mut first = Http2::open(&server);
    assert_eq!(first.get(1, "/").status, 200);
    let before = server.open_descriptors();
    for round in 0..50 {
        let mut connection = Http2::open(&server);
        connection.send(&[post(1, "/echo"), data(1, false, b"x"), get(3, "/big?n=1000000")].concat());
        match round % 3 {
            0 => drop(connection.try_send(&window_update(0, 0))),
            1 => drop(connection.try_send(&frame(HEADERS, 5, 5, &[0x80]))),
            _ => {}
        }
        connection.frame_of(SETTINGS);
    }
    eventually("the connections close", || server.open_descriptors() <= before);
}

/// Content that no handler reads does not stop another upload.
#[test]
fn c24_an_upload_beside_handlers_that_read_nothing() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    for index in 0..99 {
        let id = 1 + 2 * index;
        // An event stream reads no content.
        connection.send(&request(id, "GET", "/events", false, &[]));
        for _ in 0..3 {
            connection.send(&data(id, false, &[7; 16_384]));
        }
        connection.send(&data(id, false, &[7; 16_383]));
    }
    connection.send(&post(199, "/echo"));
    let mut window = 65_535;
    let (mut left, mut echoed) = (60_000, 0);
    while left > 0 {
        let piece = left.min(10_000).min(window);
        connection.send(&data(199, piece == left, &vec![1; piece]));
        left -= piece;
        window -= piece;
    }
    loop {
        let frame = connection.frame().expect("the connection stays");
        if frame.stream == 199 && frame.kind == DATA {
            echoed += frame.payload.len();
            if frame.ends_stream() {
                break;
            }
        }
    }
    assert_eq!(echoed, 60_000);
}

/// Eight streams whose client takes nothing, and a download beside them.
#[test]
fn c25_slow_readers_do_not_delay_a_fast_one() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    // The windows of the streams stay at 64 KiB; that of the connection is large.
    connection.send(&window_update(0, 1 << 30));
    for index in 0..8 {
        connection.send(&get(1 + 2 * index, "/big?n=10000000"));
    }
    connection.send(&get(17, "/big?n=5000000"));
    assert_eq!(connection.answer(17).content.len(), 5_000_000);
}

#[test]
fn c27_requests_that_are_refused_for_their_fields() {
    let mut fields = GET.to_vec();
    fields.push(("connection", "close"));
    let bad = block(&fields);
    let code = survive("refused fields", &[], |id| frame(HEADERS, 5, id, &bad));
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

/// The least urgent of many responses is served in the end.
#[test]
fn c28_the_least_urgent_is_served() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&window_update(0, 1 << 30));
    connection.send(&request(1, "GET", "/big?n=200000", true, &[("priority", "u=7")]));
    for index in 1..9 {
        let id = 1 + 2 * index;
        connection.send(&request(id, "GET", "/big?n=20000000", true, &[("priority", "u=0")]));
        connection.send(&window_update(id, 1 << 30));
    }
    assert_eq!(connection.answer(1).content.len(), 200_000);
}

#[test]
fn c29_priorities_of_streams_that_are_not_open() {
    let code = survive("priority updates", &[], |id| {
        let payload = [&id.to_be_bytes()[..], b"u=1"].concat();
        frame(0x10, 0, 0, &payload).repeat(20)
    });
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

/// Windows that a setting makes negative are waited out.
#[test]
fn c31_a_lower_window_during_a_hundred_responses() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&window_update(0, 1 << 30));
    for index in 0..100 {
        connection.send(&get(1 + 2 * index, "/big?n=100000"));
    }
    connection.send(&settings(&[(4, 1000)]));
    while connection.frame_of(SETTINGS).flags == 0 {}
    connection.send(&settings(&[(4, 100_000)]));
    let (mut ended, mut bytes) = (0, 0);
    while ended < 100 {
        let frame = connection.frame().expect("the connection stays");
        assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
        bytes += if frame.kind == DATA { frame.payload.len() } else { 0 };
        ended += u32::from(frame.ends_stream());
    }
    assert!(bytes <= 100 * 100_000, "{bytes}");
}

#[test]
fn c32_paths() {
    let server = Server::shared();
    for path in ["*", "a", "http://a/", "/#a", "/\r\n", "/a b", ""] {
        let mut fields = GET;
        fields[3].1 = path;
        resets(&server, &frame(HEADERS, 5, 1, &block(&fields)), PROTOCOL_ERROR);
    }
    let mut connection = Http2::open(&server);
    assert_eq!(connection.get(1, "//").status, 404);
    let crumbs = vec![("cookie", "a=b"); 101];
    connection.send(&request(3, "GET", "/", true, &crumbs));
    assert_eq!(connection.answer(3).status, 431);
    // DATA behind the end of a request.
    connection.send(&[get(5, "/events"), data(5, false, b"x")].concat());
    let reset = connection.frame_of(RST_STREAM);
    assert_eq!((reset.stream, reset.number(0)), (5, STREAM_CLOSED));
}
