//! Writing a response into the connection's output, behind those of the requests before it.
//!
//! The usual response is there as a whole when its handler is done: a head and a little content, written without waiting for anything.
//! Whatever waits, for a peer to take much content or for a stream to produce some, does so in a box, so that its state is no part of
//! every connection's memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::connection::{Connection, Ending, Flow, OUTPUT_BYTES_MAX, abort};
use crate::app::{App, Channel, Exchange, Flush, Outcome};
use crate::http1::{BodyLength, CHUNK_FRAMING_BYTES_MAX, HEAD_BYTES_USUAL};
use crate::message::{BodyStream, Headers, ResponseHead, StatusCode};

/// How long a stream may have nothing for a peer that has closed its sending half, where nothing can be sent that would tell whether it
/// still reads: content that is not chunked. 5 s: as long as a connection lingers.
const UNPROBED_SILENCE_MAX: Duration = Duration::from_secs(5);

/// A stream that content is drawn from.
struct StreamedBody<'a> {
    app: &'a App,
    channel: &'a Channel,
    stream: BodyStream,
    /// Since when it has had nothing for a peer of which only silence tells whether it still reads.
    silent_since: Option<Instant>,
}

impl Connection {
    /// Writes the outcome of a request as far as that takes no waiting; what does is left, and given back.
    pub(super) fn respond<'a>(
        &'a mut self,
        app: &'a App,
        exchange: &'a mut Exchange,
        channel: &'a Channel,
    ) -> Flow<Option<Pin<Box<impl Future<Output = Flow>>>>> {
        // A handler may have dropped the future of its last flush; that goes first.
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
        // All that can be refused for want of memory is asked for before the head, while there is still an answer to give.
        let here = body.len().min(OUTPUT_BYTES_MAX);
        if self
            .make_room(HEAD_BYTES_USUAL + CHUNK_FRAMING_BYTES_MAX + here)
            .is_err()
        {
            tracing::warn!("there is no memory for a response");
            return Err(self.send_final_error(StatusCode::SERVICE_UNAVAILABLE, "no memory is free for the response"));
        }
        let length = match stream {
            None => BodyLength::Known(body.len() as u64),
            Some(_) => BodyLength::Unknown,
        };
        if let Some(head) = head {
            self.write_head(head, length)?;
        }
        if self.machine.is_upgraded() {
            return Ok(None);
        }
        let stream = match stream {
            // What answers HEAD says how GET would be answered, and is not drawn.
            Some(stream) if !self.machine.takes_content() => {
                app.discard(stream);
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
    pub(super) fn write_flushed_head(&mut self, flush: &Flush) -> Flow {
        let Some(head) = &flush.head else { return Ok(()) };
        let length = flush.content_length.map_or(BodyLength::Unknown, BodyLength::Known);
        self.write_head(head, length)
    }

    /// Writes a head, or the answer that it cannot be sent. While content is under way whose end the peer knows by the close, closing
    /// is a reset.
    fn write_head(&mut self, head: &ResponseHead, length: BodyLength) -> Flow {
        // Refused because of its size or its pace: the rest of the content is not worth reading.
        let is_refusal = matches!(head.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
        if is_refusal && !self.machine.is_request_complete() || self.server.is_stopping() {
            self.machine.close_after_response();
        }
        let sent = {
            let date = self.server.date();
            self.machine.send_head(head, length, &date, &mut self.output)
        };
        if let Err(error) = sent {
            tracing::error!(%error, "the response cannot be sent");
            return Err(self.send_final_error(StatusCode::INTERNAL_SERVER_ERROR, "the response cannot be sent"));
        }
        if self.machine.is_ended_by_close() {
            self.stream.reset_on_close(true).map_err(|_| Ending::Abort)?;
        }
        Ok(())
    }

    /// Writes content that does not fit one output buffer, or that comes as a stream, and what follows it.
    async fn write_rest(&mut self, body: &[u8], streamed: Option<StreamedBody<'_>>, trailers: &Headers) -> Flow {
        self.input.set_aside(&self.stream)?;
        self.write_pieces(body).await?;
        if let Some(streamed) = streamed {
            self.write_stream(streamed).await?;
        }
        self.machine.send_end(Some(trailers), &mut self.output).map_err(abort)
    }

    /// Writes content, sending what has gathered whenever a buffer is full.
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

    /// Writes a stream as it comes: what is ready gathers, and leaves when the stream has nothing more for now.
    async fn write_stream(&mut self, mut streamed: StreamedBody<'_>) -> Flow {
        loop {
            let chunk = poll_fn(|cx| {
                let chunk = streamed.app.poll_stream(&mut streamed.stream, cx);
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
                    tracing::warn!(%error, "the stream of a response failed; the connection is cut");
                    return Err(Ending::Abort);
                }
                None => return Ok(()),
            }
        }
    }

    /// Sends what has gathered while a stream has nothing, and notices a peer that has gone.
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
            // It may have closed its socket since it was asked.
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
