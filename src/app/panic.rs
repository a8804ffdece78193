//! Panics of the application's code end its request and nothing else.
//!
//! [`Caught`] runs a future of the application and turns a panic, while it is made, polled or dropped, into an error. The shard's
//! state is the application's own: a `RefCell` borrowed when the panic came is released by the unwinding, and what was half changed
//! stays so, as after an early return.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dispatch::App;
use super::handler::Erased;
use crate::error::{Error, Result};

/// A future of the application's, made by `F` when it is first polled, with its panics caught and counted.
pub(super) struct Caught<'a, T, F> {
    app: &'a App,
    stage: Stage<'a, T, F>,
}

/// What there is of the future.
enum Stage<'a, T, F> {
    Unmade(F),
    Running(Erased<'a, T>),
    Over,
}

impl<'a, T, F: FnOnce() -> Erased<'a, T>> Caught<'a, T, F> {
    pub(super) fn new(app: &'a App, make: F) -> Self {
        Self {
            app,
            stage: Stage::Unmade(make),
        }
    }
}

impl<'a, T, F: FnOnce() -> Erased<'a, T> + Unpin> Future for Caught<'a, T, F> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result<T>> {
        let Self { app, stage } = &mut *self;
        // The future of a handler that answers at once is made, polled and dropped here, and caught once.
        let polled = caught(app, || {
            if let Stage::Unmade(make) = stage.take_unless_running() {
                *stage = Stage::Running(make());
            }
            // There is none only after the end, when nobody polls.
            let Stage::Running(future) = stage else {
                return Poll::Pending;
            };
            let polled = future.as_mut().poll(task);
            if polled.is_ready() {
                *stage = Stage::Over;
            }
            polled
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(error) => {
                app.discard(core::mem::replace(stage, Stage::Over));
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<T, F> Stage<'_, T, F> {
    /// Takes what is still to be made; a future that runs stays in its place, where it must not move.
    fn take_unless_running(&mut self) -> Self {
        match self {
            Self::Running(_) => Self::Over,
            Self::Unmade(_) | Self::Over => core::mem::replace(self, Self::Over),
        }
    }
}

impl<T, F> Drop for Caught<'_, T, F> {
    /// A request whose connection broke is dropped half-way, and so are the values of its handler.
    fn drop(&mut self) {
        if let Stage::Running(future) = core::mem::replace(&mut self.stage, Stage::Over) {
            self.app.discard(future);
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
