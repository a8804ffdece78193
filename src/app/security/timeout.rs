//! The deadline of a handler: a handler that takes too long is dropped, and its client gets an answer.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context as Task, Poll};
use core::time::Duration;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;

use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::{Error, HttpError, Result};
use crate::message::{BodyStream, BoxError, HeaderValue, StatusCode, header};

/// The `Retry-After` of the 503, in seconds: a handler that was too slow once is not tried at once again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Makes middleware that drops handlers after a duration and answers 503.
///
/// ```
/// use core::time::Duration;
/// use squall::middleware::timeout;
/// use squall::prelude::*;
///
/// let application = Application::new()
///     .middleware(timeout(Duration::from_secs(10)))
///     .get("/", async |_: &mut Context| "in time");
/// ```
///
/// The time begins when the middleware runs. It covers the middleware further in, the content that the handler waits
/// for, and the content that it writes. A response whose head was sent breaks off, and the client sees that it is
/// incomplete. The deadline holds for the stream of a response too. It ends waiting: a handler that computes without
/// waiting blocks its shard, and the watchdog reports it.
///
/// Leave out routes that are meant to last, such as event streams. Of a WebSocket, the handshake counts alone.
pub fn timeout(duration: Duration) -> Timeout {
    Timeout { duration }
}

/// Middleware that [`timeout`] makes.
#[derive(Debug, Clone)]
#[must_use = "a timeout does nothing until it is given to `middleware`"]
pub struct Timeout {
    duration: Duration,
}

impl Timeout {
    fn expired(&self) -> Error {
        let error = HttpError::new(StatusCode::SERVICE_UNAVAILABLE)
            .with_message("the request took too long; retry later")
            .with_header(header::RETRY_AFTER, RETRY_AFTER)
            .with_source(format!(
                "the handler took longer than its timeout of {:?}",
                self.duration
            ));
        error.into()
    }
}

impl Middleware for Timeout {
    /// # Errors
    ///
    /// 503 if the handler has not ended in time; 500 if it waits and no server runs the application.
    ///
    /// # Cancel safety
    ///
    /// As [`Next::run`].
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        let runtime = cx.shared.runtime().ok();
        let Some(deadline) = runtime.and_then(|runtime| runtime.now().checked_add(self.duration)) else {
            next.run(cx).await;
            return Ok(());
        };
        let is_in_time = {
            let shared = Rc::clone(&cx.shared);
            let mut handler = pin!(next.run(cx));
            // Most handlers end with their first poll, and these need no timer.
            let mut sleep: Option<LocalBoxFuture<'static, ()>> = None;
            poll_fn(|task| {
                if handler.as_mut().poll(task).is_ready() {
                    return Poll::Ready(true);
                }
                if sleep.is_none() {
                    sleep = shared
                        .runtime()
                        .ok()
                        .map(|runtime| runtime.sleep(rest(deadline, runtime.now())));
                }
                match &mut sleep {
                    Some(sleep) => sleep.as_mut().poll(task).map(|()| false),
                    None => Poll::Pending,
                }
            })
            .await
        };
        if !is_in_time {
            return Err(self.expired());
        }
        if let Some(stream) = cx.response.take_stream() {
            let runtime = cx.shared.runtime()?;
            cx.response.set_stream(Box::pin(DeadlineStream {
                stream,
                sleep: runtime.sleep(rest(deadline, runtime.now())),
                is_over: false,
            }));
        }
        Ok(())
    }

    fn flaw(&self) -> Option<String> {
        self.duration
            .is_zero()
            .then(|| "a timeout is zero, so it would reject every request; give it a duration".to_owned())
    }
}

fn rest(deadline: Instant, now: Instant) -> Duration {
    deadline.saturating_duration_since(now)
}

/// The stream of a response, which fails at its deadline.
struct DeadlineStream {
    stream: BodyStream,
    sleep: LocalBoxFuture<'static, ()>,
    is_over: bool,
}

impl Stream for DeadlineStream {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // Asked first, so that a stream which is always ready ends too.
        if self.sleep.as_mut().poll(task).is_ready() {
            self.is_over = true;
            return Poll::Ready(Some(Err("the response took longer than its timeout".into())));
        }
        let polled = self.stream.as_mut().poll_next(task);
        if matches!(polled, Poll::Ready(None)) {
            // A sleep that has ended may not be polled again.
            self.is_over = true;
        }
        polled
    }
}
