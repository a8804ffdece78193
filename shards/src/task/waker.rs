//! The waker of one task.
//!
//! A wake on the task's own thread puts it into the shard's run queue. A wake from another thread is posted to the shard
//! and wakes it.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

use super::queue::RunQueue;
use super::remote_wakes::RemoteWakes;
use crate::sync::{AtomicBool, Ordering};

/// The tasks of one shard that other threads have woken.
pub(super) type TaskWakes = RemoteWakes<Arc<TaskWaker>>;

thread_local! {
    static HERE: OnceCell<Here> = const { OnceCell::new() };
}

/// The shard of this thread, as its wakers see it.
struct Here {
    /// Tells the shard's own tasks from those of other shards.
    wakes: Arc<TaskWakes>,
    queue: Rc<RunQueue>,
}

/// Makes the calling thread that of the shard with these queues, for the rest of its life.
pub(super) fn install(wakes: &Arc<TaskWakes>, queue: &Rc<RunQueue>) {
    let here = Here {
        wakes: Arc::clone(wakes),
        queue: Rc::clone(queue),
    };
    let installed = HERE.with(|place| place.set(here));
    debug_assert!(installed.is_ok(), "one thread, one shard");
}

/// The waker of one task.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    wakes: Arc<TaskWakes>,
    key: usize,
    /// Whether it is in the shard's queue. Only the shard's thread touches it; atomic because a waker must be `Sync`.
    scheduled: AtomicBool,
    /// Whether it is among the remote wakes.
    posted: AtomicBool,
}

impl TaskWaker {
    pub(super) fn new(wakes: Arc<TaskWakes>, key: usize) -> Self {
        Self {
            wakes,
            key,
            scheduled: AtomicBool::new(false),
            posted: AtomicBool::new(false),
        }
    }

    /// Queues the task on its own shard, unless it is queued already.
    pub(super) fn schedule(&self, queue: &RunQueue) {
        if !self.scheduled.load(Ordering::Relaxed) {
            self.scheduled.store(true, Ordering::Relaxed);
            queue.push(self.key);
        }
    }

    /// Records that it left the run queue. Called before the poll, so that a wake during it schedules one more poll.
    pub(super) fn unscheduled(&self) {
        self.scheduled.store(false, Ordering::Relaxed);
    }

    /// Records that it left the remote wakes. Called before the task runs, so that a later wake posts it again.
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
        // Fails while the thread ends, when the task may as well be posted.
        let woken_here = HERE.try_with(|here| {
            let here = here.get().filter(|here| Arc::ptr_eq(&here.wakes, &self.wakes));
            here.map(|here| self.schedule(&here.queue))
        });
        if !matches!(woken_here, Ok(Some(()))) && !self.posted.swap(true, Ordering::AcqRel) {
            self.wakes.post(Arc::clone(self));
        }
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::panic::Location;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Poll, Waker};

    use loom::sync::atomic::{AtomicUsize, Ordering};

    use super::super::tasks::Tasks;
    use crate::balance::watchdog::Heartbeat;
    use crate::message::inbox::Inbox;
    use crate::shard::id::ShardId;

    /// Returns a task, polled once, that records how many messages it finds at each poll.
    fn reader(inbox: &Arc<Inbox>, messages: &loom::sync::Arc<AtomicUsize>) -> (Tasks, Rc<Cell<usize>>, Waker) {
        let (tasks, found) = (Tasks::new(inbox), Rc::<Cell<usize>>::default());
        let waker = Rc::new(RefCell::new(None));
        let (messages, finds, shows) = (messages.clone(), Rc::clone(&found), Rc::clone(&waker));
        let task = poll_fn(move |cx| {
            shows.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            finds.set(messages.load(Ordering::Relaxed));
            Poll::Pending
        });
        tasks.spawn(Location::caller(), Box::pin(task));
        tasks.run(ShardId::FIRST, &Heartbeat::default());
        let waker = waker.borrow_mut().take().unwrap();
        (tasks, found, waker)
    }

    fn take_messages(inbox: &Inbox, tasks: &Tasks) {
        if inbox.wake_flag().take_messages() {
            tasks.schedule_posted();
            tasks.run(ShardId::FIRST, &Heartbeat::default());
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
            tasks.discard_posted();
            drop(tasks);
            other.join().unwrap();
            assert_eq!(Arc::strong_count(&inbox), 1, "a waker leaked");
        });
    }
}
