//! The waker of one task.
//!
//! A wake on the task's own thread puts it into the shard's queue. A wake from another thread goes through the shard's
//! inbox and wakes the shard, which may sleep in a system call.

use std::sync::Arc;
use std::task::Wake;

use crate::message::inbox::Inbox;
use crate::shard::shard::ShardContext;
use crate::sync::{AtomicBool, Ordering};

/// The waker of one task.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    inbox: Arc<Inbox>,
    key: usize,
    /// Whether it is in the shard's queue. Only the shard's thread touches it; atomic because a waker must be `Sync`.
    scheduled: AtomicBool,
    /// Whether it is in the inbox.
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

    /// Returns the task's key in its shard's table.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::Relaxed)
    }

    pub(super) fn set_scheduled(&self, scheduled: bool) {
        self.scheduled.store(scheduled, Ordering::Relaxed);
    }

    /// Records that it left the inbox. Called before the task runs, so that a later wake posts it again.
    pub(super) fn taken(&self) {
        // A swap, not a store: only a read makes this thread see what a waker wrote that found the task already posted.
        self.posted.swap(false, Ordering::AcqRel);
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

#[cfg(all(test, squall_loom))]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Poll, Waker};

    use loom::sync::atomic::{AtomicUsize, Ordering};

    use super::super::queue::Tasks;
    use crate::message::inbox::Inbox;
    use crate::shard::id::ShardId;

    /// Returns a task, polled once, that records how many messages it finds at each poll.
    fn reader(inbox: &Arc<Inbox>, messages: &loom::sync::Arc<AtomicUsize>) -> (Tasks, Rc<Cell<usize>>, Waker) {
        let (tasks, found) = (Tasks::default(), Rc::<Cell<usize>>::default());
        let waker = Rc::new(RefCell::new(None));
        let (messages, finds, shows) = (messages.clone(), Rc::clone(&found), Rc::clone(&waker));
        let task = poll_fn(move |cx| {
            shows.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            finds.set(messages.load(Ordering::Relaxed));
            Poll::Pending
        });
        tasks.spawn(inbox, Box::pin(task));
        tasks.run(ShardId::FIRST);
        let waker = waker.borrow_mut().take().unwrap();
        (tasks, found, waker)
    }

    fn take_messages(inbox: &Inbox, tasks: &Tasks) {
        if inbox.wake_flag().take_messages() {
            tasks.schedule_posted(inbox);
            tasks.run(ShardId::FIRST);
        }
    }

    /// A second thread writes a message and wakes a task while its shard takes the first wake-up. The task reads the
    /// message now, or another wake-up is pending.
    #[test]
    fn loom_a_task_is_polled_after_what_it_was_woken_for() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(ShardId::FIRST).unwrap());
            let messages = loom::sync::Arc::new(AtomicUsize::new(0));
            let (tasks, found, waker) = reader(&inbox, &messages);
            waker.wake_by_ref();
            let other = loom::thread::spawn(move || {
                messages.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            });
            take_messages(&inbox, &tasks);
            other.join().unwrap();
            take_messages(&inbox, &tasks);
            assert_eq!(found.get(), 1, "a message was missed");
            drop(tasks);
            assert_eq!(Arc::strong_count(&inbox), 1, "a waker leaked");
        });
    }

    /// A waker left in the queue of an ended shard would keep the queue alive, which keeps the waker.
    #[test]
    fn loom_a_waker_of_a_shard_that_ends_is_freed() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(ShardId::FIRST).unwrap());
            let (tasks, _, waker) = reader(&inbox, &loom::sync::Arc::default());
            let other = loom::thread::spawn(move || waker.wake());
            inbox.end();
            drop(tasks);
            other.join().unwrap();
            assert_eq!(Arc::strong_count(&inbox), 1, "a waker leaked");
        });
    }
}
