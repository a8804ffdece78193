//! One connection: an incomplete head, and two buffers for responses.
//!
//! Invariants: while a send is pending, the kernel reads `sending`, so that buffer stays untouched and new responses
//! collect in `waiting`. The descriptor is closed only when neither a receive nor a send is pending, so a completion
//! never meets another connection.

use crate::answer::Answers;
use crate::request::{ParseOutcome, next_request};

/// The longest head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most waiting responses, in bytes, before a client that does not read is disconnected.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

pub struct Connection {
    pub descriptor: i32,
    /// Whether a multishot receive is armed.
    pub is_receiving: bool,
    /// The buffer of the pending send, empty without one; the kernel has sent its first `sent` bytes.
    pub sending: Vec<u8>,
    pub sent: usize,
    /// Set by `Connection: close` and by invalid requests; later requests get no response.
    pub is_closing: bool,
    waiting: Vec<u8>,
    partial: Vec<u8>,
}

impl Connection {
    pub fn new(descriptor: i32) -> Self {
        Self {
            descriptor,
            is_receiving: true,
            sending: Vec::new(),
            sent: 0,
            is_closing: false,
            waiting: Vec::new(),
            partial: Vec::new(),
        }
    }

    /// Answers each complete request in `received`.
    pub fn answer_all(&mut self, received: &[u8], answers: &Answers, spare: &mut Vec<Vec<u8>>) {
        let mut joined = std::mem::take(&mut self.partial);
        let mut rest = if joined.is_empty() {
            received
        } else {
            joined.extend_from_slice(received);
            &joined
        };
        if self.waiting.capacity() == 0 {
            self.waiting = spare.pop().unwrap_or_default();
        }
        while !rest.is_empty() && !self.is_closing {
            match next_request(rest) {
                ParseOutcome::Request {
                    head_bytes,
                    resource,
                    keep_alive,
                } => {
                    self.waiting.extend_from_slice(answers.to(resource));
                    self.is_closing = !keep_alive || self.is_swamped();
                    rest = &rest[head_bytes..];
                }
                ParseOutcome::Incomplete if rest.len() < HEAD_BYTES_MAX => {
                    self.partial.extend_from_slice(rest);
                    return;
                }
                ParseOutcome::Incomplete | ParseOutcome::Refused => {
                    self.waiting.extend_from_slice(answers.bad_request());
                    self.is_closing = true;
                }
            }
        }
    }

    /// Whether more than `WAITING_BYTES_MAX` bytes are waiting.
    pub fn is_swamped(&self) -> bool {
        self.waiting.len() > WAITING_BYTES_MAX
    }

    /// Moves the waiting responses to `sending`; returns false if a send is pending or none is waiting.
    pub fn start_sending(&mut self) -> bool {
        if !self.sending.is_empty() || self.waiting.is_empty() {
            return false;
        }
        self.sending = std::mem::take(&mut self.waiting);
        self.sent = 0;
        true
    }

    /// Records `bytes` more as sent; returns true if a rest remains.
    pub fn note_sent(&mut self, bytes: usize, spare: &mut Vec<Vec<u8>>) -> bool {
        self.sent += bytes;
        if self.sent < self.sending.len() {
            return true;
        }
        self.sending.clear();
        // An idle connection owns no buffer; the next busy one takes this one.
        spare.push(std::mem::take(&mut self.sending));
        false
    }

    /// Discards all responses after a failed send.
    pub fn give_up_sending(&mut self) {
        self.sending.clear();
        self.waiting.clear();
        self.is_closing = true;
    }
}
