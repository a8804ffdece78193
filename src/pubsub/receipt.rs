//! What became of a publication, counted so that nothing is lost in silence.

use core::ops::AddAssign;

/// How many subscribers of one shard a publication met, and what became of it there. Receipts of several shards add up.
///
/// `matched` is always `queued + refused + deferred`. Over a table's life, `queued` is what was taken, what still waits, what was given up
/// when its subscriber left, `conflated` and `displaced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Subscribers the topic has, each counted once however many of its patterns fit.
    pub matched: u64,
    /// Subscribers for whom it now waits.
    pub queued: u64,
    /// Subscribers who will not get it.
    pub refused: u64,
    /// Subscribers who will get it from the topic's history, once they have caught up.
    pub deferred: u64,
    /// Older messages that gave way to a newer one of the same key.
    pub conflated: u64,
    /// Older messages, of this or other topics, that subscribers will not get because they did not keep up.
    pub displaced: u64,
    /// Subscribers closed for not keeping up.
    pub closed: u64,
}

impl Receipt {
    /// How many messages subscribers will miss.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.refused + self.displaced
    }
}

impl AddAssign for Receipt {
    fn add_assign(&mut self, other: Self) {
        self.matched += other.matched;
        self.queued += other.queued;
        self.refused += other.refused;
        self.deferred += other.deferred;
        self.conflated += other.conflated;
        self.displaced += other.displaced;
        self.closed += other.closed;
    }
}
