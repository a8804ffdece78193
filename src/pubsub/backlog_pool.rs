//! Backlogs that nobody needs at the moment, kept for whoever needs one next.
//!
//! Messages of two topics in one turn give every subscriber of both a backlog for the length of it. Made anew each time, each with a queue
//! that grows from nothing, they are the allocator's busiest customers, and make it give the heap back to the system and take it again with every burst
//! (`loadtest/record/2026-11-25`).

use super::backlog::Backlog;

/// Most backlogs kept. 4096: with queues of [`KEPT_ENTRIES_MAX`] entries, 5 MiB.
const POOLED_BACKLOGS_MAX: usize = 4096;

/// A backlog whose queue has grown to more entries is not kept. 64: as many topics as a turn brings news of, and more.
const POOLED_CAPACITY_MAX: usize = 64;

/// Backlogs that hold nothing.
#[derive(Debug, Default)]
pub(super) struct BacklogPool {
    #[expect(
        clippy::vec_box,
        reason = "a backlog moves between the pool and its outbox: eight bytes, not its whole size"
    )]
    free: Vec<Box<Backlog>>,
}

impl BacklogPool {
    /// A backlog that holds nothing.
    pub(super) fn take(&mut self) -> Box<Backlog> {
        self.free.pop().unwrap_or_default()
    }

    /// Takes a backlog back that is [idle](Backlog::is_idle).
    pub(super) fn put(&mut self, mut backlog: Box<Backlog>) {
        if self.free.len() < POOLED_BACKLOGS_MAX && backlog.capacity() <= POOLED_CAPACITY_MAX {
            backlog.reset();
            self.free.push(backlog);
        }
    }
}
