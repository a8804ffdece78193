//! The ring's one timer: the moment at which the sleeping shard must look at its deadlines.
//!
//! Arming a timer for every sleep is expensive on a virtual machine. So one timeout stays in the ring and moves only to
//! an earlier moment. If it fires early, because its deadline was postponed, it is armed again.

use std::cell::Cell;
use std::time::Instant;

use io_uring::{opcode, squeue, types};

use super::operation::{Operation, SlotKey, Token};

/// When the timeout in the ring fires, and the memory the kernel reads it from.
pub(super) struct Timer {
    armed: Cell<Option<Instant>>,
    timespec: Box<Cell<types::Timespec>>,
}

const TOKEN: Token = Token::new(Operation::Timer, SlotKey::NONE);

impl Timer {
    pub(super) fn new() -> Self {
        Self {
            armed: Cell::new(None),
            timespec: Box::new(Cell::new(types::Timespec::new())),
        }
    }

    /// Moves the timeout to `deadline` if that is earlier; returns the request to push, whose memory this timer owns.
    pub(super) fn arm(&self, deadline: Instant) -> Option<squeue::Entry> {
        if self.armed.get().is_some_and(|armed| armed <= deadline) {
            return None;
        }
        // The clock is read again: the kernel counts from the moment of submission, not from the start of the turn.
        let wait = deadline.saturating_duration_since(crate::clock::now());
        // A zero timeout fires at once, which an expired deadline needs.
        self.timespec.set(types::Timespec::from(wait));
        let timespec = self.timespec.as_ptr().cast_const();
        let entry = if self.armed.replace(Some(deadline)).is_none() {
            opcode::Timeout::new(timespec).build().user_data(TOKEN.to_user_data())
        } else {
            // If it fires before it is moved, the move fails, the shard wakes early and arms it again.
            let ignored = Token::new(Operation::Ignored, SlotKey::NONE);
            let entry = opcode::TimeoutUpdate::new(TOKEN.to_user_data(), timespec).build();
            entry.user_data(ignored.to_user_data())
        };
        Some(entry)
    }

    /// Records that the timeout has fired.
    pub(super) fn fired(&self) {
        self.armed.set(None);
    }

    /// Takes the memory the kernel reads, to be leaked.
    pub(super) fn take_kernel_memory(&mut self) -> Box<Cell<types::Timespec>> {
        std::mem::replace(&mut self.timespec, Box::new(Cell::new(types::Timespec::new())))
    }
}
