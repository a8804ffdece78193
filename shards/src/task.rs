//! Tasks of a shard, and their wakers.
//!
//! Every task's waker is ours, not glommio's. A wake on the task's own thread schedules it and counts it, so that the driver
//! knows whether anything is runnable before it blocks in the ring. A wake from any other thread goes through the shard's
//! inbox, because glommio's own remote wake-up would not be seen while the driver sleeps.
//!
//! Invariant: `runnable` is the number of live tasks that are scheduled and not yet polled. glommio's waker of a task never
//! leaves the thread: it lives in the shard's table, and a [`TaskWaker`] only knows its key there.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use pin_project_lite::pin_project;
use slab::Slab;

use crate::blocking::BlockingTask;
use crate::executor;
use crate::inbox::Inbox;
use crate::shard::{Shard, ShardContext};

/// The tasks of one shard.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// For each task the waker glommio gave it; `None` until it was first polled.
    wakers: RefCell<Slab<Option<Waker>>>,
    runnable: Cell<usize>,
    /// The shard ends: every task drops its future at its next poll instead of polling it.
    ending: Cell<bool>,
}

impl Tasks {
    /// Ends every task, those still to be spawned included: the futures are dropped on their own thread, while the executor and
    /// the ring are still there for what their destructors do.
    pub(crate) fn end(&self) {
        self.ending.set(true);
        // A task without a waker has never been polled, so it is scheduled already.
        let wakers: Vec<_> = self
            .wakers
            .borrow()
            .iter()
            .filter_map(|(_, waker)| waker.clone())
            .collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// How many tasks wait to be polled.
    pub(crate) fn runnable(&self) -> usize {
        self.runnable.get()
    }

    /// How many tasks are alive.
    pub(crate) fn len(&self) -> usize {
        self.wakers.borrow().len()
    }

    /// Schedules a task unless it is scheduled already. A key of a task that has ended wakes nothing or, at worst, its successor.
    fn schedule(&self, task: &TaskWaker) {
        if task.scheduled.load(Ordering::Relaxed) {
            return;
        }
        if let Some(Some(waker)) = self.wakers.borrow().get(task.key) {
            task.scheduled.store(true, Ordering::Relaxed);
            self.runnable.set(self.runnable.get() + 1);
            waker.wake_by_ref();
        }
    }

    /// Schedules every task that other threads have woken.
    pub(crate) fn schedule_posted(&self, inbox: &Inbox) {
        while let Some(task) = inbox.next_wake() {
            // Cleared before the task runs: a wake that comes from now on posts it anew.
            task.posted.store(false, Ordering::Release);
            self.schedule(&task);
        }
    }
}

/// The waker of one task.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    inbox: Arc<Inbox>,
    key: usize,
    /// Scheduled and not yet polled. Touched by the task's own thread only; atomic because a waker must be `Sync`.
    scheduled: AtomicBool,
    /// Stands in the inbox.
    posted: AtomicBool,
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

pin_project! {
    /// A future with the shard's own waker around it.
    struct Task<F> {
        // Emptied as soon as it is done, under `catch_unwind`: glommio aborts the process when a destructor panics.
        #[pin]
        future: Option<F>,
        task: Arc<TaskWaker>,
        waker: Waker,
        // glommio's waker stands in the shard's table.
        has_waker: bool,
        shard: Rc<ShardContext>,
    }

    impl<F> PinnedDrop for Task<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let tasks = this.shard.tasks();
            if this.task.scheduled.swap(true, Ordering::Relaxed) {
                tasks.runnable.set(tasks.runnable.get().saturating_sub(1));
            }
            drop(tasks.wakers.borrow_mut().try_remove(this.task.key));
        }
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let tasks = this.shard.tasks();
        if this.task.scheduled.load(Ordering::Relaxed) {
            this.task.scheduled.store(false, Ordering::Relaxed);
            tasks.runnable.set(tasks.runnable.get().saturating_sub(1));
        }
        if !std::mem::replace(this.has_waker, true)
            && let Some(slot) = tasks.wakers.borrow_mut().get_mut(this.task.key)
        {
            *slot = Some(cx.waker().clone());
        }
        let mut future = this.future;
        let ending = tasks.ending.get();
        let mut cx = Context::from_waker(this.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| match future.as_mut().as_pin_mut() {
            Some(future) if !ending => future.poll(&mut cx),
            _ => Poll::Ready(()),
        }));
        let done = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => Ok(()),
            Err(panic) => Err(panic),
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None)));
        for panic in [done, dropped].into_iter().filter_map(Result::err) {
            let panicked = TaskPanicked::from_payload(&*panic);
            tracing::error!(shard = %this.shard.id(), "a task {panicked}; it is ended, the shard goes on");
        }
        Poll::Ready(())
    }
}

/// Runs a future on this shard and gives back a handle to its output. Nothing needs to be `Send`. It is first polled once the
/// caller waits for something. Dropping the handle lets the task go on.
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub fn spawn_local<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let join = Rc::new(Join {
        output: RefCell::new(None),
        waker: Cell::new(None),
    });
    // Dropped with the task however it ends, and so tells the handle when no output will come.
    let sender = JoinSender(Rc::clone(&join));
    spawn_detached(async move {
        let output = catch(future).await;
        let panic = match output {
            Ok(output) => return sender.answer(Ok(output)),
            Err(panic) => panic,
        };
        sender.answer(Err(TaskPanicked::from_payload(&*panic)));
        // The task's own guard says it in the log.
        resume_unwind(panic);
    });
    JoinHandle(join)
}

/// Runs a future on this shard whose output nobody waits for: the cheapest way to start one.
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) {
    let shard = Shard::current().into_context();
    let tasks = shard.tasks();
    let key = tasks.wakers.borrow_mut().insert(None);
    tasks.runnable.set(tasks.runnable.get() + 1);
    let task = Arc::new(TaskWaker {
        inbox: Arc::clone(shard.inbox()),
        key,
        scheduled: AtomicBool::new(true),
        posted: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&task));
    executor::spawn(Task {
        future: Some(future),
        task,
        waker,
        has_waker: false,
        shard: Rc::clone(&shard),
    });
}

/// Goes to the end of the queue: every task of this shard that is runnable now is polled before the caller is again. Long work
/// between two of these is long during which nobody else is served.
///
/// Cancel safety: may be dropped.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a closure that blocks on a thread beside the shards' cores, and gives back its output.
///
/// Cancel safety: the closure runs to its end whether or not anybody waits.
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub fn spawn_blocking<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> BlockingTask<T> {
    Shard::current().into_context().pool().spawn(closure)
}

/// The output of a future, or what it panicked with.
async fn catch<T>(future: impl Future<Output = T>) -> thread::Result<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or_else(|panic| Poll::Ready(Err(panic)), |output| output.map(Ok))
    })
    .await
}

struct Join<T> {
    output: RefCell<Option<Result<T, TaskPanicked>>>,
    waker: Cell<Option<Waker>>,
}

struct JoinSender<T>(Rc<Join<T>>);

impl<T> JoinSender<T> {
    fn answer(&self, output: Result<T, TaskPanicked>) {
        *self.0.output.borrow_mut() = Some(output);
    }
}

impl<T> Drop for JoinSender<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

/// Waits for a task of the same shard.
///
/// Cancel safety: may be dropped and awaited again by reference; the task goes on.
pub struct JoinHandle<T>(Rc<Join<T>>);

impl<T> Future for JoinHandle<T> {
    /// The output, or that the task panicked.
    type Output = Result<T, TaskPanicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(output) = self.0.output.borrow_mut().take() {
            return Poll::Ready(output);
        }
        if Rc::strong_count(&self.0) == 1 {
            return Poll::Ready(Err(TaskPanicked {
                message: "ended without an output".into(),
            }));
        }
        self.0.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JoinHandle")
    }
}

/// A task or a closure ended by a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPanicked {
    message: String,
}

impl TaskPanicked {
    /// Reads the message out of what `catch_unwind` caught.
    pub(crate) fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Self { message }
    }
}

impl fmt::Display for TaskPanicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "panicked: {}", self.message)
    }
}

impl std::error::Error for TaskPanicked {}
