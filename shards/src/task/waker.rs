//! The waker of one task.
//!
//! A wake on the task's own thread puts it into the shard's queue. A wake from any other thread goes through the shard's inbox
//! and rings its doorbell, because the shard may sleep in a system call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use crate::inbox::Inbox;
use crate::shard::ShardContext;

/// The waker of one task.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    inbox: Arc<Inbox>,
    key: usize,
    /// Stands in the shard's queue. Touched by the task's own thread only; atomic because a waker must be `Sync`.
    scheduled: AtomicBool,
    /// Stands in the inbox.
    posted: AtomicBool,
}

impl TaskWaker {
    pub(super) fn new(inbox: Arc<Inbox>, key: usize) -> Self {
        Self {
            inbox,
            key,
            scheduled: AtomicBool::new(false),
            posted: AtomicBool::new(false),
        }
    }

    /// The task's place in its shard's table.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::Relaxed)
    }

    pub(super) fn set_scheduled(&self, scheduled: bool) {
        self.scheduled.store(scheduled, Ordering::Relaxed);
    }

    /// Taken out of the inbox. Said before the task runs: a wake that comes from now on posts it anew.
    pub(super) fn taken(&self) {
        self.posted.store(false, Ordering::Release);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken_here = ShardContext::with(|shard| {
            let here = Arc::ptr_eq(shard.inbox(), &self.inbox);
            if here {
                shard.tasks().schedule(self);
            }
            here
        });
        if woken_here != Some(true) && !self.posted.swap(true, Ordering::AcqRel) {
            self.inbox.post_wake(Arc::clone(self));
        }
    }
}
