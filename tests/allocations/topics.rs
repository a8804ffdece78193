//! The memory of topics at scale: a hundred subscribers of which half do not read, and 250,000 topic names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail it by panicking; clippy.toml excuses only the test functions themselves"
)]

use squall::Bytes;
use squall::pubsub::{
    BATCH_BYTES_MAX, Limits, MESSAGE_OVERHEAD_BYTES, Notice, OutboxItem, Pattern, Publication, Receipt, SlowConsumer,
    SubscribeError, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits, Topic, TopicOptions, TopicRules, Topics,
};

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn message(name: &str, content: impl Into<Bytes>) -> Publication {
    Publication::new(Topic::new(name).unwrap(), content.into())
}

/// Creates a table whose topics all have this policy, and tell their subscribers of missed messages.
fn table(limits: Limits, slow_consumer: SlowConsumer) -> Topics {
    let options = TopicOptions::default().slow_consumer(slow_consumer).tell_missed(true);
    Topics::new(limits, TopicRules::new(options).unwrap())
}

/// Adds a subscriber to a topic.
fn subscriber(topics: &mut Topics, name: &str) -> SubscriberId {
    let id = topics.join().unwrap();
    topics.subscribe(id, &pattern(name)).unwrap();
    id
}

/// Takes everything that waits for a subscriber, as text in order, with missed messages as `-count`.
fn drain(topics: &mut Topics, id: SubscriberId) -> Vec<String> {
    let limits = TakeLimits {
        messages: TAKE_MESSAGES_MAX,
        bytes: usize::MAX,
    };
    let mut seen = Vec::new();
    loop {
        let taken = topics.take(id, limits, |batch| {
            let messages = batch.publications().iter();
            seen.extend(messages.map(|publication| String::from_utf8(publication.message.to_vec()).unwrap()));
        });
        match taken.next {
            OutboxItem::Nothing => return seen,
            OutboxItem::More => {}
            OutboxItem::Notice(Notice::Missed(missed)) => seen.push(format!("-{}", missed.count)),
            other => panic!("{other:?}"),
        }
    }
}

/// Under every dropping policy, slow subscribers stay within their queues and fast ones get everything. Each missed
/// message is counted at the publisher and reported to its subscriber.
#[test]
fn slow_subscribers_stay_within_their_queues_and_fast_ones_get_everything() {
    const SUBSCRIBERS: usize = 100;
    const MESSAGES: usize = 5000;
    const QUEUE_BYTES_MAX: usize = 16 * 1024;
    let limits = Limits::default()
        .max_queue_bytes(QUEUE_BYTES_MAX)
        .low_queue_bytes(4 * 1024);
    for slow_consumer in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
        let mut topics = table(limits, slow_consumer);
        let [slow, quick] = [0, 1].map(|_| -> Vec<_> {
            let ids = (0..SUBSCRIBERS / 2).map(|_| subscriber(&mut topics, "feed"));
            ids.collect()
        });
        let mut sum = Receipt::default();
        let info = allocation_counter::measure(|| {
            for number in 0..MESSAGES {
                sum += topics.publish(&message("feed", format!("{number:<100}")));
                for id in &quick {
                    assert_eq!(drain(&mut topics, *id), [format!("{number:<100}")]);
                }
                assert!(topics.statistics().waiting_bytes <= slow.len() * QUEUE_BYTES_MAX);
            }
        });
        // All queues share each message; an entry is a pointer, and a queue has at most twice the capacity it needs.
        let queued_max = QUEUE_BYTES_MAX / (100 + MESSAGE_OVERHEAD_BYTES);
        let bound = slow.len() * (queued_max * 2 * size_of::<usize>() + 1024) + 2 * QUEUE_BYTES_MAX;
        let grown = usize::try_from(info.bytes_current).unwrap();
        assert!(
            grown <= bound,
            "{slow_consumer:?}: {grown} bytes, at most {bound} expected"
        );

        assert_eq!(sum.matched, (SUBSCRIBERS * MESSAGES) as u64);
        let mut missed = 0;
        for id in slow {
            let mut numbers = Vec::new();
            for line in drain(&mut topics, id) {
                match line.strip_prefix('-') {
                    Some(count) => missed += count.parse::<u64>().unwrap(),
                    None => numbers.push(line.trim_end().parse::<usize>().unwrap()),
                }
            }
            assert!(
                numbers.is_sorted_by(|first, second| first < second),
                "in order, none twice"
            );
            let expected = if slow_consumer == SlowConsumer::DropOldest {
                MESSAGES - 1
            } else {
                numbers.len() - 1
            };
            assert_eq!(numbers.last(), Some(&expected), "{slow_consumer:?}");
        }
        assert!(missed > 0);
        assert_eq!(
            missed,
            sum.missed(),
            "{slow_consumer:?}: every missed message has its notice"
        );
        assert_eq!(topics.statistics().waiting_bytes, 0);
    }
}

/// A subscriber that asks for a million topics gets 128 subscriptions; the rest is rejected without using memory.
#[test]
fn a_subscriber_of_a_million_topics_gets_128_subscriptions() {
    const TOPICS: usize = 1_000_000;
    let mut topics = Topics::new(Limits::default(), TopicRules::default());
    let id = topics.join().unwrap();
    let names = |range: std::ops::Range<usize>| range.map(|number| pattern(&format!("channels/{number}")));
    for name in names(0..128) {
        assert_eq!(topics.subscribe(id, &name), Ok(true));
    }
    let info = allocation_counter::measure(|| {
        for name in names(128..TOPICS) {
            assert_eq!(topics.subscribe(id, &name), Err(SubscribeError::TooManySubscriptions));
        }
    });
    assert_eq!(info.count_current, 0, "{} bytes", info.bytes_current);
    assert_eq!(topics.statistics().topics, 128);
    topics.leave(id);
    assert_eq!(topics.statistics().topics, 0);
}

/// Names that are used once leave nothing behind, whether their subscribers unsubscribe or leave.
#[test]
fn names_used_once_leave_no_memory_behind() {
    /// Enough names that one leaked byte per sixty names would be found.
    const NAMES: usize = 250_000;
    /// Concurrent subscribers, each with the maximum number of topics.
    const CROWD: usize = 20;
    let mut topics = Topics::new(Limits::default(), TopicRules::default());
    let mut next = 0;
    let mut round = |topics: &mut Topics, names: usize| {
        let end = next + names;
        while next < end {
            let ids: Vec<_> = (0..CROWD).map(|_| topics.join().unwrap()).collect();
            for id in &ids {
                let patterns: Vec<_> = (next..next + 128)
                    .map(|number| pattern(&format!("rooms/{number}/*")))
                    .collect();
                next += patterns.len();
                for name in &patterns {
                    topics.subscribe(*id, name).unwrap();
                }
                for name in patterns.iter().step_by(2) {
                    assert!(topics.unsubscribe(*id, name));
                }
            }
            for id in ids {
                topics.leave(id);
            }
        }
    };
    // Tables and queues may keep the capacity of the first round.
    round(&mut topics, NAMES / 10);
    let info = allocation_counter::measure(|| round(&mut topics, NAMES));
    assert!(
        info.bytes_current.abs() < 4096,
        "{} bytes more than before",
        info.bytes_current
    );
    assert_eq!((topics.statistics().topics, topics.statistics().subscribers), (0, 0));
}

/// A queue keeps alive at most what it is charged for, plus one batch.
#[test]
fn a_queue_with_one_message_of_a_batch_keeps_at_most_that_batch_alive() {
    let limits = Limits::default().max_queue_bytes(1000).low_queue_bytes(200);
    let mut topics = table(limits, SlowConsumer::DropOldest);
    let id = subscriber(&mut topics, "t");
    let grown = allocation_counter::measure(|| {
        for _ in 0..1000 {
            let publications: Vec<_> = (0..160).map(|_| message("t", vec![b'x'; 100])).collect();
            topics.publish_all(&publications);
        }
    });
    let waiting = topics.waiting_bytes(id);
    assert!((200..=1000).contains(&waiting), "{waiting}");
    let each = size_of::<Publication>() + 100 + MESSAGE_OVERHEAD_BYTES;
    let bound = waiting + 2 * (BATCH_BYTES_MAX / 100 + 1) * each + 4096;
    assert!(
        usize::try_from(grown.bytes_current).unwrap() < bound,
        "{grown:?}, at most {bound} expected"
    );
}
