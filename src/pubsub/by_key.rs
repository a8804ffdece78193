//! Conflated values as keys of a table: by topic and key, with a hash that was computed once for all queues.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use bytes::Bytes;

use super::batch::Batch;
use super::topic::Topic;

/// A conflated value that equals every other value of the same topic and key.
#[derive(Debug)]
pub(super) struct ByKey(pub(super) Batch);

impl ByKey {
    fn key(&self) -> Option<(&Topic, Option<&Bytes>)> {
        let publication = self.0.publications().first()?;
        Some((&publication.topic, publication.key.as_ref()))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ByKey {}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.key_hash());
    }
}

/// Builds hashers that return the precomputed hash.
pub(super) type MadeHash = BuildHasherDefault<MadeHasher>;

/// The hasher of [`MadeHash`].
#[derive(Debug, Default)]
pub(super) struct MadeHasher(u64);

impl Hasher for MadeHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Only `write_u64` is used; folding bytes keeps the hasher correct for other types.
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
