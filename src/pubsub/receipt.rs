//! Receipts: what happened to a publication, so that no message is lost without being counted.

use core::ops::AddAssign;

/// What happened to a publication at the subscribers of one shard.
///
/// Receipts of several shards add up. `matched` always equals `queued + refused + deferred`. Over a table's life,
/// `queued` equals the messages taken, still waiting, given up when subscribers left, `conflated` and `displaced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Subscribers of the topic, each counted once however many patterns match.
    pub matched: u64,
    /// Subscribers for which the message was queued.
    pub queued: u64,
    /// Subscribers that will not get the message.
    pub refused: u64,
    /// Subscribers that will get the message from the topic's history, once they have caught up.
    pub deferred: u64,
    /// Older messages replaced by a newer one of the same key.
    pub conflated: u64,
    /// Older messages, of this or other topics, dropped because their subscribers did not keep up.
    pub displaced: u64,
    /// Subscribers closed for not keeping up.
    pub closed: u64,
}

impl Receipt {
    /// Returns how many messages subscribers will miss.
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
