//! Properties of every policy, whatever is published and however slowly it is read: order, bounds, and that every loss
//! is counted.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{LogLimits, Logs, MESSAGE_OVERHEAD_BYTES};
use super::{
    HistoryLimits, Limits, Notice, OutboxItem, Pattern, Publication, SlowConsumer, SubscriberId, TopicOptions,
    TopicRules, Topics, options, pattern, subscriber, take, topic,
};

const HIGH: usize = 2000;
const LARGEST: usize = 400;

/// One topic for each policy that does not close the subscriber.
const NAMES: [(&str, SlowConsumer); 4] = [
    ("oldest", SlowConsumer::DropOldest),
    ("newest", SlowConsumer::DropNewest),
    ("conflate", SlowConsumer::Conflate),
    ("resync", SlowConsumer::Resync),
];

#[derive(Debug, Clone)]
enum Step {
    Publish(&'static str, u8, usize),
    Take(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = NAMES.map(|(name, _)| name);
    let publish = (select(names.to_vec()), 0..6_u8, 0..LARGEST);
    let step = prop_oneof![
        4 => publish.prop_map(|(name, key, size)| Step::Publish(name, key, size)),
        1 => (0..1500_usize).prop_map(Step::Take),
    ];
    vec(step, 1..400)
}

/// A subscriber, what was published, and what it received: each message as its number within its topic.
struct Bench {
    topics: Topics,
    logs: Logs,
    id: SubscriberId,
    now: std::time::Instant,
    published: BTreeMap<&'static str, Vec<u8>>,
    seen: BTreeMap<String, Vec<usize>>,
    missed: u64,
}

impl Bench {
    fn new() -> Self {
        let limits = Limits::default().max_queue_bytes(HIGH).low_queue_bytes(500);
        let mut rules = TopicRules::default();
        for (name, slow_consumer) in NAMES {
            let options = TopicOptions {
                history: (slow_consumer == SlowConsumer::Resync)
                    .then_some(HistoryLimits::default().max_messages(usize::MAX).max_bytes(usize::MAX)),
                ..options(slow_consumer)
            };
            rules = rules.with(pattern(name), options).unwrap();
        }
        let mut topics = Topics::new(limits, rules);
        let id = subscriber(&mut topics, &["oldest", "newest", "conflate", "resync"]);
        Self {
            topics,
            logs: Logs::new(LogLimits::default(), 7),
            id,
            now: super::history::moment(),
            published: BTreeMap::new(),
            seen: BTreeMap::new(),
            missed: 0,
        }
    }

    fn publish(&mut self, name: &'static str, key: u8, size: usize) {
        let numbers = self.published.entry(name).or_default();
        let content = format!("{name} {}{}", numbers.len(), " ".repeat(size));
        numbers.push(key);
        let mut publication = Publication::new(topic(name), content).with_key(vec![key]);
        if let Some(history) = self.topics.rules().of(&publication.topic).history {
            publication = self.logs.append(&topic(name), history, |_| publication, self.now);
        }
        let receipt = self.topics.publish(&publication);
        assert_eq!(receipt.matched, receipt.queued + receipt.refused + receipt.deferred);
        // A message accepted by an empty queue, and notices between messages, may exceed the mark.
        let markers = (HIGH / MESSAGE_OVERHEAD_BYTES + 1) * MESSAGE_OVERHEAD_BYTES;
        assert!(self.topics.waiting_bytes(self.id) <= HIGH + markers);
    }

    /// Takes once; returns whether more may wait.
    fn take(&mut self, bytes_max: usize) -> bool {
        let mut messages = Vec::new();
        let taken = take(&mut self.topics, self.id, &mut messages, bytes_max);
        for message in &messages {
            let text = std::str::from_utf8(message).unwrap();
            let (name, number) = text.trim_end().split_once(' ').unwrap();
            self.seen
                .entry(name.to_owned())
                .or_default()
                .push(number.parse().unwrap());
        }
        match taken.next {
            OutboxItem::Nothing => return false,
            OutboxItem::More => {}
            OutboxItem::Notice(Notice::Missed(missed)) => self.missed += missed.count,
            OutboxItem::Notice(other) => panic!("every topic keeps everything, and one says {other:?}"),
            OutboxItem::Resync(resync) => {
                let resumed = self.logs.resume(&resync.topic, resync.start, 1900, self.now);
                let receipt = self.topics.replay(self.id, &resync, &resumed);
                assert_eq!(receipt.refused, 0);
            }
            OutboxItem::Close(code) => panic!("closed with {code}"),
        }
        true
    }

    fn check(&self) {
        let deliveries = self.topics.statistics().deliveries;
        assert_eq!(self.missed, deliveries.missed(), "every missed message has its notice");
        assert_eq!(
            self.topics.statistics().taken + deliveries.conflated + deliveries.displaced,
            deliveries.queued
        );
        assert_eq!(self.topics.statistics().waiting_bytes, 0);
        for (name, slow_consumer) in NAMES {
            let seen = self.seen.get(name).map_or(&[][..], Vec::as_slice);
            let keys = self.published.get(name).map_or(&[][..], Vec::as_slice);
            match slow_consumer {
                SlowConsumer::Conflate => self.check_conflated(seen, keys),
                SlowConsumer::Resync => assert!(seen.iter().copied().eq(0..keys.len()), "all, in order: {seen:?}"),
                _ => assert!(
                    seen.is_sorted_by(|first, second| first < second),
                    "in order, none twice: {name} {seen:?}"
                ),
            }
        }
    }

    fn check_conflated(&self, seen: &[usize], keys: &[u8]) {
        for key in 0..6 {
            let values: Vec<_> = seen.iter().copied().filter(|number| keys[*number] == key).collect();
            assert!(values.is_sorted_by(|first, second| first < second), "{key}: {values:?}");
            let last = keys.iter().rposition(|published| *published == key);
            assert!(
                self.missed > 0 || values.last().copied() == last,
                "{key}: the latest value came"
            );
        }
    }
}

proptest! {
    #[test]
    fn order_holds_and_every_message_is_delivered_conflated_or_reported_missing(steps in steps()) {
        let mut bench = Bench::new();
        for step in steps {
            match step {
                Step::Publish(name, key, size) => bench.publish(name, key, size),
                Step::Take(bytes_max) => drop(bench.take(bytes_max)),
            }
        }
        while bench.take(700) {}
        bench.check();
    }

    #[test]
    fn one_policy_alone_does_what_its_model_does(
        slow_consumer in select(vec![SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Conflate]),
        steps in vec(prop_oneof![4 => (0..6_u8).prop_map(Some), 1 => Just(None)], 1..300),
    ) {
        let options = TopicOptions { tell_missed: false, ..options(slow_consumer) };
        let limits = Limits::default().max_queue_bytes(2000).low_queue_bytes(500);
        let mut topics = super::table(limits, options);
        let id = subscriber(&mut topics, &["t"]);
        let mut model = Model { slow_consumer, queue: Vec::new(), is_lagging: false };
        for (number, step) in steps.into_iter().enumerate() {
            if let Some(key) = step {
                let message = format!("{number:<0$}", 99 - MESSAGE_OVERHEAD_BYTES);
                topics.publish(&Publication::new(topic("t"), message).with_key(vec![key]));
                model.push(number, key);
            } else {
                let mut messages = Vec::new();
                take(&mut topics, id, &mut messages, 3 * (99 - MESSAGE_OVERHEAD_BYTES));
                let numbers = messages.iter().map(|message| String::from_utf8_lossy(message).trim().parse().unwrap());
                prop_assert_eq!(numbers.collect::<Vec<usize>>(), model.take(3));
            }
            prop_assert_eq!(topics.waiting_bytes(id), 100 * model.queue.len());
        }
    }
}

/// A queue of twenty messages with a low mark of five, written from the definitions of the policies.
struct Model {
    slow_consumer: SlowConsumer,
    queue: Vec<(usize, u8)>,
    is_lagging: bool,
}

impl Model {
    fn push(&mut self, number: usize, key: u8) {
        let is_full = self.queue.len() == 20;
        self.is_lagging |= is_full;
        match self.slow_consumer {
            SlowConsumer::DropOldest if is_full => drop(self.queue.drain(..16)),
            SlowConsumer::DropNewest if self.is_lagging => return,
            SlowConsumer::Conflate if self.is_lagging => {
                let mut conflated: Vec<(usize, u8)> = Vec::new();
                for (number, key) in self.queue.drain(..).chain([(number, key)]) {
                    match conflated.iter_mut().find(|(_, other)| *other == key) {
                        Some(older) => older.0 = number,
                        None => conflated.push((number, key)),
                    }
                }
                self.queue = conflated;
                self.is_lagging = self.queue.len() > 5;
                return;
            }
            _ => {}
        }
        self.queue.push((number, key));
        self.is_lagging &= self.queue.len() > 5;
    }

    fn take(&mut self, count: usize) -> Vec<usize> {
        let taken = self
            .queue
            .drain(..count.min(self.queue.len()))
            .map(|(number, _)| number)
            .collect();
        self.is_lagging &= self.queue.len() > 5;
        taken
    }
}

/// Patterns are created from topics without parsing them again.
#[test]
fn a_topic_is_a_pattern() {
    assert_eq!(Pattern::from(topic("a/b")), pattern("a/b"));
}
