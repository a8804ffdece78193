//! What is said about topics before there are any: what becomes of slow subscribers, whether there is a history, how messages are wrapped,
//! whether subscribers are counted. The first rule whose pattern fits a topic holds for it; one value serves every shard.

use core::fmt;
use core::time::Duration;

use super::topic::{Pattern, Topic};
use crate::message::CloseCode;

/// Most rules. 64: a topic is tried against them one after the other, at about ten nanoseconds each.
pub const RULES_MAX: usize = 64;

/// What becomes of a topic's messages when a subscriber does not keep up, that is when
/// [`queue_bytes_high`](super::Limits::queue_bytes_high) bytes wait for it. No policy ever holds up a publisher.
///
/// Whatever the policy of the message that finds no room, messages that may be dropped make room first: those of `Conflate` topics are
/// conflated, then those of `DropOldest` and `Conflate` topics go, oldest first, until
/// [`queue_bytes_low`](super::Limits::queue_bytes_low) is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowConsumer {
    /// The oldest waiting messages go, down to the lower mark. For feeds where the present matters most.
    #[default]
    DropOldest,
    /// New messages are not taken until the queue has sunk to the lower mark. For logs that are read from the start.
    DropNewest,
    /// Of the waiting messages with the same topic and key only the latest stays, **in the place of the first**: so every key gets its turn
    /// even when all of them change faster than the subscriber reads, while a value that moved to the end with each change could wait for
    /// ever. The price is that keys may overtake one another, for which reason such a topic has no history. A subscriber that keeps up
    /// gets every message.
    Conflate,
    /// The subscriber is closed with this code, one of those [`CloseCode`] allows, and what waits for it is given up. For feeds that must not have
    /// holes. 1013 says that the peer may come back.
    Close(u16),
    /// New messages are not queued; they come from the topic's history once the queue has sunk to the lower mark. Needs one. What the
    /// history no longer has is a [`Gap`](super::Gap); what the shard's ceiling refuses is always told.
    Resync,
}

/// How much of a topic's past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes, with [`LOG_OVERHEAD_BYTES`](super::LOG_OVERHEAD_BYTES) for each message.
    pub bytes_max: usize,
    /// How old a message gets.
    pub age_max: Duration,
}

impl Default for HistoryLimits {
    /// A hundred messages, 256 KiB, five minutes: enough for a page to be loaded again or a train to leave a tunnel.
    fn default() -> Self {
        Self {
            messages_max: 100,
            bytes_max: 256 * 1024,
            age_max: Duration::from_secs(300),
        }
    }
}

impl HistoryLimits {
    /// Sets how many messages are kept.
    #[must_use]
    pub fn messages(mut self, messages_max: usize) -> Self {
        self.messages_max = messages_max;
        self
    }

    /// Sets how many bytes are kept.
    #[must_use]
    pub fn bytes(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Sets how long a message is kept.
    #[must_use]
    pub fn age(mut self, age_max: Duration) -> Self {
        self.age_max = age_max;
        self
    }
}

/// What a topic's messages are wrapped in, so that a client can tell them apart and knows where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// Nothing: a message comes as it was published.
    #[default]
    None,
    /// `{"topic":"a/b","position":"7:42","data":…}` around a message that is JSON; `position` where the topic has a history. To publish
    /// anything but JSON text is an error.
    Json,
    /// The same around a message that is any text, which is `data` as a JSON string.
    Text,
}

/// What holds for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopicOptions {
    /// What becomes of its messages when a subscriber does not keep up.
    pub slow_consumer: SlowConsumer,
    /// Whether a subscriber is told, at the place where it happened, how many messages it missed.
    pub tells_missed: bool,
    /// How much of its past is kept, so that a subscriber can resume; `None` keeps none and numbers nothing.
    pub history: Option<HistoryLimits>,
    /// What its messages are wrapped in.
    pub envelope: Envelope,
    /// Whether a message is compressed, once for all subscribers that can read that.
    pub compresses: bool,
    /// Whether its subscribers are counted across shards.
    pub counts_subscribers: bool,
}

impl TopicOptions {
    /// Options of a topic nothing is said about: the oldest messages are dropped for who does not keep up, without a word, and nothing is
    /// kept, wrapped, compressed or counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what becomes of messages when a subscriber does not keep up.
    #[must_use]
    pub fn slow_consumer(mut self, policy: SlowConsumer) -> Self {
        self.slow_consumer = policy;
        self
    }

    /// Has subscribers told, at the place where it happened, how many messages they missed: as text, `{"topic":"a/b","missed":3}`.
    #[must_use]
    pub fn tell_missed(mut self) -> Self {
        self.tells_missed = true;
        self
    }

    /// Keeps the last messages, numbered, so that a subscriber can resume.
    #[must_use]
    pub fn history(mut self, limits: HistoryLimits) -> Self {
        self.history = Some(limits);
        self
    }

    /// Wraps messages.
    #[must_use]
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Compresses messages once for all subscribers whose sockets have agreed on permessage-deflate.
    #[must_use]
    pub fn compress(mut self) -> Self {
        self.compresses = true;
        self
    }

    /// Counts subscribers across shards.
    #[must_use]
    pub fn count_subscribers(mut self) -> Self {
        self.counts_subscribers = true;
        self
    }
}

/// Rules in the order they are tried, and options for topics none of them fits.
#[derive(Debug, Clone, Default)]
pub struct TopicRules {
    rules: Vec<(Pattern, TopicOptions)>,
    otherwise: TopicOptions,
}

impl TopicRules {
    /// Makes rules that say the same of every topic.
    ///
    /// # Errors
    ///
    /// The options contradict each other.
    pub fn new(otherwise: TopicOptions) -> Result<Self, InvalidRule> {
        check(&otherwise)?;
        Ok(Self {
            rules: Vec::new(),
            otherwise,
        })
    }

    /// Adds a rule, which is tried after those there are.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or there are [`RULES_MAX`] rules.
    pub fn with(mut self, pattern: Pattern, options: TopicOptions) -> Result<Self, InvalidRule> {
        check(&options)?;
        if self.rules.len() >= RULES_MAX {
            return Err(InvalidRule::TooMany);
        }
        self.rules.push((pattern, options));
        Ok(self)
    }

    /// What holds for a topic.
    #[must_use]
    pub fn of(&self, topic: &Topic) -> &TopicOptions {
        let found = self.rules.iter().find(|(pattern, _)| pattern.matches(topic));
        found.map_or(&self.otherwise, |(_, options)| options)
    }
}

fn check(options: &TopicOptions) -> Result<(), InvalidRule> {
    match (options.slow_consumer, &options.history) {
        (SlowConsumer::Resync, None) => Err(InvalidRule::ResyncWithoutHistory),
        (SlowConsumer::Conflate, Some(_)) => Err(InvalidRule::ConflateWithHistory),
        (SlowConsumer::Close(code), _) if CloseCode::new(code).is_none() => Err(InvalidRule::CloseCode(code)),
        _ => Ok(()),
    }
}

/// Why a rule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRule {
    /// There would be more than [`RULES_MAX`].
    TooMany,
    /// There is nothing to resync from.
    ResyncWithoutHistory,
    /// Keys overtake one another when conflated, so no position would say what a subscriber has.
    ConflateWithHistory,
    /// Slow subscribers would be closed with a code that may not be sent.
    CloseCode(u16),
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(formatter, "there are at limits {RULES_MAX} rules for topics"),
            Self::ResyncWithoutHistory => formatter.write_str("a topic that resyncs slow subscribers needs a history"),
            Self::ConflateWithHistory => formatter.write_str("a topic that conflates messages cannot have a history"),
            Self::CloseCode(code) => write!(
                formatter,
                "a topic cannot close slow subscribers with {code}; 1000 to 1003, 1007 to 1014 and 3000 to 4999 may be sent, and 1013 \
                 says that they may come back"
            ),
        }
    }
}

impl core::error::Error for InvalidRule {}
