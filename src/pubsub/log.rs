//! The history of one topic: its last messages, numbered, so that who was away can be given what it missed, or be told that it cannot.
//!
//! What is kept has no holes: message numbers run from the oldest kept to the last. It is bounded by number, bytes and age together.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::position::Position;
use super::publication::Publication;
use super::rules::HistoryLimits;
use super::topic::Topic;

/// What a kept message weighs beside its bytes: two pointers with lengths, the time, and what the allocator adds.
pub const LOG_OVERHEAD_BYTES: usize = 96;

/// One topic's last messages.
#[derive(Debug)]
pub struct Log {
    topic: Topic,
    limits: HistoryLimits,
    /// The position of the last message; sequence 0 before the first.
    last: Position,
    kept: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    message: Bytes,
    key: Option<Bytes>,
    at: Instant,
}

impl Kept {
    fn weight(&self) -> usize {
        self.message.len() + self.key.as_ref().map_or(0, |key| key.len()) + LOG_OVERHEAD_BYTES
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
    pub fn new(topic: Topic, epoch: u64, limits: HistoryLimits) -> Self {
        Self {
            topic,
            limits,
            last: Position { epoch, sequence: 0 },
            kept: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Numbers a message and keeps it as long as the limits allow.
    pub fn append(&mut self, message: Bytes, key: Option<Bytes>, now: Instant) -> Position {
        self.last.sequence += 1;
        let kept = Kept { message, key, at: now };
        self.bytes += kept.weight();
        self.kept.push_back(kept);
        while self.kept.len() > self.limits.messages_max || self.bytes > self.limits.bytes_max {
            self.forget_oldest();
        }
        self.expire(now);
        self.last
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Instant) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.forget_oldest();
        }
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
    }

    /// Forgets everything but the count.
    pub fn clear(&mut self) {
        self.kept = VecDeque::new();
        self.bytes = 0;
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.weight();
        }
    }

    /// When the oldest message will be too old; `None` while there is none, and for an age beyond the end of time.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.kept.front()?.at.checked_add(self.limits.age_max)
    }

    /// The messages behind a position, of at most `bytes_max` bytes but one at least, or why they cannot be given.
    pub fn resume(&mut self, after: Position, bytes_max: usize, now: Instant) -> Resumed {
        self.expire(now);
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
        let kept = self.kept.len() as u64;
        let Some(skipped) = kept.checked_sub(behind) else {
            return gap(GapReason::Expired {
                messages: behind - kept,
            });
        };
        let mut publications = Vec::new();
        let mut bytes = 0_usize;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        for (kept, sequence) in self.kept.iter().skip(skipped).zip(after.sequence + 1..) {
            bytes = bytes.saturating_add(kept.message.len());
            if bytes > bytes_max && !publications.is_empty() {
                break;
            }
            publications.push(Publication {
                topic: self.topic.clone(),
                message: kept.message.clone(),
                key: kept.key.clone(),
                position: Some(Position { sequence, ..self.last }),
            });
        }
        Resumed::Messages {
            is_end: publications.len() as u64 == behind,
            publications,
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
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
        self.kept.len()
    }
}
