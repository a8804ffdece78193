//! The ring's one timer: the moment at which the sleeping shard must look at its deadlines.
//!
//! Arming a timer for every sleep is expensive on a virtual machine. So one timeout stays in the ring and moves only to
//! an earlier moment. If it fires early, because its deadline was postponed, it is armed again.

use std::cell::Cell;
use std::time::Instant;

use io_uring::types;

use super::memory::Fixed;
use super::operation::{Operation, SlotKey, Token};
use super::request::Request;

/// When the timeout in the ring fires, and the memory the kernel reads it from.
pub(super) struct Timer {
    armed: Cell<Option<Instant>>,
    timespec: Fixed<Cell<types::Timespec>>,
}

const TOKEN: Token = Token::new(Operation::Timer, SlotKey::NONE);

impl Timer {
    pub(super) fn new() -> Self {
        Self {
            armed: Cell::new(None),
            timespec: Fixed::new(Cell::new(types::Timespec::new())),
        }
    }

    /// Moves the timeout to `deadline` if that is earlier; returns the request to push, whose memory this timer owns.
    pub(super) fn arm(&self, deadline: Instant) -> Option<Request> {
        if self.armed.get().is_some_and(|armed| armed <= deadline) {
            return None;
        }
        // The clock is read again: the kernel counts from the moment of submission, not from the start of the turn.
        let wait = deadline.saturating_duration_since(crate::clock::now());
        // A zero timeout fires at once, which an expired deadline needs.
        self.timespec.set(types::Timespec::from(wait));
        let timespec = (*self.timespec).as_ptr().cast_const();
        let request = if self.armed.replace(Some(deadline)).is_none() {
            // SAFETY: the timespec belongs to this timer, and so to the ring, which ends every operation before it drops it.
            unsafe { Request::timeout(timespec, TOKEN) }
        } else {
            // If it fires before it is moved, the move fails, the shard wakes early and arms it again.
            // SAFETY: as above.
            unsafe { Request::move_timeout(TOKEN, timespec) }
        };
        Some(request)
    }

    /// Records that the timeout has fired.
    pub(super) fn fired(&self) {
        self.armed.set(None);
    }

    /// Takes the memory the kernel reads, to be leaked.
    pub(super) fn take_kernel_memory(&mut self) -> impl Sized + use<> {
        std::mem::replace(&mut self.timespec, Fixed::new(Cell::new(types::Timespec::new())))
    }
}
