//! Batches: messages of a topic that were published together, created once and shared by every queue on the shard.
//!
//! The reference count is local to the shard, so ten thousand deliveries change ten thousand plain counters and no
//! atomic one. A queue holds a [`Batch`] of 40 messages in one entry. It may drop some messages of the batch and keep the
//! others, so a batch is a range of the shared messages.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, MESSAGE_OVERHEAD_BYTES};
use super::publication::Publication;
use super::rules::{SlowConsumer, TopicOptions};
use super::take::{TakeLimits, TakeStatus};
use super::topic::Topic;

/// At least one message of one topic, in the order of publication, with the topic's rules. A topic that conflates has
/// exactly one message here, because each message may be replaced.
#[derive(Debug)]
struct SharedMessages {
    publications: Vec<Publication>,
    topic: Topic,
    size: Size,
    slow_consumer: SlowConsumer,
    tell_missed: bool,
    /// Hash of topic and key, if the topic conflates. Computed once and used by every queue.
    key_hash: u64,
}

/// The size of several messages together.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// Bytes of the plain form.
    message_bytes: usize,
    /// Weight in a queue.
    weight: usize,
}

/// Messages of one topic that one subscriber takes together: those that were published together, or fewer after some were
/// taken or dropped.
#[derive(Debug, Clone)]
pub struct Batch {
    messages: Rc<SharedMessages>,
    start: u16,
    end: u16,
    /// Whether the batch has all of the shared messages, whose size is known. The spare values of this `bool` also hold
    /// the tag of `Outbox`.
    is_whole: bool,
}

/// Splits messages of one topic into as few batches as [`BATCH_MESSAGES_MAX`] and [`BATCH_BYTES_MAX`] allow.
///
/// `hashes` belongs to the table, so peers cannot choose colliding keys.
pub(super) fn batches(
    mut publications: &[Publication],
    options: &TopicOptions,
    hashes: &RandomState,
) -> impl Iterator<Item = Batch> {
    std::iter::from_fn(move || {
        let (first, rest) = publications.split_at_checked(batch_len(publications, options))?;
        publications = rest;
        SharedMessages::whole(first, options, hashes)
    })
}

/// Returns the number of messages in the next batch.
fn batch_len(publications: &[Publication], options: &TopicOptions) -> usize {
    if options.slow_consumer == SlowConsumer::Conflate {
        return 1;
    }
    let mut bytes = 0;
    let fits = |publication: &&Publication| {
        bytes += publication.bytes();
        bytes <= BATCH_BYTES_MAX
    };
    let count = publications.iter().take(BATCH_MESSAGES_MAX).take_while(fits).count();
    count.max(1)
}

impl SharedMessages {
    /// Creates the record and returns all of it as a batch; `None` without messages.
    fn whole(publications: &[Publication], options: &TopicOptions, hashes: &RandomState) -> Option<Batch> {
        let first = publications.first()?;
        let is_conflated = options.slow_consumer == SlowConsumer::Conflate;
        let key_hash = is_conflated.then(|| hashes.hash_one((&first.topic, &first.key)));
        let messages = Self {
            publications: publications.to_vec(),
            topic: first.topic.clone(),
            size: size(publications),
            slow_consumer: options.slow_consumer,
            tell_missed: options.tell_missed || options.slow_consumer == SlowConsumer::Resync,
            key_hash: key_hash.unwrap_or_default(),
        };
        Some(Batch {
            end: u16::try_from(publications.len()).ok()?,
            messages: Rc::new(messages),
            start: 0,
            is_whole: true,
        })
    }
}

fn size(publications: &[Publication]) -> Size {
    publications.iter().fold(Size::default(), |size, publication| Size {
        message_bytes: size.message_bytes + publication.message.len(),
        weight: size.weight + publication.bytes() + MESSAGE_OVERHEAD_BYTES,
    })
}

impl Batch {
    /// Returns the messages in the order of publication.
    #[must_use]
    pub fn publications(&self) -> &[Publication] {
        let places = usize::from(self.start)..usize::from(self.end);
        self.messages.publications.get(places).unwrap_or_default()
    }

    /// Returns whether both are the same messages, by identity.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.messages, &other.messages) && (self.start, self.end) == (other.start, other.end)
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.end - self.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.messages.topic
    }

    /// Returns each message as a batch of its own.
    pub(super) fn singles(&self) -> impl Iterator<Item = Self> {
        (self.start..self.end).map(|place| self.part(place, place + 1))
    }

    /// Splits off the first message.
    pub(super) fn split_first(&mut self) -> Option<Self> {
        self.split(usize::from(!self.is_empty()))
    }

    /// Splits off as many messages from the front as the limits allow.
    pub(super) fn split_within(&mut self, limits: TakeLimits) -> Option<Self> {
        if self.len() <= limits.messages && self.message_bytes() <= limits.bytes {
            return self.split(self.len());
        }
        let mut bytes = 0;
        let fits = |publication: &&Publication| {
            bytes += publication.message.len();
            bytes <= limits.bytes
        };
        let count = self
            .publications()
            .iter()
            .take(limits.messages)
            .take_while(fits)
            .count();
        self.split(count)
    }

    /// Splits off the first `count` messages; `None` for zero.
    fn split(&mut self, count: usize) -> Option<Self> {
        let place = self.start + u16::try_from(count).ok()?.min(self.end - self.start);
        let first = self.part(self.start, place);
        self.is_whole &= self.start == place;
        self.start = place;
        (!first.is_empty()).then_some(first)
    }

    fn part(&self, start: u16, end: u16) -> Self {
        Self {
            messages: Rc::clone(&self.messages),
            start,
            end,
            is_whole: self.is_whole && (start, end) == (self.start, self.end),
        }
    }

    fn size(&self) -> Size {
        if self.is_whole {
            self.messages.size
        } else {
            size(self.publications())
        }
    }

    /// Returns the bytes of the plain form.
    pub(super) fn message_bytes(&self) -> usize {
        self.size().message_bytes
    }

    /// Returns the weight in a queue.
    pub(super) fn weight(&self) -> usize {
        self.size().weight
    }

    pub(super) fn slow_consumer(&self) -> SlowConsumer {
        self.messages.slow_consumer
    }

    pub(super) fn tell_missed(&self) -> bool {
        self.messages.tell_missed
    }

    pub(super) fn key_hash(&self) -> u64 {
        self.messages.key_hash
    }

    pub(super) fn is_conflated(&self) -> bool {
        self.messages.slow_consumer == SlowConsumer::Conflate
    }

    /// Returns whether the messages may be dropped after they were queued.
    pub(super) fn is_droppable(&self) -> bool {
        matches!(
            self.messages.slow_consumer,
            SlowConsumer::DropOldest | SlowConsumer::Conflate
        )
    }
}

impl TakeStatus {
    /// Splits off what the limits leave from the front of a batch, or the first message of the take whatever its size.
    pub(super) fn take(&mut self, batch: &mut Batch, limits: TakeLimits) -> Option<Batch> {
        let left = TakeLimits {
            messages: limits.messages.saturating_sub(self.messages),
            bytes: limits.bytes.saturating_sub(self.bytes),
        };
        let taken = match batch.split_within(left) {
            None if self.messages == 0 && left.messages > 0 => batch.split_first(),
            taken => taken,
        }?;
        self.messages += taken.len();
        self.bytes += taken.message_bytes();
        Some(taken)
    }
}
