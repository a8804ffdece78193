//! Section 1: messages of every form of length come back as they were sent (RFC 6455 §5.2).

use crate::case::{BINARY, Case, FIN, TEXT, frame};
use crate::{machine, wire};

/// The lengths at which the header changes its form, and one between them.
const LENGTHS: [usize; 8] = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536];

pub(crate) fn cases() -> Vec<Case> {
    let kinds = [(1, TEXT, b'*', "text"), (2, BINARY, 0xfe, "binary")];
    let mut cases = Vec::new();
    for (group, opcode, byte, kind) in kinds {
        for (number, length) in LENGTHS.into_iter().enumerate() {
            let payload = vec![byte; length];
            let mut sent = vec![frame(FIN | opcode, &payload)];
            if number == 7 {
                // The last is sent in pieces of 997 bytes, which no header ends with.
                sent = sent[0].chunks(997).map(<[u8]>::to_vec).collect();
            }
            let case = Case::open(
                format!("1.{group}.{}", number + 1),
                format!("a {kind} message of {length} bytes comes back"),
                sent,
            );
            cases.push(case.answer(FIN | opcode, payload));
        }
    }
    cases
}

#[test]
fn the_protocol_machine_passes_section_1() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_1() {
    wire::hold(&cases());
}
