//! Reports publications to topics without a rule and without a subscriber: the sign of a misspelt topic.
//!
//! Only at level debug, because the count needs the receipts of all shards.

use super::receipts::Receipts;
use crate::pubsub::{Receipt, Topic, TopicRules};

/// A publication that is reported if no subscriber on any shard matches its topic.
#[derive(Debug)]
pub struct Unheard {
    topic: Topic,
}

impl Unheard {
    /// Returns the report of a publication to this topic; `None` if the topic has a rule or debug logging is off.
    #[must_use]
    pub fn of(topic: &Topic, rules: &TopicRules) -> Option<Self> {
        let is_reported = tracing::enabled!(tracing::Level::DEBUG) && !rules.has_rule_for(topic);
        is_reported.then(|| Self { topic: topic.clone() })
    }

    /// Reports the publication if it has reached no subscriber.
    pub fn report(&self, receipt: &Receipt) {
        if receipt.matched == 0 {
            tracing::debug!(topic = %self.topic, "published to a topic that no rule and no subscriber matches");
        }
    }

    /// Reports the publication once all shards have sent their receipts.
    pub(crate) fn report_when_counted(self, receipts: Receipts) -> impl Future<Output = ()> {
        let counted = receipts.sum();
        async move { self.report(&counted.await) }
    }
}
