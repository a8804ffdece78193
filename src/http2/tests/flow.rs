//! Flow control in both directions.

use super::wire::*;
use super::*;

/// The updates that were written, by stream.
fn updates(bench: &mut Bench) -> Vec<(u32, u32)> {
    let number = |payload: &[u8]| u32::from_be_bytes(payload.try_into().unwrap());
    let frames = bench.sent().into_iter().filter(|frame| frame.kind == 8);
    frames.map(|frame| (frame.stream, number(&frame.payload))).collect()
}

#[test]
fn the_first_send_opens_the_window_of_the_connection() {
    let mut bench = Bench::new();
    let sent = bench.sent();
    assert_eq!(
        sent.iter().map(|frame| (frame.kind, frame.stream)).collect::<Vec<_>>(),
        [(4, 0), (8, 0)]
    );
    assert_eq!(
        sent[0].payload,
        [0, 3, 0, 0, 0, 100, 0, 6, 0, 0, 128, 0, 0, 9, 0, 0, 0, 1]
    );
    assert_eq!(sent[1].payload, (1_048_576_u32 - 65_535).to_be_bytes());
}

/// A stream gets credit as its handler takes content, the connection as content lies in a buffer.
#[test]
fn credit_returns_to_the_stream_when_content_is_taken() {
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    for _ in 0..3 {
        bench.receive_all(&data(1, false, &[b'x'; 16_384]));
    }
    assert_eq!(updates(&mut bench), [], "nothing was taken");
    bench.connection.set_unread(stream, 32_768, &mut bench.out);
    assert_eq!(updates(&mut bench), [], "less than half a window is free");
    bench.connection.set_unread(stream, 16_384, &mut bench.out);
    assert_eq!(updates(&mut bench), [(1, 32_768)]);
    bench.check_quiescent();
}

#[test]
fn the_window_of_a_stream_grows_while_its_handler_keeps_up() {
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    let mut granted = 65_535_u64;
    let mut received = 0_u64;
    let mut largest = 0;
    for _ in 0..4000 {
        bench.receive_all(&data(1, false, &[b'x'; 8192]));
        received += 8192;
        bench.connection.set_unread(stream, 0, &mut bench.out);
        for (id, increment) in updates(&mut bench) {
            if id == 1 {
                granted += u64::from(increment);
            }
        }
        largest = largest.max(granted - received);
    }
    assert!(largest > 4 << 20, "{largest}");
    assert!(largest <= 8 << 20, "{largest}");
    bench.check_quiescent();
}

#[test]
fn a_handler_that_reads_slowly_keeps_the_first_window() {
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    let mut credit = 65_535_u32;
    for _ in 0..200 {
        while credit >= 8192 {
            bench.receive_all(&data(1, false, &[b'x'; 8192]));
            credit -= 8192;
        }
        let unread = bench.connection.streams.get(stream).unwrap().unread_bytes;
        assert!(unread <= 65_535);
        bench
            .connection
            .set_unread(stream, unread.saturating_sub(8192), &mut bench.out);
        credit += updates(&mut bench)
            .iter()
            .filter(|(id, _)| *id == 1)
            .map(|(_, bytes)| bytes)
            .sum::<u32>();
    }
    bench.check_quiescent();
}

#[test]
fn a_window_is_raised_at_once_for_a_handler_that_wants_all() {
    let mut bench = Bench::begun();
    let stream = bench.request(&with_fields(1, false, &[("content-length", "700000")]));
    bench.connection.raise_window(stream, 700_000, &mut bench.out);
    assert_eq!(updates(&mut bench), [(1, 700_000 - 65_535)]);
    let large = bench.request(&with_fields(3, false, &[("content-length", "70000000")]));
    bench.connection.raise_window(large, 70_000_000, &mut bench.out);
    assert_eq!(updates(&mut bench), [(3, (1 << 20) - 65_535)]);
    // Content that fits the window needs no more credit.
    let small = bench.request(&with_fields(5, false, &[("content-length", "60000")]));
    bench.receive_all(&data(5, false, &[b'x'; 16_384]));
    bench.receive_all(&data(5, false, &[b'x'; 16_384]));
    bench.receive_all(&data(5, false, &[b'x'; 16_384]));
    bench.connection.set_unread(small, 0, &mut bench.out);
    assert_eq!(updates(&mut bench), []);
    bench.check_quiescent();
}

#[test]
fn padding_gives_its_credit_back() {
    let mut bench = Bench::begun();
    bench.request(&post(1));
    let padded = frame(0, 8, 1, &[&[255], &[b'x'; 256][..], &[0; 255]].concat());
    let mut credit = [65_535_i64, 1 << 20];
    for round in 0..5000 {
        bench.receive_all(&padded);
        credit.iter_mut().for_each(|credit| *credit -= 512);
        let stream = bench.connection.streams.find(1).unwrap();
        bench.connection.set_unread(stream, 0, &mut bench.out);
        for (id, increment) in updates(&mut bench) {
            credit[usize::from(id == 0)] += i64::from(increment);
        }
        assert!(credit.iter().all(|credit| *credit >= 512), "round {round}: {credit:?}");
    }
    bench.check_quiescent();
}

/// RFC 9113 §6.9.2: a setting may make windows negative, and the machine waits them out.
#[test]
fn a_lower_initial_window_makes_windows_negative() {
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    bench.begin_response(stream, 100_000);
    assert_eq!(
        bench.pump(usize::MAX).iter().map(|(_, bytes)| bytes).sum::<usize>(),
        65_535
    );
    bench.receive_all(&[settings(&[(4, 10)]), window_update(0, 1 << 20)].concat());
    assert_eq!(bench.pump(usize::MAX), []);
    bench.receive_all(&window_update(1, 65_525));
    assert_eq!(bench.pump(usize::MAX), [], "the window is 0 now");
    bench.receive_all(&window_update(1, 7));
    assert_eq!(bench.pump(usize::MAX), [(1, 7)]);
    bench.receive_all(&settings(&[(4, 1 << 20)]));
    let rest: usize = bench.pump(usize::MAX).iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(rest, 100_000 - 65_535 - 7);
    bench.connection.send_last(stream, b"", None, &mut bench.out).unwrap();
    bench.connection.release(stream, bench.now, &mut bench.out);
    bench.check_quiescent();
}

#[test]
fn a_stream_with_nothing_to_send_reserves_no_window() {
    let mut bench = Bench::begun();
    let silent = bench.request(&get(1));
    let busy = bench.request(&get(3));
    bench.send_head(silent, &ResponseHead::new(StatusCode::OK), None, false);
    bench.begin_response(busy, 65_535);
    assert_eq!(
        bench.pump(usize::MAX).iter().map(|(_, bytes)| bytes).sum::<usize>(),
        65_535
    );
    bench.check_quiescent();
}
