//! Autobahn's sections 9 and 10, and the limits of messages and fragments.

use super::super::{Limits, ProtocolError as Error};
use super::transcript::{Seen, run_pieces, run_with};
use super::{BINARY, CONTINUATION, FIN, TEXT, masked, plain};

fn small() -> Limits {
    Limits::default().max_message_bytes(200).max_fragments(4)
}

/// 9.1, 9.2, 9.7, 9.8: up to the limit, in pieces of a socket's size.
#[test]
fn large_messages_are_echoed() {
    let limits = Limits::default();
    for first in [TEXT, BINARY] {
        for length in [64 << 10, 256 << 10, 1 << 20] {
            let payload = vec![b'*'; length];
            let frame = masked(FIN | first, &payload);
            for piece in [64, 1000, 16384] {
                let outcome = run_pieces(frame.chunks(piece), &limits, None);
                assert!(outcome.sent == plain(FIN | first, &payload), "{length} in {piece}");
            }
        }
    }
}

/// 9.3, 9.4, 10.1: fragments of every size within their limit.
#[test]
fn fragmented_messages_are_assembled() {
    let payload = vec![b'*'; 65536];
    for size in [64, 256, 1300, 4096, 65536] {
        let mut bytes = Vec::new();
        for (number, piece) in payload.chunks(size).enumerate() {
            let fin = if (number + 1) * size >= payload.len() { FIN } else { 0 };
            bytes.extend(masked(fin | if number == 0 { TEXT } else { CONTINUATION }, piece));
        }
        let outcome = run_pieces(bytes.chunks(1000), &Limits::default(), None);
        assert!(outcome.sent == plain(FIN | TEXT, &payload), "{size}");
    }
}

/// Limit − 1, limit, limit + 1, whole and in fragments.
#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    for length in [199, 200, 201, 300] {
        let payload = vec![b'x'; length];
        let whole = masked(FIN | BINARY, &payload);
        let (first, last) = payload.split_at(120);
        let fragments = [masked(BINARY, first), masked(FIN | CONTINUATION, last)].concat();
        let empty_end = [masked(BINARY, &payload), masked(FIN | CONTINUATION, b"")].concat();
        for bytes in [whole, fragments, empty_end] {
            let outcome = run_with(&bytes, &small(), || None);
            if length <= 200 {
                assert_eq!(outcome.events, [Seen::Binary(payload.clone())], "{length}");
            } else {
                assert_eq!(outcome.error, Some(Error::MessageTooBig), "{length}");
                assert_eq!(outcome.sent[2..4], [0x03, 0xf1], "1009");
            }
        }
    }
}

/// Fragments of one byte, and empty ones (`docs/threats.md#many-fragments`).
#[test]
fn empty_fragments_count_too() {
    for piece in [&b""[..], b"x"] {
        for count in [4, 5] {
            let mut bytes = masked(TEXT, piece);
            for _ in 2..count {
                bytes.extend(masked(CONTINUATION, piece));
            }
            bytes.extend(masked(FIN | CONTINUATION, piece));
            let outcome = run_with(&bytes, &small(), || None);
            if count == 4 {
                assert_eq!(outcome.events, [Seen::Text("x".repeat(piece.len() * 4))]);
            } else {
                assert_eq!((outcome.error, outcome.events), (Some(Error::TooManyFragments), vec![]));
                assert_eq!(outcome.sent[2..4], [0x03, 0xf0], "1008");
            }
        }
    }
}
