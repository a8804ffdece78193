//! Rules for topics, set before any topic exists: slow consumers, history, envelope, compression and counting. The
//! first rule whose pattern matches a topic applies. Every shard has the same rules.

use core::fmt;
use core::time::Duration;

use super::topic::{Pattern, Topic};
use crate::message::CloseCode;

/// Most rules. 64: they are tried in order for each topic, at about ten nanoseconds each.
pub const RULES_MAX: usize = 64;

/// The policy for a topic's messages when a subscriber does not keep up, which means that
/// [`queue_bytes_high`](super::Limits::queue_bytes_high) bytes wait for it.
///
/// No policy delays a publisher. Before the policy of a message that found no room applies, droppable messages make
/// room. First, waiting messages of `Conflate` topics are conflated. Then messages of `DropOldest` and `Conflate`
/// topics are dropped, oldest first, down to [`queue_bytes_low`](super::Limits::queue_bytes_low).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowConsumer {
    /// Drops the oldest waiting messages, down to the low mark. For feeds where the present matters most.
    #[default]
    DropOldest,
    /// Refuses new messages until the queue has sunk to the low mark. For logs that are read from the start.
    DropNewest,
    /// Keeps only the latest waiting message of each topic and key, **in the place of the first**.
    ///
    /// Every key thus gets its turn, even if all change faster than the subscriber reads; a value that moved to the end
    /// with each change could wait forever. The price: keys may overtake one another, so such a topic has no history. A
    /// subscriber that keeps up gets every message.
    Conflate,
    /// Closes the subscriber with this code, one of those [`CloseCode`] allows, and drops what waits for it. For feeds
    /// that must not have holes. 1013 asks the client to retry later.
    Close(u16),
    /// Takes new messages from the topic's history once the queue has sunk to the low mark; requires a history.
    ///
    /// Messages that have expired from the history yield a [`Gap`](super::Gap). Messages refused at the shard's limit
    /// always yield a notice.
    Resync,
}

/// Limits of a topic's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "limits do nothing until they are given to `TopicOptions::history`"]
pub struct HistoryLimits {
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes, with [`LOG_OVERHEAD_BYTES`](super::LOG_OVERHEAD_BYTES) per message.
    pub bytes_max: usize,
    /// Maximum age of a message.
    pub age_max: Duration,
}

impl Default for HistoryLimits {
    /// Returns 100 messages, 256 KiB and five minutes: enough for a page reload or a train in a tunnel.
    fn default() -> Self {
        Self {
            messages_max: 100,
            bytes_max: 256 * 1024,
            age_max: Duration::from_secs(300),
        }
    }
}

impl HistoryLimits {
    /// Sets the maximum number of messages.
    #[must_use]
    pub fn messages(mut self, messages_max: usize) -> Self {
        self.messages_max = messages_max;
        self
    }

    /// Sets the maximum number of bytes.
    #[must_use]
    pub fn bytes(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Sets the maximum age of a message.
    #[must_use]
    pub fn age(mut self, age_max: Duration) -> Self {
        self.age_max = age_max;
        self
    }
}

/// The envelope of a topic's messages, which tells clients the topic and the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// No envelope: messages are delivered as published.
    #[default]
    None,
    /// `{"topic":"a/b","position":"7:42","data":…}` around a message that is JSON, with `position` if the topic has a
    /// history. Publishing anything but JSON text fails.
    Json,
    /// The same around any text, with `data` as a JSON string.
    Text,
}

/// The options of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "options do nothing until they are given to `Server::topic`"]
pub struct TopicOptions {
    /// The policy for slow subscribers.
    pub slow_consumer: SlowConsumer,
    /// Whether a subscriber receives a notice in the place of messages it missed.
    pub tells_missed: bool,
    /// The limits of the history from which subscribers resume; `None` retains and numbers nothing.
    pub history: Option<HistoryLimits>,
    /// The envelope of the messages.
    pub envelope: Envelope,
    /// Whether messages are compressed, once for all subscribers that can read the result.
    pub compresses: bool,
    /// Whether subscribers are counted across shards.
    pub counts_subscribers: bool,
}

impl TopicOptions {
    /// Creates the default options: drops the oldest messages of slow subscribers without a notice; no history,
    /// envelope, compression or counting.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the policy for slow subscribers.
    #[must_use]
    pub fn slow_consumer(mut self, policy: SlowConsumer) -> Self {
        self.slow_consumer = policy;
        self
    }

    /// Sends a notice such as `{"topic":"a/b","missed":3}` in the place of messages a subscriber missed.
    #[must_use]
    pub fn tell_missed(mut self) -> Self {
        self.tells_missed = true;
        self
    }

    /// Retains and numbers the last messages, so that subscribers can resume.
    #[must_use]
    pub fn history(mut self, limits: HistoryLimits) -> Self {
        self.history = Some(limits);
        self
    }

    /// Sets the envelope of the messages.
    #[must_use]
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Compresses messages once for all subscribers whose sockets have negotiated permessage-deflate.
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

/// Rules in the order in which they are tried, and default options.
#[derive(Debug, Clone, Default)]
#[must_use = "rules do nothing until they are part of a server's settings"]
pub struct TopicRules {
    rules: Vec<(Pattern, TopicOptions)>,
    otherwise: TopicOptions,
}

impl TopicRules {
    /// Creates rules with the same options for every topic.
    ///
    /// # Errors
    ///
    /// Fails if the options contradict each other.
    pub fn new(otherwise: TopicOptions) -> Result<Self, InvalidRule> {
        check(&otherwise)?;
        Ok(Self {
            rules: Vec::new(),
            otherwise,
        })
    }

    /// Adds a rule, which is tried after the existing ones.
    ///
    /// # Errors
    ///
    /// Fails if the options contradict each other, there are already [`RULES_MAX`] rules, or an earlier rule matches
    /// every topic of this one.
    pub fn with(mut self, pattern: Pattern, options: TopicOptions) -> Result<Self, InvalidRule> {
        check(&options)?;
        if let Some((earlier, _)) = self.rules.iter().find(|(earlier, _)| earlier.covers(&pattern)) {
            return Err(InvalidRule::Hidden {
                earlier: earlier.clone(),
                later: pattern,
            });
        }
        if self.rules.len() >= RULES_MAX {
            return Err(InvalidRule::TooMany);
        }
        self.rules.push((pattern, options));
        Ok(self)
    }

    /// Returns whether a rule applies to a topic, so that its options are not the default ones.
    #[must_use]
    pub fn has_rule_for(&self, topic: &Topic) -> bool {
        self.rules.iter().any(|(pattern, _)| pattern.matches(topic))
    }

    /// Returns the options of a topic.
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

/// Why a rule was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRule {
    /// There would be more than [`RULES_MAX`] rules.
    TooMany,
    /// `Resync` needs a history.
    ResyncWithoutHistory,
    /// `Conflate` and a history exclude each other: conflated keys overtake one another, so positions would be
    /// meaningless.
    ConflateWithHistory,
    /// The close code for slow subscribers may not be sent.
    CloseCode(u16),
    /// The rule would never apply, because an earlier one matches all of its topics.
    Hidden {
        /// The pattern of the earlier rule.
        earlier: Pattern,
        /// The pattern of the rejected rule.
        later: Pattern,
    },
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(formatter, "there are more than {RULES_MAX} rules for topics"),
            Self::ResyncWithoutHistory => formatter.write_str("a topic that resyncs slow subscribers needs a history"),
            Self::ConflateWithHistory => formatter.write_str("a topic that conflates messages cannot have a history"),
            Self::CloseCode(code) => write!(
                formatter,
                "a topic cannot close slow subscribers with {code}; use 1000 to 1003, 1007 to 1014 or 3000 to 4999 (1013 \
                 asks the client to retry later)"
            ),
            Self::Hidden { earlier, later } if earlier == later => {
                write!(
                    formatter,
                    "the rule for the topics `{later}` is added twice; remove one"
                )
            }
            Self::Hidden { earlier, later } => write!(
                formatter,
                "the rule for the topics `{later}` would never apply, because the earlier rule for `{earlier}` matches all \
                 of them; add the rule for `{later}` first"
            ),
        }
    }
}

impl core::error::Error for InvalidRule {}
