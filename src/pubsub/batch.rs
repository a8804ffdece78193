//! Messages of a topic that were published together, as they wait on one shard: made once, shared by all queues they wait in.
//!
//! The count of who shares them is the shard's own, so that ten thousand deliveries change ten thousand plain numbers and no atomic one; and
//! a queue holds a burst of 40 as it holds one message, in one entry. It may let go of some of them and keep the others: what it holds is
//! a [`BatchSlice`].

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, MESSAGE_OVERHEAD_BYTES};
use super::outbox::TakeLimits;
use super::publication::Publication;
use super::rules::{SlowConsumer, TopicOptions};
use super::topic::Topic;

/// Messages of one topic in the order of their publication, one at least, and what the topic's rules say about them. Of a topic whose values
/// are conflated it is one alone, since each may be replaced.
#[derive(Debug)]
struct MessageBatch {
    publications: Vec<Publication>,
    topic: Topic,
    size: Size,
    slow_consumer: SlowConsumer,
    tells_missed: bool,
    /// Of topic and key, if values of the topic are conflated: made once and used by every queue that conflates it.
    key_hash: u64,
}

/// How large messages are together.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// In the form that everybody reads.
    message_bytes: usize,
    /// In a queue.
    weight: usize,
}

/// Neighbours in a burst: all of it as a rule; less where some were taken or dropped.
#[derive(Debug, Clone)]
pub struct BatchSlice {
    batch: Rc<MessageBatch>,
    start: u16,
    end: u16,
    /// Whether this is all of the burst, whose size is known. (It is where an outbox finds room for its tag too.)
    is_whole: bool,
}

/// Makes bursts of messages of one topic, as few as [`BATCH_MESSAGES_MAX`] and [`BATCH_BYTES_MAX`] allow. `hashes` is the table's own, so that no
/// peer can choose keys that collide.
pub(super) fn batches(
    mut publications: &[Publication],
    options: &TopicOptions,
    hashes: &RandomState,
) -> impl Iterator<Item = BatchSlice> {
    std::iter::from_fn(move || {
        let (first, rest) = publications.split_at_checked(batch_len(publications, options))?;
        publications = rest;
        MessageBatch::whole(first, options, hashes)
    })
}

/// How many messages make the next burst.
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

impl MessageBatch {
    /// All of a new burst; `None` of nothing.
    fn whole(publications: &[Publication], options: &TopicOptions, hashes: &RandomState) -> Option<BatchSlice> {
        let first = publications.first()?;
        let is_conflated = options.slow_consumer == SlowConsumer::Conflate;
        let key_hash = is_conflated.then(|| hashes.hash_one((&first.topic, &first.key)));
        let batch = Self {
            publications: publications.to_vec(),
            topic: first.topic.clone(),
            size: size(publications),
            slow_consumer: options.slow_consumer,
            tells_missed: options.tells_missed || options.slow_consumer == SlowConsumer::Resync,
            key_hash: key_hash.unwrap_or_default(),
        };
        Some(BatchSlice {
            end: u16::try_from(publications.len()).ok()?,
            batch: Rc::new(batch),
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

impl BatchSlice {
    /// The messages, in the order of their publication.
    #[must_use]
    pub fn publications(&self) -> &[Publication] {
        let places = usize::from(self.start)..usize::from(self.end);
        self.batch.publications.get(places).unwrap_or_default()
    }

    /// Whether the two are the same messages: not equal ones, but the very same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.batch, &other.batch) && (self.start, self.end) == (other.start, other.end)
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.end - self.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.batch.topic
    }

    /// The messages one by one.
    pub(super) fn singles(&self) -> impl Iterator<Item = Self> {
        (self.start..self.end).map(|place| self.part(place, place + 1))
    }

    /// Takes the first message away.
    pub(super) fn split_first(&mut self) -> Option<Self> {
        self.split(usize::from(!self.is_empty()))
    }

    /// Takes as many messages from the front as a limit allows.
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

    /// Takes so many messages away from the front; `None` for none.
    fn split(&mut self, count: usize) -> Option<Self> {
        let place = self.start + u16::try_from(count).ok()?.min(self.end - self.start);
        let first = self.part(self.start, place);
        self.is_whole &= self.start == place;
        self.start = place;
        (!first.is_empty()).then_some(first)
    }

    fn part(&self, start: u16, end: u16) -> Self {
        Self {
            batch: Rc::clone(&self.batch),
            start,
            end,
            is_whole: self.is_whole && (start, end) == (self.start, self.end),
        }
    }

    fn size(&self) -> Size {
        if self.is_whole {
            self.batch.size
        } else {
            size(self.publications())
        }
    }

    /// Their bytes, counted in the form everybody reads.
    pub(super) fn message_bytes(&self) -> usize {
        self.size().message_bytes
    }

    /// What they weigh in a queue.
    pub(super) fn weight(&self) -> usize {
        self.size().weight
    }

    pub(super) fn slow_consumer(&self) -> SlowConsumer {
        self.batch.slow_consumer
    }

    pub(super) fn tells_missed(&self) -> bool {
        self.batch.tells_missed
    }

    pub(super) fn key_hash(&self) -> u64 {
        self.batch.key_hash
    }

    pub(super) fn is_conflated(&self) -> bool {
        self.batch.slow_consumer == SlowConsumer::Conflate
    }

    /// Whether they may be dropped after they have been queued.
    pub(super) fn is_droppable(&self) -> bool {
        matches!(
            self.batch.slow_consumer,
            SlowConsumer::DropOldest | SlowConsumer::Conflate
        )
    }
}
