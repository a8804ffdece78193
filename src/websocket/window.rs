//! The LZ77 window of one direction of one connection (RFC 7692 §7.1.1), kept between messages where window takeover
//! was negotiated.
//!
//! Not the state of a compressor is kept, which takes a quarter of a megabyte, but the last bytes that went through it:
//! a lent compressor that is given them as its dictionary goes on as if it had never been taken away. All windows of
//! a shard come out of one budget; a connection for which nothing is left negotiates no takeover.

use std::cell::Cell;
use std::rc::Rc;

use super::encoding::WindowBits;
use crate::memory::{self, OutOfMemory};

/// How much memory the windows of a shard may still take.
#[derive(Debug, Clone)]
pub(super) struct WindowBudget {
    bytes_left: Rc<Cell<usize>>,
}

/// The last bytes of the messages that went one way.
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

    /// An empty window, paid for in full; `None` if there is no budget for it.
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

    /// Slides the window over what has gone through.
    ///
    /// # Errors
    ///
    /// There is no memory for it; the window stays where it is.
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

    /// Forgets what has gone through. Only a sender may: what it sends next refers to nothing before.
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
