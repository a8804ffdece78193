//! The handle to a task's output, and its counterpart held by the task.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::panicked::TaskPanicked;

/// Creates both ends. The sender is dropped with the task in any case, which tells the handle that no output will follow.
pub(super) fn join<T>() -> (JoinSender<T>, JoinHandle<T>) {
    let join = Rc::new(Join {
        output: RefCell::new(None),
        waker: Cell::new(None),
    });
    (JoinSender(Rc::clone(&join)), JoinHandle(join))
}

struct Join<T> {
    output: RefCell<Option<Result<T, TaskPanicked>>>,
    waker: Cell<Option<Waker>>,
}

/// The task's end of a join.
pub(super) struct JoinSender<T>(Rc<Join<T>>);

impl<T> JoinSender<T> {
    pub(super) fn answer(&self, output: Result<T, TaskPanicked>) {
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

/// The handle to the output of a task of the same shard.
///
/// Cancel safety: safe; the handle may be dropped, or awaited again by reference, and the task continues.
pub struct JoinHandle<T>(Rc<Join<T>>);

impl<T> Future for JoinHandle<T> {
    /// The output, or the task's panic.
    type Output = Result<T, TaskPanicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(output) = self.0.output.borrow_mut().take() {
            return Poll::Ready(output);
        }
        if Rc::strong_count(&self.0) == 1 {
            // The sender is gone: the task ended without an output.
            return Poll::Ready(Err(TaskPanicked::new("ended without an output")));
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
