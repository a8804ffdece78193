//! Writes a response into the connection's output, behind the responses to earlier requests.
//!
//! A usual response is complete when its handler ends: a head and a little content, written without waiting. Only a
//! response that waits, for the peer or for its stream, runs in a boxed future, so that its state stays out of every
//! connection's memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::connection::{Connection, Ending, Flow, OUTPUT_BYTES_MAX, abort};
use crate::app::{App, Channel, Exchange, Flush, Outcome};
use crate::http1::{BodyLength, CHUNK_FRAMING_BYTES_MAX, HEAD_BYTES_USUAL};
use crate::message::{BodyStream, Headers, ResponseHead, StatusCode};

/// How long a stream may be silent toward a peer that has closed its half, if no probe can be sent. 5 s.
///
/// Content that is not chunked carries no probe. A connection lingers for as long.
const UNPROBED_SILENCE_MAX: Duration = Duration::from_secs(5);

/// A stream that yields the content of a response.
struct StreamedBody<'a> {
    app: &'a App,
    channel: &'a Channel,
    stream: BodyStream,
    /// Since when it has yielded nothing, where only a timeout can tell that the peer is gone.
    silent_since: Option<Instant>,
}

impl Connection {
    /// Writes the response as far as possible without waiting, and returns a future for the rest, if there is any.
    pub(in crate::server) fn respond<'a>(
        &'a mut self,
        app: &'a App,
        exchange: &'a mut Exchange,
        channel: &'a Channel,
    ) -> Flow<Option<Pin<Box<impl Future<Output = Flow>>>>> {
        // A handler may have dropped the future of its last flush; its bytes precede the rest.
        while let Some(flush) = channel.take_flush() {
            self.make_room(HEAD_BYTES_USUAL + CHUNK_FRAMING_BYTES_MAX + flush.data.len())?;
            self.write_flushed_head(&flush)?;
            self.machine.send_data(&flush.data, &mut self.output).map_err(abort)?;
            channel.flushed(flush.data, Ok(()));
        }
        let Outcome::Respond {
            head,
            body,
            stream,
            trailers,
        } = exchange.outcome()
        else {
            return Err(Ending::Abort);
        };
        // Reserve memory before the head is written: until then a refusal can still be answered with 503.
        let first_bytes = body.len().min(OUTPUT_BYTES_MAX);
        if self
            .make_room(HEAD_BYTES_USUAL + CHUNK_FRAMING_BYTES_MAX + first_bytes)
            .is_err()
        {
            tracing::warn!("out of memory for a response; answered 503");
            return Err(self.send_final_error(StatusCode::SERVICE_UNAVAILABLE, "the server is short of memory"));
        }
        // A stream has no known length: HTTP/1.1 sends chunks, HTTP/1.0 closes after it.
        let length = match stream {
            None => BodyLength::Known(body.len() as u64),
            Some(_) => BodyLength::Unknown,
        };
        if let Some(head) = head {
            self.write_head(head, length)?;
        }
        // A 101 has no content; what follows belongs to the WebSocket.
        if self.machine.is_upgraded() {
            return Ok(None);
        }
        let stream = match stream {
            // A response to HEAD has the head of GET's response and no content, so the stream is never polled.
            Some(stream) if !self.machine.takes_content() => {
                app.shared().discard(stream);
                None
            }
            stream => stream,
        };
        if stream.is_some() || self.output.len() + body.len() > OUTPUT_BYTES_MAX {
            let streamed = stream.map(|stream| StreamedBody {
                app,
                channel,
                stream,
                silent_since: None,
            });
            return Ok(Some(Box::pin(self.write_rest(body, streamed, trailers))));
        }
        self.machine
            .send_last(body, Some(trailers), &mut self.output)
            .map_err(abort)?;
        Ok(None)
    }

    /// Writes a head that was flushed before the response was complete.
    pub(in crate::server) fn write_flushed_head(&mut self, flush: &Flush) -> Flow {
        let Some(head) = &flush.head else { return Ok(()) };
        let length = flush.content_length.map_or(BodyLength::Unknown, BodyLength::Known);
        self.write_head(head, length)
    }

    /// Writes a head, or an error response if the head cannot be sent.
    ///
    /// While content is on its way whose end is the close of the connection, an early close must be a reset.
    fn write_head(&mut self, head: &ResponseHead, length: BodyLength) -> Flow {
        // The content was refused for its size or its pace, so its rest is not read: close.
        let is_refusal = matches!(head.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
        if is_refusal && !self.machine.is_request_complete() || self.server.is_stopping() {
            self.machine.close_after_response();
        }
        let sent = {
            let date = self.server.date();
            self.machine.send_head(head, length, &date, &mut self.output)
        };
        if let Err(error) = sent {
            tracing::error!(%error, "could not send the response; answered 500");
            return Err(self.send_final_error(StatusCode::INTERNAL_SERVER_ERROR, "the response could not be sent"));
        }
        if self.machine.is_ended_by_close() {
            self.socket.reset_on_close(true).map_err(|_| Ending::Abort)?;
        }
        Ok(())
    }

    /// Writes content that exceeds one output buffer or comes as a stream, then the end of the response.
    async fn write_rest(&mut self, body: &[u8], streamed: Option<StreamedBody<'_>>, trailers: &Headers) -> Flow {
        // Sending may wait, so the kernel's receive buffer returns first.
        self.input.set_aside(&self.socket)?;
        self.write_pieces(body).await?;
        if let Some(streamed) = streamed {
            self.write_stream(streamed).await?;
        }
        self.machine.send_end(Some(trailers), &mut self.output).map_err(abort)
    }

    /// Writes content, and sends the output whenever it is full.
    async fn write_pieces(&mut self, mut content: &[u8]) -> Flow {
        loop {
            let room = OUTPUT_BYTES_MAX.saturating_sub(self.output.len());
            let (piece, rest) = content.split_at(room.min(content.len()));
            self.make_room(CHUNK_FRAMING_BYTES_MAX + piece.len())?;
            self.machine.send_data(piece, &mut self.output).map_err(abort)?;
            if rest.is_empty() {
                return Ok(());
            }
            content = rest;
            self.send_output().await?;
        }
    }

    /// Writes a stream: chunks that are ready gather, and leave when the stream is pending.
    async fn write_stream(&mut self, mut streamed: StreamedBody<'_>) -> Flow {
        loop {
            let chunk = poll_fn(|cx| {
                let chunk = streamed.app.shared().poll_stream(&mut streamed.stream, cx);
                if chunk.is_pending() {
                    self.send_while_waiting(streamed.channel, &mut streamed.silent_since, cx)?;
                }
                chunk.map(Ok::<_, Ending>)
            });
            match chunk.await? {
                Some(Ok(chunk)) => {
                    streamed.silent_since = None;
                    self.write_pieces(&chunk).await?;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "a response stream failed; aborted the connection");
                    return Err(Ending::Abort);
                }
                None => return Ok(()),
            }
        }
    }

    /// Sends the gathered output while a stream is pending, and notices a peer that is gone.
    fn send_while_waiting(
        &mut self,
        channel: &Channel,
        silent_since: &mut Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Flow {
        self.send_gathered(cx)?;
        while let Poll::Ready(checked) = self.poll_peer(channel, cx) {
            checked?;
        }
        if self.peer_has_finished && self.server.draining_since().is_some() {
            // The peer may have closed its socket since the first probe, and would hold the stop up.
            self.probe_peer(2, cx)?;
        }
        if self.needs_silence_timeout() {
            let silent_since = silent_since.get_or_insert(self.server.shard.now());
            self.deadline.set(Some(*silent_since + UNPROBED_SILENCE_MAX));
            if self.deadline.poll(cx).is_ready() {
                return Err(Ending::PeerGone);
            }
        }
        Ok(())
    }
}
