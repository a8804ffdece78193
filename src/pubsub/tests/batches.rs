//! Batches: messages published together are treated exactly like messages published one after the other.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Batch, Receipt};
use super::{
    Bytes, Limits, Publication, SlowConsumer, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits, TakeStatus, TopicOptions,
    TopicRules, Topics, message, options, pattern, subscriber, table, take,
};
use crate::message::CloseCode;

/// One topic per policy.
const NAMES: [(&str, SlowConsumer); 5] = [
    ("oldest", SlowConsumer::DropOldest),
    ("newest", SlowConsumer::DropNewest),
    ("conflate", SlowConsumer::Conflate),
    ("resync", SlowConsumer::Resync),
    ("close", SlowConsumer::Close(CloseCode::TRY_AGAIN_LATER)),
];

#[derive(Debug, Clone)]
enum Step {
    /// A batch of messages of one topic, each with a key and a size.
    Publish(&'static str, Vec<(u8, usize)>),
    /// At most this many messages and bytes.
    Take(usize, usize),
}

fn steps(names: Vec<&'static str>) -> impl Strategy<Value = Vec<Step>> {
    let batch = vec((0..4_u8, prop_oneof![9 => 0..200_usize, 1 => 0..3000_usize]), 1..12);
    let step = prop_oneof![
        3 => (select(names), batch).prop_map(|(name, batch)| Step::Publish(name, batch)),
        1 => (0..12_usize, 0..1500_usize).prop_map(|(messages, bytes)| Step::Take(messages, bytes)),
    ];
    vec(step, 1..120)
}

/// A table with one subscriber to everything.
struct One {
    topics: Topics,
    id: SubscriberId,
}

impl One {
    fn new(limits: Limits) -> Self {
        let mut rules = TopicRules::default();
        for (name, slow_consumer) in NAMES {
            rules = rules.with(pattern(name), options(slow_consumer)).unwrap();
        }
        let mut topics = Topics::new(limits, rules);
        let id = subscriber(&mut topics, &["*", "oldest"]);
        Self { topics, id }
    }

    fn take(&mut self, messages: usize, bytes: usize) -> (Vec<Bytes>, TakeStatus) {
        let mut seen = Vec::new();
        let taken = self.topics.take(self.id, TakeLimits { messages, bytes }, |slice| {
            seen.extend(
                slice
                    .publications()
                    .iter()
                    .map(|publication| publication.message.clone()),
            );
        });
        (seen, taken)
    }
}

fn publications(name: &str, batch: &[(u8, usize)], first: usize) -> Vec<Publication> {
    let publication = |(number, (key, size)): (usize, &(u8, usize))| {
        let mut publication = message(name, format!("{}{}", first + number, " ".repeat(*size))).with_key(vec![*key]);
        publication.position = (name == "resync").then_some(super::super::Position {
            epoch: 1,
            sequence: (first + number) as u64,
        });
        publication
    };
    batch.iter().enumerate().map(publication).collect()
}

/// Applies the same steps to two tables, and compares everything observable after each step.
fn compare(limits: Limits, steps: Vec<Step>) {
    let [mut together, mut alone] = [0, 1].map(|_| One::new(limits));
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Publish(name, batch) => {
                let publications = publications(name, &batch, number * 100 + 1);
                let mut sum = Receipt::default();
                for publication in &publications {
                    sum += alone.topics.publish(publication);
                }
                assert_eq!(together.topics.publish_all(&publications), sum);
            }
            Step::Take(messages, bytes) => {
                let (own, other) = (together.take(messages, bytes), alone.take(messages, bytes));
                assert_eq!(own, other);
            }
        }
        assert_eq!(together.topics.statistics(), alone.topics.statistics());
        assert_eq!(together.topics.next_announced(), alone.topics.next_announced());
    }
    loop {
        let (own, other) = (together.take(7, 700), alone.take(7, 700));
        assert_eq!(own, other);
        if own.0.is_empty() && matches!(own.1.next, super::OutboxItem::Nothing | super::OutboxItem::Close(_)) {
            break;
        }
    }
    for mut one in [together, alone] {
        one.topics.leave(one.id);
        assert_eq!(one.topics.statistics().waiting_bytes, 0);
    }
}

fn limits() -> Limits {
    Limits::default().max_queue_bytes(2000).low_queue_bytes(500)
}

proptest! {
    #[test]
    fn a_batch_is_treated_like_its_single_messages(steps in steps(NAMES.map(|(name, _)| name).to_vec())) {
        compare(limits(), steps);
    }

    #[test]
    fn it_does_so_when_nothing_closes_the_subscriber(steps in steps(vec!["oldest", "newest", "conflate", "resync"])) {
        compare(limits(), steps);
    }

    #[test]
    fn it_does_so_near_the_ceiling_of_the_shard(steps in steps(vec!["oldest", "newest", "conflate"]), ceiling in 500..4000_usize) {
        compare(Limits { max_shard_queue_bytes: ceiling, ..limits() }, steps);
    }
}

/// Returns everything that waits, entry by entry.
fn slices(topics: &mut Topics, id: SubscriberId) -> Vec<Batch> {
    let limits = TakeLimits {
        messages: TAKE_MESSAGES_MAX,
        bytes: usize::MAX,
    };
    let mut slices = Vec::new();
    topics.take(id, limits, |slice| slices.push(slice.clone()));
    slices
}

#[test]
fn a_batch_waits_as_one_entry_that_all_share() {
    let mut topics = table(Limits::default(), TopicOptions::default());
    let [first, second] = [0, 1].map(|_| subscriber(&mut topics, &["t"]));
    let publications: Vec<_> = (0..40).map(|number| message("t", number.to_string())).collect();
    topics.publish_all(&publications);
    let (own, other) = (slices(&mut topics, first), slices(&mut topics, second));
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].publications(), publications);
    assert!(own[0].is_same(&other[0]));
    topics.publish_all(&publications);
    take(&mut topics, first, &mut Vec::new(), 5);
    let rest = slices(&mut topics, first);
    assert_eq!(
        rest[0].publications(),
        &publications[5..],
        "five digits were five messages"
    );
    assert!(!rest[0].is_same(&slices(&mut topics, second)[0]));
}

#[test]
fn a_batch_is_bounded_in_messages_and_bytes() {
    let limits = Limits::default().max_queue_bytes(usize::MAX);
    let mut topics = table(limits, TopicOptions::default());
    let id = subscriber(&mut topics, &["t"]);
    let lengths = |topics: &mut Topics, sizes: &[usize]| -> Vec<usize> {
        let publications: Vec<_> = sizes.iter().map(|size| message("t", vec![b'x'; *size])).collect();
        topics.publish_all(&publications);
        let slices = slices(topics, id);
        slices.iter().map(|slice| slice.publications().len()).collect()
    };
    assert_eq!(
        lengths(&mut topics, &[0; BATCH_MESSAGES_MAX + 1]),
        [BATCH_MESSAGES_MAX, 1]
    );
    let half = BATCH_BYTES_MAX / 2;
    assert_eq!(lengths(&mut topics, &[half, half, 0, 1, half]), [3, 2]);
    assert_eq!(
        lengths(&mut topics, &[1, 2 * BATCH_BYTES_MAX, 1]),
        [1, 1, 1],
        "a large one waits alone"
    );
}

#[test]
fn a_history_is_delivered_in_batches() {
    let mut topics = table(Limits::default(), options(SlowConsumer::Resync));
    let id = subscriber(&mut topics, &["t"]);
    let start = super::super::Start::Last(usize::MAX);
    let resync = super::super::Resync {
        topic: super::topic("t"),
        start,
    };
    assert!(topics.resume(id, resync.topic.clone(), start));
    assert!(matches!(
        take(&mut topics, id, &mut Vec::new(), 0).next,
        super::OutboxItem::Resync(_)
    ));
    let publications = publications("resync", &[(0, 1); 9], 1);
    let resumed = super::super::Resumed::Messages {
        publications: publications.clone(),
        is_end: true,
        last: super::super::Position { epoch: 1, sequence: 9 },
    };
    assert_eq!(topics.replay(id, &resync, &resumed).queued, 9);
    let slices = slices(&mut topics, id);
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].publications(), publications);
}
