//! The histories of the topics that have this shard for their home: it numbers their messages and keeps them, within a ceiling.
//!
//! A topic without a message for [`idle_timeout`](LogLimits::idle_timeout) is forgotten, count and all, and so is one of those idle longest when
//! there is no place for a new one. Should it come back it begins a new epoch, and a position of the old one is answered with a gap. Epochs
//! begin at a number the caller chooses and never repeat, so if that number is the time of the start, positions given out by an earlier
//! process are recognised as old ones too.
//!
//! A topic without a count is answered for as if its first message came next, and nothing is remembered of that. Who was told such a place
//! (`epoch:0`) has missed all of a count that began since, unless a topic was forgotten meanwhile: that might have been this one.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::log::{Log, Resumed};
use super::position::{Position, Start};
use super::publication::Publication;
use super::rules::HistoryLimits;
use super::topic::Topic;

/// How many topics one [`expire`](Logs::expire) looks at: well below a millisecond's work.
pub const EXPIRE_TOPICS_MAX: usize = 256;

/// How many topics are looked at to forget the one of them that has been idle longest. 16: drawn at random, the idlest of so many is among the
/// idlest tenth of all four times in five, and a name that nobody has used costs 16 look-ups.
const CANDIDATES: usize = 16;

/// Bounds on all histories of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLimits {
    /// Most topics; for one more, one that has been idle for long is forgotten. 65,536: with nothing kept, some 20 MiB.
    pub topics_max: usize,
    /// Most bytes, counted as [`Log::bytes`] does; a topic for whose message there is no room forgets what it has kept. 256 MiB.
    pub bytes_max: usize,
    /// How long a topic without messages keeps its count. One hour: longer than the default age of a message by far.
    pub idle_timeout: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            topics_max: 1 << 16,
            bytes_max: 256 * 1024 * 1024,
            idle_timeout: Duration::from_secs(3600),
        }
    }
}

/// The histories of one shard.
#[derive(Debug)]
pub struct Logs {
    limits: LogLimits,
    topics: HashMap<Topic, Entry>,
    /// Every topic once, in the order in which [`expire`](Self::expire) looks at them.
    scan_order: VecDeque<Topic>,
    bytes: usize,
    /// What the next count has for its epoch.
    epoch: u64,
    /// What `epoch` was when a topic was last forgotten, or at first.
    last_forget_epoch: u64,
}

#[derive(Debug)]
struct Entry {
    log: Log,
    /// When the last message came.
    at: Instant,
}

impl Logs {
    /// Makes an empty table whose first topic has this epoch, or 1 for 0, which is nobody's ([`Position::UNKNOWN`]).
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

    /// Gives a topic's next message its position and keeps it; `make` makes it, once its position is known. Do so on the topic's home
    /// shard before it is published anywhere.
    pub fn append(
        &mut self,
        topic: &Topic,
        history: HistoryLimits,
        make: impl FnOnce(Position) -> Publication,
        now: Instant,
    ) -> Publication {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= self.limits.topics_max {
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
        if self.bytes + entry.log.bytes() > self.limits.bytes_max {
            entry.log.clear();
        }
        self.bytes += entry.log.bytes();
        publication
    }

    /// Forgets the topic that has been idle longest, of a few that have waited longest to be looked at.
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

    /// Forgets a topic, count and all.
    fn forget(&mut self, topic: &Topic) {
        if let Some(entry) = self.topics.remove(topic) {
            self.bytes -= entry.log.bytes();
            self.epoch += 1;
            self.last_forget_epoch = self.epoch;
        }
    }

    /// The messages of a topic from a place on, of at most `bytes_max` bytes as they weigh in a queue but one at least, or why they cannot be
    /// given.
    pub fn resume(&mut self, topic: &Topic, start: Start, bytes_max: usize, now: Instant) -> Resumed {
        let mut none = Log::new(self.epoch, HistoryLimits::default());
        let log = self.topics.get_mut(topic).map_or(&mut none, |entry| &mut entry.log);
        let epoch = log.last().epoch;
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

    /// A topic's last position, for a subscriber to resume from later; `None` if it has none yet.
    #[must_use]
    pub fn last(&self, topic: &Topic) -> Option<Position> {
        self.topics.get(topic).map(|entry| entry.log.last())
    }

    /// Forgets messages that are too old and topics that are idle, among the [`EXPIRE_TOPICS_MAX`] topics not looked at for longest. Call
    /// it every second or so.
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
                entry.log.messages() == 0 && now.saturating_duration_since(entry.at) >= self.limits.idle_timeout;
            if is_idle {
                self.forget(&topic);
            } else {
                self.scan_order.push_back(topic);
            }
        }
    }

    /// How many topics have a count.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// What is kept of all topics, counted as [`Log::bytes`] does.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
