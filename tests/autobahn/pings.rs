//! Section 2: pings are answered with their payload, pongs are not answered (RFC 6455 §5.5.2, §5.5.3).

use crate::case::{Case, FIN, PING, PONG, frame};
use crate::{machine, wire};

/// Invalid UTF-8: a ping's payload may be any bytes.
const NO_TEXT: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";

pub(crate) fn cases() -> Vec<Case> {
    let longest = [0xfe; 125];
    let pings: [(u8, &str, &[u8]); 5] = [
        (1, "a ping without payload", b""),
        (2, "a ping with a text", b"Hello, world!"),
        (3, "a ping with a payload of invalid UTF-8", NO_TEXT),
        (4, "a ping of the largest payload there may be", &longest),
        (6, "a ping of that size, in any pieces", &longest),
    ];
    let mut cases: Vec<Case> = pings
        .into_iter()
        .map(|(number, what, payload)| {
            let holds = format!("{what} is answered with its payload");
            Case::open(format!("2.{number}"), holds, vec![frame(FIN | PING, payload)]).answer(FIN | PONG, payload)
        })
        .collect();
    let too_long = vec![frame(FIN | PING, [0xfe; 126])];
    cases.insert(
        4,
        Case::refused("2.5", "a ping of 126 bytes is refused", too_long, 1002),
    );

    let unasked = || vec![frame(FIN | PONG, b"unasked for")];
    cases.push(Case::open(
        "2.7",
        "an empty unsolicited pong is not answered",
        vec![frame(FIN | PONG, b"")],
    ));
    cases.push(Case::open("2.8", "nor is one with a payload", unasked()));
    let sent = [unasked(), vec![frame(FIN | PING, b"ping")]].concat();
    let case = Case::open("2.9", "a ping after such a pong is answered with its own payload", sent);
    cases.push(case.answer(FIN | PONG, b"ping"));

    for (number, how) in [
        (10, "ten pings get ten pongs, in order"),
        (11, "also when they come in pieces"),
    ] {
        let payloads: Vec<_> = (0..10).map(|number| format!("payload-{number}")).collect();
        let sent = payloads.iter().map(|payload| frame(FIN | PING, payload)).collect();
        let case = Case::open(format!("2.{number}"), how, sent);
        cases.push(
            payloads
                .into_iter()
                .fold(case, |case, payload| case.answer(FIN | PONG, payload)),
        );
    }
    cases
}

#[test]
fn the_protocol_machine_passes_section_2() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_2() {
    wire::hold(&cases());
}
