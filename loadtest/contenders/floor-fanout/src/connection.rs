//! One connection: an incomplete head or frame, and the unsent bytes.
//!
//! Invariant: a connection with more than `UNSENT_BYTES_MAX` unsent bytes is closed, so the buffers are bounded.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::frame;
use crate::handshake::{self, Route};
use crate::topic::Topic;

/// Bytes of one recv(2), and the longest head.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The most unsent bytes of a slow subscriber before its connection is closed.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;

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
    stream: TcpStream,
    key: usize,
    route: Option<Route>,
    partial: Vec<u8>,
    unsent: Vec<u8>,
    closing: bool,
}

impl Connection {
    pub fn new(stream: TcpStream, key: usize) -> Self {
        Self {
            stream,
            key,
            route: None,
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
    pub fn turn(&mut self, peer_closed: bool, topic: &mut Topic, scratch: &mut Scratch) -> io::Result<Turn> {
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
            self.answer_all(&mut scratch.input[..received], topic, &mut scratch.output);
            if !self.send(&scratch.output)? {
                return Ok(Turn::Open);
            }
            if received < scratch.input.len() && !peer_closed && !self.closing {
                return Ok(Turn::Open);
            }
        }
    }

    /// Sends frames to a subscriber, after its unsent bytes; its own turn handles a send error.
    pub fn deliver(&mut self, frames: &[u8]) {
        let sent = if self.unsent.is_empty() {
            self.send(frames).map(|_| ())
        } else {
            self.unsent.extend_from_slice(frames);
            Ok(())
        };
        if sent.is_err() || self.unsent.len() > UNSENT_BYTES_MAX {
            self.unsent = Vec::new();
            self.closing = true;
            self.stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn answer_all(&mut self, received: &mut [u8], topic: &mut Topic, output: &mut Vec<u8>) {
        let mut joined = std::mem::take(&mut self.partial);
        let mut rest = if joined.is_empty() {
            received
        } else {
            joined.extend_from_slice(received);
            &mut joined
        };
        if self.route.is_none() {
            let Some(head_bytes) = self.open(rest, topic, output) else {
                return;
            };
            rest = &mut rest[head_bytes..];
        }
        while !rest.is_empty() && !self.closing {
            match frame::next_frame(rest) {
                frame::FrameOutcome::Frame {
                    frame_bytes,
                    opcode,
                    payload,
                } => {
                    self.answer(opcode, payload, topic, output);
                    rest = &mut rest[frame_bytes..];
                }
                frame::FrameOutcome::Incomplete => {
                    self.partial.extend_from_slice(rest);
                    return;
                }
                frame::FrameOutcome::Refused => self.closing = true,
            }
        }
    }

    /// Answers the handshake; returns the length of its head if frames may follow.
    fn open(&mut self, bytes: &[u8], topic: &mut Topic, output: &mut Vec<u8>) -> Option<usize> {
        match handshake::answer(bytes, output) {
            handshake::HandshakeOutcome::Upgraded { head_bytes, route } => {
                self.route = Some(route);
                if route == Route::Subscribe {
                    topic.subscribe(self.key);
                }
                return Some(head_bytes);
            }
            handshake::HandshakeOutcome::Incomplete if bytes.len() < READ_BYTES_MAX => {
                self.partial.extend_from_slice(bytes)
            }
            handshake::HandshakeOutcome::Answered
            | handshake::HandshakeOutcome::Incomplete
            | handshake::HandshakeOutcome::Refused => {
                self.closing = true;
            }
        }
        None
    }

    fn answer(&mut self, opcode: u8, payload: &[u8], topic: &mut Topic, output: &mut Vec<u8>) {
        match (opcode, self.route) {
            (frame::CLOSE, _) => {
                frame::encode(frame::CLOSE, payload, output);
                self.closing = true;
            }
            (frame::PING, _) => frame::encode(frame::PONG, payload, output),
            (frame::PONG, _) | (_, Some(Route::Subscribe) | None) => {}
            (_, Some(Route::Echo)) => frame::encode(opcode, payload, output),
            (_, Some(Route::Publish)) => topic.publish(opcode, payload),
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
