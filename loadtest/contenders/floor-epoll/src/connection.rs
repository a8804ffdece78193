//! One connection: an incomplete head, and the unsent bytes.
//!
//! Invariant: while `unsent` holds bytes, the connection reads no more, so both buffers are bounded by one read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::answer::Answers;
use crate::request::{ParseOutcome, next_request};

/// Bytes of one recv(2), and the longest head.
const READ_BYTES_MAX: usize = 16 * 1024;

/// Buffers that each connection borrows for its turn, so an idle connection owns none.
pub struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            input: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            output: Vec::with_capacity(READ_BYTES_MAX),
        }
    }
}

/// Whether the connection stays open after its turn.
pub enum Turn {
    Open,
    Close,
}

pub struct Connection {
    pub stream: TcpStream,
    partial: Vec<u8>,
    unsent: Vec<u8>,
    closing: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            partial: Vec::new(),
            unsent: Vec::new(),
            closing: false,
        }
    }

    /// Flushes unsent bytes, then reads and answers until a short read.
    ///
    /// Edge-triggered readiness is reported once. A short read has emptied the socket, unless the peer closed it too:
    /// then only a further read returns the end of stream. The turn is unbounded for a client that sends faster than
    /// this loop reads; no workload does that.
    pub fn turn(&mut self, peer_closed: bool, answers: &Answers, scratch: &mut Scratch) -> io::Result<Turn> {
        if !self.unsent.is_empty() && !self.flush()? {
            return Ok(Turn::Open);
        }
        loop {
            if self.closing {
                return Ok(Turn::Close);
            }
            let received = match self.stream.read(&mut scratch.input) {
                Ok(0) => return Ok(Turn::Close),
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Open),
                Err(error) => return Err(error),
            };
            scratch.output.clear();
            self.answer_all(&scratch.input[..received], answers, &mut scratch.output);
            if !self.send(&scratch.output)? {
                return Ok(Turn::Open);
            }
            if received < scratch.input.len() && !peer_closed && !self.closing {
                return Ok(Turn::Open);
            }
        }
    }

    fn answer_all(&mut self, received: &[u8], answers: &Answers, output: &mut Vec<u8>) {
        let mut joined = std::mem::take(&mut self.partial);
        let mut rest = if joined.is_empty() {
            received
        } else {
            joined.extend_from_slice(received);
            &joined
        };
        while !rest.is_empty() && !self.closing {
            match next_request(rest) {
                ParseOutcome::Request {
                    head_bytes,
                    resource,
                    keep_alive,
                } => {
                    output.extend_from_slice(answers.to(resource));
                    self.closing = !keep_alive;
                    rest = &rest[head_bytes..];
                }
                ParseOutcome::Incomplete if rest.len() < READ_BYTES_MAX => {
                    self.partial.extend_from_slice(rest);
                    return;
                }
                ParseOutcome::Incomplete | ParseOutcome::Refused => {
                    output.extend_from_slice(answers.bad_request());
                    self.closing = true;
                }
            }
        }
    }

    /// Sends `output` and keeps the bytes that the socket does not accept; returns true if it accepted all.
    fn send(&mut self, output: &[u8]) -> io::Result<bool> {
        if output.is_empty() {
            return Ok(true);
        }
        let sent = match self.stream.write(output) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&output[sent..]);
        Ok(self.unsent.is_empty())
    }

    fn flush(&mut self) -> io::Result<bool> {
        let unsent = std::mem::take(&mut self.unsent);
        self.send(&unsent)
    }
}
