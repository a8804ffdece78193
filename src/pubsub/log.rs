//! The history of one topic: its last messages, numbered, so that who was away can be given what it missed, or be told that it cannot.
//!
//! What is kept has no holes: message numbers run from the oldest kept to the last. It is bounded by number, bytes and age together.

use std::collections::VecDeque;
use std::time::Instant;

use super::limits::MESSAGE_OVERHEAD_BYTES;
use super::position::{Position, Start};
use super::publication::Publication;
use super::rules::HistoryLimits;

/// What a kept message weighs beside its bytes: its record, the time, and what the allocator adds.
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

/// The answer to who was away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// The messages behind the position asked about.
    Messages {
        /// The messages, with their positions, in order; none if none were missed.
        publications: Vec<Publication>,
        /// Whether the last of them is the last of all. If not, ask again from the last.
        is_end: bool,
        /// The topic's last message. Who is given none has all up to here.
        last: Position,
    },
    /// The messages cannot be given.
    Gap(Gap),
}

/// Why a history cannot give what was asked for, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The topic's last message. Who fetches its state anew has all up to here.
    pub last: Position,
}

/// Why a history cannot give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The position is of another count; how many messages were missed is unknown.
    OtherEpoch,
    /// So many messages between the position and the oldest kept are gone.
    Expired {
        /// How many.
        messages: u64,
    },
    /// The position is behind the last message there has been.
    NotYet,
}

impl Log {
    /// Begins a topic's history.
    #[must_use]
    pub fn new(epoch: u64, limits: HistoryLimits) -> Self {
        Self {
            limits,
            last: Position { epoch, sequence: 0 },
            retained: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Numbers a message and keeps it as long as the limits allow. `make` makes it, once its position is known.
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
        while self.retained.len() > self.limits.messages_max || self.bytes > self.limits.bytes_max {
            self.forget_oldest();
        }
        self.expire(now);
        publication
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Instant) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.forget_oldest();
        }
        if self.retained.is_empty() {
            self.retained = VecDeque::new();
        }
    }

    /// Forgets everything but the count.
    pub fn clear(&mut self) {
        self.retained = VecDeque::new();
        self.bytes = 0;
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.retained.pop_front() {
            self.bytes -= oldest.weight();
        }
    }

    /// When the oldest message will be too old; `None` while there is none, and for an age beyond the end of time.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.retained.front()?.at.checked_add(self.limits.age_max)
    }

    /// The messages from a place on, of at most `bytes_max` bytes as they weigh in a queue but one at least, or why they cannot be given.
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

    /// The position of the last message; its sequence is 0 if there has been none.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// What is kept, in bytes with [`LOG_OVERHEAD_BYTES`] for each message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages are kept.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.retained.len()
    }
}
