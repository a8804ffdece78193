//! Section 7: the closing handshake, the contents of a close frame, and the frames behind it, which are ignored (RFC 6455 §5.5.1, §7).

use crate::case::{CLOSE, CONTINUATION, Case, FIN, PING, TEXT, close, frame};
use crate::{machine, wire};

/// 1000, as it stands in a close frame.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// Codes a peer may send: the RFC's, IANA's, and the ends of the ranges for libraries and for applications (§7.4).
const LEGAL: [u16; 13] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
];

/// Reserved codes that never appear in a frame, and codes without a meaning.
const ILLEGAL: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];

/// Codes that the RFC does not define. They are refused like those below 1000.
const UNDEFINED: [u16; 2] = [5000, 65_535];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = basics();
    cases.extend(payloads());
    cases.push(Case::refused(
        "7.5.1",
        "a reason of invalid UTF-8 is refused",
        vec![frame(
            FIN | CLOSE,
            b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        )],
        1007,
    ));
    for (code, number) in LEGAL.into_iter().zip(1..) {
        let holds = format!("{code} is answered with {code}");
        cases.push(Case::closed(
            format!("7.7.{number}"),
            holds,
            vec![close(code, "")],
            &code.to_be_bytes(),
        ));
    }
    for (group, codes) in [(9, &ILLEGAL[..]), (13, &UNDEFINED)] {
        for (code, number) in codes.iter().zip(1..) {
            let holds = format!("{code} may not be sent, and is answered with 1002");
            cases.push(Case::refused(
                format!("7.{group}.{number}"),
                holds,
                vec![close(*code, "")],
                1002,
            ));
        }
    }
    cases
}

/// 7.1: frames after the client's close frame are ignored.
fn basics() -> Vec<Case> {
    let end = || close(1000, "");
    let large = vec![b'*'; 256 * 1024];
    let closed = |number: &str, holds: &str, sent: Vec<Vec<u8>>| Case::closed(number, holds, sent, &NORMAL);
    vec![
        closed(
            "7.1.1",
            "a text before a close frame comes back",
            vec![frame(FIN | TEXT, b"Hello, world!"), end()],
        )
        .answer(FIN | TEXT, b"Hello, world!"),
        closed("7.1.2", "a second close frame is not answered", vec![end(), end()]),
        closed("7.1.3", "nor is a ping", vec![end(), frame(FIN | PING, b"")]),
        closed(
            "7.1.4",
            "nor is a text",
            vec![end(), frame(FIN | TEXT, b"Hello, world!")],
        ),
        closed(
            "7.1.5",
            "a close frame between fragments ends the connection, and not the message",
            vec![
                frame(TEXT, b"fragment1"),
                end(),
                frame(FIN | CONTINUATION, b"fragment2"),
            ],
        ),
        closed(
            "7.1.6",
            "a large text right before a close frame comes back whole, and a ping behind it is not answered",
            vec![
                frame(FIN | TEXT, &large),
                frame(FIN | TEXT, b"Hello, world!"),
                end(),
                frame(FIN | PING, b""),
            ],
        )
        .answer(FIN | TEXT, large)
        .answer(FIN | TEXT, b"Hello, world!"),
    ]
}

/// 7.3: nothing, a code, or a code and a reason of up to 123 bytes.
fn payloads() -> Vec<Case> {
    let closed = |number: &str, holds: &str, payload: &[u8], answer: &[u8]| {
        Case::closed(number, holds, vec![frame(FIN | CLOSE, payload)], answer)
    };
    let with_reason = |length: usize| [&NORMAL[..], &vec![b'*'; length]].concat();
    vec![
        closed(
            "7.3.1",
            "a close frame without a code is answered with one without",
            b"",
            b"",
        ),
        Case::refused("7.3.2", "half a code is refused", vec![frame(FIN | CLOSE, b"a")], 1002),
        closed("7.3.3", "a code is answered with it", &NORMAL, &NORMAL),
        closed("7.3.4", "also if it has a reason", b"\x03\xe8Hello World!", &NORMAL),
        closed("7.3.5", "of up to 123 bytes", &with_reason(123), &NORMAL),
        Case::refused(
            "7.3.6",
            "one byte more is too many for a control frame",
            vec![frame(FIN | CLOSE, with_reason(124))],
            1002,
        ),
    ]
}

#[test]
fn the_protocol_machine_passes_section_7() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_7() {
    wire::hold(&cases());
}
