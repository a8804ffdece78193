//! The LZ77 window of one direction of a connection (RFC 7692 §7.1.1), kept between messages if context takeover was
//! negotiated.
//!
//! The connection keeps the last bytes that went through a compressor, not the compressor's state of 256 KiB. A lent
//! compressor takes them as its dictionary and continues as if it had stayed. All windows of a shard share one budget;
//! once it is spent, connections negotiate no takeover.

use std::cell::Cell;
use std::rc::Rc;

use super::window_bits::WindowBits;
use crate::memory::{self, OutOfMemory};

/// The memory that the windows of a shard may still take.
#[derive(Debug, Clone)]
pub(super) struct WindowBudget {
    bytes_left: Rc<Cell<usize>>,
}

/// The last bytes of the messages in one direction.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    bytes: Vec<u8>,
    window_bytes: usize,
    budget: WindowBudget,
}

impl WindowBudget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_left: Rc::new(Cell::new(bytes_max)),
        }
    }

    /// Makes an empty window and reserves its whole size; `None` if the budget does not suffice.
    pub(super) fn lend(&self, window: WindowBits) -> Option<SlidingWindow> {
        let window_bytes = window.bytes();
        let left = self.bytes_left.get().checked_sub(window_bytes)?;
        self.bytes_left.set(left);
        Some(SlidingWindow {
            bytes: Vec::new(),
            window_bytes,
            budget: self.clone(),
        })
    }

    pub(super) fn bytes_left(&self) -> usize {
        self.bytes_left.get()
    }
}

impl SlidingWindow {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends bytes and drops the oldest beyond the window's size.
    ///
    /// # Errors
    ///
    /// Memory is short; the window is unchanged.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let kept = bytes
            .get(bytes.len().saturating_sub(self.window_bytes)..)
            .unwrap_or_default();
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(self.window_bytes);
        memory::make_room(&mut self.bytes, kept.len() - surplus)?;
        self.bytes.drain(..surplus);
        self.bytes.extend_from_slice(kept);
        Ok(())
    }

    /// Drops all bytes. Only a sender may: its next message then refers to none before it.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }
}

impl Drop for SlidingWindow {
    fn drop(&mut self) {
        let left = &self.budget.bytes_left;
        left.set(left.get() + self.window_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_the_last_bytes() {
        let budget = WindowBudget::new(512);
        let mut window = budget.lend(WindowBits::MIN).unwrap();
        assert!(budget.lend(WindowBits::MIN).is_none(), "the budget is spent");
        let all: Vec<u8> = (0..2000_u32).map(|place| u8::try_from(place % 251).unwrap()).collect();
        let mut sent = 0;
        for step in [0, 1, 511, 1, 100, 512, 513, 362] {
            window.extend(&all[sent..sent + step]).unwrap();
            sent += step;
            assert_eq!(window.as_bytes(), &all[sent.saturating_sub(512)..sent], "after {sent}");
        }
        drop(window);
        assert_eq!(budget.bytes_left(), 512, "and is paid back");
    }
}
