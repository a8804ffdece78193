//! The bytes that move while an exchange waits: content in, flushes and streams out, and the peer's end.
//!
//! Handler and connection share one task. [`drive`](ExchangeIo::drive) polls the handler, moves bytes for it, and
//! repeats until neither makes progress; only then does the task wait.
//!
//! An exchange that answers at once never comes here. The futures of this file are boxed, so that their state stays out
//! of every connection's memory.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::reader::{ContentRead, RequestReader};
use super::wire::{Wire, earlier};
use super::writer::{FlushInFlight, ResponseWriter};
use crate::app::{App, BodyError, Channel};
use crate::message::{BodyStream, Headers};
use crate::server::ending::{Ending, Flow};

/// How long a stream may be silent toward a peer that has closed its half, if no probe can be sent. 5 s.
///
/// Content that is not chunked carries no probe. A connection lingers for as long.
const UNPROBED_SILENCE_MAX: Duration = Duration::from_secs(5);

/// A connection's halves, at work for one exchange.
pub(super) struct ExchangeIo<'c> {
    pub(super) reader: &'c mut RequestReader,
    pub(super) writer: &'c mut ResponseWriter,
    pub(super) wire: &'c mut Wire,
    pub(super) app: &'c App,
    pub(super) channel: &'c Channel,
}

/// A handler that waits.
struct WaitingHandler {
    flush: FlushInFlight,
    /// The handler has ended; its last flush may still be on its way.
    is_answered: bool,
}

/// Polls a future of a request with the request's route as the active one, which is the active one now.
///
/// Between two polls, other tasks name their own work.
pub(super) async fn in_route<T>(app: &App, future: impl Future<Output = T>) -> T {
    let route = app.shared().active_route();
    let mut future = pin!(future);
    poll_fn(|cx| {
        app.shared().set_active_route(route);
        future.as_mut().poll(cx)
    })
    .await
}

/// While a handler waits.
impl ExchangeIo<'_> {
    /// Moves bytes for a handler that waits, and polls it, until it has ended and its flushes are sent.
    ///
    /// A handler whose peer is gone learns of it and still runs to its end.
    pub(super) async fn drive(mut self, mut handler: Pin<&mut impl Future<Output = ()>>) -> Flow {
        let app = self.app;
        let mut waiting = WaitingHandler {
            flush: FlushInFlight::default(),
            is_answered: false,
        };
        let mut is_polled = true;
        let mut lost = None;
        let driven = poll_fn(|cx| {
            loop {
                if !is_polled && !waiting.is_answered {
                    waiting.is_answered = handler.as_mut().poll(cx).is_ready();
                }
                is_polled = false;
                if waiting.is_answered && (lost.is_some() || !waiting.flush.is_pending()) {
                    return Poll::Ready(lost.map_or(Ok(()), Err));
                }
                // No more bytes move; the handler runs on to its end.
                if let Some(ending) = lost {
                    // The error response that replaces the handler's leaves now, before the handler ends.
                    if ending == Ending::Close && self.writer.send_gathered(self.wire, cx).is_err() {
                        lost = Some(Ending::PeerGone);
                    }
                    return Poll::Pending;
                }
                if let Err(ending) = ready!(self.move_bytes(&mut waiting, cx)) {
                    lost = Some(ending);
                    self.reader.clear(self.wire);
                    self.channel.close();
                }
            }
        });
        in_route(app, driven).await
    }

    /// Does what the handler waits for; ready when the handler can make progress.
    fn move_bytes(&mut self, waiting: &mut WaitingHandler, cx: &mut Context<'_>) -> Poll<Flow> {
        let has_fed = !waiting.is_answered && self.feed(cx)?;
        self.reader.close_at_stop(self.wire);
        let has_flushed = self
            .writer
            .send_flush(self.wire, self.channel, &mut waiting.flush, cx)?;
        if has_fed || has_flushed || self.watch_time(waiting, cx)? {
            return Poll::Ready(Ok(()));
        }
        // The task is about to wait, so it must return the shard's receive buffer first.
        self.reader.set_aside(self.wire)?;
        self.poll_peer(cx)
    }

    /// Feeds content to the handler until it wants no more or none is left; returns whether the handler can go on.
    fn feed(&mut self, cx: &mut Context<'_>) -> Flow<bool> {
        let mut has_fed = false;
        while self.channel.wants_body() {
            if self.reader.read_content(self.wire, self.channel) == ContentRead::Delivered {
                has_fed = true;
                continue;
            }
            self.writer.write_continue(self.wire)?;
            match self.reader.poll_receive(self.wire, cx)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => self.channel.close(),
                Poll::Pending => break,
            }
        }
        Ok(has_fed)
    }

    /// Checks the pace of the peer, as receiver of output and as sender of content; returns true if the content timed
    /// out.
    ///
    /// Otherwise it sets the connection's timer to the next check.
    fn watch_time(&mut self, waiting: &mut WaitingHandler, cx: &Context<'_>) -> Flow<bool> {
        let mut due = waiting.flush.check_pace(self.wire)?;
        if !waiting.is_answered && self.channel.wants_body() {
            let now = self.wire.now();
            if self.wire.machine.handle_deadline(now).is_some() {
                self.channel.fail_body(BodyError::TimedOut);
                return Ok(true);
            }
            due = earlier(due, self.wire.machine.poll_deadline());
        }
        Ok(due.is_some() && self.wire.poll_until(due, cx).is_ready())
    }

    /// Tells the handler that the peer has closed its half, or reports that the peer has reset the connection.
    fn poll_peer(&mut self, cx: &mut Context<'_>) -> Poll<Flow> {
        ready!(self.reader.poll_peer_finished(self.wire, cx))?;
        self.channel.peer_finished();
        Poll::Ready(self.writer.probe(self.wire, 1, cx))
    }
}

/// After the handler has ended.
impl ExchangeIo<'_> {
    /// Writes content that exceeds one output buffer or comes as a stream, then the end of the response.
    ///
    /// `whole` is `body` again if it is one shared piece.
    pub(super) async fn write_rest(
        mut self,
        body: &[u8],
        whole: Option<Bytes>,
        stream: Option<BodyStream>,
        trailers: &Headers,
    ) -> Flow {
        // Sending may wait, so the shard's receive buffer returns first.
        self.reader.set_aside(self.wire)?;
        match whole {
            Some(whole) => self.writer.write_shared(self.wire, whole).await?,
            None => self.writer.write_content(self.wire, body).await?,
        }
        if let Some(stream) = stream {
            self.write_stream(stream).await?;
        }
        self.writer.write_end(self.wire, trailers)
    }

    /// Writes a stream: chunks that are ready gather, and leave when the stream is pending.
    async fn write_stream(&mut self, mut stream: BodyStream) -> Flow {
        // Since when the stream has yielded nothing, where only a timeout can tell that the peer is gone.
        let mut silent_since = None;
        loop {
            let chunk = poll_fn(|cx| {
                let chunk = self.app.shared().poll_stream(&mut stream, cx);
                if chunk.is_pending() {
                    self.feed_stream(cx)?;
                    self.send_while_waiting(&mut silent_since, cx)?;
                }
                chunk.map(Ok::<_, Ending>)
            });
            match chunk.await? {
                Some(Ok(chunk)) => {
                    silent_since = None;
                    self.writer.write_chunk(self.wire, chunk).await?;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "a response stream failed; aborted the connection");
                    return Err(Ending::Abort);
                }
                None => return Ok(()),
            }
        }
    }

    /// Feeds content to a stream that passes it on, and fails it if the peer sends too slowly. Either wakes the stream.
    fn feed_stream(&mut self, cx: &mut Context<'_>) -> Flow {
        if !self.channel.wants_body() {
            return Ok(());
        }
        self.feed(cx)?;
        while self.channel.wants_body() {
            if self.wire.machine.handle_deadline(self.wire.now()).is_some() {
                self.channel.fail_body(BodyError::TimedOut);
            } else if self.wire.poll_until(self.wire.machine.poll_deadline(), cx).is_pending() {
                break;
            }
        }
        Ok(self.reader.set_aside(self.wire)?)
    }

    /// Sends the gathered output while a stream is pending, and notices a peer that is gone.
    fn send_while_waiting(&mut self, silent_since: &mut Option<Instant>, cx: &mut Context<'_>) -> Flow {
        self.writer.send_gathered(self.wire, cx)?;
        while let Poll::Ready(checked) = self.poll_peer(cx) {
            checked?;
        }
        if !self.wire.peer_has_finished {
            return Ok(());
        }
        if self.wire.server.draining_since().is_some() {
            // The peer may have closed its socket since the first probe, and would hold the stop up.
            self.writer.probe(self.wire, 2, cx)?;
        }
        // A Unix socket needs neither probe nor timeout: the kernel reports the close itself.
        if !self.wire.machine.takes_probes() && self.wire.peer_address().is_some() {
            let silent_since = *silent_since.get_or_insert(self.wire.now());
            let until = silent_since + UNPROBED_SILENCE_MAX;
            if self.wire.poll_until(Some(until), cx).is_ready() {
                return Err(Ending::PeerGone);
            }
        }
        Ok(())
    }
}
