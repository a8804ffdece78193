//! Autobahn's section 6: UTF-8, whole and in fragments, rejected as early as possible.

use super::super::ProtocolError;
use super::transcript::{Seen, run};
use super::{Bench, CONTINUATION, FIN, TEXT, masked, plain};
use crate::websocket::Event;

/// 6.5, 6.7, 6.9, 6.11, 6.13, 6.22, 6.23: valid sequences: the ends of every length, both sides of the surrogates,
/// noncharacters.
const VALID: [&[u8]; 24] = [
    b"",
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xef\xb7\x90",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\xaf\xbf\xbf",
    b"\xf1\x8f\xbf\xbe",
    b"\xf2\xbf\xbf\xbf",
    b"\xf3\x9f\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"\xef\xbf\xb9\xef\xbf\xba\xef\xbf\xbb",
    b"\xef\xbb\xbf",
];

/// 6.3, 6.4, 6.6, 6.8, 6.10, 6.12, 6.14 to 6.21: invalid sequences, each with the index of its first impossible byte.
/// An index behind the end: each byte is possible, but the text may not end there.
const INVALID: [(&[u8], usize); 47] = [
    // Ends too early.
    (b"\xce", 1),
    (b"\xce\xba\xe1", 3),
    (b"\xce\xba\xe1\xbd", 4),
    (b"\xc2", 1),
    (b"\xe0\xa0", 2),
    (b"\xef\xbf", 2),
    (b"\xf0\x90\x80", 3),
    (b"\xf4\x8f\xbf", 3),
    // The example of 6.3: a surrogate, then text.
    (
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
        12,
    ),
    // 6.4: past U+10FFFF.
    (
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
        12,
    ),
    // Five and six bytes.
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xf7\xbf\xbf\xbf", 0),
    (b"\xfb\xbf\xbf\xbf\xbf", 0),
    (b"\xfd\xbf\xbf\xbf\xbf\xbf", 0),
    (b"\xf4\x90\x80\x80", 1),
    // Continuations without a beginning.
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\x80\xbf", 0),
    (b"\x80\xbf\x80\xbf\x80\xbf", 0),
    (b"a\x80", 1),
    // Beginnings without a continuation.
    (b"\xc3 \xc4 ", 1),
    (b"\xe0 \xe1 ", 1),
    (b"\xf0 \xf1 ", 1),
    (b"\xc0 ", 0),
    (b"\xe1\x80 ", 2),
    (b"\xf1\x80\x80 ", 3),
    (b"\xce\xce\xba", 1),
    // Bytes that never occur.
    (b"\xfe", 0),
    (b"\xff", 0),
    (b"\xfe\xfe\xff\xff", 0),
    (b"text\xf5", 4),
    // More bytes than needed.
    (b"\xc0\xaf", 0),
    (b"\xe0\x80\xaf", 1),
    (b"\xf0\x80\x80\xaf", 1),
    (b"\xf8\x80\x80\x80\xaf", 0),
    (b"\xc1\xbf", 0),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xc0\x80", 0),
    (b"\xe0\x80\x80", 1),
    (b"\xf0\x80\x80\x80", 1),
    // Halves of surrogate pairs, and pairs.
    (b"\xed\xa0\x80", 1),
    (b"\xed\xaf\xbf", 1),
    (b"\xed\xb0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xed\xa0\x80\xed\xb0\x80", 1),
];

#[test]
fn text_is_echoed_whole_in_two_fragments_and_in_fragments_of_one_byte() {
    for bytes in VALID {
        let text = Seen::Text(str::from_utf8(bytes).unwrap().to_owned());
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut single: Vec<_> = bytes.iter().map(|byte| masked(CONTINUATION, &[*byte])).collect();
        single.insert(0, masked(TEXT, b""));
        single.push(masked(FIN | CONTINUATION, b""));
        let transcripts = [
            masked(FIN | TEXT, bytes),
            [masked(TEXT, first), masked(FIN | CONTINUATION, second)].concat(),
            single.concat(),
        ];
        for transcript in transcripts {
            let outcome = run(&transcript);
            assert_eq!(outcome.events, std::slice::from_ref(&text), "{}", bytes.escape_ascii());
            assert_eq!(outcome.sent, plain(FIN | TEXT, bytes));
        }
    }
}

#[test]
fn invalid_utf_8_closes_with_1007() {
    for (bytes, _) in INVALID {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for transcript in [
            masked(FIN | TEXT, bytes),
            [masked(TEXT, first), masked(FIN | CONTINUATION, second)].concat(),
        ] {
            let outcome = run(&transcript);
            assert_eq!(
                outcome.error,
                Some(ProtocolError::InvalidUtf8),
                "{}",
                bytes.escape_ascii()
            );
            assert_eq!(outcome.events, []);
            assert_eq!(outcome.sent[2..4], [0x03, 0xef], "1007");
        }
    }
}

/// 6.4: at the first bad byte, not at the end of the frame or message (`docs/threats.md#invalid-utf-8`).
#[test]
fn text_is_rejected_at_its_first_impossible_byte() {
    for (bytes, place) in INVALID {
        // The frame announces more bytes, and the message more frames.
        let mut long = bytes.to_vec();
        long.resize(bytes.len() + 10, b'x');
        let place = place.min(long.len());
        let frame = masked(TEXT, &long);
        let header_bytes = frame.len() - long.len();
        let mut bench = Bench::server();
        bench.receive_all(&frame[..header_bytes]).unwrap();
        for (at, byte) in frame[header_bytes..].iter().enumerate() {
            let result = bench.receive_all(&[*byte]);
            if at < place {
                assert_eq!(result, Ok(Event::NeedData), "{} at {at}", bytes.escape_ascii());
            } else {
                assert_eq!(
                    result,
                    Err(ProtocolError::InvalidUtf8),
                    "{} at {at}",
                    bytes.escape_ascii()
                );
                break;
            }
        }
    }
}

#[test]
fn a_binary_message_may_contain_invalid_utf_8() {
    for (bytes, _) in INVALID {
        assert_eq!(run(&masked(FIN | 2, bytes)).events, [Seen::Binary(bytes.to_vec())]);
    }
}
