//! Attacks by the ids of the project's list, over sockets: each ends its connection, others are answered beside it, and
//! memory stays bounded. `src/http2/tests/attacks.rs` has the same against the machine alone.

use std::time::{Duration, Instant};

use crate::support::server::Server;
use crate::wire::*;

/// The code of a peer that causes too much work.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Growth of memory that an attack may cause. 48 MiB.
const GROWTH_MAX: u64 = 48 << 20;

/// Runs an attack beside an honest client, who is answered within a second.
#[track_caller]
pub(crate) fn survive(name: &str, entries: &[(u16, u32)], flood: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    let server = Server::start("conformance", &[]);
    let before = server.resident_bytes();
    let mut attacker = Http2::open_with(&server, entries);
    for round in 0..2000 {
        if !attacker.try_send(&flood(1 + 2 * round)) {
            break;
        }
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a test measures on a thread outside the shards"
    )]
    let began = Instant::now();
    assert_eq!(Http2::open(&server).get(1, "/").status, 200, "{name}");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{name}: {:?}",
        began.elapsed()
    );
    assert!(server.resident_bytes() < before + GROWTH_MAX, "{name}");
    attacker.end()
}

#[test]
fn c01_rapid_reset() {
    let code = survive("rapid reset", &[], |id| [get(id, "/"), reset(id)].concat());
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

#[test]
fn c02_resets_that_the_peer_provokes() {
    let code = survive("window update of 0", &[], |id| {
        [post(id, "/echo"), window_update(id, 0)].concat()
    });
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

#[test]
fn c03_c04_floods_of_continuations() {
    let whole = |id: u32| match id {
        1 => frame(HEADERS, 1, 1, &[0; 100]),
        _ => frame(9, 0, 1, &[0; 16_384]),
    };
    survive("continuations", &[], whole);
    let empty = |id: u32| match id {
        1 => frame(HEADERS, 1, 1, &[]),
        _ => frame(9, 0, 1, &[]),
    };
    survive("empty continuations", &[], empty);
}

#[test]
fn c05_c06_bombs_of_indices() {
    let bomb = |id: u32| {
        let mut bytes = block(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/"),
        ]);
        bytes.extend(b"\x40\x06cookie\x01a");
        bytes.extend([0xbe; 8000]);
        frame(HEADERS, 5, id, &bytes)
    };
    let code = survive("a bomb of cookies", &[(4, 0)], bomb);
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

#[test]
fn c09_floods_of_control_frames_whose_answers_are_not_read() {
    for (name, flood) in [
        ("ping", frame(PING, 0, 0, &[0; 8]).repeat(100)),
        ("settings", settings(&[]).repeat(100)),
        ("many settings", settings(&vec![(3, 1); 2730])),
        ("unknown frames", frame(0xee, 0, 0, b"").repeat(100)),
    ] {
        let code = survive(name, &[], |_| flood.clone());
        assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{name}: {code:?}");
    }
}

#[test]
fn c11_useless_data() {
    let flood = |id: u32| match id {
        1 => post(1, "/echo"),
        _ => data(1, false, b"").repeat(100),
    };
    let code = survive("empty data", &[], flood);
    assert!(matches!(code, None | Some(ENHANCE_YOUR_CALM)), "{code:?}");
}

/// A peer that reads nothing holds at most what one send and the windows admit.
#[test]
fn c13_clients_that_read_nothing_hold_bounded_memory() {
    let server = Server::start("conformance", &[]);
    let before = server.resident_bytes();
    let mut attackers = Vec::new();
    for _ in 0..10 {
        let mut attacker = Http2::open_with(&server, &[(4, (1 << 31) - 1)]);
        attacker.send(&window_update(0, (1 << 31) - 1 - 65_535));
        for index in 0..100 {
            attacker.send(&get(1 + 2 * index, "/big?n=100000000"));
        }
        attackers.push(attacker);
    }
    assert_eq!(Http2::open(&server).get(1, "/").status, 200);
    assert!(server.resident_bytes() < before + 4 * GROWTH_MAX);
}

#[test]
fn c16_c19_frames_that_no_one_may_send() {
    let server = Server::shared();
    for (bytes, code) in [
        (vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], 6),
        (get(2, "/"), 1),
        (frame(5, 4, 1, &[0, 0, 0, 2]), 1),
        (reset(1), 1),
        (frame(PING, 0, 0, b"short"), 6),
        (frame(HEADERS, 5, 1, &[0x80]), 9),
        (window_update(0, 0), 1),
        (settings(&[(4, 1 << 31)]), 3),
    ] {
        let mut connection = Http2::open(&server);
        connection.send(&bytes);
        assert_eq!(connection.end(), Some(code), "{bytes:02x?}");
    }
}

/// Honest clients that resemble an attack are served.
#[test]
fn a_client_that_cancels_half_a_page_is_served() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    let requests: Vec<u8> = (0..30).flat_map(|index| get(1 + 2 * index, "/stream")).collect();
    connection.send(&requests);
    let resets: Vec<u8> = (0..15).flat_map(|index| reset(1 + 4 * index)).collect();
    connection.send(&resets);
    assert_eq!(connection.get(61, "/").status, 200);
}
