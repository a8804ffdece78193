//! A publication as it waits on one shard: made once, shared by all queues it waits in.
//!
//! The count of who shares it is the shard's own, so that ten thousand deliveries change ten thousand plain numbers and no atomic one; the
//! message's own count is changed when it is taken, once for each send.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::rc::Rc;

use super::limits::MESSAGE_OVERHEAD_BYTES;
use super::publication::Publication;
use super::rules::{SlowConsumer, TopicOptions};

/// A publication and what its topic's rules say about it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) publication: Publication,
    pub(super) slow_consumer: SlowConsumer,
    pub(super) tells_missed: bool,
    /// Of topic and key, if values of the topic are conflated: made once and used by every queue that conflates it.
    key_hash: u64,
}

impl Item {
    /// Makes the record of a publication. `hashes` is the table's own, so that no peer can choose keys that collide.
    pub(super) fn new(publication: Publication, options: &TopicOptions, hashes: &RandomState) -> Rc<Self> {
        let is_conflated = options.slow_consumer == SlowConsumer::Conflate;
        let key_hash = if is_conflated {
            hashes.hash_one((&publication.topic, &publication.key))
        } else {
            0
        };
        Rc::new(Self {
            key_hash,
            publication,
            slow_consumer: options.slow_consumer,
            tells_missed: options.tells_missed || options.slow_consumer == SlowConsumer::Resync,
        })
    }

    /// What it weighs in a queue.
    pub(super) fn weight(&self) -> usize {
        self.publication.bytes() + MESSAGE_OVERHEAD_BYTES
    }

    pub(super) fn is_conflated(&self) -> bool {
        self.slow_consumer == SlowConsumer::Conflate
    }

    /// Whether it may be dropped after it has been queued.
    pub(super) fn is_droppable(&self) -> bool {
        matches!(self.slow_consumer, SlowConsumer::DropOldest | SlowConsumer::Conflate)
    }
}

/// An item that is equal to every other of the same topic and key.
#[derive(Debug)]
pub(super) struct ByKey(pub(super) Rc<Item>);

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (&self.0.publication, &other.0.publication);
        own.key == other.key && own.topic == other.topic
    }
}

impl Eq for ByKey {}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.key_hash);
    }
}

/// Takes a key's hash as it was made.
pub(super) type MadeHash = BuildHasherDefault<MadeHasher>;

/// The hasher of [`MadeHash`].
#[derive(Debug, Default)]
pub(super) struct MadeHasher(u64);

impl Hasher for MadeHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Only numbers are given to it; bytes are folded in all the same, so that it is a hasher for anything.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
