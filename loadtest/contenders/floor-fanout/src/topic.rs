//! The topic: its subscribers, and the published messages not yet sent.
//!
//! It delivers through a closure, so that it does not depend on connections, which publish to it.
//! Invariant: `frames` holds whole frames, and is empty between two epoll turns.

use crate::frame;

pub struct Topic {
    coalesce: bool,
    subscribers: Vec<usize>,
    /// The published messages as consecutive frames.
    frames: Vec<u8>,
    /// The end of each frame in `frames`.
    ends: Vec<usize>,
}

impl Topic {
    pub fn new(coalesce: bool) -> Self {
        Self {
            coalesce,
            subscribers: Vec::new(),
            frames: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub fn subscribe(&mut self, key: usize) {
        self.subscribers.push(key);
    }

    pub fn unsubscribe(&mut self, key: usize) {
        if let Some(index) = self.subscribers.iter().position(|subscriber| *subscriber == key) {
            self.subscribers.swap_remove(index);
        }
    }

    pub fn publish(&mut self, opcode: u8, payload: &[u8]) {
        frame::encode(opcode, payload, &mut self.frames);
        self.ends.push(self.frames.len());
    }

    /// Sends each published message to each subscriber by its own send(2); does nothing if messages are coalesced.
    pub fn deliver_singly(&mut self, mut deliver: impl FnMut(usize, &[u8])) {
        if self.coalesce || self.ends.is_empty() {
            return;
        }
        let mut begin = 0;
        for end in &self.ends {
            send_to_all(&self.frames[begin..*end], &self.subscribers, &mut deliver);
            begin = *end;
        }
        self.clear();
    }

    /// Sends all published messages to each subscriber by one send(2).
    pub fn deliver_together(&mut self, mut deliver: impl FnMut(usize, &[u8])) {
        if self.ends.is_empty() {
            return;
        }
        send_to_all(&self.frames, &self.subscribers, &mut deliver);
        self.clear();
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.ends.clear();
    }
}

fn send_to_all(frames: &[u8], subscribers: &[usize], deliver: &mut impl FnMut(usize, &[u8])) {
    for key in subscribers {
        deliver(*key, frames);
    }
}
