//! Section 5: fragments make one message. Unfragmented control frames may come between them; other frames may not
//! (RFC 6455 §5.4).
//!
//! The suite has most cases three times: sent at once, frame by frame and byte by byte. Here each case runs in all
//! three ways under each of its numbers.

use crate::case::{CONTINUATION, Case, FIN, PING, PONG, TEXT, fragments, frame};
use crate::{machine, wire};

const ONE: &str = "fragment1";
const TWO: &str = "fragment2";

fn message() -> Vec<Vec<u8>> {
    fragments(TEXT, [ONE, TWO])
}

pub(crate) fn cases() -> Vec<Case> {
    let groups = [control_frames(), whole_messages(), broken_messages(), pings_between()];
    groups.into_iter().flatten().collect()
}

/// 5.1, 5.2: a control frame is never fragmented.
fn control_frames() -> Vec<Case> {
    [(1, PING, "ping"), (2, PONG, "pong")]
        .map(|(number, opcode, name)| {
            let sent = fragments(opcode, [ONE, TWO]);
            Case::refused(
                format!("5.{number}"),
                format!("a {name} in two fragments is refused"),
                sent,
                1002,
            )
        })
        .into()
}

/// 5.3 to 5.8: two fragments, alone and with a ping between them.
fn whole_messages() -> Vec<Case> {
    let joined = [ONE, TWO].concat();
    let mut cases = Vec::new();
    for number in 3..=5 {
        let case = Case::open(
            format!("5.{number}"),
            "a text in two fragments comes back as one",
            message(),
        );
        cases.push(case.answer(FIN | TEXT, joined.as_str()));
    }
    for number in 6..=8 {
        let mut sent = message();
        sent.insert(1, frame(FIN | PING, b"ping payload"));
        let holds = "a ping between two fragments is answered before the message is";
        let case = Case::open(format!("5.{number}"), holds, sent);
        cases.push(
            case.answer(FIN | PONG, b"ping payload")
                .answer(FIN | TEXT, joined.as_str()),
        );
    }
    cases
}

/// 5.9 to 5.18: continuations without a first fragment, and messages within messages.
fn broken_messages() -> Vec<Case> {
    let text = frame(FIN | TEXT, b"Hello, world!");
    let mut cases = Vec::new();
    for (numbers, fin) in [(9..=11, FIN), (12..=14, 0)] {
        for number in numbers {
            let sent = vec![frame(fin | CONTINUATION, b"non-continuation payload"), text.clone()];
            let holds = "a continuation of nothing is refused, and the text after it is not answered";
            cases.push(Case::refused(format!("5.{number}"), holds, sent, 1002));
        }
    }
    let joined = [ONE, TWO].concat();
    let sent = [
        message(),
        vec![frame(CONTINUATION, b"fragment3"), frame(FIN | TEXT, b"fragment4")],
    ]
    .concat();
    let holds = "a continuation after a message that has ended is refused";
    cases.push(Case::refused("5.15", holds, sent, 1002).answer(FIN | TEXT, joined));
    for (number, fin) in [(16, 0), (17, FIN)] {
        let round = [vec![frame(fin | CONTINUATION, ONE)], message()].concat();
        let holds = "a continuation of nothing is refused, even if a message in fragments follows, twice";
        cases.push(Case::refused(
            format!("5.{number}"),
            holds,
            [round.clone(), round].concat(),
            1002,
        ));
    }
    let sent = vec![frame(TEXT, ONE), frame(FIN | TEXT, TWO)];
    cases.push(Case::refused("5.18", "a text within a text is refused", sent, 1002));
    cases
}

/// 5.19, 5.20: five fragments and two pings.
fn pings_between() -> Vec<Case> {
    let pieces = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"];
    [19, 20]
        .map(|number| {
            let mut sent = fragments(TEXT, pieces);
            sent.insert(2, frame(FIN | PING, b"pongme 1!"));
            sent.insert(5, frame(FIN | PING, b"pongme 2!"));
            let holds = "two pings between five fragments are answered, and the message is whole";
            Case::open(format!("5.{number}"), holds, sent)
                .answer(FIN | PONG, b"pongme 1!")
                .answer(FIN | PONG, b"pongme 2!")
                .answer(FIN | TEXT, pieces.concat())
        })
        .into()
}

#[test]
fn the_protocol_machine_passes_section_5() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_5() {
    wire::hold(&cases());
}
