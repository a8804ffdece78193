//! Counts the allocations of the HTTP/2 machine: none for a request and its response, once the buffers are warm.
//!
//! This is a test binary of its own, because the counting allocator counts for the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail it by panicking; clippy.toml excuses only the test functions themselves"
)]

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use squall::http2::{Connection, Event, Limits, PREFACE, ResponseStart};
use squall::message::{HttpDate, MediaType, RequestHead, ResponseHead};

/// The bytes of a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET whose authority and user agent the table stores, then one of indices alone.
fn blocks() -> [Vec<u8>; 2] {
    let first = b"\x82\x86\x84\x41\x09localhost\x7a\x04curl".to_vec();
    [first, vec![0x82, 0x86, 0x84, 0xbf, 0xbe]]
}

#[test]
fn a_request_over_http_2_allocates_nothing_in_the_machine() {
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    let now = Instant::now();
    let mut connection = Connection::server(Rc::new(Limits::default()), false, now);
    let (mut head, mut out) = (RequestHead::new(), Vec::with_capacity(64 * 1024));
    connection.begin(now, &mut out);
    let [first, later] = blocks();
    let begin = [&PREFACE[..], &frame(4, 0, 0, b""), &frame(1, 5, 1, &first)].concat();
    let requests: Vec<_> = (1..1000).map(|index| frame(1, 5, 1 + 2 * index, &later)).collect();
    let date = HttpDate::from(SystemTime::UNIX_EPOCH);
    let response = ResponseHead {
        content_type: Some(MediaType::Text),
        ..ResponseHead::default()
    };
    let mut serve = |mut input: &[u8]| {
        out.clear();
        loop {
            match connection.receive(&mut input, &mut head, now, &mut out).unwrap() {
                Event::NeedData => return out.len(),
                Event::Request { stream, .. } => {
                    assert_eq!(head.authority(), "localhost");
                    let start = ResponseStart {
                        head: &response,
                        length: Some(13),
                        ends: false,
                        date: &date,
                    };
                    connection.send_head(stream, start, &mut out).unwrap();
                    connection.send_last(stream, b"Hello, World!", None, &mut out).unwrap();
                    connection.release(stream, now, &mut out);
                }
                event => panic!("{event:?}"),
            }
        }
    };
    serve(&begin);
    let (warm, counted) = requests.split_at(10);
    for request in warm {
        serve(request);
    }
    let measured = allocation_counter::measure(|| {
        for request in counted {
            // Two frames: a head of indices with a length, and the content.
            assert_eq!(serve(request), 9 + 8 + 9 + 13);
        }
    });
    assert_eq!(measured.count_total, 0);
}
