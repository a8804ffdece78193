//! Section 3: a reserved bit that no extension gave a meaning fails the connection (RFC 6455 §5.2).

use crate::case::{BINARY, CLOSE, Case, FIN, PING, TEXT, frame};
use crate::{machine, wire};

pub(crate) fn cases() -> Vec<Case> {
    // The opcode under each combination of the three bits, and whether a message that is all right comes before.
    let rows = [
        (1, TEXT, false),
        (2, TEXT, true),
        (3, TEXT, true),
        (4, TEXT, true),
        (5, BINARY, false),
        (6, PING, false),
        (7, CLOSE, false),
    ];
    rows.into_iter()
        .map(|(bits, opcode, is_second)| {
            let mut sent = vec![frame(FIN | bits << 4 | opcode, b"Hello, world!")];
            if is_second {
                sent.insert(0, frame(FIN | TEXT, b"Hello"));
                sent.push(frame(FIN | PING, b""));
            }
            let holds =
                format!("reserved bits {bits:03b} on opcode {opcode} are refused, and nothing after them is answered");
            let case = Case::refused(format!("3.{bits}"), holds, sent, 1002);
            if is_second {
                case.answer(FIN | TEXT, b"Hello")
            } else {
                case
            }
        })
        .collect()
}

#[test]
fn the_protocol_machine_passes_section_3() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_3() {
    wire::hold(&cases());
}
