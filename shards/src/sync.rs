//! The lock-free types shared by threads: of std and crossbeam, or of loom under its model checker, so that the models
//! run the real code.
//!
//! `RUSTFLAGS="--cfg squall_loom" cargo test -p squall-shards --lib --release loom` runs every model.

#[cfg(not(squall_loom))]
pub(crate) use crossbeam::queue::{ArrayQueue, SegQueue};
#[cfg(not(squall_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

#[cfg(squall_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
#[cfg(squall_loom)]
pub(crate) use model::{ArrayQueue, SegQueue};

/// Queues for loom, which does not see into crossbeam's: the weakest that are still queues. A consumer sees what was
/// written before the push; "empty" and "full" may be stale.
#[cfg(squall_loom)]
mod model {
    use crossbeam::queue;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    /// loom switches threads only at its own operations, so a count and its queue change together.
    #[derive(Debug)]
    pub(crate) struct SegQueue<T> {
        count: AtomicUsize,
        items: queue::SegQueue<T>,
    }

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self {
                count: AtomicUsize::new(0),
                items: queue::SegQueue::new(),
            }
        }

        pub(crate) fn push(&self, item: T) {
            self.count.fetch_add(1, Ordering::Release);
            self.items.push(item);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let less = |count: usize| count.checked_sub(1);
            self.count
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, less)
                .ok()?;
            self.items.pop()
        }

        pub(crate) fn len(&self) -> usize {
            self.count.load(Ordering::Relaxed)
        }
    }

    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        capacity: usize,
        room: AtomicUsize,
        items: SegQueue<T>,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self {
                capacity,
                room: AtomicUsize::new(capacity),
                items: SegQueue::new(),
            }
        }

        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            let less = |room: usize| room.checked_sub(1);
            if self
                .room
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, less)
                .is_err()
            {
                return Err(item);
            }
            self.items.push(item);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let item = self.items.pop()?;
            self.room.fetch_add(1, Ordering::Release);
            Some(item)
        }

        pub(crate) fn len(&self) -> usize {
            self.items.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub(crate) fn is_full(&self) -> bool {
            self.room.load(Ordering::Relaxed) == 0
        }

        pub(crate) fn capacity(&self) -> usize {
            self.capacity
        }
    }
}
