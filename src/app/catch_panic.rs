//! Panics of the application's code end its request and nothing else.
//!
//! [`CatchPanic`] runs a future of the application and turns a panic, while it is polled or dropped, into an error. The shard's
//! state is the application's own: a `RefCell` borrowed when the panic came is released by the unwinding, and what was half changed
//! stays so, as after an early return.
//!
//! Invariant: what the application made is dropped, and its errors are written, under a guard, one value under each. Of two values under
//! one guard the second may panic while the first's panic unwinds, and that ends the process. The value that a panic carries is one of them.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dispatch::App;
use super::handler::LocalBoxFuture;
use crate::error::{Error, Result};

/// How many values are dropped, each thrown by the drop of the one before, until the next is leaked. One is a mistake in a destructor, and a
/// few more its repetition in what it holds; a chain that is longer may have no end, and each level costs the shard the time of an unwinding.
const DROPPED_LEVELS_MAX: usize = 4;

/// A future of the application's, with its panics caught and counted.
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
        // A future that ends is dropped under the guard it was polled under.
        let polled = catch_panic(app, || {
            // There is none only after the end, when nobody polls.
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
    /// A request whose connection broke is dropped half-way, and so are the values of its handler.
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

/// The text a panic was given, as far as it is text.
fn message(thrown: &(dyn Any + Send)) -> String {
    if let Some(text) = thrown.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = thrown.downcast_ref::<String>() {
        text.clone()
    } else {
        "with a value that is no text".to_owned()
    }
}

/// Drops the value that a panic carried, which is the application's own and may panic in turn.
fn drop_payload(mut thrown: Box<dyn Any + Send>) {
    for _ in 0..DROPPED_LEVELS_MAX {
        match catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            Ok(()) => return,
            Err(next) => thrown = next,
        }
    }
    tracing::error!("the value of a panic is leaked: each of {DROPPED_LEVELS_MAX} drops panicked with another value");
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
