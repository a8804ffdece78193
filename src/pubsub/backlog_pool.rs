//! Unused backlogs, retained for reuse.
//!
//! When a turn publishes messages of two topics, every subscriber of both needs a backlog until the end of the turn.
//! Allocating a backlog and growing its queue each time dominated the allocator's work. It also made the allocator
//! return heap to the system and request it again with every batch.

use super::backlog::Backlog;

/// Most pooled backlogs. 4096: with queues of [`POOLED_CAPACITY_MAX`] entries, 5 MiB.
const POOLED_BACKLOGS_MAX: usize = 4096;

/// Largest capacity of a pooled backlog's queue, in entries. 64: more topics than a turn usually publishes to.
const POOLED_CAPACITY_MAX: usize = 64;

/// A pool of idle backlogs.
#[derive(Debug, Default)]
pub(super) struct BacklogPool {
    #[expect(
        clippy::vec_box,
        reason = "a backlog moves between the pool and its outbox: eight bytes, not its whole size"
    )]
    free: Vec<Box<Backlog>>,
}

impl BacklogPool {
    /// Returns an idle backlog.
    pub(super) fn take(&mut self) -> Box<Backlog> {
        self.free.pop().unwrap_or_default()
    }

    /// Takes back a backlog that is [idle](Backlog::is_idle).
    pub(super) fn put(&mut self, mut backlog: Box<Backlog>) {
        if self.free.len() < POOLED_BACKLOGS_MAX && backlog.capacity() <= POOLED_CAPACITY_MAX {
            backlog.reset();
            self.free.push(backlog);
        }
    }
}
