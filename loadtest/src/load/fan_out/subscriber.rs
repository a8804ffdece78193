//! One subscriber: reads its deliveries and checks the number, due time and content of each message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::{AddAssign, Range};

use super::continuity::{Arrival, Continuity};
use super::message::Messages;
use super::reader::{Reader, Received};
use super::shared_progress::SharedProgress;
use crate::load::clock::{Clock, Nanos};
use crate::load::counts::Counts;
use crate::load::latency::Latencies;
use crate::load::run_result::Failure;
use crate::load::websocket::frame::{Opcode, write_masked};

/// One subscribed connection.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// `None` after the connection has failed.
    stream: Option<TcpStream>,
    reader: Reader,
    continuity: Continuity,
    /// The index of the core it connected from, in the plan's `connect_cores`.
    place: usize,
    /// First-time deliveries.
    received: u64,
    /// Messages that the server announced as missed.
    told: u64,
}

/// The buffer and counts that the subscribers of one thread share.
#[derive(Debug)]
pub(super) struct ReceiveState<'run> {
    pub(super) clock: Clock,
    pub(super) shared: &'run SharedProgress,
    pub(super) messages: Messages,
    /// Holds one read; a subscriber keeps the frame or event that a read cuts in two.
    pub(super) buffer: Box<[u8]>,
    pub(super) counts: Counts,
    pub(super) faults: Faults,
    /// First-time deliveries.
    pub(super) delivered: u64,
    /// The latter half of the warm-up, and the latencies of messages due in it.
    pub(super) quiet: (Range<Nanos>, Latencies),
    /// The latencies in the window by the core that subscribers connected from; empty without `connect_cores`.
    pub(super) by_place: Vec<Latencies>,
}

/// Deliveries that were lost, repeated or out of order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Messages that the server announced as missed.
    pub(super) told: u64,
}

impl Subscriber {
    /// Makes a subscriber that connected from core number `place` of the plan's `connect_cores`.
    pub(super) fn new(stream: TcpStream, reader: Reader, place: usize) -> Self {
        Self {
            stream: Some(stream),
            reader,
            continuity: Continuity::new(),
            place,
            received: 0,
            told: 0,
        }
    }

    pub(super) fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// Returns the highest received number.
    pub(super) fn highest(&self) -> u64 {
        self.continuity.highest()
    }

    /// Returns the number of first-time deliveries.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Returns the number of messages announced as missed.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Closes the connection.
    pub(super) fn leave(&mut self) {
        self.stream = None;
    }

    /// Reads until the socket is empty.
    ///
    /// A short read has emptied it, unless the peer closed it too: then only a further read returns the end of stream.
    ///
    /// # Errors
    ///
    /// The connection is closed, failed, or violates the protocol.
    pub(super) fn turn(&mut self, peer_closed: bool, state: &mut ReceiveState<'_>) -> Result<(), Failure> {
        loop {
            let Some(stream) = self.stream.as_mut() else {
                return Ok(());
            };
            let count = match stream.read(&mut state.buffer) {
                Ok(0) => return Err(Failure::ClosedEarly),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => continue,
                    _ => return Err(Failure::Reset),
                },
            };
            let now = state.clock.now();
            let pongs = self.receive(count, now, state)?;
            let Some(stream) = self.stream.as_mut() else {
                return Ok(());
            };
            if !pongs.is_empty() {
                answer_pings(stream, &pongs).map_err(|_| Failure::Reset)?;
            }
            if count < state.buffer.len() && !peer_closed {
                return Ok(());
            }
        }
    }

    /// Checks the messages that the first `count` bytes of the buffer complete; returns the pongs to send.
    fn receive(&mut self, count: usize, now: Nanos, state: &mut ReceiveState<'_>) -> Result<Vec<u8>, Failure> {
        // Loaded after the read: a delivered message was counted as published before it was written.
        let published = state.shared.published();
        let mut pongs = Vec::new();
        state.counts.received(count, now);
        let ReceiveState {
            messages,
            buffer,
            counts,
            faults,
            delivered,
            quiet: (quiet, quiet_latencies),
            by_place,
            ..
        } = state;
        let Self {
            reader,
            continuity,
            place,
            received,
            told,
            ..
        } = self;
        let bytes = buffer.get(..count).unwrap_or_default();
        reader.receive(bytes, |what| {
            match what {
                Received::Missed(missed) => {
                    *told += missed;
                    faults.told += missed;
                }
                Received::Message(payload) => {
                    let (number, due) = messages.read(payload).ok_or(Failure::WrongBody)?;
                    if number > published {
                        return Err(Failure::WrongBody);
                    }
                    // Number 0 is a greeting from the setup.
                    if number > 0 && faults.take(continuity.take(number)) {
                        *delivered += 1;
                        *received += 1;
                        counts.answered(due, now);
                        if quiet.contains(&due) {
                            quiet_latencies.record(now.saturating_sub(due));
                        }
                        if let Some(latencies) = by_place.get_mut(*place).filter(|_| counts.window.contains(&due)) {
                            latencies.record(now.saturating_sub(due));
                        }
                    }
                }
                Received::Ping(payload) => write_masked(Opcode::Pong, payload, [0; 4], &mut pongs),
            }
            Ok(())
        })?;
        Ok(pongs)
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.told += other.told;
    }
}

impl Faults {
    /// Counts the faults of an arrival; returns whether it is a first-time delivery.
    fn take(&mut self, arrival: Arrival) -> bool {
        match arrival {
            Arrival::Ahead { skipped } => self.lost += skipped,
            Arrival::Late => {
                self.lost -= 1;
                self.out_of_order += 1;
            }
            Arrival::Repeated => self.duplicated += 1,
        }
        arrival != Arrival::Repeated
    }
}

/// Sends pongs, and drops them if the socket buffer is full: the server has its own ping timeout.
fn answer_pings(stream: &mut TcpStream, pongs: &[u8]) -> io::Result<()> {
    match stream.write_all(pongs) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        written => written,
    }
}
