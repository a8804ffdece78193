//! The history of one topic: its last messages, numbered, so that a client that was away can catch up or learn of a
//! gap.
//!
//! The retained messages have no holes: their numbers run from the oldest to the last. Count, bytes and age bound them
//! together.

use std::collections::VecDeque;
use std::time::Instant;

use super::limits::MESSAGE_OVERHEAD_BYTES;
use super::position::{Position, Start};
use super::publication::Publication;
use super::rules::HistoryLimits;

/// Weight of a retained message in addition to its bytes: its record, its time and the allocator's overhead.
pub const LOG_OVERHEAD_BYTES: usize = 192;

/// One topic's last messages.
#[derive(Debug)]
pub struct Log {
    limits: HistoryLimits,
    /// The position of the last message; sequence 0 before the first.
    last: Position,
    retained: VecDeque<RetainedMessage>,
    bytes: usize,
}

#[derive(Debug)]
struct RetainedMessage {
    publication: Publication,
    at: Instant,
}

impl RetainedMessage {
    fn weight(&self) -> usize {
        self.publication.bytes() + LOG_OVERHEAD_BYTES
    }
}

/// The result of resuming from a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// The messages behind that position.
    Messages {
        /// The messages in order, with their positions; empty if the client missed none.
        publications: Vec<Publication>,
        /// Whether they reach the topic's last message. If not, resume again from the last of them.
        is_end: bool,
        /// The topic's last message. A client that receives no messages has everything up to here.
        last: Position,
    },
    /// The messages are not available.
    Gap(Gap),
}

/// Why a history cannot deliver the requested messages, and the topic's last position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The reason.
    pub reason: GapReason,
    /// The topic's last message.
    ///
    /// A client that reloads its state has everything up to here.
    pub last: Position,
}

/// Why a history cannot deliver the requested messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The position belongs to another epoch; how many messages were missed is unknown.
    OtherEpoch,
    /// Messages between the position and the oldest retained message have expired.
    Expired {
        /// How many.
        messages: u64,
    },
    /// The position is ahead of the topic's last message.
    NotYet,
}

impl Log {
    /// Creates an empty history.
    #[must_use]
    pub fn new(epoch: u64, limits: HistoryLimits) -> Self {
        Self {
            limits,
            last: Position { epoch, sequence: 0 },
            retained: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Numbers a message, which `make` builds from its position, and retains it within the limits.
    pub fn append(&mut self, make: impl FnOnce(Position) -> Publication, now: Instant) -> Publication {
        self.last.sequence += 1;
        let publication = Publication {
            position: Some(self.last),
            ..make(self.last)
        };
        let retained = RetainedMessage {
            publication: publication.clone(),
            at: now,
        };
        self.bytes += retained.weight();
        self.retained.push_back(retained);
        // This may drop the new message too; its number stays used, so the client sees a gap.
        while self.retained.len() > self.limits.max_messages || self.bytes > self.limits.max_bytes {
            self.forget_oldest();
        }
        self.expire(now);
        publication
    }

    /// Drops messages older than the age limit.
    pub fn expire(&mut self, now: Instant) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.forget_oldest();
        }
        if self.retained.is_empty() {
            self.retained = VecDeque::new();
        }
    }

    /// Drops all messages; the numbering continues.
    pub fn clear(&mut self) {
        self.retained = VecDeque::new();
        self.bytes = 0;
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.retained.pop_front() {
            self.bytes -= oldest.weight();
        }
    }

    /// Returns when the oldest message expires, or `None` if the history is empty or the time is out of range.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.retained.front()?.at.checked_add(self.limits.max_age)
    }

    /// Returns the messages from `start` on, or the gap.
    ///
    /// The messages weigh at most `bytes_max` in a queue, but there is at least one if any was missed.
    pub fn resume(&mut self, start: Start, bytes_max: usize, now: Instant) -> Resumed {
        self.expire(now);
        let retained = self.retained.len() as u64;
        let after = match start {
            Start::After(position) => position,
            Start::Last(messages) => Position {
                sequence: self.last.sequence - retained.min(messages as u64),
                ..self.last
            },
        };
        let gap = |reason| {
            Resumed::Gap(Gap {
                reason,
                last: self.last,
            })
        };
        if after.epoch != self.last.epoch {
            return gap(GapReason::OtherEpoch);
        }
        let Some(behind) = self.last.sequence.checked_sub(after.sequence) else {
            return gap(GapReason::NotYet);
        };
        let Some(skipped) = retained.checked_sub(behind) else {
            return gap(GapReason::Expired {
                messages: behind - retained,
            });
        };
        let mut publications = Vec::new();
        let mut bytes = 0_usize;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        for RetainedMessage { publication, .. } in self.retained.iter().skip(skipped) {
            bytes = bytes.saturating_add(publication.bytes() + MESSAGE_OVERHEAD_BYTES);
            if bytes > bytes_max && !publications.is_empty() {
                break;
            }
            publications.push(publication.clone());
        }
        Resumed::Messages {
            is_end: publications.len() as u64 == behind,
            publications,
            last: self.last,
        }
    }

    /// Returns the position of the last message; its sequence is 0 before the first.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// Returns the retained bytes, with [`LOG_OVERHEAD_BYTES`] per message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many messages are retained.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.retained.len()
    }
}
