//! Names of topics and patterns over them, checked once when they are made.
//!
//! A topic is a path: segments parted by `/`, as in `rooms/42/messages`. `/` and not `.`, because what people put into a segment (symbols
//! such as `BRK.B`, host names, versions) holds dots and hardly ever a slash. A pattern may put `*` for any one segment, and `**` at
//! its end for one or more; a topic holds no `*` at all, so that no text is both a topic and a wildcard.
//!
//! | pattern | `a` | `a/b` | `a/b/c` | cost of a match |
//! |---|---|---|---|---|
//! | `a/b` | | yes | | one look-up in a hash table, whatever the number of topics |
//! | `a/*`, `*/b` | | yes | | up to two look-ups a segment for each `*` in use at that place |
//! | `a/**` | | yes | yes | as above |
//! | `**` | yes | yes | yes | none |
//!
//! Names come from peers as often as not, so everything about them is bounded, and what could deceive a log, a terminal or a broker
//! (control characters, empty segments) is refused. For the same reason an application asks for a pattern by name (`subscribe_pattern`): where
//! it subscribes to one topic, a client that calls itself `*` is refused and does not hear all the others.

use core::borrow::Borrow;
use core::fmt;
use core::num::NonZeroUsize;
use core::str::FromStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Longest name of a topic, and longest pattern, in bytes. 256: a path of sixteen words, and still little beside the subscriptions of a
/// socket.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Most segments of a topic or pattern. 16: it bounds how deep a match goes.
pub const TOPIC_SEGMENTS_MAX: usize = 16;

/// Most wildcards in one pattern, the `**` at its end included. 4: a match visits at most 9,401 nodes, the ways to put at most four
/// wildcards into the first segments of a topic, even when peers subscribe to all of them; without a limit it would be 2¹⁷.
pub const PATTERN_WILDCARDS_MAX: usize = 4;

/// What parts the segments of a name.
const SEPARATOR: char = '/';

/// Stands for any one segment of a pattern.
const ANY_SEGMENT: &str = "*";

/// Stands at the end of a pattern for one or more segments.
const ANY_REST: &str = "**";

/// The name of a topic: cheap to clone, and free to go to another shard.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    name: Arc<str>,
}

impl Topic {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// The name is empty, too long, has too many or empty segments, a control character, or a `*`.
    pub fn new(name: &str) -> Result<Self, InvalidTopic> {
        check(name)?;
        if name.contains('*') {
            return Err(InvalidTopic::WildcardInTopic);
        }
        Ok(Self { name: Arc::from(name) })
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Which of so many shards numbers this topic's messages and keeps its history: the same everywhere in a process.
    #[must_use]
    pub fn owner(&self, shards: NonZeroUsize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        let shards = shards.get() as u64;
        usize::try_from(hasher.finish() % shards).unwrap_or_default()
    }
}

/// A topic, or all topics of a shape.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Exactly this topic.
    Topic(Topic),
    /// Every topic that fits.
    Wildcard(Wildcard),
}

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    ///
    /// What [`Topic::new`] refuses but for `*`; a `*` beside other characters; a `**` that is not the last segment; too many wildcards.
    pub fn new(text: &str) -> Result<Self, InvalidTopic> {
        if !text.contains('*') {
            return Topic::new(text).map(Self::Topic);
        }
        check(text)?;
        let mut wildcards = 0;
        let mut segments = text.split(SEPARATOR).peekable();
        while let Some(segment) = segments.next() {
            let is_right = match segment {
                ANY_SEGMENT => true,
                ANY_REST => segments.peek().is_none(),
                literal => !literal.contains('*'),
            };
            if !is_right {
                return Err(InvalidTopic::Wildcard);
            }
            wildcards += usize::from(segment.contains('*'));
        }
        if wildcards > PATTERN_WILDCARDS_MAX {
            return Err(InvalidTopic::TooManyWildcards);
        }
        Ok(Self::Wildcard(Wildcard { text: Arc::from(text) }))
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic(topic) => topic.as_str(),
            Self::Wildcard(wildcard) => &wildcard.text,
        }
    }

    /// Whether a topic fits: a walk along both, without the table.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Self::Topic(exact) => exact == topic,
            Self::Wildcard(wildcard) => wildcard.matches(topic.as_str()),
        }
    }
}

impl From<Topic> for Pattern {
    fn from(topic: Topic) -> Self {
        Self::Topic(topic)
    }
}

impl FromStr for Pattern {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(name: &str) -> Result<Self, InvalidTopic> {
        Self::new(name)
    }
}

/// A pattern with a wildcard in it; made by [`Pattern::new`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Wildcard {
    text: Arc<str>,
}

impl Wildcard {
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.text.split(SEPARATOR).map(|segment| match segment {
            ANY_SEGMENT => Segment::Any,
            ANY_REST => Segment::Rest,
            literal => Segment::Literal(literal),
        })
    }

    fn matches(&self, topic: &str) -> bool {
        let mut names = topic.split(SEPARATOR);
        for segment in self.segments() {
            let Some(name) = names.next() else {
                return false;
            };
            match segment {
                Segment::Any => {}
                Segment::Rest => return true,
                Segment::Literal(literal) if literal == name => {}
                Segment::Literal(_) => return false,
            }
        }
        names.next().is_none()
    }
}

/// One segment of a wildcard pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Literal(&'a str),
    /// `*`
    Any,
    /// `**`, always the last.
    Rest,
}

/// A topic's first segment, and what follows it.
pub(super) fn split_first(name: &str) -> (&str, Option<&str>) {
    match name.split_once(SEPARATOR) {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    }
}

fn check(name: &str) -> Result<(), InvalidTopic> {
    if name.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if name.len() > TOPIC_BYTES_MAX {
        return Err(InvalidTopic::TooLong);
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidTopic::Control);
    }
    if name.split(SEPARATOR).any(str::is_empty) {
        return Err(InvalidTopic::EmptySegment);
    }
    if name.split(SEPARATOR).count() > TOPIC_SEGMENTS_MAX {
        return Err(InvalidTopic::TooManySegments);
    }
    Ok(())
}

/// Why a text is no topic, or no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// It is empty.
    Empty,
    /// It is longer than [`TOPIC_BYTES_MAX`].
    TooLong,
    /// It has more segments than [`TOPIC_SEGMENTS_MAX`].
    TooManySegments,
    /// It has an empty segment: it begins or ends with `/`, or two of them meet.
    EmptySegment,
    /// It holds a control character.
    Control,
    /// A `*` is in a topic's name.
    WildcardInTopic,
    /// A `*` of a pattern is neither a whole segment nor, doubled, the last one.
    Wildcard,
    /// A pattern has more wildcards than [`PATTERN_WILDCARDS_MAX`].
    TooManyWildcards,
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("a topic has a name"),
            Self::TooLong => write!(formatter, "a topic's name is at limits {TOPIC_BYTES_MAX} bytes long"),
            Self::TooManySegments => write!(formatter, "a topic has at limits {TOPIC_SEGMENTS_MAX} segments"),
            Self::EmptySegment => {
                formatter.write_str("a segment of a topic is not empty: no `/` at either end, and no `//`")
            }
            Self::Control => formatter.write_str("a topic holds no control characters"),
            Self::WildcardInTopic => formatter.write_str(
                "a topic's name holds no `*`; to subscribe to every topic that fits a pattern, call subscribe_pattern",
            ),
            Self::Wildcard => {
                formatter.write_str("`*` stands for a whole segment of a pattern, and `**` for its last ones")
            }
            Self::TooManyWildcards => write!(formatter, "a pattern has at limits {PATTERN_WILDCARDS_MAX} wildcards"),
        }
    }
}

impl core::error::Error for InvalidTopic {}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, formatter)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Debug for Wildcard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, formatter)
    }
}
