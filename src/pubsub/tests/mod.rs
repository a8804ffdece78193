//! Tests of the whole table. [`side_by_side`] compares it with a simple model, which the fuzz target uses too.

mod batches;
mod deliveries;
mod history;
mod names;
mod policies;
mod side_by_side;
mod slow;
mod table;

use bytes::Bytes;

use super as api;
use super::{
    HistoryLimits, Limits, Notice, OutboxItem, Pattern, Publication, SlowConsumer, SubscriberId, TAKE_MESSAGES_MAX,
    TakeLimits, TakeStatus, Topic, TopicOptions, TopicRules, Topics,
};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn message(name: &str, content: impl Into<Bytes>) -> Publication {
    Publication::new(topic(name), content.into())
}

/// Creates a table whose topics all have these options.
fn table(limits: Limits, options: TopicOptions) -> Topics {
    Topics::new(limits, TopicRules::new(options).unwrap())
}

/// Adds a subscriber to these patterns.
fn subscriber(topics: &mut Topics, patterns: &[&str]) -> SubscriberId {
    let id = topics.join().unwrap();
    for text in patterns {
        topics.subscribe(id, &pattern(text)).unwrap();
    }
    id
}

/// Takes once, and appends what was handed out to `messages`.
fn take(topics: &mut Topics, id: SubscriberId, messages: &mut Vec<Bytes>, bytes_max: usize) -> TakeStatus {
    let limits = TakeLimits {
        messages: TAKE_MESSAGES_MAX,
        bytes: bytes_max,
    };
    topics.take(id, limits, |slice| {
        messages.extend(
            slice
                .publications()
                .iter()
                .map(|publication| publication.message.clone()),
        );
    })
}

/// Returns everything that waits for a subscriber as text, in order, with missed messages as `-count`.
fn drain(topics: &mut Topics, id: SubscriberId) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let mut messages = Vec::new();
        let taken = take(topics, id, &mut messages, usize::MAX);
        seen.extend(
            messages
                .iter()
                .map(|message| String::from_utf8(message.to_vec()).unwrap()),
        );
        match taken.next {
            OutboxItem::Nothing => return seen,
            OutboxItem::More => {}
            OutboxItem::Notice(Notice::Missed(missed)) => seen.push(format!("-{}", missed.count)),
            OutboxItem::Notice(Notice::Gap { topic, gap }) => seen.push(format!("gap {topic} {}", gap.last)),
            OutboxItem::Notice(Notice::CurrentPosition { topic, last, .. }) => {
                seen.push(format!("current {topic} {last}"))
            }
            OutboxItem::Resync(resync) => seen.push(format!("resync {:?}", resync.start)),
            OutboxItem::Close(code) => {
                seen.push(format!("close {code}"));
                return seen;
            }
        }
    }
}

fn options(slow_consumer: SlowConsumer) -> TopicOptions {
    TopicOptions {
        history: (slow_consumer == SlowConsumer::Resync).then(HistoryLimits::default),
        ..TopicOptions::default().slow_consumer(slow_consumer).tell_missed(true)
    }
}
