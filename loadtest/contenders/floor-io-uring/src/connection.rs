//! One connection: the unfinished end of what it received, and the two buffers its answers leave through.
//!
//! Invariant: while a send is under way the kernel reads `sending`, so nothing touches that buffer; answers made meanwhile gather
//! in `waiting`. The descriptor is closed only when neither a receive nor a send is under way, so no completion can meet a
//! connection other than its own.

use crate::answer::Answers;
use crate::request::{Outcome, next_request};

/// The longest head this server waits for.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Answers that gather for a client which does not read them, before it is given up.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

pub struct Connection {
    pub descriptor: i32,
    /// A multishot receive is armed.
    pub is_receiving: bool,
    /// What the kernel is sending, empty when it is not; `sent` bytes of it have gone.
    pub sending: Vec<u8>,
    pub sent: usize,
    /// Nothing more is answered once a client has said `close`, or something that is not HTTP.
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

    /// Answers every whole request in what was received.
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
                Outcome::Request {
                    head_bytes,
                    resource,
                    keep_alive,
                } => {
                    self.waiting.extend_from_slice(answers.to(resource));
                    self.is_closing = !keep_alive || self.is_swamped();
                    rest = &rest[head_bytes..];
                }
                Outcome::Incomplete if rest.len() < HEAD_BYTES_MAX => {
                    self.partial.extend_from_slice(rest);
                    return;
                }
                Outcome::Incomplete | Outcome::Refused => {
                    self.waiting.extend_from_slice(answers.bad_request());
                    self.is_closing = true;
                }
            }
        }
    }

    /// Whether the client has let more answers gather than it is waited for.
    pub fn is_swamped(&self) -> bool {
        self.waiting.len() > WAITING_BYTES_MAX
    }

    /// Makes the answers that gathered the next to be sent. Says whether there are any and nothing is being sent already.
    pub fn start_sending(&mut self) -> bool {
        if !self.sending.is_empty() || self.waiting.is_empty() {
            return false;
        }
        self.sending = std::mem::take(&mut self.waiting);
        self.sent = 0;
        true
    }

    /// Takes note that `bytes` more have gone. Says whether the kernel has the rest still to send.
    pub fn note_sent(&mut self, bytes: usize, spare: &mut Vec<Vec<u8>>) -> bool {
        self.sent += bytes;
        if self.sent < self.sending.len() {
            return true;
        }
        self.sending.clear();
        // An idle connection owns no buffer: the next one to answer borrows this one.
        spare.push(std::mem::take(&mut self.sending));
        false
    }

    /// Lets go of what can no longer be sent.
    pub fn give_up_sending(&mut self) {
        self.sending.clear();
        self.waiting.clear();
        self.is_closing = true;
    }
}
