//! The tasks of one shard and the queue of those to be polled.
//!
//! Both drivers share this queue. The turn polls it directly, so a wake is one push and a poll one pop. A benchmark of
//! two drivers therefore compares drivers, not schedulers.
//!
//! Invariant: the key of every task whose waker is `scheduled` is in the queue. A key may outlive its task; at worst it
//! wakes the task that reuses the key.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::panicked::TaskPanicked;
use super::waker::TaskWaker;
use crate::message::inbox::Inbox;
use crate::panics::contain;
use crate::shard::id::ShardId;

/// A future without an output.
type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one shard.
#[derive(Default)]
pub(crate) struct Tasks {
    /// `None` while the task is being polled.
    tasks: RefCell<Slab<Option<Task>>>,
    /// The keys of the tasks to be polled, in the order they were woken.
    runnable: RefCell<VecDeque<usize>>,
    polls: Cell<u64>,
    /// The shard is ending: each task drops its future instead of polling it.
    ending: Cell<bool>,
    /// Woken when the first task becomes runnable: the driver, if its sleep is a future.
    sleeper: RefCell<Option<Waker>>,
}

struct Task {
    future: TaskFuture,
    task: Arc<TaskWaker>,
    waker: Waker,
}

impl Tasks {
    /// Appends a task to the queue. It is not polled here: a chain of tasks that spawn one another would exhaust the
    /// stack, and a task would run inside its spawner's borrows.
    pub(super) fn spawn(&self, inbox: &Arc<Inbox>, future: TaskFuture) {
        let mut tasks = self.tasks.borrow_mut();
        let place = tasks.vacant_entry();
        let task = Arc::new(TaskWaker::new(Arc::clone(inbox), place.key()));
        self.push(&task);
        let waker = Waker::from(Arc::clone(&task));
        place.insert(Some(Task { future, task, waker }));
    }

    /// Queues a task, unless it is queued already.
    pub(super) fn schedule(&self, task: &TaskWaker) {
        if !task.is_scheduled() {
            self.push(task);
        }
    }

    fn push(&self, task: &TaskWaker) {
        task.set_scheduled(true);
        let mut runnable = self.runnable.borrow_mut();
        runnable.push_back(task.key());
        // Only the first task ends the sleep; the others find the shard awake.
        if runnable.len() == 1
            && let Some(sleeper) = &*self.sleeper.borrow()
        {
            sleeper.wake_by_ref();
        }
    }

    /// Queues every task that other threads have woken.
    pub(crate) fn schedule_posted(&self, inbox: &Inbox) {
        while let Some(task) = inbox.next_wake() {
            // Before it is scheduled, so that a wake from now on posts it again.
            task.taken();
            self.schedule(&task);
        }
    }

    /// Polls once every task that is runnable now; tasks woken meanwhile wait for the next call.
    pub(crate) fn run(&self, shard: ShardId) {
        let runnable = self.runnable();
        self.polls.set(self.polls.get().wrapping_add(runnable as u64));
        for _ in 0..runnable {
            let Some(key) = self.runnable.borrow_mut().pop_front() else {
                return;
            };
            // The task may have ended since it was woken and left its key behind.
            let Some(mut task) = self.tasks.borrow_mut().get_mut(key).and_then(Option::take) else {
                continue;
            };
            // Before the poll, so that a wake during it schedules one more poll.
            task.task.set_scheduled(false);
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
            self.schedule(&task.task);
        }
    }

    /// Returns how many tasks wait to be polled.
    pub(crate) fn runnable(&self) -> usize {
        self.runnable.borrow().len()
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
        *self.sleeper.borrow_mut() = sleeper;
    }
}

impl Task {
    /// Polls the future and returns whether it is still pending; a panic ends only this task.
    fn poll(&mut self, shard: ShardId) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        match contain(|| self.future.as_mut().poll(&mut cx)) {
            Ok(polled) => polled == Poll::Pending,
            Err(text) => {
                report(shard, &TaskPanicked::with_text(text));
                false
            }
        }
    }

    /// Drops the future outside every borrow and catches its panics: a destructor may do anything.
    fn end(self, shard: ShardId) {
        if let Err(text) = contain(|| drop(self.future)) {
            report(shard, &TaskPanicked::with_text(text));
        }
    }
}

pub(super) fn report(shard: ShardId, panicked: &TaskPanicked) {
    tracing::error!(%shard, "a task {panicked}; it was ended and the shard continues");
}
