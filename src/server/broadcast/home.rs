//! What a shard does for the topics whose home it is: numbering, keeping, answering; what it asks the homes of other topics; and how many
//! subscribers there are.

use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};
use std::time::Duration;

use squall_shards::{ShardId, sleep, spawn_detached};

use super::lane::Errand;
use super::parcel::{Answer, Question, Ticket};
use super::{HERE, ShardHub};
use crate::app::{Draft, encode};
use crate::pubsub::{Resync, SubscriberId, Topic};

/// How much of a history is given at once. 64 KiB: a subscriber asks when no more than that waits for it, and what it gets then is half of
/// what may.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How often histories are looked through for what is too old, while there are any.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

impl ShardHub {
    /// The shard that numbers a topic's messages.
    pub(super) fn home(&self, topic: &Topic) -> ShardId {
        let shards = NonZeroUsize::new(self.shard.count()).unwrap_or(NonZeroUsize::MIN);
        ShardId::new(topic.home(shards))
    }

    /// Numbers a message of a topic at home here, keeps it, and publishes it on every shard.
    pub(super) fn spread_numbered(&self, draft: &Draft, ticket: Option<&Ticket>) {
        let options = self.rules.of(&draft.topic);
        let Some(history) = options.history else {
            return;
        };
        let mut logs = self.logs.borrow_mut();
        let is_first = logs.topics() == 0;
        let make = |position| encode(draft, options, Some(position), &mut self.deflaters.borrow_mut());
        let publication = logs.append(&draft.topic, history, make, self.shard.now());
        drop(logs);
        if is_first {
            spawn_detached(expire());
        }
        for shard in self.others() {
            self.forward(shard, &publication, ticket);
        }
        self.deliver(publication, ticket);
    }

    /// Gets a subscriber of this shard what it wants of a history, now or when its home has answered.
    pub(super) fn ask(&self, subscriber: SubscriberId, resync: Resync) {
        let question = Question { subscriber, resync };
        let home = self.home(&question.resync.topic);
        if home == self.shard.id() {
            let Answer { question, resumed } = self.look_up(&question);
            let mut topics = self.topics();
            topics.replay(question.subscriber, &question.resync, &resumed);
        } else {
            self.run_errand(home, Errand::Question(question));
        }
    }

    /// Answers a question of another shard, behind what that has still to be told.
    pub(super) fn answer(&self, asker: ShardId, question: Question) {
        self.run_errand(asker, Errand::Answer(question));
    }

    /// What a history says at this moment.
    pub(super) fn look_up(&self, question: &Question) -> Answer {
        let mut logs = self.logs.borrow_mut();
        let Resync { topic, start } = &question.resync;
        let resumed = logs.resume(topic, *start, ANSWER_BYTES_MAX, self.shard.now());
        Answer {
            question: question.clone(),
            resumed,
        }
    }

    /// Tells all shards how the numbers of subscribers have changed here, unless some have still to be told of earlier changes: those that
    /// come meanwhile add up.
    pub(super) fn share_counts(&self) {
        if !self.topics().has_count_changes() || self.has_errands() {
            return;
        }
        let changes: Vec<_> = self.topics().take_count_changes().collect();
        let mut counts = self.counts.borrow_mut();
        changes.iter().for_each(|change| counts.apply(change));
        drop(counts);
        for shard in self.others() {
            self.run_errand(shard, Errand::Counts(changes.clone()));
        }
    }
}

/// Forgets what is too old, as long as anything is kept.
async fn expire() {
    loop {
        sleep(EXPIRE_INTERVAL).await;
        let Some(hub) = HERE.with_borrow(Weak::upgrade) else {
            return;
        };
        let mut logs = hub.logs.borrow_mut();
        logs.expire(hub.shard.now());
        if logs.topics() == 0 {
            return;
        }
        drop(logs);
        drop::<Rc<_>>(hub);
    }
}
