//! The publisher: one connection that sends numbered messages, at a rate or when all subscribers have received the last
//! burst.
//!
//! At a rate, a message carries its due time, so the latency includes the time that a busy server makes the publisher
//! wait. Invariant: a burst is encoded only after the socket has accepted the one before, so at most one burst is
//! buffered.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use super::message::Messages;
use super::shared_progress::SharedProgress;
use crate::load::clock::{Nanos, nanos};
use crate::load::counts::Counts;
use crate::load::latency::Latencies;
use crate::load::plan::FanOut;
use crate::load::run_result::Failure;
use crate::load::websocket::frame::{Opcode, Violation, write_masked};
use crate::load::websocket::message::{Message, MessageReader};

/// Bytes of one read; a publisher receives only control frames and acknowledgements.
const READ_BYTES: usize = 4 * 1024;

/// The publishing connection and its schedule.
#[derive(Debug)]
pub(super) struct Publisher {
    stream: TcpStream,
    reader: MessageReader,
    messages: Messages,
    pace: Pace,
    burst: u64,
    start: Nanos,
    window: Range<Nanos>,
    /// The frames being written, and how many of their bytes are.
    out: Vec<u8>,
    written: usize,
    /// The answer to the latest ping; older pings need none (RFC 6455 section 5.5.3).
    pong: Vec<u8>,
    /// When the burst being written was due; `None` between bursts.
    due: Option<Nanos>,
    /// How much later than due the bursts of the window were written.
    pub(super) lag: Latencies,
}

/// When the next burst is due.
#[derive(Debug)]
enum Pace {
    /// At equal intervals from the start; `bursts` have been sent.
    Rate { interval: f64, bursts: u64 },
    /// When all subscribers have received the last one.
    Closed,
}

impl Publisher {
    /// Makes a publisher whose first burst is due at `start`.
    pub(super) fn new(
        (stream, reader): (TcpStream, MessageReader),
        messages: Messages,
        fan_out: &FanOut,
        start: Nanos,
        window: Range<Nanos>,
    ) -> Self {
        let burst = fan_out.burst as u64;
        let pace = match fan_out.rate {
            Some(rate) => Pace::Rate {
                interval: nanos(Duration::from_secs(1)) as f64 * burst as f64 / rate,
                bursts: 0,
            },
            None => Pace::Closed,
        };
        Self {
            stream,
            reader,
            messages,
            pace,
            burst,
            start,
            window,
            out: Vec::new(),
            written: 0,
            pong: Vec::new(),
            due: None,
            lag: Latencies::new(),
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns when the next burst is due; `None` in a closed loop.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        match self.pace {
            Pace::Rate { interval, bursts } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a fraction of a nanosecond does not matter"
                )]
                let since_start = (interval * bursts as f64) as Nanos;
                Some(self.start.saturating_add(since_start))
            }
            Pace::Closed => None,
        }
    }

    /// Writes at most one due burst, so that subscribers are read in between.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub(super) fn turn(&mut self, now: Nanos, shared: &SharedProgress, counts: &mut Counts) -> Result<(), Failure> {
        // A pong goes between bursts, never into a half-written frame.
        if self.is_idle() {
            self.out.append(&mut self.pong);
        }
        self.write(now, counts)?;
        let due = match self.next_due() {
            Some(due) => due,
            None if now >= self.start && shared.is_settled() => now,
            None => return Ok(()),
        };
        if !self.is_idle() || due > now || due >= self.window.end {
            return Ok(());
        }
        if let Pace::Rate { bursts, .. } = &mut self.pace {
            *bursts += 1;
        }
        self.publish(due, shared);
        self.write(now, counts)
    }

    /// Whether it runs in a closed loop.
    pub(super) fn waits_for_subscribers(&self) -> bool {
        matches!(self.pace, Pace::Closed)
    }

    /// Whether the window is over and all its bursts are encoded.
    pub(super) fn has_published_all(&self, now: Nanos) -> bool {
        now.min(self.next_due().unwrap_or(now)) >= self.window.end
    }

    /// Returns how many due messages were never published, at the end of the run.
    pub(super) fn unpublished(&self) -> u64 {
        match self.pace {
            Pace::Rate { interval, bursts } if self.next_due() < Some(self.window.end) => {
                let length = self.window.end.saturating_sub(self.start);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a schedule is far shorter than 2^64 bursts"
                )]
                #[expect(clippy::cast_sign_loss, reason = "neither length nor interval is negative")]
                let due = (length as f64 / interval).ceil() as u64;
                due.saturating_sub(bursts) * self.burst
            }
            Pace::Rate { .. } | Pace::Closed => 0,
        }
    }

    /// Whether the socket has accepted all encoded bytes.
    pub(super) fn is_idle(&self) -> bool {
        self.written == self.out.len()
    }

    /// Reads what the server sends to the publisher: pings, acknowledgements, or a close.
    ///
    /// # Errors
    ///
    /// The connection is closed, failed, or violates the protocol.
    pub(super) fn receive(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::ClosedEarly),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => continue,
                    _ => return Err(Failure::Reset),
                },
            };
            let pong = &mut self.pong;
            self.reader
                .receive(buffer.get(..count).unwrap_or_default(), |message| match message {
                    // A server may acknowledge published messages; this run does not check that.
                    Message::Data { .. } | Message::Pong => Ok(()),
                    Message::Ping(payload) => {
                        pong.clear();
                        write_masked(Opcode::Pong, payload, [0; 4], pong);
                        Ok(())
                    }
                    Message::Close(_) => Err(Stop::Closed),
                })
                .map_err(|stop| match stop {
                    Stop::Closed => Failure::ClosedEarly,
                    Stop::Violated => Failure::Malformed,
                })?;
        }
    }

    fn publish(&mut self, due: Nanos, shared: &SharedProgress) {
        // Count first: a subscriber on another thread may receive the message before this thread returns from the
        // write.
        let first = shared.published() + 1;
        shared.publish(self.burst);
        for number in first..first + self.burst {
            self.messages.write(number, due, &mut self.out);
        }
        self.due = Some(due);
    }

    fn write(&mut self, now: Nanos, counts: &mut Counts) -> Result<(), Failure> {
        while let Some(unwritten) = self.out.get(self.written..).filter(|bytes| !bytes.is_empty()) {
            match self.stream.write(unwritten) {
                Ok(count) => {
                    self.written += count;
                    counts.sent(count, now);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => {}
                    _ => return Err(Failure::Reset),
                },
            }
        }
        self.out.clear();
        self.written = 0;
        if let Some(due) = self.due.take().filter(|due| self.window.contains(due)) {
            self.lag.record(now.saturating_sub(due));
        }
        Ok(())
    }
}

enum Stop {
    Closed,
    Violated,
}

impl From<Violation> for Stop {
    fn from(_violation: Violation) -> Self {
        Self::Violated
    }
}
