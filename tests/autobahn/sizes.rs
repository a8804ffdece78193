//! Sections 9 and 10. Messages have up to 16 MiB, in up to 65,536 fragments, in writes of as little as 64 bytes.
//! Thousands are small.
//!
//! The suite measures the time of these cases. This test checks only their outcome.

use squall::websocket::{Deflaters, Limits};

use crate::case::{BINARY, FIN, TEXT, fragments};
use crate::machine::{self, Echo};
use crate::support::server::Server;
use crate::support::websocket::Client;
use crate::support::{Outcome, ensure, for_each_case};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How many bytes a socket gives at a time, unless a case says otherwise.
const PIECE_BYTES: usize = 16 * KIB;

/// Some messages that are all alike.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) number: String,
    opcode: u8,
    messages: usize,
    message_bytes: usize,
    fragment_bytes: usize,
    /// How the bytes are cut on their way.
    piece_bytes: usize,
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let one = |number: String, opcode: u8, message_bytes: usize| Case {
        number,
        opcode,
        messages: 1,
        message_bytes,
        fragment_bytes: usize::MAX,
        piece_bytes: PIECE_BYTES,
    };
    for (group, opcode) in [(1, TEXT), (2, BINARY)] {
        for (size, number) in [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB]
            .into_iter()
            .zip(1..)
        {
            cases.push(one(format!("9.{group}.{number}"), opcode, size));
        }
    }
    for (group, opcode) in [(3, TEXT), (4, BINARY)] {
        for (power, number) in (3..=11).zip(1..) {
            let case = one(format!("9.{group}.{number}"), opcode, 4 * MIB);
            let fragment_bytes = 4_usize.pow(power);
            cases.push(Case { fragment_bytes, ..case });
        }
    }
    for (group, opcode) in [(5, TEXT), (6, BINARY)] {
        for (piece_bytes, number) in [64, 128, 256, 512, 1024, 2048].into_iter().zip(1..) {
            let case = one(format!("9.{group}.{number}"), opcode, MIB);
            cases.push(Case { piece_bytes, ..case });
        }
    }
    for (group, opcode) in [(7, TEXT), (8, BINARY)] {
        for (size, number) in [0, 16, 64, 256, 1024, 4096].into_iter().zip(1..) {
            let case = one(format!("9.{group}.{number}"), opcode, size);
            cases.push(Case { messages: 1000, ..case });
        }
    }
    cases.push(Case {
        fragment_bytes: 1300,
        ..one("10.1.1".to_owned(), TEXT, 64 * KIB)
    });
    cases
}

impl Case {
    fn name(&self) -> String {
        let Self {
            number,
            messages,
            message_bytes,
            fragment_bytes,
            piece_bytes,
            ..
        } = self;
        let fragment_bytes = fragment_bytes.min(message_bytes);
        format!(
            "{number} {messages} messages of {message_bytes} bytes, in fragments of {fragment_bytes} bytes and pieces of \
             {piece_bytes}, come back whole"
        )
    }

    fn payload(&self) -> Vec<u8> {
        let byte = if self.opcode == TEXT { b'*' } else { 0xfe };
        vec![byte; self.message_bytes]
    }

    /// One message as the client sends it.
    fn sent(&self, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            return fragments(self.opcode, [payload]).concat();
        }
        fragments(self.opcode, payload.chunks(self.fragment_bytes)).concat()
    }

    fn check_in_the_machine(&self) -> Outcome<()> {
        let limits = Limits::default().max_message_bytes(16 * MIB).max_fragments(65_536);
        let mut echo = Echo::server(limits, None, Deflaters::new(1, 0));
        let payload = self.payload();
        let message = self.sent(&payload);
        for _ in 0..self.messages {
            for piece in message.chunks(self.piece_bytes) {
                echo.receive(piece);
            }
            let frames = machine::frames(&std::mem::take(&mut echo.sent))?;
            let [frame] = frames.as_slice() else {
                return Err(format!("{} frames instead of one", frames.len()));
            };
            let is_right = frame.first == FIN | self.opcode && frame.payload == payload;
            ensure(is_right, || {
                format!("{} bytes under {:02x}", frame.payload.len(), frame.first)
            })?;
        }
        Ok(())
    }

    fn check_over_the_wire(&self, server: &Server) -> Outcome<()> {
        let mut client = Client::open(server.address(), "/ws/echo");
        let payload = self.payload();
        let message = self.sent(&payload);
        for _ in 0..self.messages {
            for piece in message.chunks(self.piece_bytes) {
                client.send(piece);
            }
            let frame = client.frame();
            let is_right = frame.first == FIN | self.opcode && frame.payload == payload;
            ensure(is_right, || {
                format!("{} bytes under {:02x}", frame.payload.len(), frame.first)
            })?;
        }
        Ok(())
    }
}

#[test]
fn the_protocol_machine_passes_sections_9_and_10() {
    for_each_case(cases(), Case::name, Case::check_in_the_machine);
}

/// The finest messages have 65,536 fragments.
#[test]
fn the_server_passes_sections_9_and_10() {
    let max_message_bytes = (16 * MIB).to_string();
    let flags = ["--max-message-bytes", &max_message_bytes, "--max-fragments", "65536"];
    let server = Server::start("conformance", &flags);
    for_each_case(cases(), Case::name, |case| case.check_over_the_wire(&server));
}

/// By default a server accepts 1024 fragments of a message and refuses more with 1008.
#[test]
fn messages_in_more_fragments_than_a_server_takes_are_refused() {
    let server = Server::start("conformance", &["--max-message-bytes", &(16 * MIB).to_string()]);
    let is_too_fine = |case: &Case| case.message_bytes.div_ceil(case.fragment_bytes) > 1024;
    let too_fine: Vec<Case> = cases().into_iter().filter(is_too_fine).collect();
    assert_eq!(too_fine.len(), 6);
    for_each_case(too_fine, Case::name, |case| {
        let mut client = Client::open(server.address(), "/ws/echo");
        client.send_if_open(&case.sent(&case.payload()));
        let frame = client.frame();
        ensure(frame.close_code() == Some(1008), || format!("{:02x}", frame.first))
    });
}
