//! What waiting handlers have for the peer, and the send of a turn.
//!
//! The order of a send: acknowledgements and resets, heads, then content by urgency. While a send is under way no
//! content is produced, so that content of a more urgent stream need not wait behind it.

use std::task::{Context, Poll};

use super::connection::{BROKEN_OFF, Connection};
use super::respond::OUTPUT_BYTES_MAX;
use super::stream::{PendingFlush, WaitingStream};
use crate::app::{Flush, ResponseEnd, TaskState};
use crate::http2::{FRAME_HEADER_BYTES, HEAD_BYTES_USUAL, ResponseStart};
use crate::server::ending::Flow;

impl Connection {
    /// Does what waiting handlers want: content, window updates, heads, and the ends of streams.
    pub(super) fn serve_waiting(&mut self, cx: &Context<'_>) -> Flow {
        if self.waiting == 0 {
            return Ok(());
        }
        for place in 0..self.streams.len() {
            let Some(mut stream) = self.streams.get_mut(place).and_then(Option::take) else {
                continue;
            };
            self.grant_content(&stream);
            self.begin_flush(&mut stream)?;
            // The state is read last: a task that has ended flushes nothing more.
            let state = stream.channel.task_state();
            if stream.channel.is_given_up() {
                self.machine.give_up(stream.key, &mut self.wire.output);
                stream.close();
            }
            let is_over = match state {
                TaskState::Running => false,
                TaskState::Ended => stream.flush.is_none(),
                // What it still flushes is part of an incomplete response.
                TaskState::Dropped => true,
            };
            if is_over {
                self.waiting -= 1;
                // Gives the stream up if it is open: its response is incomplete then.
                self.release(stream.key);
            } else if let Some(place) = self.streams.get_mut(place) {
                stream.channel.set_waker(cx.waker());
                *place = Some(stream);
            }
        }
        if self.waiting == 0 {
            self.streams = Vec::new();
        }
        Ok(())
    }

    /// Grants the peer what the handler has taken.
    fn grant_content(&mut self, stream: &WaitingStream) {
        let (now, channel) = (self.now(), &stream.channel);
        let wants_body = channel.wants_body();
        self.machine.set_awaited(stream.key, wants_body, now);
        let output = &mut self.wire.output;
        let wanted = channel.wanted_bytes();
        // A handler that waits for the whole takes all of it at the end, so nothing of it counts as unread.
        let unread = if wanted > 0 { 0 } else { channel.unread_bytes() };
        self.machine.set_unread(stream.key, unread, output);
        if wants_body {
            self.machine.send_continue(stream.key, output);
            if wanted > 0 {
                self.machine.raise_window(stream.key, wanted, output);
            }
        }
    }

    /// Takes a flush of the handler: its head leaves now, its content in its turn.
    fn begin_flush(&mut self, stream: &mut WaitingStream) -> Flow {
        while stream.flush.is_none()
            && let Some(flush) = stream.channel.take_flush()
        {
            let Flush {
                head,
                data,
                content_length,
                opens_tunnel,
                end,
            } = flush;
            let mut is_open = self.machine.is_open(stream.key);
            if let Some(head) = head {
                self.wire.make_room(HEAD_BYTES_USUAL)?;
                let is_plain_end = matches!(&end, Some(ResponseEnd::Complete { trailers }) if trailers.is_empty());
                let date = self.server.date();
                let start = ResponseStart {
                    head: &head,
                    length: content_length,
                    ends: is_plain_end && data.is_empty(),
                    date: &date,
                };
                let output = &mut self.wire.output;
                let sent = match opens_tunnel {
                    true => self.machine.open_tunnel(stream.key, &head, &date, output),
                    false => self.machine.send_head(stream.key, start, output),
                };
                if let Err(error) = sent {
                    tracing::error!(%error, "could not send the response; reset its stream");
                    self.machine.reset(stream.key, BROKEN_OFF, &mut self.wire.output);
                    stream.channel.break_off();
                    is_open = false;
                }
            }
            let pending = stream.flush.insert(PendingFlush::new(data, end));
            let (ready, now) = (pending.rest().len(), self.server.shard.now());
            if ready > 0 && self.machine.is_open(stream.key) {
                self.machine.set_ready(stream.key, ready, now);
            } else {
                self.end_flush(stream, is_open);
            }
        }
        Ok(())
    }

    /// Ends a flush whose content is written, or lost with its stream: writes the end behind it, and tells the handler.
    fn end_flush(&mut self, stream: &mut WaitingStream, is_open: bool) {
        let Some(flush) = &stream.flush else { return };
        if !is_open {
            stream.close();
            return;
        }
        let output = &mut self.wire.output;
        if flush.is_broken_off() {
            self.machine.reset(stream.key, BROKEN_OFF, output);
        } else if let Some(trailers) = flush.trailers()
            && let Err(error) = self.machine.send_last(stream.key, b"", Some(trailers), output)
        {
            tracing::error!(%error, "could not complete the response; reset its stream");
            self.machine.reset(stream.key, BROKEN_OFF, output);
            stream.channel.break_off();
        }
        stream.flushed();
    }

    /// Sends the output with as much content as fits; returns whether more can be sent at once.
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> Flow<bool> {
        if self.wire.socket.is_sending() {
            match self.wire.poll_sent(cx) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return Ok(false),
            }
        }
        self.fill()?;
        if self.wire.output.is_empty() {
            return Ok(false);
        }
        self.wire.start_send()?;
        // With epoll the kernel may have taken it already.
        match self.wire.poll_sent(cx) {
            Poll::Ready(sent) => sent.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Writes content into the output, in the order of urgencies.
    fn fill(&mut self) -> Flow {
        let now = self.now();
        while self.wire.output.len() < OUTPUT_BYTES_MAX
            && let Some((key, bytes)) = self.machine.next_sender(now)
        {
            let Some(mut stream) = self.streams.get_mut(key.place()).and_then(Option::take) else {
                self.machine.set_ready(key, 0, now);
                continue;
            };
            self.wire.make_room(bytes + FRAME_HEADER_BYTES)?;
            self.write_piece(&mut stream, bytes);
            if let Some(place) = self.streams.get_mut(key.place()) {
                *place = Some(stream);
            }
        }
        Ok(())
    }

    /// Writes a piece of a flush, with the end of the response if it is the last one.
    fn write_piece(&mut self, stream: &mut WaitingStream, bytes: usize) {
        let output = &mut self.wire.output;
        let Some(flush) = &mut stream.flush else {
            self.machine.set_ready(stream.key, 0, self.server.shard.now());
            return;
        };
        let rest = flush.rest();
        let piece = rest.get(..bytes).unwrap_or(rest);
        let is_last = piece.len() == rest.len();
        let written = match flush.trailers() {
            Some(trailers) if is_last => self.machine.send_last(stream.key, piece, Some(trailers), output),
            _ => self.machine.send_data(stream.key, piece, output),
        };
        if let Err(error) = written {
            tracing::error!(%error, "could not complete the response; reset its stream");
            self.machine.reset(stream.key, BROKEN_OFF, output);
            stream.channel.break_off();
            stream.close();
            return;
        }
        let count = piece.len();
        flush.advance(count);
        if !is_last {
            return;
        }
        if flush.is_broken_off() {
            self.machine.reset(stream.key, BROKEN_OFF, output);
        }
        stream.flushed();
    }
}
