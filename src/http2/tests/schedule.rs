//! Whose turn it is (RFC 9218 §10).

use super::wire::*;
use super::*;

/// A connection whose windows are open, with a response of `bytes` bytes for each priority; ids are 1, 3, 5 and so on.
fn responses(priorities: &[Option<&str>], bytes: usize) -> Bench {
    let mut bench = Bench::begun();
    bench.receive_all(&[settings(&[(4, (1 << 31) - 1)]), window_update(0, 1 << 30)].concat());
    for (index, priority) in priorities.iter().enumerate() {
        let id = 1 + 2 * u32::try_from(index).unwrap();
        let fields: Vec<_> = priority.iter().map(|value| ("priority", *value)).collect();
        let stream = bench.request(&with_fields(id, true, &fields));
        bench.begin_response(stream, bytes);
    }
    bench.out.clear();
    bench
}

/// How much each stream was sent.
fn shares(bench: &mut Bench, bytes: usize) -> Vec<usize> {
    let mut shares = vec![0; 10];
    for (id, sent) in bench.pump(bytes) {
        shares[(id as usize - 1) / 2] += sent;
    }
    bench.out.clear();
    shares.truncate(shares.iter().rposition(|share| *share > 0).map_or(0, |last| last + 1));
    shares
}

const KIB: usize = 1024;

#[test]
fn the_more_urgent_go_first() {
    let mut bench = responses(&[Some("u=5"), Some("u=1"), Some("u=3")], 64 * KIB);
    let order: Vec<_> = bench.pump(usize::MAX).iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [[3; 4], [5; 4], [1; 4]].concat());
    bench.check_quiescent();
}

#[test]
fn responses_that_are_useful_only_whole_go_in_order() {
    let mut bench = responses(&[Some("u=3"), Some("u=3"), Some("u=3")], 48 * KIB);
    let order: Vec<_> = bench.pump(usize::MAX).iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [1, 1, 1, 3, 3, 3, 5, 5, 5]);
    bench.check_quiescent();
}

#[test]
fn incremental_responses_take_turns_of_16_kib() {
    let mut bench = responses(&[Some("i"), Some("i"), None], 48 * KIB);
    let order: Vec<_> = bench.pump(usize::MAX);
    assert!(order.iter().all(|(_, bytes)| *bytes == 16 * KIB), "{order:?}");
    let order: Vec<_> = order.iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [1, 3, 5, 1, 3, 5, 1, 3, 5]);
    bench.check_quiescent();
}

/// Two downloads without a priority share the connection within one turn.
#[test]
fn two_large_downloads_share_the_connection() {
    let mut bench = responses(&[None, None], 8 << 20);
    let shares = shares(&mut bench, 4 << 20);
    assert!(shares[0].abs_diff(shares[1]) <= 16 * KIB, "{shares:?}");
    bench.check_quiescent();
}

#[test]
fn those_in_order_count_as_one_beside_the_incremental() {
    let mut bench = responses(&[Some(""), Some(""), Some("i")], 1 << 20);
    assert_eq!(shares(&mut bench, 256 * KIB), [128 * KIB, 0, 128 * KIB]);
    bench.check_quiescent();
}

#[test]
fn c28_the_least_urgent_is_served_in_the_end() {
    let priorities: Vec<_> = std::iter::repeat_n(Some("u=0"), 9).chain([Some("u=7")]).collect();
    let mut bench = responses(&priorities, 64 << 20);
    let shares = shares(&mut bench, 64 << 20);
    assert!(shares[9] >= (64 << 20) / 128, "{shares:?}");
    bench.check_quiescent();
}

#[test]
fn a_priority_update_moves_a_response_to_the_front() {
    let mut bench = responses(&[None, None], 1 << 20);
    bench.receive_all(&frame(0x10, 0, 0, b"\0\0\0\x03u=0"));
    assert_eq!(shares(&mut bench, 160 * KIB), [0, 160 * KIB]);
    bench.check_quiescent();
}

/// A response that waits for its own window delays no other one.
#[test]
fn c25_slow_readers_do_not_delay_a_fast_one() {
    let mut bench = Bench::begun();
    bench.receive_all(&window_update(0, 1 << 30));
    for index in 0..9 {
        let stream = bench.request(&get(1 + 2 * index));
        bench.begin_response(stream, 1 << 20);
    }
    bench.receive_all(&window_update(17, 1 << 24));
    let sent = bench.pump(usize::MAX);
    let of = |id| {
        sent.iter()
            .filter(|(sent, _)| *sent == id)
            .map(|(_, bytes)| bytes)
            .sum::<usize>()
    };
    assert_eq!((of(1), of(17)), (65_535, 1 << 20));
    bench.check_quiescent();
}

#[test]
fn short_content_need_not_wait_for_its_turn() {
    let mut bench = responses(&[None], 1 << 20);
    let stream = bench.request(&get(3));
    assert!(bench.connection.fits(stream, 4096));
    assert!(!bench.connection.fits(stream, 4097));
    bench.check_quiescent();
}
