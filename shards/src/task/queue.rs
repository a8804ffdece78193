//! The tasks of one shard, and the queue of those that are to be polled.
//!
//! A queue of our own, under either driver: the turn polls it directly, so that a wake is one push and a poll is one pop, and a
//! comparison of two drivers is not one of two schedulers.
//!
//! Invariant: the key of every task whose waker says `scheduled` stands in the queue. A key can outlive its task, and then
//! wakes its successor for nothing, at worst.

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
use crate::shard::shard::ShardId;

/// A future whose output nobody waits for.
type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one shard.
#[derive(Default)]
pub(crate) struct Tasks {
    /// `None` while the task is being polled.
    tasks: RefCell<Slab<Option<Task>>>,
    /// The keys of those to be polled, in the order in which they were woken.
    runnable: RefCell<VecDeque<usize>>,
    polls: Cell<u64>,
    /// The shard ends: every task drops its future at its next poll instead of polling it.
    ending: Cell<bool>,
    /// What to wake when the first task becomes runnable: the driver, where its sleep is a future.
    sleeper: RefCell<Option<Waker>>,
}

struct Task {
    future: TaskFuture,
    task: Arc<TaskWaker>,
    waker: Waker,
}

impl Tasks {
    /// Adds a task to the end of the queue. It is not polled here: a chain of tasks that spawn one another would use up the stack,
    /// and a task would find whatever its spawner has borrowed.
    pub(super) fn spawn(&self, inbox: &Arc<Inbox>, future: TaskFuture) {
        let mut tasks = self.tasks.borrow_mut();
        let place = tasks.vacant_entry();
        let task = Arc::new(TaskWaker::new(Arc::clone(inbox), place.key()));
        self.push(&task);
        let waker = Waker::from(Arc::clone(&task));
        place.insert(Some(Task { future, task, waker }));
    }

    /// Puts a task into the queue unless it stands there already.
    pub(super) fn schedule(&self, task: &TaskWaker) {
        if !task.is_scheduled() {
            self.push(task);
        }
    }

    fn push(&self, task: &TaskWaker) {
        task.set_scheduled(true);
        let mut runnable = self.runnable.borrow_mut();
        runnable.push_back(task.key());
        if runnable.len() == 1
            && let Some(sleeper) = &*self.sleeper.borrow()
        {
            sleeper.wake_by_ref();
        }
    }

    /// Puts every task that other threads have woken into the queue.
    pub(crate) fn schedule_posted(&self, inbox: &Inbox) {
        while let Some(task) = inbox.next_wake() {
            task.taken();
            self.schedule(&task);
        }
    }

    /// Polls once every task that is runnable now; those they wake come next time.
    pub(crate) fn run(&self, shard: ShardId) {
        let runnable = self.runnable();
        self.polls.set(self.polls.get().wrapping_add(runnable as u64));
        for _ in 0..runnable {
            let Some(key) = self.runnable.borrow_mut().pop_front() else {
                return;
            };
            // A task that has ended since it was woken has left its key behind.
            let Some(mut task) = self.tasks.borrow_mut().get_mut(key).and_then(Option::take) else {
                continue;
            };
            // Before the poll: a wake that comes during it is one more poll.
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

    /// Ends every task, those still to be spawned included: the futures are dropped on their own thread at their next poll, while
    /// the reactor is still there for what their destructors do.
    pub(crate) fn end(&self) {
        self.ending.set(true);
        for task in self.tasks.borrow().iter().filter_map(|(_, task)| task.as_ref()) {
            self.schedule(&task.task);
        }
    }

    /// How many tasks wait to be polled.
    pub(crate) fn runnable(&self) -> usize {
        self.runnable.borrow().len()
    }

    /// How many tasks are alive.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// How many polls there have been.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Whom to wake when the first task becomes runnable; nobody while the driver is awake, or when it sleeps in a system call.
    pub(crate) fn set_sleeper(&self, sleeper: Option<Waker>) {
        *self.sleeper.borrow_mut() = sleeper;
    }
}

impl Task {
    /// True while there is more to do. A panic ends the task and nothing else.
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

    /// Drops the future, outside every borrow and with its panics caught: a destructor may do anything.
    fn end(self, shard: ShardId) {
        if let Err(text) = contain(|| drop(self.future)) {
            report(shard, &TaskPanicked::with_text(text));
        }
    }
}

pub(super) fn report(shard: ShardId, panicked: &TaskPanicked) {
    tracing::error!(%shard, "a task {panicked}; it is ended, the shard goes on");
}
