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
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::boxed::LocalBoxFuture;
use super::shared::Shared;
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::message::{Body, BodyStream, BoxError};

/// How many panic payloads are dropped, each thrown by the drop of the one before, until the next is leaked: 4.
///
/// The first is a faulty destructor, and a few more are the same fault in nested values. A longer chain may be
/// endless, and each level costs the shard an unwinding.
const DROPPED_LEVELS_MAX: usize = 4;

/// A future of the application that catches and counts its panics.
///
/// `S` borrows or shares the application's state.
pub(super) struct CatchPanic<'a, S: Deref<Target = Shared>, T> {
    shared: S,
    future: Option<LocalBoxFuture<'a, T>>,
}

impl<'a, S: Deref<Target = Shared>, T> CatchPanic<'a, S, T> {
    pub(super) fn new(shared: S, future: LocalBoxFuture<'a, T>) -> Self {
        Self {
            shared,
            future: Some(future),
        }
    }

    /// Whether the future is still alive.
    pub(super) fn is_running(&self) -> bool {
        self.future.is_some()
    }

    #[cold]
    fn drop_running(&mut self) {
        self.shared.discard(self.future.take());
    }
}

impl<S: Deref<Target = Shared> + Unpin, T> Future for CatchPanic<'_, S, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result<T>> {
        let Self { shared, future } = &mut *self;
        // A future that ends is dropped here, inside the guard, because its destructor may panic.
        let polled = catch_panic(shared, || {
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

impl<S: Deref<Target = Shared>, T> Drop for CatchPanic<'_, S, T> {
    /// Drops the future under a guard: a broken connection drops its request midway, with the values of the handler.
    fn drop(&mut self) {
        if self.future.is_some() {
            self.drop_running();
        }
    }
}

/// Runs code of the application; a panic is counted and becomes an error.
pub(super) fn catch_panic<T>(shared: &Shared, run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|thrown| {
        shared.count_panic();
        let text = message(thrown.as_ref());
        let advice = advice(&text);
        drop_payload(thrown);
        Error::panicked(text + advice)
    })
}

/// Runs the function that builds an application; a panic becomes an error, which its shard returns.
///
/// # Errors
///
/// The function panicked.
#[cfg(feature = "serve")]
pub(crate) fn catch_build<T>(build: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(build)).map_err(|thrown| {
        let text = message(thrown.as_ref());
        drop_payload(thrown);
        Error::new(format!(
            "could not build the application: its function panicked: {text}"
        ))
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

/// What to do about a panic of a library made for tokio: its text names a runtime, and the author of a handler has none.
fn advice(text: &str) -> &'static str {
    if text.contains("Tokio 1.x") {
        "; start with --driver epoll for such a library, and wait with squall::shards::sleep instead of its timers"
    } else {
        ""
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

impl Shared {
    /// Polls a response's stream for its next chunk; a panic ends the stream with an error.
    ///
    /// A stream that has ended or failed is dropped here and replaced by an empty one. Errors arrive as text.
    pub fn poll_stream(&self, stream: &mut BodyStream, task: &mut Task<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let drawn = catch_panic(self, || match stream.as_mut().poll_next(task) {
            // Format and drop the error inside the guard: both run code of the application.
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.to_string().into()))),
            drawn => drawn,
        });
        let drawn = drawn.unwrap_or_else(|error| {
            tracing::error!("the stream of a response failed: {error}");
            Poll::Ready(Some(Err(error.into())))
        });
        if matches!(drawn, Poll::Ready(None | Some(Err(_)))) {
            self.discard(core::mem::replace(stream, Body::empty_stream()));
        }
        drawn
    }

    /// Drops a value of the application, such as an unread stream, and catches a panic of its destructor.
    pub fn discard<T>(&self, value: T) {
        if let Err(error) = catch_panic(self, || drop(value)) {
            tracing::error!("dropping a value of the application failed: {error}");
        }
    }
}

impl Drop for Shared {
    /// Drops each value of the application's state under a guard of its own.
    fn drop(&mut self) {
        for entry in core::mem::take(&mut self.state) {
            self.discard(entry.value);
        }
    }
}
