//! Every limit at one less, at the limit, and at one more.

use super::wire::*;
use super::*;

fn refused(bench: &mut Bench, bytes: &[u8]) -> Option<u16> {
    match bench.receive_all(bytes)[..] {
        [Event::Refused { stream, status, .. }] => {
            bench.respond(stream);
            Some(status.as_u16())
        }
        [Event::Request { stream, .. }] => {
            bench.respond(stream);
            None
        }
        ref events => panic!("{events:?}"),
    }
}

/// Names and values of a request besides its four pseudo-fields, with 32 for each.
const PSEUDO_BYTES: usize = 7 + 3 + 7 + 4 + 10 + 1 + 5 + 1 + 4 * 32;

#[test]
fn the_bytes_of_a_head() {
    let limits = Limits {
        max_header_bytes: 1000,
        ..Limits::default()
    };
    for (bytes, status) in [(999, None), (1000, None), (1001, Some(431)), (4000, Some(431))] {
        let mut bench = Bench::begun_with(limits.clone());
        let value = "v".repeat(bytes - PSEUDO_BYTES - 33);
        let mut fields = GET.to_vec();
        fields.push(("n", &value));
        assert_eq!(refused(&mut bench, &headers(1, true, &fields)), status, "{bytes} bytes");
        assert_eq!(refused(&mut bench, &get(3)), None, "the connection goes on");
        bench.check_quiescent();
    }
    // Far above the limit, decoding stops.
    let mut bench = Bench::begun_with(limits);
    let value = "v".repeat(4001 - PSEUDO_BYTES - 33);
    let mut fields = GET.to_vec();
    fields.push(("n", &value));
    assert_eq!(bench.fail(&headers(1, true, &fields)), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn the_number_of_fields_with_crumbs_of_cookie() {
    for (count, status) in [(99, None), (100, None), (101, Some(431))] {
        for name in ["x", "cookie"] {
            let mut bench = Bench::begun();
            let fields = [&GET[..], &vec![(name, "a"); count]].concat();
            assert_eq!(
                refused(&mut bench, &headers(1, true, &fields)),
                status,
                "{count} {name}"
            );
            assert_eq!(refused(&mut bench, &get(3)), None);
        }
    }
}

#[test]
fn the_bytes_of_a_name_and_of_a_target() {
    for (bytes, status) in [(255, None), (256, None), (257, Some(431))] {
        let name = "n".repeat(bytes);
        let mut bench = Bench::begun();
        assert_eq!(
            refused(&mut bench, &with_fields(1, true, &[(&name, "")])),
            status,
            "{bytes} bytes"
        );
    }
    for (bytes, status) in [(8191, None), (8192, None), (8193, Some(414))] {
        let path = format!("/{}", "p".repeat(bytes - 1));
        let mut fields = GET;
        fields[3].1 = &path;
        let mut bench = Bench::begun();
        assert_eq!(refused(&mut bench, &headers(1, true, &fields)), status, "{bytes} bytes");
    }
}

#[test]
fn the_bytes_and_the_number_of_trailers() {
    for (count, status) in [
        (63, None),
        (64, None),
        (65, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
    ] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        let events = bench.receive_all(&headers(1, true, &vec![("x", "a"); count])).len();
        assert_eq!(events, 1);
        let refused = match bench.receive_all(&[post(3), headers(3, true, &vec![("x", "a"); count])].concat())[1] {
            Event::Refused { status, .. } => Some(status),
            _ => None,
        };
        assert_eq!(refused, status, "{count}");
        bench.check_quiescent();
    }
    for (bytes, is_refused) in [(16_383, false), (16_384, false), (16_385, true)] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        // In two frames: a frame holds 16 KiB.
        let value = "v".repeat(bytes - 33);
        let whole = block(&[("x", &value)]);
        let (first, second) = whole.split_at(100);
        let events = bench
            .receive_all(&[frame(1, 1, 1, first), frame(9, 4, 1, second)].concat())
            .len();
        assert_eq!(events, 1);
        let fields = bench.head.fields().len();
        assert_eq!(fields == 0, is_refused, "{bytes}");
    }
}

#[test]
fn the_encoded_bytes_of_a_block_and_its_continuations() {
    let limits = Limits {
        max_block_bytes: 40,
        ..Limits::default()
    };
    let block = block(&GET);
    for (padding, is_ended) in [(0, false), (1, true)] {
        let mut bench = Bench::begun_with(Limits {
            max_block_bytes: block.len() - padding,
            ..limits.clone()
        });
        let (first, second) = block.split_at(5);
        let frames = [frame(1, 1, 1, first), frame(9, 4, 1, second)].concat();
        assert_eq!(bench.try_receive_all(&mut frames.as_slice()).is_err(), is_ended);
    }
    for (count, is_ended) in [(6, false), (7, false), (8, false), (9, true)] {
        let mut bench = Bench::begun();
        let mut frames = frame(1, 1, 1, &block[..block.len() - count]);
        for (index, byte) in block[block.len() - count..].iter().enumerate() {
            frames.extend(frame(9, if index + 1 == count { 4 } else { 0 }, 1, &[*byte]));
        }
        assert_eq!(
            bench.try_receive_all(&mut frames.as_slice()).is_err(),
            is_ended,
            "{count} continuations"
        );
    }
}

#[test]
fn concurrent_streams_with_those_whose_handler_still_runs() {
    let mut bench = Bench::begun();
    let streams: Vec<_> = (0..100).map(|index| bench.request(&get(1 + 2 * index))).collect();
    assert_eq!(bench.receive_all(&get(201)), []);
    assert_eq!(bench.sent()[0].payload, ErrorCode::REFUSED_STREAM.0.to_be_bytes());
    // A reset alone makes no room: the handler has not ended.
    bench.receive_all(&reset(1, 8));
    assert_eq!(bench.receive_all(&get(203)), []);
    bench.connection.release(streams[0], bench.now, &mut bench.out);
    bench.request(&get(205));
    for stream in &streams[1..] {
        bench.respond(*stream);
    }
    bench.check_quiescent();
}

#[test]
fn the_length_of_a_frame_is_judged_by_its_header() {
    for (length, is_ended) in [(16_383, false), (16_384, false), (16_385, true)] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        let header = &data(1, false, &vec![0; length])[..9];
        assert_eq!(bench.try_receive_all(&mut &header[..]).is_err(), is_ended, "{length}");
    }
}

#[test]
fn resets_by_the_peer() {
    let mut bench = Bench::begun();
    for index in 0..100 {
        let stream = bench.request(&get(1 + 2 * index));
        bench.receive_all(&reset(1 + 2 * index, 8));
        bench.connection.release(stream, bench.now, &mut bench.out);
    }
    // Each second forgives ten.
    bench.wait(Duration::from_secs(1));
    for index in 100..110 {
        let stream = bench.request(&get(1 + 2 * index));
        bench.receive_all(&reset(1 + 2 * index, 8));
        bench.connection.release(stream, bench.now, &mut bench.out);
    }
    bench.check_quiescent();
    let last = [get(221), reset(221, 8)].concat();
    assert_eq!(bench.fail(&last), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn control_frames_and_small_data() {
    let ping = frame(6, 0, 0, &[0; 8]);
    // The first SETTINGS was charged.
    for (count, is_ended) in [(198, false), (199, false), (200, true)] {
        let mut bench = Bench::begun();
        assert_eq!(
            bench.try_receive_all(&mut ping.repeat(count).as_slice()).is_err(),
            is_ended,
            "{count}"
        );
    }
    for (bytes, count, is_ended) in [(255, 99, false), (255, 100, false), (255, 101, true), (256, 101, false)] {
        let mut bench = Bench::begun();
        bench.request(&post(1));
        let frames = data(1, false, &vec![b'x'; bytes]).repeat(count);
        assert_eq!(
            bench.try_receive_all(&mut frames.as_slice()).is_err(),
            is_ended,
            "{count} of {bytes}"
        );
    }
    // A handler that takes the content may be sent more.
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    for _ in 0..50 {
        bench.receive_all(&data(1, false, b"x").repeat(100));
        bench.connection.set_unread(stream, 0, &mut bench.out);
    }
    bench.check_quiescent();
}

#[test]
fn output_that_is_not_sent_stops_the_reading() {
    let mut bench = Bench::begun();
    let ping = frame(6, 0, 0, &[0; 8]);
    for (bytes, is_blocked) in [(65_535, false), (65_536, true), (65_537, true)] {
        bench.out = vec![0; bytes];
        let mut input = ping.as_slice();
        bench.receive(&mut input).unwrap();
        assert_eq!(!input.is_empty(), is_blocked, "{bytes}");
    }
    bench.out.clear();
}
