//! The ring's one timer: an absolute moment at which the sleeping shard must look at its deadlines.
//!
//! Arming a timer for every sleep is dear on a virtual machine, so one timeout stays in the ring, and it is moved only when
//! something must happen earlier than it. When it fires early (its deadline has been put off since), it is armed again.

use std::cell::Cell;
use std::time::Instant;

use io_uring::{opcode, types};

use super::Ring;
use super::operation::{Operation, SlotKey, Token};

/// When the timeout in the ring fires, and the memory the kernel reads that from.
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

    /// The timeout has fired.
    pub(super) fn fired(&self) {
        self.armed.set(None);
    }

    /// Gives up the memory the kernel reads, to be leaked.
    pub(super) fn take_kernel_memory(&mut self) -> Box<Cell<types::Timespec>> {
        std::mem::replace(&mut self.timespec, Box::new(Cell::new(types::Timespec::new())))
    }
}

impl Ring {
    /// Makes sure that the shard is awake at `deadline`, if not before.
    pub(crate) fn arm_timer(&self, deadline: Instant) {
        let timer = &self.timer;
        if timer.armed.get().is_some_and(|armed| armed <= deadline) {
            return;
        }
        // Read afresh, not from the turn's clock: the kernel counts from the moment of submission.
        let wait = deadline.saturating_duration_since(crate::clock::now());
        // A zero timeout would mean "now" and is what an expired deadline asks for.
        timer.timespec.set(types::Timespec::from(wait));
        let timespec = timer.timespec.as_ptr().cast_const();
        if timer.armed.replace(Some(deadline)).is_none() {
            self.push(opcode::Timeout::new(timespec).build().user_data(TOKEN.to_user_data()));
        } else {
            // If it fires before it can be moved, the move fails, the shard wakes early and arms it again: no harm.
            let ignored = Token::new(Operation::Ignored, SlotKey::NONE);
            let entry = opcode::TimeoutUpdate::new(TOKEN.to_user_data(), timespec).build();
            self.push(entry.user_data(ignored.to_user_data()));
        }
    }
}
