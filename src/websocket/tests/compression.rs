//! Autobahn's sections 12 and 13, RFC 7692's examples, and compression bombs.

use super::super::window::SlidingWindow;
use super::super::{
    Deflate, DeflateConfig, Deflaters, Encoding, Limits, Payload, ProtocolError as Error, WindowBits, encode,
};
use super::handshakes::{offer, offer_to};
use super::pair::Pair;
use super::transcript::{Seen, run_pieces, run_with};
use super::{BINARY, CONTINUATION, FIN, PING, RSV1, TEXT, deflaters, masked, plain};

fn no_takeover() -> Option<Deflate> {
    offer("permessage-deflate").map(|(_, deflate)| deflate)
}

fn takeover() -> DeflateConfig {
    DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true)
        .min_compressed_bytes(0)
}

/// With takeover both ways, in a server that keeps windows of `deflaters` for it.
fn with_takeover() -> Option<Deflate> {
    offer_to(&takeover(), "permessage-deflate", &deflaters()).map(|(_, deflate)| deflate)
}

/// RFC 7692 §7.2.3.1, 7.2.3.3 to 7.2.3.5: ways to write "Hello".
#[test]
fn the_examples_of_the_rfc_inflate() {
    let ways: [&[u8]; 5] = [
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        // A final block at the end.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
    ];
    let hello = Seen::Text("Hello".to_owned());
    for payload in ways {
        let whole = masked(FIN | RSV1 | TEXT, payload);
        assert_eq!(
            run_with(&whole, &Limits::default(), no_takeover).events,
            std::slice::from_ref(&hello)
        );
        let (first, last) = payload.split_at(3);
        let fragments = [
            masked(RSV1 | TEXT, first),
            masked(FIN | PING, b""),
            masked(FIN | CONTINUATION, last),
        ]
        .concat();
        let outcome = run_with(&fragments, &Limits::default(), no_takeover);
        assert_eq!(outcome.events, [Seen::Ping(Vec::new()), hello.clone()]);
    }
}

/// RFC 7692 §7.2.3.2: the second message refers to the first.
#[test]
fn the_example_of_context_takeover_inflates() {
    let (first, second) = (b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00");
    let bytes = [
        masked(FIN | RSV1 | TEXT, first),
        masked(FIN | TEXT, b"plain messages are not in the window"),
        masked(FIN | RSV1 | TEXT, second),
        masked(FIN | RSV1 | TEXT, second),
    ]
    .concat();
    let hello = Seen::Text("Hello".to_owned());
    let outcome = run_with(&bytes, &Limits::default(), with_takeover);
    assert_eq!(outcome.events[0], hello);
    assert_eq!(outcome.events[2..], [hello.clone(), hello]);

    let outcome = run_with(&bytes, &Limits::default(), no_takeover);
    assert_eq!(
        outcome.error,
        Some(Error::InvalidDeflate),
        "without takeover there is nothing to look back at"
    );
}

#[test]
fn an_empty_message_may_be_compressed() {
    for payload in [&b"\x00"[..], b"\x02\x00", b"\x03\x00"] {
        let outcome = run_with(&masked(FIN | RSV1 | TEXT, payload), &Limits::default(), no_takeover);
        assert_eq!(
            (outcome.events, outcome.error),
            (vec![Seen::Text(String::new())], None),
            "{payload:?}"
        );
    }
}

#[test]
fn invalid_deflate_closes_with_1007() {
    let cases: [&[u8]; 9] = [
        b"\xff\xff\xff",
        b"\x07",
        // Stops within a block.
        b"\xf2\x48\xcd",
        b"",
        b"\x00\x05\x00\xfa\xff\x48\x65",
        // Refers to bytes before its beginning.
        b"\xf2\x00\x11\x00\x00",
        b"\xf2\x48\xcd\xc9\xc9\x07",
        // A final block that takes the tail for its data.
        b"\x01\x04\x00\xfb\xff",
        // One byte of the tail, which a sender leaves out.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff",
    ];
    for payload in cases {
        let outcome = run_with(&masked(FIN | RSV1 | BINARY, payload), &Limits::default(), no_takeover);
        assert_eq!(
            (outcome.error, outcome.events.len()),
            (Some(Error::InvalidDeflate), 0),
            "{payload:02x?}"
        );
        assert_eq!(outcome.sent[2..4], [0x03, 0xef]);
    }
    let outcome = run_with(
        &masked(FIN | RSV1 | TEXT, b"\x00\x01\x00\xfe\xff\xff\x00"),
        &Limits::default(),
        no_takeover,
    );
    assert_eq!(outcome.error, Some(Error::InvalidUtf8), "text is text after inflating");
}

/// Deflating noise stops half-way; the shared compressor must then serve the next message.
#[test]
fn an_incompressible_message_leaves_later_messages_intact() {
    let mut deflaters = Deflaters::default();
    let noise = noise(16_000);
    for round in 0..10 {
        assert!(deflaters.compress(&noise, WindowBits::MAX, None).is_none(), "{round}");
    }
    let text = b"text ".repeat(100_000);
    let compressed = deflaters.compress(&text, WindowBits::MAX, None).unwrap().to_vec();
    assert!(deflaters.inflate(&compressed, None, text.len()).unwrap() == text);
}

/// RFC 1951 §3.2.6: fixed codes take 8 or 9 bits for a byte, and some encoders use no others. The limit is on the
/// inflated size.
#[test]
fn the_limit_applies_to_the_inflated_size() {
    let limits = Limits::default().max_message_bytes(100_000);
    for (length, is_allowed) in [(100_000, true), (100_001, false)] {
        let message: Vec<u8> = noise(length).into_iter().map(|byte| byte | 0x90).collect();
        let compressed = in_fixed_codes(&message);
        assert!(compressed.len() > length / 8 * 9);
        let bytes = masked(FIN | RSV1 | BINARY, &compressed);
        let outcome = run_pieces(bytes.chunks(1000), &limits, no_takeover());
        let error = (!is_allowed).then_some(Error::MessageTooBig);
        assert_eq!((outcome.error, outcome.events.len()), (error, usize::from(is_allowed)));
    }
}

/// A message of bytes from 144 on as one block of fixed codes, all 9 bits long, and an empty stored block without its
/// tail.
fn in_fixed_codes(message: &[u8]) -> Vec<u8> {
    let (mut bytes, mut place) = (Vec::new(), 0);
    let mut put = |bit: u16| {
        if place % 8 == 0 {
            bytes.push(0);
        }
        *bytes.last_mut().unwrap() |= u8::from(bit != 0) << (place % 8);
        place += 1;
    };
    // Not the last block; fixed codes. Codes come with their highest bit first.
    [0, 1, 0].into_iter().for_each(&mut put);
    for byte in message {
        let code = 0b1_1001_0000 + u16::from(*byte) - 144;
        (0..9).rev().for_each(|bit| put(code >> bit & 1));
    }
    // The end of the block, and the head of a stored one.
    [0; 7 + 3].into_iter().for_each(put);
    bytes
}

/// Each final block restarts the inflater; a megabyte of them would cost half a million restarts.
#[test]
fn final_blocks_are_counted() {
    let blocks = |count: usize| masked(FIN | RSV1 | BINARY, &b"\x03\x00".repeat(count));
    let limits = Limits::default();
    assert_eq!(run_with(&blocks(16), &limits, no_takeover).error, None);
    assert_eq!(
        run_with(&blocks(500), &limits, no_takeover).error,
        Some(Error::InvalidDeflate)
    );
}

/// RSV1 in a wrong place, with the extension negotiated (`docs/threats.md#compression-offers`).
#[test]
fn only_the_first_frame_carries_the_compressed_bit() {
    let cases = [
        masked(FIN | RSV1 | PING, b""),
        masked(FIN | RSV1 | 8, b""),
        [masked(RSV1 | TEXT, b"\xf2\x48"), masked(FIN | RSV1 | CONTINUATION, b"")].concat(),
    ];
    for bytes in cases {
        assert_eq!(
            run_with(&bytes, &Limits::default(), no_takeover).error,
            Some(Error::ReservedBit)
        );
    }
}

/// Output of a fast random source, which does not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Messages of a feed, each similar to the last.
fn tick(number: usize) -> String {
    format!(
        r#"{{"symbol":"SQL{}","price":{},"volume":{},"venue":"XSTO"}}"#,
        number % 50,
        number * 37 % 9973,
        number
    )
}

/// 12.x and 13.x: every negotiated setting, sizes up to 128 KiB, both directions.
#[test]
fn every_setting_carries_every_message() {
    let windows = [WindowBits::MIN, WindowBits::new(11).unwrap(), WindowBits::MAX];
    for server_max_window_bits in windows {
        for client_max_window_bits in windows {
            for takeovers in 0..4 {
                let config = DeflateConfig {
                    server_context_takeover: takeovers & 1 != 0,
                    client_context_takeover: takeovers & 2 != 0,
                    server_max_window_bits,
                    client_max_window_bits,
                    min_compressed_bytes: 1,
                };
                let mut pair = Pair::new(Some(&config));
                let mut sent = Vec::new();
                for number in 0..40 {
                    let message = tick(number).repeat(1 << (number % 7));
                    pair.server.send(Payload::Text(&message)).unwrap();
                    pair.client.send(Payload::Text(&message)).unwrap();
                    sent.push(Seen::Text(message));
                }
                for size in [0, 16, 1024, 131_072] {
                    let bytes = noise(size);
                    pair.server.send(Payload::Binary(&bytes)).unwrap();
                    pair.client.send(Payload::Binary(&bytes)).unwrap();
                    sent.push(Seen::Binary(bytes));
                }
                let plain_bytes: usize = (0..40).map(|number| tick(number).len() << (number % 7)).sum();
                assert!(pair.server.wire.len() < plain_bytes / 2 + 150_000, "{config:?}");
                pair.settle();
                assert!(pair.client.events == sent, "{config:?} {:?}", pair.client.error);
                assert!(pair.server.events == sent, "{config:?} {:?}", pair.server.error);
            }
        }
    }
}

#[test]
fn takeover_makes_similar_messages_much_smaller() {
    let mut wire_bytes = [0; 2];
    for (bytes, config) in wire_bytes.iter_mut().zip([takeover(), DeflateConfig::default()]) {
        let mut pair = Pair::new(Some(&config));
        for number in 0..200 {
            pair.server.send(Payload::Text(&tick(number))).unwrap();
        }
        *bytes = pair.server.wire.len();
        pair.settle();
        assert_eq!(pair.client.events.len(), 200);
    }
    let [with, without] = wire_bytes;
    assert!(with * 2 < without, "{with} and {without} bytes");
}

/// A shared frame goes between messages of the connection's own, with takeover too.
#[test]
fn every_peer_reads_shared_frames() {
    for config in [Some(takeover()), Some(DeflateConfig::default()), None] {
        let mut pair = Pair::new(config.as_ref());
        let mut sent = Vec::new();
        for number in 0..30 {
            let message = tick(number).repeat(3);
            if number % 3 == 1 {
                let encoding = pair.server.connection.share().unwrap();
                assert_eq!(matches!(encoding, Encoding::Deflated { .. }), config.is_some());
                let frame = encode(Payload::Text(&message), encoding, &mut pair.server.deflaters);
                assert_eq!(
                    frame[0],
                    if config.is_some() {
                        FIN | RSV1 | TEXT
                    } else {
                        FIN | TEXT
                    }
                );
                pair.server.wire.extend_from_slice(&frame);
            } else {
                pair.server.send(Payload::Text(&message)).unwrap();
            }
            sent.push(Seen::Text(message));
        }
        assert!(pair.client.connection.share().is_err());
        pair.settle();
        assert_eq!(pair.client.events, sent);
    }
}

#[test]
fn an_incompressible_message_is_sent_plain() {
    let mut deflaters = deflaters();
    let encoding = no_takeover().unwrap().encoding;
    let mut frame = |payload: &[u8]| encode(Payload::Binary(payload), encoding, &mut deflaters);
    let random = noise(1000);
    assert_eq!(frame(&random), plain(FIN | BINARY, &random));
    assert_eq!(
        frame(&[0; 63]),
        plain(FIN | BINARY, &[0; 63]),
        "too little to be worth it"
    );
    assert_eq!(frame(&[0; 64])[0], FIN | RSV1 | BINARY);
    // Around the size of one call's output.
    for length in 16_300..16_450 {
        let payload = noise(length);
        assert_eq!(frame(&payload), plain(FIN | BINARY, &payload));
    }
}

/// Without takeover a connection keeps almost no memory; with it, the budget bounds the memory.
#[test]
fn all_windows_share_one_budget() {
    let deflaters = Deflaters::new(6, 3 * 32 * 1024);
    let first = offer_to(&takeover(), "permessage-deflate", &deflaters).unwrap();
    assert_eq!(first.0, "permessage-deflate");
    let second = offer_to(&takeover(), "permessage-deflate", &deflaters).unwrap();
    assert_eq!(second.0, "permessage-deflate; client_no_context_takeover");
    let third = offer_to(&takeover(), "permessage-deflate", &deflaters).unwrap();
    assert_eq!(
        third.0,
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
    assert_eq!(deflaters.context_bytes_left(), 0);
    drop((first, third));
    assert_eq!(deflaters.context_bytes_left(), 2 * 32 * 1024);
    let small = offer_to(
        &takeover(),
        "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        &deflaters,
    );
    assert_eq!(deflaters.context_bytes_left(), 2 * 32 * 1024 - 512 - 1024);
    drop((second, small));
    assert_eq!(deflaters.context_bytes_left(), 3 * 32 * 1024);
}

/// zlib with a window of the negotiated size checks that no reference goes further back.
#[test]
fn references_stay_within_the_negotiated_window() {
    let text: String = (0..3000).map(|number| tick(number % 300)).collect();
    for bits in 9..=15 {
        let window = WindowBits::new(bits).unwrap();
        let mut deflaters = deflaters();
        let mut sliding_window: Option<SlidingWindow> = deflaters.lend_window(window);
        let mut inflater = flate2::Decompress::new_with_window_bits(false, bits);
        for message in text.as_bytes().chunks(5000) {
            let compressed = deflaters.compress(message, window, sliding_window.as_mut()).unwrap();
            let mut output = Vec::with_capacity(message.len() + 1);
            let input = [compressed, b"\x00\x00\xff\xff"].concat();
            inflater
                .decompress_vec(&input, &mut output, flate2::FlushDecompress::Sync)
                .unwrap();
            assert!(output == message, "{bits}");
        }
    }
}
