//! The tasks of one shard: spawned, polled when woken, dropped at their end.
//!
//! Invariant: the key of every task whose waker is `scheduled` is in the run queue. A key may outlive its task; at worst
//! it wakes the task that reuses the key.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::panicked::TaskPanicked;
use super::queue::RunQueue;
use super::waker::{self, TaskWaker, TaskWakes};
use crate::balance::watchdog::{Heartbeat, Place};
use crate::message::inbox::Inbox;
use crate::panics::contain;
use crate::shard::id::ShardId;

/// A future without an output.
type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one shard.
pub(crate) struct Tasks {
    /// `None` while the task is being polled.
    tasks: RefCell<Slab<Option<Task>>>,
    queue: Rc<RunQueue>,
    /// The tasks woken by other threads.
    wakes: Arc<TaskWakes>,
    polls: Cell<u64>,
    /// The shard is ending: each task drops its future instead of polling it.
    ending: Cell<bool>,
}

struct Task {
    future: TaskFuture,
    task: Arc<TaskWaker>,
    waker: Waker,
    /// Where the task was spawned.
    place: Place,
}

impl Tasks {
    /// Creates the table of the shard with this inbox.
    pub(crate) fn new(inbox: &Arc<Inbox>) -> Self {
        Self {
            tasks: RefCell::default(),
            queue: Rc::default(),
            wakes: Arc::new(TaskWakes::new(Arc::clone(inbox))),
            polls: Cell::new(0),
            ending: Cell::new(false),
        }
    }

    /// Makes the calling thread the one on which a wake goes straight to the run queue.
    pub(crate) fn install(&self) {
        waker::install(&self.wakes, &self.queue);
    }

    /// Appends a task to the queue. It is not polled here. A chain of tasks that spawn one another would exhaust the
    /// stack, and a task would run inside its spawner's borrows.
    pub(crate) fn spawn(&self, place: Place, future: TaskFuture) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let task = Arc::new(TaskWaker::new(Arc::clone(&self.wakes), entry.key()));
        task.schedule(&self.queue);
        let waker = Waker::from(Arc::clone(&task));
        entry.insert(Some(Task {
            future,
            task,
            waker,
            place,
        }));
    }

    /// Queues every task that other threads have woken.
    pub(crate) fn schedule_posted(&self) {
        while let Some(task) = self.wakes.take() {
            // Before it is scheduled, so that a wake from now on posts it again.
            task.taken();
            task.schedule(&self.queue);
        }
    }

    /// Drops what other threads have posted, because the shard has ended.
    pub(crate) fn discard_posted(&self) {
        self.wakes.discard();
    }

    /// Polls once every task that is runnable now; tasks woken meanwhile wait for the next call.
    ///
    /// `heartbeat` shows the current task to the watchdog.
    pub(crate) fn run(&self, shard: ShardId, heartbeat: &Heartbeat) {
        let runnable = self.runnable();
        self.polls.set(self.polls.get().wrapping_add(runnable as u64));
        for _ in 0..runnable {
            let Some(key) = self.queue.pop() else {
                return;
            };
            // The task may have ended since it was woken and left its key behind.
            let Some(mut task) = self.tasks.borrow_mut().get_mut(key).and_then(Option::take) else {
                continue;
            };
            // Before the poll, so that a wake during it schedules one more poll.
            task.task.unscheduled();
            heartbeat.run(task.place);
            let is_pending = !self.ending.get() && task.poll(shard);
            if is_pending {
                if let Some(place) = self.tasks.borrow_mut().get_mut(key) {
                    *place = Some(task);
                }
            } else {
                task.end(shard);
                self.tasks.borrow_mut().try_remove(key);
            }
        }
    }

    /// Ends every task, including those still to be spawned. Each future is dropped at its next poll, on its own
    /// thread, while the reactor still exists for its destructors.
    pub(crate) fn end(&self) {
        self.ending.set(true);
        for task in self.tasks.borrow().iter().filter_map(|(_, task)| task.as_ref()) {
            task.task.schedule(&self.queue);
        }
    }

    /// Returns how many tasks wait to be polled.
    pub(crate) fn runnable(&self) -> usize {
        self.queue.len()
    }

    /// Returns the number of live tasks.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Returns how many polls there have been.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Sets what to wake when the first task becomes runnable; `None` while the driver is awake or sleeps in a system
    /// call.
    pub(crate) fn set_sleeper(&self, sleeper: Option<Waker>) {
        self.queue.set_sleeper(sleeper);
    }
}

impl Task {
    /// Polls the future and returns whether it is still pending; a panic ends only this task.
    fn poll(&mut self, shard: ShardId) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        match contain(|| self.future.as_mut().poll(&mut cx)) {
            Ok(polled) => polled == Poll::Pending,
            Err(text) => {
                TaskPanicked::with_text(text).report(shard);
                false
            }
        }
    }

    /// Drops the future outside every borrow and catches its panics: a destructor may do anything.
    fn end(self, shard: ShardId) {
        if let Err(text) = contain(|| drop(self.future)) {
            TaskPanicked::with_text(text).report(shard);
        }
    }
}
