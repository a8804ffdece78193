//! Panics of the application's code end its request and nothing else.
//!
//! [`Caught`] runs a future of the application and turns a panic, while it is polled or dropped, into an error. The shard's
//! state is the application's own: a `RefCell` borrowed when the panic came is released by the unwinding, and what was half changed
//! stays so, as after an early return.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dispatch::App;
use super::handler::Erased;
use crate::error::{Error, Result};

/// A future of the application's, with its panics caught and counted.
pub(super) struct Caught<'a, T> {
    app: &'a App,
    future: Option<Erased<'a, T>>,
}

impl<'a, T> Caught<'a, T> {
    pub(super) fn new(app: &'a App, future: Erased<'a, T>) -> Self {
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

impl<T> Future for Caught<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result<T>> {
        let Self { app, future } = &mut *self;
        // A future that ends is dropped under the guard it was polled under.
        let polled = caught(app, || {
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

impl<T> Drop for Caught<'_, T> {
    /// A request whose connection broke is dropped half-way, and so are the values of its handler.
    fn drop(&mut self) {
        if self.future.is_some() {
            self.drop_running();
        }
    }
}

/// Runs code of the application; a panic is counted and becomes an error.
pub(super) fn caught<T>(app: &App, run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        app.count_panic();
        Error::panicked(message(payload.as_ref()))
    })
}

/// The text a panic was given, as far as it is text.
fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "with a value that is no text".to_owned()
    }
}
