//! Ids of sessions: what the cookie holds, and the key under which a store knows the session.
//!
//! A store never sees an id. It sees a hash, so a stolen table opens no session, and the time of a look-up tells
//! nothing of an id.

use core::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

/// The bytes of an id, 22 of which no client can guess.
pub(super) const ID_BYTES: usize = 24;

/// The bytes of an id that select its shard, and that a rotation keeps.
const OWNER_BYTES: usize = 2;

/// The id of a session, as the cookie holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::app::security) struct SessionId([u8; ID_BYTES]);

/// The key of a session in a store: the SHA-256 of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    hash: [u8; 32],
    owner: u16,
}

impl SessionId {
    pub(super) fn new(random: [u8; ID_BYTES]) -> Self {
        Self(random)
    }

    /// Makes the id that follows this one; both belong to the same shard.
    pub(super) fn successor(self, random: [u8; ID_BYTES]) -> Self {
        let own = self.0.into_iter().take(OWNER_BYTES);
        let mut bytes = random;
        bytes.iter_mut().zip(own).for_each(|(byte, own)| *byte = own);
        Self(bytes)
    }

    /// Reads the text of a cookie; `None` for anything but an id.
    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Writes the text of a cookie.
    pub(super) fn text(self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    pub(super) fn key(self) -> SessionKey {
        let [first, second, ..] = self.0;
        SessionKey {
            hash: Sha256::digest(self.0).into(),
            owner: u16::from_be_bytes([first, second]),
        }
    }
}

impl SessionKey {
    /// Returns the key as 32 bytes, for a column of a table.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The shard that owns the session in memory.
    pub(super) fn shard(&self, shards: usize) -> usize {
        usize::from(self.owner).checked_rem(shards).unwrap_or_default()
    }
}

impl fmt::Debug for SessionKey {
    /// Shows the first bytes, enough to tell sessions apart in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.hash;
        write!(formatter, "SessionKey({first:02x}{second:02x}{third:02x}{fourth:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_anything_else_is_refused() {
        let id = SessionId::new([0xfb; ID_BYTES]);
        let text = id.text();
        assert_eq!(text, "-_v7".repeat(8));
        assert!(SessionId::read(&text) == Some(id));
        for bad in [
            "",
            "a",
            &text[1..],
            &format!("{text}A"),
            &text.replace('-', "+"),
            &format!("{text}="),
        ] {
            assert!(SessionId::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_successor_has_another_key_and_the_same_shard() {
        let id = SessionId::new([7; ID_BYTES]);
        let successor = id.successor([9; ID_BYTES]);
        assert!(id != successor && id.key() != successor.key());
        for shards in 1..9 {
            assert_eq!(id.key().shard(shards), successor.key().shard(shards));
        }
        assert_eq!(id.key().shard(0), 0);
    }
}
