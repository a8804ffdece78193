//! The topic: who subscribed, and the messages that have been published but not yet sent.
//!
//! Invariant: `frames` holds whole frames, and is empty between two turns of epoll.

use crate::connection::Connection;
use crate::frame;

pub struct Topic {
    coalesce: bool,
    subscribers: Vec<usize>,
    /// Published messages as frames ready to send, one after the other.
    frames: Vec<u8>,
    /// Where in `frames` each frame ends.
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

    /// Sends every published message by a send(2) of its own to every subscriber, unless they are to be coalesced.
    pub fn deliver_singly(&mut self, connections: &mut [Option<Connection>]) {
        if self.coalesce || self.ends.is_empty() {
            return;
        }
        let mut begin = 0;
        for end in &self.ends {
            send_to_all(&self.frames[begin..*end], &self.subscribers, connections);
            begin = *end;
        }
        self.clear();
    }

    /// Sends all published messages by one send(2) to every subscriber.
    pub fn deliver_together(&mut self, connections: &mut [Option<Connection>]) {
        if self.ends.is_empty() {
            return;
        }
        send_to_all(&self.frames, &self.subscribers, connections);
        self.clear();
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.ends.clear();
    }
}

fn send_to_all(frames: &[u8], subscribers: &[usize], connections: &mut [Option<Connection>]) {
    for key in subscribers {
        if let Some(Some(subscriber)) = connections.get_mut(*key) {
            subscriber.deliver(frames);
        }
    }
}
