//! What a locale has beside its translations, on one shard: the formats of its region and the messages of Fluent.

use core::cell::OnceCell;

use super::fluent::MessageBundle;
use super::format::Formats;

/// The region of a locale.
pub(super) struct Region {
    /// Made at the first message.
    pub(super) messages: OnceCell<MessageBundle>,
    pub(super) formats: Formats,
}

impl Region {
    pub(super) fn new(tag: &str) -> Self {
        Self {
            messages: OnceCell::new(),
            formats: Formats::new(tag),
        }
    }
}
