//! Scale: a hundred subscribers of which half do not read, and 250,000 topic names. These tests measure memory.

use super::super::{MESSAGE_OVERHEAD_BYTES, Receipt, SubscribeError, TopicRules};
use super::{Limits, SlowConsumer, Topics, drain, message, options, pattern, subscriber, table};

/// Under every dropping policy, slow subscribers stay within their queues and fast ones get everything. Each missed
/// message is counted at the publisher and reported to its subscriber.
#[test]
fn slow_subscribers_stay_within_their_queues_and_fast_ones_get_everything() {
    const SUBSCRIBERS: usize = 100;
    const MESSAGES: usize = 5000;
    let limits = Limits::default().max_queue_bytes(16 * 1024).low_queue_bytes(4 * 1024);
    for slow_consumer in [SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
        let mut topics = table(limits, options(slow_consumer));
        let [slow, quick] = [0, 1].map(|_| -> Vec<_> {
            let ids = (0..SUBSCRIBERS / 2).map(|_| subscriber(&mut topics, &["feed"]));
            ids.collect()
        });
        let mut sum = Receipt::default();
        let info = allocation_counter::measure(|| {
            for number in 0..MESSAGES {
                sum += topics.publish(&message("feed", format!("{number:<100}")));
                for id in &quick {
                    assert_eq!(drain(&mut topics, *id), [format!("{number:<100}")]);
                }
                assert!(topics.statistics().waiting_bytes <= slow.len() * limits.max_queue_bytes);
            }
        });
        // All queues share each message; an entry is a pointer, and a queue has at most twice the capacity it needs.
        let queued_max = limits.max_queue_bytes / (100 + MESSAGE_OVERHEAD_BYTES);
        let bound = slow.len() * (queued_max * 2 * size_of::<usize>() + 1024) + 2 * limits.max_queue_bytes;
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
