//! One subscriber: reads what is delivered to it and judges every message by its number, its time and its content.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::{AddAssign, Range};

use super::continuity::{Arrival, Continuity};
use super::notice;
use super::shared_progress::SharedProgress;
use crate::load::clock::{Clock, Nanos};
use crate::load::counts::Counts;
use crate::load::latency::Latencies;
use crate::load::plan::STAMP_BYTES;
use crate::load::run_result::Failure;
use crate::load::websocket::frame::{Opcode, Violation, write_masked};
use crate::load::websocket::message::{Message, MessageReader};
use crate::load::websocket::payload::Payloads;

/// One connection that receives what is published.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// `None` once the connection has gone.
    stream: Option<TcpStream>,
    reader: MessageReader,
    continuity: Continuity,
    /// Which of the plan's cores it connected from.
    place: usize,
    /// Messages that came for the first time, and those it was told it missed.
    received: u64,
    told: u64,
}

/// What the subscribers of one thread hear with and count in.
#[derive(Debug)]
pub(super) struct ReceiveState<'run> {
    pub(super) clock: Clock,
    pub(super) shared: &'run SharedProgress,
    pub(super) payloads: Payloads,
    /// Takes one read; what it cuts in two is kept by the subscriber.
    pub(super) buffer: Box<[u8]>,
    pub(super) counts: Counts,
    pub(super) faults: Faults,
    /// Deliveries that came for the first time.
    pub(super) delivered: u64,
    /// The latter half of the warm-up, and the latencies of what was due in it.
    pub(super) quiet: (Range<Nanos>, Latencies),
    /// The latencies of those who connected from each core, in the window; empty if nobody asks.
    pub(super) by_place: Vec<Latencies>,
}

/// Deliveries that did not come as they should.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// What subscribers were told they missed.
    pub(super) told: u64,
}

impl Subscriber {
    /// A subscriber that connected from the plan's core number `place`.
    pub(super) fn new(stream: TcpStream, reader: MessageReader, place: usize) -> Self {
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

    /// The highest number that came.
    pub(super) fn highest(&self) -> u64 {
        self.continuity.highest()
    }

    /// Messages that came for the first time.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Messages it was told it missed.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Gives the connection up.
    pub(super) fn leave(&mut self) {
        self.stream = None;
    }

    /// Reads until the socket is empty.
    ///
    /// A short read has emptied it, unless the peer closed it in the same moment: then only a further read tells.
    ///
    /// # Errors
    ///
    /// The connection has ended or cannot go on.
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
            let pongs = self.hear(count, now, state)?;
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

    /// Judges the messages that the first `count` bytes of the buffer complete; gives the pongs to send.
    fn hear(&mut self, count: usize, now: Nanos, state: &mut ReceiveState<'_>) -> Result<Vec<u8>, Failure> {
        // Nothing can be heard that has not been published, so this is read after the bytes.
        let published = state.shared.published();
        let mut pongs = Vec::new();
        state.counts.received(count, now);
        let ReceiveState {
            payloads,
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
        reader
            .receive(bytes, |message| match message {
                Message::Data { is_text: true, payload } => {
                    let missed = notice::missed(payload).ok_or(Stop(Failure::WrongBody))?;
                    *told += missed;
                    faults.told += missed;
                    Ok(())
                }
                Message::Data { payload, .. } => {
                    let (number, due) = stamp(payloads, payload).ok_or(Stop(Failure::WrongBody))?;
                    if number > published {
                        return Err(Stop(Failure::WrongBody));
                    }
                    // Number 0 is a greeting from before the run.
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
                    Ok(())
                }
                Message::Ping(payload) => {
                    write_masked(Opcode::Pong, payload, [0; 4], &mut pongs);
                    Ok(())
                }
                Message::Pong => Ok(()),
                Message::Close(_) => Err(Stop(Failure::ClosedEarly)),
            })
            .map_err(|Stop(failure)| failure)?;
        Ok(pongs)
    }
}

/// The number of a message and when it was due.
fn stamp(payloads: &Payloads, payload: &[u8]) -> Option<(u64, Nanos)> {
    let (number, due) = payloads.stamp(payload, STAMP_BYTES)?.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), u64::from_le_bytes(*due.first_chunk()?)))
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
    /// Counts what is wrong with an arrival; says whether the message came for the first time.
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

/// A server that takes no pongs for so long that the socket is full goes without: it has its own timeout.
fn answer_pings(stream: &mut TcpStream, pongs: &[u8]) -> io::Result<()> {
    match stream.write_all(pongs) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        written => written,
    }
}

struct Stop(Failure);

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self(match violation {
            // A message of another length is a wrong one in a right frame.
            Violation::TooLong { .. } => Failure::WrongBody,
            _ => Failure::Malformed,
        })
    }
}
