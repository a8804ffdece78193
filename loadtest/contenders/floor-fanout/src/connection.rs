//! One connection: what is left of an unfinished head or frame, and what the socket would not take yet.
//!
//! Invariant: whoever leaves more than `UNSENT_BYTES_MAX` untaken is cut off, so the buffers are bounded.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::frame;
use crate::handshake::{self, Route};
use crate::topic::Topic;

/// Bytes of one recv(2); also the longest head this server waits for.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The most a slow subscriber may owe before its connection ends.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Buffers that every connection borrows for its turn, so that an idle connection owns none.
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

/// What becomes of the connection after its turn.
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

    /// Flushes if an earlier send was short, then reads and answers until a read comes back short.
    ///
    /// Edge-triggered readiness is not reported twice. A short read has emptied the socket, unless the peer closed it
    /// in the same moment: then only a further read tells. A client that refills the buffer faster than it is answered
    /// keeps its turn; a server for strangers would bound that, and none of the workloads does it.
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

    /// Sends frames to a subscriber, after whatever it still owes. An error is left for its own turn to see.
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
                frame::Outcome::Frame {
                    frame_bytes,
                    opcode,
                    payload,
                } => {
                    self.answer(opcode, payload, topic, output);
                    rest = &mut rest[frame_bytes..];
                }
                frame::Outcome::Incomplete => {
                    self.partial.extend_from_slice(rest);
                    return;
                }
                frame::Outcome::Refused => self.closing = true,
            }
        }
    }

    /// Answers the handshake; says how long its head was, once frames may follow.
    fn open(&mut self, bytes: &[u8], topic: &mut Topic, output: &mut Vec<u8>) -> Option<usize> {
        match handshake::answer(bytes, output) {
            handshake::Outcome::Upgraded { head_bytes, route } => {
                self.route = Some(route);
                if route == Route::Subscribe {
                    topic.subscribe(self.key);
                }
                return Some(head_bytes);
            }
            handshake::Outcome::Incomplete if bytes.len() < READ_BYTES_MAX => self.partial.extend_from_slice(bytes),
            handshake::Outcome::Answered | handshake::Outcome::Incomplete | handshake::Outcome::Refused => {
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

    /// Sends `output`, and keeps what the socket does not take. Says whether all of it went.
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
