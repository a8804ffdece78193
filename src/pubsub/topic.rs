//! Topic names and patterns, validated once when they are created.
//!
//! A topic is a path: segments separated by `/`, as in `rooms/42/messages`. Not by `.`, because segments such as
//! `BRK.B`, host names and versions contain dots but hardly ever slashes. A pattern may use `*` for any one segment,
//! and `**` at its end for one or more segments. A topic contains no `*`, so no text is both a topic and a wildcard.
//!
//! | pattern | `a` | `a/b` | `a/b/c` | cost of a match |
//! |---|---|---|---|---|
//! | `a/b` | | yes | | one look-up in a hash table, whatever the number of topics |
//! | `a/*`, `*/b` | | yes | | up to two look-ups per segment for each `*` used at that place |
//! | `a/**` | | yes | yes | as above |
//! | `**` | yes | yes | yes | none |
//!
//! Names often come from peers, so everything about them is bounded. Control characters and empty segments, which could
//! deceive a log, a terminal or a broker, are rejected. Wildcards need an explicit call (`subscribe_pattern`): a client
//! that names itself `*` cannot subscribe to every topic through `subscribe`.

use core::borrow::Borrow;
use core::fmt;
use core::num::NonZeroUsize;
use core::str::FromStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Longest topic name and longest pattern, in bytes. 256: a path of sixteen words, and small beside a socket's
/// subscriptions.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Most segments of a topic or pattern. 16: it bounds the depth of a match.
pub const TOPIC_SEGMENTS_MAX: usize = 16;

/// Most wildcards in one pattern, including a final `**`.
///
/// 4: a match then visits at most 9,401 nodes, even if peers subscribe to every combination. Without a limit it would
/// visit 2¹⁷.
pub const PATTERN_WILDCARDS_MAX: usize = 4;

/// Separates the segments of a name.
const SEPARATOR: char = '/';

/// Matches any one segment of a pattern.
const ANY_SEGMENT: &str = "*";

/// Matches one or more segments at the end of a pattern.
const ANY_REST: &str = "**";

/// The name of a topic; cheap to clone and `Send`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    name: Arc<str>,
}

impl Topic {
    /// Validates a topic name.
    ///
    /// # Errors
    ///
    /// Fails if the name is empty, too long, has too many or empty segments, a control character or a `*`.
    pub fn new(name: &str) -> Result<Self, InvalidTopic> {
        check(name)?;
        if name.contains('*') {
            return Err(InvalidTopic::WildcardInTopic);
        }
        Ok(Self { name: Arc::from(name) })
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the index of the shard, among `shards`, that owns this topic: it numbers the messages and retains the
    /// history.
    ///
    /// The result is the same everywhere in a process.
    #[must_use]
    pub fn owner(&self, shards: NonZeroUsize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        let shards = shards.get() as u64;
        usize::try_from(hasher.finish() % shards).unwrap_or_default()
    }
}

/// A topic, or every topic of a shape.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Exactly this topic.
    Topic(Topic),
    /// Every topic that matches.
    Wildcard(Wildcard),
}

impl Pattern {
    /// Validates a pattern.
    ///
    /// # Errors
    ///
    /// Fails like [`Topic::new`], but accepts `*`. Also fails if a `*` stands beside other characters, a `**` is not
    /// the last segment, or there are too many wildcards.
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

    /// Returns the text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic(topic) => topic.as_str(),
            Self::Wildcard(wildcard) => &wildcard.text,
        }
    }

    /// Returns whether every topic that matches `other` matches this pattern too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Topic(topic)) => self.matches(topic),
            (Self::Topic(_), Self::Wildcard(_)) => false,
            (Self::Wildcard(ours), Self::Wildcard(theirs)) => ours.covers(theirs),
        }
    }

    /// Returns whether a topic matches, by comparing segments without a table.
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

/// A pattern with a wildcard; [`Pattern::new`] creates it.
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

    fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.segments();
        for ours in self.segments() {
            match (ours, theirs.next()) {
                (Segment::Rest, Some(_)) => return true,
                (Segment::Any, Some(Segment::Any | Segment::Literal(_))) => {}
                (Segment::Literal(ours), Some(Segment::Literal(theirs))) if ours == theirs => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
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

/// Splits off a topic's first segment.
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

/// Why a text is not a topic or a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// It is empty.
    Empty,
    /// It is longer than [`TOPIC_BYTES_MAX`].
    TooLong,
    /// It has more segments than [`TOPIC_SEGMENTS_MAX`].
    TooManySegments,
    /// It has an empty segment: it begins or ends with `/`, or contains `//`.
    EmptySegment,
    /// It contains a control character.
    Control,
    /// A topic name contains a `*`.
    WildcardInTopic,
    /// A `*` of a pattern is not a whole segment, or a `**` is not the last one.
    Wildcard,
    /// A pattern has more wildcards than [`PATTERN_WILDCARDS_MAX`].
    TooManyWildcards,
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("the topic is empty"),
            Self::TooLong => write!(formatter, "the topic is longer than {TOPIC_BYTES_MAX} bytes"),
            Self::TooManySegments => write!(formatter, "the topic has more than {TOPIC_SEGMENTS_MAX} segments"),
            Self::EmptySegment => {
                formatter.write_str("the topic has an empty segment; remove `/` at either end and `//`")
            }
            Self::Control => formatter.write_str("the topic contains a control character"),
            Self::WildcardInTopic => formatter.write_str(
                "the topic contains `*`; to subscribe to every topic that matches a pattern, call subscribe_pattern",
            ),
            Self::Wildcard => {
                formatter.write_str("`*` must be a whole segment of a pattern, and `**` must be its last segment")
            }
            Self::TooManyWildcards => write!(formatter, "the pattern has more than {PATTERN_WILDCARDS_MAX} wildcards"),
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
