//! Reports publications to topics without a rule and without a subscriber: the sign of a misspelt topic.
//!
//! Only at level debug, because the count needs the receipts of all shards.

use squall_shards::spawn_detached;

use super::shard_message::{ReceiptReceiver, sum};
use crate::pubsub::{Receipt, Topic, TopicRules};

/// Returns whether a publication to this topic is reported if no subscriber matches it.
pub(super) fn is_reported(topic: &Topic, rules: &TopicRules) -> bool {
    tracing::enabled!(tracing::Level::DEBUG) && !rules.has_rule_for(topic)
}

/// Reports the publication if it has reached no subscriber on any shard.
pub(super) fn report(topic: &Topic, receipt: &Receipt) {
    if receipt.matched == 0 {
        tracing::debug!(%topic, "published to a topic that no rule and no subscriber matches");
    }
}

/// Reports it once all shards have sent their receipts; called on a shard.
pub(super) fn report_later(topic: Topic, receipts: ReceiptReceiver) {
    spawn_detached(async move { report(&topic, &sum(receipts).await) });
}
