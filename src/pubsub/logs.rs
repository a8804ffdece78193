//! The histories of the topics one shard owns: it numbers their messages and retains them within limits.
//!
//! A topic without a message for [`history_timeout`](LogLimits::history_timeout) is removed together with its numbering. At
//! the topic limit, one of the topics that have been idle longest is removed too. A removed topic that returns begins a
//! new epoch, and a position of the old epoch yields a gap.
//!
//! Epochs begin at a number the caller chooses and never repeat. If that number is the start time, positions of an
//! earlier process yield gaps too.
//!
//! A topic without numbering is treated as if its first message came next, and that response is not recorded. A client
//! that received such a position (`epoch:0`) has missed every message of a later numbering. The exception: if a topic
//! was removed meanwhile, it may have been this one, so the client gets a gap.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::log::{Log, Resumed};
use super::position::{Position, Start};
use super::publication::Publication;
use super::rules::HistoryLimits;
use super::topic::Topic;
use crate::settings::{Bytes, PositiveCount, Time, settings};

/// Most topics that one [`expire`](Logs::expire) visits: well below a millisecond of work.
pub const EXPIRE_TOPICS_MAX: usize = 256;

/// How many topics are compared to remove the one idle longest. 16: of 16 random topics, the idlest is among the idlest
/// tenth of all in four of five cases. An unused name costs 16 look-ups.
const CANDIDATES: usize = 16;

settings! {
    /// Bounds on all histories of one shard.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LogLimits, set by history_setters through histories {
        /// Most topics with a history for each shard; beyond them a long idle one is removed.
        ///
        /// 65,536: without messages, about 20 MiB.
        [PositiveCount] max_histories: usize = 1 << 16,
        /// Most bytes of topic history for each shard; beyond them the shard drops the oldest messages.
        ///
        /// Counted like [`Log::bytes`](crate::pubsub::Log::bytes); a topic whose message finds no room drops its retained messages. 256 MiB.
        [Bytes] max_history_bytes: usize = 256 * 1024 * 1024,
        /// Longest time that a topic without messages keeps its numbering.
        ///
        /// One hour: far longer than the default age of a message.
        [Time] history_timeout: Duration = Duration::from_secs(3600),
    }
}

/// The histories of the topics one shard owns.
#[derive(Debug)]
pub struct Logs {
    limits: LogLimits,
    topics: HashMap<Topic, Entry>,
    /// The topics in the order in which they will be visited next.
    scan_order: VecDeque<Topic>,
    bytes: usize,
    /// The epoch of the next new topic.
    epoch: u64,
    /// The first epoch since a topic was last removed.
    last_forget_epoch: u64,
}

#[derive(Debug)]
struct Entry {
    log: Log,
    /// When the last message was published.
    at: Instant,
}

impl Logs {
    /// Creates an empty table whose first topic has epoch `first_epoch`, or 1 for 0, which is reserved for
    /// [`Position::UNKNOWN`].
    #[must_use]
    pub fn new(limits: LogLimits, first_epoch: u64) -> Self {
        let epoch = first_epoch.max(1);
        Self {
            limits,
            topics: HashMap::new(),
            scan_order: VecDeque::new(),
            bytes: 0,
            epoch,
            last_forget_epoch: epoch,
        }
    }

    /// Numbers and retains a topic's next message, which `make` builds from its position.
    ///
    /// Call it on the topic's owner shard before the message is published anywhere.
    pub fn append(
        &mut self,
        topic: &Topic,
        history: HistoryLimits,
        make: impl FnOnce(Position) -> Publication,
        now: Instant,
    ) -> Publication {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= self.limits.max_histories {
                self.forget_idlest();
            }
            self.scan_order.push_back(topic.clone());
        }
        let entry = self.topics.entry(topic.clone()).or_insert_with(|| {
            let log = Log::new(self.epoch, history);
            self.epoch += 1;
            Entry { log, at: now }
        });
        entry.at = now;
        let before = entry.log.bytes();
        let publication = entry.log.append(make, now);
        self.bytes -= before;
        // The topic gives up its own history, never that of another topic.
        if self.bytes + entry.log.bytes() > self.limits.max_history_bytes {
            entry.log.clear();
        }
        self.bytes += entry.log.bytes();
        publication
    }

    /// Removes the topic that has been idle longest among the [`CANDIDATES`] topics visited longest ago.
    fn forget_idlest(&mut self) {
        let candidates: Vec<Topic> = (0..CANDIDATES).map_while(|_| self.scan_order.pop_front()).collect();
        let at = |topic: &&Topic| self.topics.get(*topic).map(|entry| entry.at);
        let idlest = candidates.iter().min_by_key(at).cloned();
        for topic in candidates {
            if idlest.as_ref() == Some(&topic) {
                self.forget(&topic);
            } else {
                self.scan_order.push_back(topic);
            }
        }
    }

    /// Removes a topic and its numbering.
    fn forget(&mut self, topic: &Topic) {
        if let Some(entry) = self.topics.remove(topic) {
            self.bytes -= entry.log.bytes();
            self.epoch += 1;
            self.last_forget_epoch = self.epoch;
        }
    }

    /// Returns a topic's messages from `start` on, or the gap, like [`Log::resume`].
    pub fn resume(&mut self, topic: &Topic, start: Start, bytes_max: usize, now: Instant) -> Resumed {
        let mut none = Log::new(self.epoch, HistoryLimits::default());
        let log = self.topics.get_mut(topic).map_or(&mut none, |entry| &mut entry.log);
        let epoch = log.last().epoch;
        // A client that resumed before the numbering began (`epoch:0`) has missed all of it.
        let start = match start {
            Start::After(place) if place.sequence == 0 && (self.last_forget_epoch..=epoch).contains(&place.epoch) => {
                Start::After(Position { epoch, sequence: 0 })
            }
            other => other,
        };
        let before = log.bytes();
        let resumed = log.resume(start, bytes_max, now);
        self.bytes = self.bytes + log.bytes() - before;
        resumed
    }

    /// Returns a topic's last position, from which a subscriber can resume, or `None` if the topic has no numbering.
    #[must_use]
    pub fn last(&self, topic: &Topic) -> Option<Position> {
        self.topics.get(topic).map(|entry| entry.log.last())
    }

    /// Removes expired messages and idle topics among the [`EXPIRE_TOPICS_MAX`] topics visited longest ago; call it
    /// about once a second.
    pub fn expire(&mut self, now: Instant) {
        for _ in 0..self.scan_order.len().min(EXPIRE_TOPICS_MAX) {
            let Some(topic) = self.scan_order.pop_front() else {
                return;
            };
            let Some(entry) = self.topics.get_mut(&topic) else {
                continue;
            };
            let before = entry.log.bytes();
            entry.log.expire(now);
            self.bytes = self.bytes + entry.log.bytes() - before;
            let is_idle =
                entry.log.messages() == 0 && now.saturating_duration_since(entry.at) >= self.limits.history_timeout;
            if is_idle {
                self.forget(&topic);
            } else {
                self.scan_order.push_back(topic);
            }
        }
    }

    /// Returns how many topics have a numbering.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Returns the retained bytes of all topics, counted like [`Log::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
