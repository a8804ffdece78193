//! Conflated values as the keys of a table: by topic and key, with a hash that was made once for all queues.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use bytes::Bytes;

use super::batch::BatchSlice;
use super::topic::Topic;

/// A conflated value that is equal to every other of the same topic and key.
#[derive(Debug)]
pub(super) struct ByKey(pub(super) BatchSlice);

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
