//! Rules for topics, set before any topic exists: slow consumers, history, envelope, compression and counting. The
//! first rule whose pattern matches a topic applies. Every shard has the same rules.

use core::fmt;
use core::time::Duration;

use super::topic::{Pattern, Topic};
use crate::message::CloseCode;
use crate::settings::settings;

/// Most rules. 64: they are tried in order for each topic, at about ten nanoseconds each.
pub const RULES_MAX: usize = 64;

/// The policy for a topic's messages when a subscriber does not keep up, which means that
/// [`max_queue_bytes`](super::Limits::max_queue_bytes) bytes wait for it.
///
/// No policy delays a publisher. Before the policy of a message that found no room applies, droppable messages make
/// room. First, waiting messages of `Conflate` topics are conflated. Then messages of `DropOldest` and `Conflate`
/// topics are dropped, oldest first, down to [`low_queue_bytes`](super::Limits::low_queue_bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowConsumer {
    /// Drops the oldest waiting messages, down to the low mark. For feeds where the present matters most.
    #[default]
    DropOldest,
    /// Refuses new messages until the queue has sunk to the low mark. For logs that are read from the start.
    DropNewest,
    /// Keeps only the latest waiting message of each topic and key, **in the place of the first**.
    ///
    /// Every key thus gets its turn, even if all change faster than the subscriber reads. A value that moved to the end
    /// with each change could wait forever. The price: keys may overtake one another, so such a topic has no history. A
    /// subscriber that keeps up gets every message.
    Conflate,
    /// Closes the subscriber with this code and drops what waits for it. For feeds that must not have holes.
    ///
    /// [`CloseCode::TRY_AGAIN_LATER`] asks the client to retry later.
    Close(CloseCode),
    /// Takes new messages from the topic's history once the queue has sunk to the low mark; requires a history.
    ///
    /// Messages that have expired from the history yield a [`Gap`](super::Gap). Messages refused at the shard's limit
    /// always yield a notice.
    Resync,
}

settings! {
    /// Limits of a topic's history.
    ///
    /// The defaults suffice for a page reload or a train in a tunnel.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[must_use = "limits do nothing until they are given to `TopicOptions::history`"]
    pub struct HistoryLimits {
        /// Sets the maximum number of messages; the default is 100.
        max_messages: usize = 100,
        /// Sets the maximum number of bytes; the default is 256 KiB.
        ///
        /// Each message counts [`LOG_OVERHEAD_BYTES`](super::LOG_OVERHEAD_BYTES) more than it has.
        max_bytes: usize = 256 * 1024,
        /// Sets the maximum age of a message; the default is five minutes.
        max_age: Duration = Duration::from_secs(300),
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

settings! {
    /// The options of a topic.
    ///
    /// By default a topic drops the oldest messages of slow subscribers without a notice, and has no history, envelope,
    /// compression or counting.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[must_use = "options do nothing until they are given to `Server::topic`"]
    pub struct TopicOptions {
        /// Sets the policy for slow subscribers.
        slow_consumer: SlowConsumer = SlowConsumer::DropOldest,
        /// Sets whether a notice such as `{"topic":"a/b","missed":3}` takes the place of messages a subscriber missed.
        tell_missed: bool = false,
        /// Retains and numbers the last messages, so that subscribers can resume.
        history: HistoryLimits,
        /// Sets the envelope of the messages.
        envelope: Envelope = Envelope::None,
        /// Sets whether messages are compressed, once for all subscribers whose sockets have negotiated
        /// permessage-deflate.
        compress: bool = false,
        /// Sets whether subscribers are counted across shards.
        count_subscribers: bool = false,
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
    pub fn of(&self, topic: &Topic) -> &TopicOptions {
        let found = self.rules.iter().find(|(pattern, _)| pattern.matches(topic));
        found.map_or(&self.otherwise, |(_, options)| options)
    }
}

fn check(options: &TopicOptions) -> Result<(), InvalidRule> {
    match (options.slow_consumer, &options.history) {
        (SlowConsumer::Resync, None) => Err(InvalidRule::ResyncWithoutHistory),
        (SlowConsumer::Conflate, Some(_)) => Err(InvalidRule::ConflateWithHistory),
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
            Self::TooMany => write!(
                formatter,
                "there are more than {RULES_MAX} rules for topics; use patterns that match several topics"
            ),
            Self::ResyncWithoutHistory => formatter.write_str(
                "a topic with SlowConsumer::Resync needs a history; add .history(HistoryLimits::default()) to its options",
            ),
            Self::ConflateWithHistory => formatter.write_str(
                "a topic with SlowConsumer::Conflate has no history, because its keys overtake one another; remove one of both",
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
