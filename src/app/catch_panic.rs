//! Panics of the application's code end their request and nothing else.
//!
//! [`CatchPanic`] turns a panic of a future, while it is polled or dropped, into an error. The state of the shard
//! belongs to the application. Unwinding releases a borrowed `RefCell`; half-made changes remain, as after an early
//! return.
//!
//! Invariant: each value of the application is dropped, and each of its errors is formatted, under a guard of its
//! own. If two values shared a guard, the second could panic while the first unwinds, which aborts the process. A
//! panic's payload counts as such a value.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dispatch::App;
use super::handler::request_handler::LocalBoxFuture;
use crate::error::{Error, Result};

/// How many panic payloads are dropped, each thrown by the drop of the one before, until the next is leaked: 4.
///
/// The first is a faulty destructor, and a few more are the same fault in nested values. A longer chain may be
/// endless, and each level costs the shard an unwinding.
const DROPPED_LEVELS_MAX: usize = 4;

/// A future of the application that catches and counts its panics.
pub(super) struct CatchPanic<'a, T> {
    app: &'a App,
    future: Option<LocalBoxFuture<'a, T>>,
}

impl<'a, T> CatchPanic<'a, T> {
    pub(super) fn new(app: &'a App, future: LocalBoxFuture<'a, T>) -> Self {
        Self {
            app,
            future: Some(future),
        }
    }

    #[cold]
    fn drop_running(&mut self) {
        self.app.discard(self.future.take());
    }
}

impl<T> Future for CatchPanic<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result<T>> {
        let Self { app, future } = &mut *self;
        // A future that ends is dropped here, inside the guard, because its destructor may panic.
        let polled = catch_panic(app, || {
            // `None` means that the future has ended and this one was polled again.
            let Some(running) = future else { return Poll::Pending };
            let polled = running.as_mut().poll(task);
            if polled.is_ready() {
                *future = None;
            }
            polled
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(error) => {
                self.drop_running();
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<T> Drop for CatchPanic<'_, T> {
    /// Drops the future under a guard: a broken connection drops its request midway, with the values of the handler.
    fn drop(&mut self) {
        if self.future.is_some() {
            self.drop_running();
        }
    }
}

/// Runs code of the application; a panic is counted and becomes an error.
pub(super) fn catch_panic<T>(app: &App, run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|thrown| {
        app.count_panic();
        let text = message(thrown.as_ref());
        drop_payload(thrown);
        Error::panicked(text)
    })
}

/// The panic's message if it is text.
fn message(thrown: &(dyn Any + Send)) -> String {
    if let Some(text) = thrown.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = thrown.downcast_ref::<String>() {
        text.clone()
    } else {
        "with a payload that is not text".to_owned()
    }
}

/// Drops the payload of a panic, which belongs to the application and may panic again.
fn drop_payload(mut thrown: Box<dyn Any + Send>) {
    for _ in 0..DROPPED_LEVELS_MAX {
        match catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            Ok(()) => return,
            Err(next) => thrown = next,
        }
    }
    tracing::error!("leaked the payload of a panic: {DROPPED_LEVELS_MAX} drops in a row panicked");
    #[expect(
        clippy::mem_forget,
        reason = "dropping it may panic without end, and a panic here would end the connection without an answer"
    )]
    core::mem::forget(thrown);
}

impl Drop for App {
    /// Drops each handler, each middleware and each state under a guard of its own.
    fn drop(&mut self) {
        for route in self.router.take_routes() {
            for (_, endpoint) in route.endpoints {
                self.discard(endpoint);
            }
            for middleware in route.chain {
                self.discard(middleware);
            }
        }
        for middleware in core::mem::take(&mut self.chain) {
            self.discard(middleware);
        }
        for (_, state) in core::mem::take(&mut self.state) {
            self.discard(state);
        }
        let (fallback, error_page) = (self.fallback.take(), self.error_page.take());
        self.discard(fallback);
        self.discard(error_page);
    }
}
