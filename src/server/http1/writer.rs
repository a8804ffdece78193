//! The sending half of a connection: responses, through the machine, into one output buffer, and from there to the
//! socket.
//!
//! Responses gather behind one another and leave in one send. At most one send is in flight; the peer's pace is checked
//! while the connection waits for it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use squall_shards::SendBuffer;

use super::wire::Wire;
use crate::app::{Channel, Exchange, Flush, Outcome};
use crate::error::HttpError;
use crate::http1::{BodyLength, CHUNK_FRAMING_BYTES_MAX, HEAD_BYTES_USUAL, SendError};
use crate::memory::{self, OutOfMemory};
use crate::message::{HeaderValue, Headers, ResponseHead, StatusCode, header};
use crate::server::access_log::LoggedRequest;
use crate::server::ending::{Ending, Flow, peer_gone};
use crate::transport::progress::{Progress, UNWATCHED_BYTES_MAX};

/// How much output gathers before it is sent. 64 KiB: four times the first size of a socket's send buffer on Linux.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The smallest chunk of a stream that is sent without a copy: 16 KiB, whose copy costs as much as a send of its own.
const UNCOPIED_BYTES_MIN: usize = 16 * 1024;

/// The `Retry-After` of a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Writes the responses of a connection.
#[derive(Default)]
pub(super) struct ResponseWriter {
    output: Vec<u8>,
    /// The request that is being answered, if there is a log of requests.
    logged: Option<Box<Logged>>,
}

/// A request that is being answered, for the log.
pub(super) struct Logged {
    pub(super) request: LoggedRequest,
    /// How much content of the response was written.
    pub(super) content_bytes: u64,
}

/// A handler's flush on its way to the kernel. It outlives the handler's wait for it, and the handler.
#[derive(Default)]
pub(super) struct FlushInFlight {
    /// The flush that the kernel has not taken yet.
    pending: Option<PendingFlush>,
    /// How fast the peer accepts the current send, while more output waits behind it.
    progress: Option<Progress>,
}

/// Flushed content that is not sent yet.
struct PendingFlush {
    /// The handler's buffer, which returns to the handler.
    buffer: Vec<u8>,
    /// How many of its bytes are written to the output.
    written: usize,
}

impl FlushInFlight {
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns when to check the peer's pace again, while output waits for it; aborts a peer that accepts too little.
    pub(super) fn check_pace(&mut self, wire: &Wire) -> Flow<Option<Instant>> {
        let Some(progress) = &mut self.progress else {
            return Ok(None);
        };
        check_pace(wire, progress, wire.now()).map(Some)
    }
}

/// Writes into the output.
impl ResponseWriter {
    /// Returns whether nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.output.is_empty()
    }

    /// Returns whether the output is as large as one send.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT_BYTES_MAX
    }

    /// Returns whether content leaves in the same send as the output before it.
    #[inline]
    pub(super) fn fits(&self, content: &[u8]) -> bool {
        self.output.len() + content.len() <= OUTPUT_BYTES_MAX
    }

    /// Counts the content of the response to a request, for the log.
    pub(super) fn begin_log(&mut self, request: LoggedRequest) {
        self.logged = Some(Box::new(Logged {
            request,
            content_bytes: 0,
        }));
    }

    /// Returns the request whose content was counted, once.
    pub(super) fn end_log(&mut self) -> Option<Logged> {
        self.logged.take().map(|logged| *logged)
    }

    #[inline]
    fn count_content(&mut self, content: &[u8]) {
        if let Some(logged) = &mut self.logged {
            logged.content_bytes = logged.content_bytes.wrapping_add(content.len() as u64);
        }
    }

    /// Takes the output, which precedes the bytes of the next protocol.
    pub(super) fn into_output(self) -> Vec<u8> {
        self.output
    }

    /// Makes room for a head and as much of the content as is written at once.
    #[inline]
    pub(super) fn make_room_for_response(&mut self, wire: &Wire, content: &[u8]) -> Result<(), OutOfMemory> {
        let first_bytes = content.len().min(OUTPUT_BYTES_MAX);
        self.make_room(wire, HEAD_BYTES_USUAL + CHUNK_FRAMING_BYTES_MAX + first_bytes)
    }

    /// Makes room for more output, in a pooled buffer if the connection has none.
    #[inline]
    fn make_room(&mut self, wire: &Wire, bytes: usize) -> Result<(), OutOfMemory> {
        if self.output.capacity() == 0 {
            self.output = wire.socket.take_buffer();
        }
        memory::make_room_to_answer(&mut self.output, bytes)
    }

    /// Writes `100 Continue` if the peer waits for it.
    pub(super) fn write_continue(&mut self, wire: &mut Wire) -> Flow {
        if wire.machine.expects_continue() {
            self.make_room(wire, HEAD_BYTES_USUAL)?;
            let now = wire.now();
            wire.machine.send_continue(now, &mut self.output);
        }
        Ok(())
    }

    /// Writes a head, or an error response if the head cannot be sent.
    ///
    /// While content is on its way whose end is the close of the connection, an early close must be a reset.
    #[inline]
    pub(super) fn write_head(&mut self, wire: &mut Wire, head: &ResponseHead, length: BodyLength) -> Flow {
        // The content was refused for its size or its pace, so its rest is not read: close.
        let is_refusal = matches!(head.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
        if is_refusal && !wire.machine.is_request_complete() {
            wire.machine.close_after_response();
        }
        let sent = {
            let date = wire.server.date();
            wire.machine.send_head(head, length, &date, &mut self.output)
        };
        if let Err(error) = sent {
            tracing::error!(%error, "could not send the response; answered 500");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(self.refuse(wire, status, "the response could not be sent"));
        }
        if wire.machine.is_ended_by_close() {
            wire.socket.reset_on_close(true).map_err(|_| Ending::Abort)?;
        }
        Ok(())
    }

    /// Writes the last content and the end of a response.
    #[expect(
        clippy::inline_always,
        reason = "a function of one caller and one call, on the path of every response"
    )]
    #[inline(always)]
    pub(super) fn write_last(&mut self, wire: &mut Wire, content: &[u8], trailers: &Headers) -> Flow {
        self.count_content(content);
        let written = wire.machine.send_last(content, Some(trailers), &mut self.output);
        written.map_err(abort)
    }

    /// Writes content, and sends the output whenever it is full.
    pub(super) async fn write_content(&mut self, wire: &mut Wire, mut content: &[u8]) -> Flow {
        loop {
            let room = OUTPUT_BYTES_MAX.saturating_sub(self.output.len());
            let (piece, rest) = content.split_at(room.min(content.len()));
            self.write_data(wire, piece)?;
            if rest.is_empty() {
                return Ok(());
            }
            content = rest;
            self.send(wire).await?;
        }
    }

    /// Writes content that is one shared piece, and waits until the kernel has taken it.
    pub(super) async fn write_shared(&mut self, wire: &mut Wire, content: Bytes) -> Flow {
        self.write_chunk(wire, content).await?;
        // The peer's pace is checked here; between requests it is not.
        if wire.socket.is_sending() {
            wait_sent(wire).await
        } else {
            Ok(())
        }
    }

    /// Writes a chunk of a stream; a large one leaves as it is, without a copy, where its framing allows that.
    pub(super) async fn write_chunk(&mut self, wire: &mut Wire, chunk: Bytes) -> Flow {
        if chunk.len() < UNCOPIED_BYTES_MIN || !wire.machine.send_unframed(chunk.len()).map_err(abort)? {
            return self.write_content(wire, &chunk).await;
        }
        self.count_content(&chunk);
        if wire.socket.is_sending() {
            wait_sent(wire).await?;
        }
        let output = std::mem::take(&mut self.output);
        let buffer = if output.is_empty() {
            self.output = output;
            SendBuffer::from(chunk)
        } else {
            SendBuffer::from(vec![Bytes::from(output), chunk])
        };
        wire.socket.start_send(buffer).map_err(peer_gone)
    }

    fn write_data(&mut self, wire: &mut Wire, data: &[u8]) -> Flow {
        self.count_content(data);
        self.make_room(wire, CHUNK_FRAMING_BYTES_MAX + data.len())?;
        wire.machine.send_data(data, &mut self.output).map_err(abort)
    }

    /// Writes the end of a response.
    pub(super) fn write_end(&mut self, wire: &mut Wire, trailers: &Headers) -> Flow {
        wire.machine.send_end(Some(trailers), &mut self.output).map_err(abort)
    }

    /// Writes the flushes whose futures the handler has dropped; their bytes precede the rest of its response.
    #[inline]
    pub(super) fn write_dropped_flushes(&mut self, wire: &mut Wire, channel: &Channel) -> Flow {
        while let Some(flush) = channel.take_flush() {
            self.write_dropped_flush(wire, channel, flush)?;
        }
        Ok(())
    }

    #[cold]
    fn write_dropped_flush(&mut self, wire: &mut Wire, channel: &Channel, flush: Flush) -> Flow {
        self.write_flushed_head(wire, &flush)?;
        self.write_data(wire, &flush.data)?;
        channel.flushed(flush.data, Ok(()));
        Ok(())
    }

    /// Writes a head that was flushed before the response was complete.
    fn write_flushed_head(&mut self, wire: &mut Wire, flush: &Flush) -> Flow {
        let Some(head) = &flush.head else { return Ok(()) };
        let length = flush.content_length.map_or(BodyLength::Unknown, BodyLength::Known);
        self.make_room(wire, HEAD_BYTES_USUAL)?;
        self.write_head(wire, head, length)
    }
}

/// Writes the last response of a connection: to a request that no handler gets, or in place of a handler's.
///
/// The application's error page writes it. The page is a plain function and may not stream, so a refused connection
/// ends as soon as its peer has read the response. If the page fails, a line of text replaces it. Pipelined requests
/// behind the refused one are not answered.
impl ResponseWriter {
    /// Writes one last response, unless a response has begun, and returns how the connection ends.
    ///
    /// The error page sees a request without path and fields, because the real one cannot be trusted or is with its
    /// handler.
    pub(super) fn refuse(&mut self, wire: &mut Wire, status: StatusCode, why: &str) -> Ending {
        match wire.take_exchange() {
            Ok(mut exchange) => {
                exchange.forget_request();
                self.refuse_request(wire, exchange, status, why)
            }
            Err(OutOfMemory) => self.write_bare_error(wire, status, why),
        }
    }

    /// Writes one last response to the request in `exchange`, unless a response has begun.
    pub(super) fn refuse_request(
        &mut self,
        wire: &mut Wire,
        mut exchange: Box<Exchange>,
        status: StatusCode,
        why: &str,
    ) -> Ending {
        wire.machine.close_after_response();
        let is_written = !wire.machine.is_head_sent() && {
            let mut error = HttpError::new(status).with_message(why.to_owned());
            if status == StatusCode::SERVICE_UNAVAILABLE {
                error = error.with_header(header::RETRY_AFTER, RETRY_AFTER);
            }
            let app = Rc::clone(&wire.server.app);
            app.refuse(&mut exchange, error.into()) && self.write_error_page(wire, &mut exchange)
        };
        log_refusal(wire, &exchange);
        exchange.reset();
        wire.server.return_exchange(exchange);
        if is_written {
            Ending::Close
        } else {
            self.write_bare_error(wire, status, why)
        }
    }

    /// Writes the response in an exchange; returns whether it has been written whole.
    fn write_error_page(&mut self, wire: &mut Wire, exchange: &mut Exchange) -> bool {
        let Outcome::Respond {
            head: Some(head),
            body,
            stream: None,
            trailers,
            ..
        } = exchange.outcome()
        else {
            return false;
        };
        if self
            .make_room(wire, HEAD_BYTES_USUAL + CHUNK_FRAMING_BYTES_MAX + body.len())
            .is_err()
        {
            return false;
        }
        let written = self.write_whole(wire, head, body, Some(trailers));
        if let Err(error) = &written {
            tracing::error!(%error, "could not send the error page; sent plain text");
        }
        written.is_ok()
    }

    /// Writes one last response without the application, unless a response has begun.
    fn write_bare_error(&mut self, wire: &mut Wire, status: StatusCode, why: &str) -> Ending {
        wire.machine.close_after_response();
        let mut head = ResponseHead::new(status);
        let body = format!("{}: {why}\n", status.as_u16());
        head.headers.set(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            head.headers.set(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Err(out_of_memory) = self.make_room(wire, HEAD_BYTES_USUAL + body.len()) {
            return out_of_memory.into();
        }
        match self.write_whole(wire, &head, body.as_bytes(), None) {
            Ok(()) => Ending::Close,
            Err(_) => Ending::Abort,
        }
    }

    fn write_whole(
        &mut self,
        wire: &mut Wire,
        head: &ResponseHead,
        body: &[u8],
        trailers: Option<&Headers>,
    ) -> Result<(), SendError> {
        let date = wire.server.date();
        let length = BodyLength::Known(body.len() as u64);
        wire.machine.send_head(head, length, &date, &mut self.output)?;
        wire.machine.send_last(body, trailers, &mut self.output)
    }
}

/// Logs a request that was refused after its head had been read whole; others have no line.
fn log_refusal(wire: &Wire, exchange: &Exchange) {
    if let Some(log) = wire
        .server
        .request_log
        .as_ref()
        .filter(|_| !exchange.head().target().is_empty())
    {
        let (logged, _span) = log.begin(&wire.server.app, exchange);
        logged.end(exchange, exchange.content_bytes() as u64);
    }
}

/// Sends the output.
impl ResponseWriter {
    /// Sends the gathered output, after the kernel has taken the send before it.
    ///
    /// It also waits for large output to be taken, so that a slow peer is noticed.
    pub(super) async fn send(&mut self, wire: &mut Wire) -> Flow {
        if self.output.is_empty() {
            return Ok(());
        }
        if wire.socket.is_sending() {
            wait_sent(wire).await?;
        }
        let is_much = self.output.len() > UNWATCHED_BYTES_MAX;
        self.start_send(wire)?;
        if is_much { wait_sent(wire).await } else { Ok(()) }
    }

    /// Sends the gathered output, if the kernel has taken the send before it.
    pub(super) fn send_gathered(&mut self, wire: &Wire, cx: &mut Context<'_>) -> Flow {
        if !self.output.is_empty() && wire.socket.poll_sent(cx).map_err(peer_gone)?.is_ready() {
            self.start_send(wire)?;
        }
        Ok(())
    }

    #[inline]
    fn start_send(&mut self, wire: &Wire) -> Flow {
        let output = std::mem::take(&mut self.output);
        wire.socket.start_send(output).map_err(peer_gone)
    }

    /// Sends earlier responses, then the handler's flush; returns true when the kernel has taken the flush.
    pub(super) fn send_flush(
        &mut self,
        wire: &mut Wire,
        channel: &Channel,
        flush: &mut FlushInFlight,
        cx: &mut Context<'_>,
    ) -> Flow<bool> {
        if flush.pending.is_none()
            && let Some(taken) = channel.take_flush()
        {
            self.write_flushed_head(wire, &taken)?;
            flush.pending = Some(PendingFlush {
                buffer: taken.data,
                written: 0,
            });
        }
        while !self.output.is_empty() || flush.pending.is_some() {
            // Only one send is under way at a time: a slow peer holds back the handler, and memory stays bounded.
            if wire.socket.poll_sent(cx).map_err(peer_gone)?.is_pending() {
                let (now, sent) = (wire.now(), wire.socket.sent());
                let limits = &wire.server.write;
                flush.progress.get_or_insert_with(|| Progress::new(now, sent, limits));
                return Ok(false);
            }
            flush.progress = None;
            if let Some(pending) = &mut flush.pending {
                let rest = pending.buffer.get(pending.written..).unwrap_or_default();
                let piece = rest.get(..OUTPUT_BYTES_MAX).unwrap_or(rest);
                if piece.is_empty() && self.output.is_empty() {
                    let buffer = flush.pending.take().map(|pending| pending.buffer);
                    channel.flushed(buffer.unwrap_or_default(), Ok(()));
                    return Ok(true);
                }
                self.write_data(wire, piece)?;
                pending.written += piece.len();
            }
            self.start_send(wire)?;
        }
        Ok(false)
    }

    /// Sends one byte to find out whether a peer that has closed its half still reads, at most `times` in a response.
    ///
    /// The kernel of a closed socket answers it with a reset. The byte is a leading zero of the next chunk-size, so
    /// only a chunked response can carry it.
    pub(super) fn probe(&mut self, wire: &mut Wire, times: u8, cx: &mut Context<'_>) -> Flow {
        if wire.machine.wants_probe(times) {
            self.make_room(wire, 1)?;
            wire.machine.send_probe(&mut self.output);
            self.send_gathered(wire, cx)?;
        }
        Ok(())
    }

    /// Sends the rest of the output and half-closes once the kernel has it.
    pub(super) async fn end(&mut self, wire: &mut Wire) -> Flow {
        self.send(wire).await?;
        wire.socket.announce_end();
        wait_sent(wire).await?;
        // The response is complete, so the close that ends it must be a FIN again instead of a reset.
        if wire.machine.is_ended_by_close() {
            wire.socket.reset_on_close(false).map_err(peer_gone)?;
        }
        wire.socket.shutdown_write().map_err(peer_gone)
    }
}

/// Waits until the kernel has taken the current send; aborts if the peer accepts too little.
async fn wait_sent(wire: &mut Wire) -> Flow {
    let mut progress = None;
    poll_fn(|cx| poll_sent(wire, &mut progress, cx)).await
}

fn poll_sent(wire: &mut Wire, progress: &mut Option<Progress>, cx: &mut Context<'_>) -> Poll<Flow> {
    if let Poll::Ready(sent) = wire.socket.poll_sent(cx) {
        return Poll::Ready(sent.map_err(peer_gone));
    }
    let (now, sent) = (wire.now(), wire.socket.sent());
    let limits = &wire.server.write;
    let progress = progress.get_or_insert_with(|| Progress::new(now, sent, limits));
    loop {
        let due = check_pace(wire, progress, now)?;
        // A deadline that is due already leaves no wake-up behind, so compute the next one.
        if wire.poll_until(Some(due), cx).is_pending() {
            return Poll::Pending;
        }
    }
}

/// Maps misuse of a response by the application, after its head has left, to an abort.
fn abort(error: SendError) -> Ending {
    tracing::error!(%error, "could not complete the response; aborted the connection");
    Ending::Abort
}

/// Returns when to check the peer's pace again, or aborts a peer that accepts too little.
fn check_pace(wire: &Wire, progress: &mut Progress, now: Instant) -> Flow<Instant> {
    let limits = &wire.server.write;
    let unacknowledged = || wire.socket.unacknowledged_bytes();
    if progress.note(now, wire.socket.sent(), unacknowledged, limits) {
        return Ok(progress.deadline(now, limits));
    }
    // The close becomes a reset, or the kernel would keep the unacknowledged bytes for minutes.
    wire.socket.give_up();
    Err(Ending::Abort)
}
