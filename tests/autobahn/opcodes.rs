//! Section 4: an opcode without a meaning fails the connection, 3 to 7 for data and 11 to 15 for control (RFC 6455 §5.2).

use crate::case::{Case, FIN, PING, TEXT, frame};
use crate::{machine, wire};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, first) in [(1, 3), (2, 11)] {
        for number in 1..=5 {
            let opcode = first + number - 1;
            // The first has no payload, the later ones a message before them and a ping behind.
            let payload: &[u8] = if number == 1 { b"" } else { b"reserved opcode" };
            let mut sent = vec![frame(FIN | opcode, payload)];
            if number >= 3 {
                sent.insert(0, frame(FIN | TEXT, b"Hello"));
                sent.push(frame(FIN | PING, b""));
            }
            let holds = format!("opcode {opcode} is refused");
            let case = Case::refused(format!("4.{group}.{number}"), holds, sent, 1002);
            cases.push(if number >= 3 {
                case.answer(FIN | TEXT, b"Hello")
            } else {
                case
            });
        }
    }
    cases
}

#[test]
fn the_protocol_machine_passes_section_4() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_4() {
    wire::hold(&cases());
}
