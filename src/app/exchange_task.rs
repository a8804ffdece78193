//! An exchange in a task of its own, so that many requests of one connection run at once.
//!
//! The task of the connection holds only the [`Channel`] of each exchange:
//!
//! ```text
//!  task of the connection                        task of an exchange
//!  push_data, end_body, fail_body  ── content ─▶ cx.body(), cx.next_chunk()
//!  take_flush, flushed             ◀─ flushes ── cx.flush(), then the rest of the response
//!  peer_finished, close, break_off ─── peer ───▶ cx.closed(), errors, cx.completion()
//!  cancel                          ────────────▶ drops the handler
//!  set_waker, task_state           ◀─ wake-ups ─ a wish for content, taken content, a flush, the end
//! ```
//!
//! Content in both directions is bounded: the channel holds one window of a request and one flush of a response.
//!
//! HTTP/1.1 has one exchange at a time. It polls [`App::respond`] in the task of the connection and needs none of this.

use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use tracing::Span;

use super::body_channel::{Channel, Flush, PeerGone, RETAINED_BYTES_MAX, ResponseEnd, TaskState};
use super::dispatch::App;
use super::exchange::Exchange;
use super::response::state::Completion;
use super::shared::Shared;
use super::tunnel::Tunnel;
use crate::memory;
use crate::message::{BodyStream, Method, has_no_content};

/// How much of a stream gathers in one flush. 64 KiB: as much as an exchange keeps memory for.
const GATHERED_BYTES_MAX: usize = RETAINED_BYTES_MAX;

/// An exchange that runs beside the task that owns its connection.
///
/// The driver works in this order:
///
/// - It fills the exchange and calls [`Channel::begin`], then [`new`](Self::new).
/// - It polls [`answer`](Self::answer) once. Most handlers end with that; the driver then sends the
///   [`Outcome`](super::Outcome) of [`exchange_mut`](Self::exchange_mut) itself and starts no task.
/// - Otherwise it spawns a task that awaits `answer` and [`deliver`](Self::deliver), and calls [`Channel::set_waker`].
/// - Whenever it is woken, it pushes content that the channel wants, and takes and sends flushes. After the flush with
///   the [`ResponseEnd`] it lets go of the channel.
#[derive(Debug)]
pub struct ExchangeTask {
    app: Rc<App>,
    exchange: Box<Exchange>,
    guard: TaskGuard,
    log: Option<Box<TaskLog>>,
}

/// What a log of requests adds to a task.
pub struct TaskLog {
    /// The span in which the handler runs.
    pub span: Span,
    /// Called once when the response has been handed over or given up.
    pub ended: Box<dyn FnOnce(&Exchange)>,
}

impl ExchangeTask {
    /// Makes the task of an exchange whose request is complete up to its content.
    #[must_use]
    pub fn new(app: Rc<App>, exchange: Box<Exchange>) -> Self {
        let channel = exchange.channel();
        channel.begin_task();
        let guard = TaskGuard {
            channel,
            state: TaskState::Dropped,
        };
        Self {
            app,
            exchange,
            guard,
            log: None,
        }
    }

    /// Sets what a log of requests adds.
    pub fn set_log(&mut self, log: TaskLog) {
        self.log = Some(Box::new(log));
    }

    /// Returns whether the response opens a WebSocket; call it after [`answer`](Self::answer).
    #[must_use]
    pub fn has_upgrade(&self) -> bool {
        self.exchange.has_upgrade()
    }

    /// Returns the exchange; after [`answer`](Self::answer), it holds the response.
    pub fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// Returns the exchange to a driver that sends the response itself.
    #[must_use]
    pub fn into_exchange(self) -> Box<Exchange> {
        let Self {
            exchange,
            mut guard,
            log,
            ..
        } = self;
        guard.state = TaskState::Ended;
        if let Some(log) = log {
            (log.ended)(&exchange);
        }
        exchange
    }

    /// Runs the handler, as [`App::respond`], until it ends or the driver [cancels](Channel::cancel) it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler. The response becomes a 503, or breaks off if its head was sent.
    pub async fn answer(&mut self) {
        let Self {
            app,
            exchange,
            guard,
            log,
        } = self;
        let (shared, channel) = (app.shared(), &guard.channel);
        let mut route = None;
        {
            let mut handler = pin!(app.respond(exchange));
            poll_fn(|cx| {
                if channel.poll_cancelled(cx.waker()).is_ready() {
                    return Poll::Ready(());
                }
                let _entered = log.as_ref().map(|log| log.span.enter());
                // Other tasks have named their own work since the last poll.
                if let Some(route) = route {
                    shared.set_active_route(route);
                }
                let polled = handler.as_mut().poll(cx);
                route.get_or_insert_with(|| shared.active_route());
                polled
            })
            .await;
        }
        if channel.is_peer_gone() {
            exchange.conclude(guard.lost_completion());
        }
    }

    /// Sends the head that opens a WebSocket, and returns the exchange with its upgrade, and the tunnel of its bytes.
    ///
    /// The driver counts the exchange as running until the [`RunningTask`] is dropped.
    #[must_use]
    pub fn into_tunnel(self) -> (Box<Exchange>, Tunnel, RunningTask) {
        let Self {
            mut exchange,
            guard,
            log,
            ..
        } = self;
        if let Some(log) = log {
            (log.ended)(&exchange);
        }
        let response = &mut exchange.context.response;
        response.complete();
        let flush = Flush {
            head: response.take_flush().head,
            opens_tunnel: true,
            ..Flush::default()
        };
        let tunnel = Tunnel::open(Rc::clone(&guard.channel), flush);
        exchange.leave_channel();
        (exchange, tunnel, RunningTask { _guard: guard })
    }

    /// Passes the response through the channel, runs `on_finish`, and returns the exchange, reset.
    ///
    /// The exchange can serve another request at once. A driver that still holds its channel keeps that channel alone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the exchange with the rest of the response; the driver reads [`TaskState::Dropped`].
    pub async fn deliver(mut self) -> Box<Exchange> {
        let shared = Rc::clone(self.app.shared());
        let route = shared.as_active(self.exchange.context.route);
        {
            let mut finished = pin!(self.finish());
            poll_fn(|cx| {
                shared.set_active_route(route);
                finished.as_mut().poll(cx)
            })
            .await;
        }
        let Self {
            mut exchange,
            mut guard,
            log,
            ..
        } = self;
        if let Some(log) = log {
            (log.ended)(&exchange);
        }
        exchange.reset();
        guard.state = TaskState::Ended;
        drop(guard);
        exchange.leave_channel();
        exchange
    }

    /// Hands the response over and runs `on_finish`.
    async fn finish(&mut self) {
        if self.send_response().await.is_err() {
            self.exchange.conclude(self.guard.lost_completion());
        }
        if let Some(on_finish) = self.app.finished(&mut self.exchange) {
            on_finish.await;
        }
    }

    /// Hands the response over, flush by flush, with its end in the last.
    async fn send_response(&mut self) -> Result<(), PeerGone> {
        let Self {
            app, exchange, guard, ..
        } = self;
        let (shared, channel) = (&**app.shared(), &*guard.channel);
        let cx = &mut exchange.context;
        let is_bodiless = *cx.head.method() == Method::HEAD || has_no_content(cx.response.head.status);
        let response = &mut cx.response;
        response.slice_whole();
        if response.completion == Completion::Whole && response.buffer().is_err() {
            response.completion = Completion::BrokenOff;
        }
        if response.completion != Completion::Whole {
            let flush = Flush {
                end: Some(ResponseEnd::BrokenOff),
                ..Flush::default()
            };
            return send(channel, flush).await.map(drop);
        }
        response.complete();
        // A response to HEAD has the head of GET's response and no content, so its stream is never polled.
        let has_stream = response.has_stream();
        if is_bodiless && let Some(stream) = response.take_stream() {
            shared.discard(stream);
        }
        let mut flush = response.take_flush();
        let trailers = response.take_trailers();
        let Some(stream) = response.stream_mut() else {
            let is_known = flush.head.is_some() && !has_stream;
            flush.content_length = flush
                .content_length
                .or_else(|| is_known.then_some(flush.data.len() as u64));
            flush.end = Some(ResponseEnd::Complete { trailers });
            return send(channel, flush).await.map(drop);
        };
        let mut buffer = send(channel, flush).await?;
        // The stream stays in the response, which drops it under a guard.
        loop {
            let gathered = poll_fn(|task| poll_gather(channel, shared, stream, &mut buffer, task)).await?;
            let data = core::mem::take(&mut buffer);
            let end = match gathered {
                Gathered::Part => {
                    let flush = Flush {
                        data,
                        ..Flush::default()
                    };
                    buffer = send(channel, flush).await?;
                    continue;
                }
                Gathered::Whole => ResponseEnd::Complete { trailers },
                Gathered::Failed => {
                    response.completion = Completion::BrokenOff;
                    ResponseEnd::BrokenOff
                }
            };
            let flush = Flush {
                data,
                end: Some(end),
                ..Flush::default()
            };
            return send(channel, flush).await.map(drop);
        }
    }
}

/// Hands a flush over and waits until the driver has sent it; returns an empty buffer.
async fn send(channel: &Channel, flush: Flush) -> Result<Vec<u8>, PeerGone> {
    let mut flush = Some(flush);
    poll_fn(|task| channel.poll_submit(|| flush.take().unwrap_or_default(), task.waker())).await?;
    poll_fn(|task| channel.poll_flushed(task.waker())).await
}

/// What gathers of a stream until it is pending, ends, or fills a flush.
enum Gathered {
    Part,
    Whole,
    Failed,
}

/// Gathers the chunks of a stream that are ready, up to [`GATHERED_BYTES_MAX`] and one chunk.
fn poll_gather(
    channel: &Channel,
    shared: &Shared,
    stream: &mut BodyStream,
    buffer: &mut Vec<u8>,
    task: &mut Task<'_>,
) -> Poll<Result<Gathered, PeerGone>> {
    channel.check_peer(task.waker())?;
    while buffer.len() < GATHERED_BYTES_MAX {
        match shared.poll_stream(stream, task) {
            Poll::Ready(Some(Ok(chunk))) => {
                if memory::append(buffer, &chunk).is_err() {
                    tracing::warn!("broke off a response: out of memory for its stream");
                    return Poll::Ready(Ok(Gathered::Failed));
                }
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(%error, "a response stream failed; broke the response off");
                return Poll::Ready(Ok(Gathered::Failed));
            }
            Poll::Ready(None) => return Poll::Ready(Ok(Gathered::Whole)),
            Poll::Pending if buffer.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(Gathered::Part))
}

impl core::fmt::Debug for TaskLog {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("TaskLog").finish_non_exhaustive()
    }
}

/// An exchange that has become a tunnel; its drop tells the driver that the application has ended with it.
#[derive(Debug)]
pub struct RunningTask {
    _guard: TaskGuard,
}

/// Tells the driver how the task ended, also if it is dropped.
#[derive(Debug)]
struct TaskGuard {
    channel: Rc<Channel>,
    state: TaskState,
}

impl TaskGuard {
    /// How a response ended whose peer is lost.
    fn lost_completion(&self) -> Completion {
        if self.channel.is_broken_off() {
            Completion::BrokenOff
        } else {
            Completion::PeerGone
        }
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.channel.end_task(self.state);
    }
}
