//! Measures publishing on one shard, without sockets: to 10,000 subscribers, and to one topic among 100,000.
//!
//! A delivery includes all that a server does except sending: publish, announce, take. Each answer is checked before it
//! is timed.

#![allow(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::Bytes;
use squall::pubsub::{
    Batch, Limits, Pattern, Publication, SlowConsumer, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits, Topic,
    TopicOptions, TopicRules, Topics,
};

const SUBSCRIBERS: u32 = 10_000;
const TOPICS: usize = 100_000;

fn topics() -> Topics {
    Topics::new(Limits::default(), TopicRules::default())
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).expect("it is a pattern")
}

fn subscriber(topics: &mut Topics, patterns: impl IntoIterator<Item = String>) -> SubscriberId {
    let id = topics.join().expect("there is room");
    for text in patterns {
        topics.subscribe(id, &pattern(&text)).expect("there is room");
    }
    id
}

fn publication(name: &str) -> Publication {
    Publication::new(Topic::new(name).expect("it is a topic"), vec![b'x'; 64])
}

/// Takes the messages of every announced subscriber and returns their number.
fn drain(topics: &mut Topics, messages: &mut Vec<Bytes>) -> u64 {
    let mut count = 0;
    while let Some(id) = topics.next_announced() {
        let most = TakeLimits {
            messages: TAKE_MESSAGES_MAX,
            bytes: usize::MAX,
        };
        let hand_out =
            |run: &Batch| messages.extend(run.publications().iter().map(|publication| publication.message.clone()));
        count += topics.take(id, most, hand_out).messages as u64;
        black_box(&messages);
        messages.clear();
    }
    count
}

/// Times a delivery of 1, 10 and 40 messages to 10,000 subscribers, one by one and in one batch.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out_10000");
    for (name, burst, at_once) in [
        ("1", 1_u64, false),
        ("10", 10, false),
        ("10_at_once", 10, true),
        ("40_at_once", 40, true),
    ] {
        let mut topics = topics();
        for _ in 0..SUBSCRIBERS {
            subscriber(&mut topics, ["t".to_owned()]);
        }
        let publications: Vec<_> = (0..burst).map(|_| publication("t")).collect();
        let mut messages = Vec::new();
        let mut deliver = || {
            let together = if at_once { publications.len() } else { 1 };
            for publications in publications.chunks(together) {
                black_box(topics.publish_all(publications));
            }
            drain(&mut topics, &mut messages)
        };
        let deliveries = burst * u64::from(SUBSCRIBERS);
        assert_eq!(deliver(), deliveries);
        group.throughput(Throughput::Elements(deliveries));
        group.bench_function(name, |bencher| bencher.iter(&mut deliver));
    }
    group.finish();
}

/// Times a delivery to each of 500 subscribers that never read, which is dropped, displaces another, or is conflated.
fn stalled(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stalled_500");
    for (name, slow_consumer) in [
        ("drop_oldest", SlowConsumer::DropOldest),
        ("drop_newest", SlowConsumer::DropNewest),
        ("conflate", SlowConsumer::Conflate),
    ] {
        let options = TopicOptions::default().slow_consumer(slow_consumer).tell_missed(true);
        let rules = TopicRules::new(options).expect("the options agree");
        let mut topics = Topics::new(Limits::default(), rules);
        for _ in 0..500 {
            subscriber(&mut topics, ["t".to_owned()]);
        }
        let values: Vec<_> = (0..1000_u32)
            .map(|key| publication("t").with_key(key.to_be_bytes().to_vec()))
            .collect();
        let mut next = values.iter().cycle();
        for publication in next.by_ref().take(5000) {
            topics.publish(publication);
        }
        let deliveries = topics.statistics().deliveries;
        assert!(
            deliveries.missed() + deliveries.conflated > 500 * 1000,
            "{deliveries:?}"
        );
        group.throughput(Throughput::Elements(500));
        group.bench_function(name, |bencher| {
            bencher.iter(|| next.next().map(|publication| topics.publish(black_box(publication))));
        });
    }
    group.finish();
}

/// Times one message to the one subscriber of its topic, beside 100,000 topics.
fn exact(criterion: &mut Criterion) {
    let mut topics = topics();
    for thousand in 0..TOPICS / 100 {
        subscriber(
            &mut topics,
            (0..100).map(|number| format!("market/{thousand}/{number}")),
        );
    }
    let publications: Vec<_> = (0..TOPICS / 100)
        .map(|thousand| publication(&format!("market/{thousand}/{}", thousand * 7 % 100)))
        .collect();
    assert_eq!(topics.statistics().topics, TOPICS);
    let mut messages = Vec::new();
    let mut next = publications.iter().cycle();
    criterion.bench_function("exact_among_100000", |bencher| {
        bencher.iter(|| {
            let receipt = next.next().map(|publication| topics.publish(publication));
            assert_eq!(receipt.map(|receipt| receipt.matched), Some(1));
            drain(&mut topics, &mut messages)
        });
    });
    let unsubscribed = publication("market/none/0");
    assert_eq!(topics.publish(&unsubscribed).matched, 0);
    criterion.bench_function("unsubscribed_among_100000", |bencher| {
        bencher.iter(|| topics.publish(black_box(&unsubscribed)))
    });
}

/// Times a topic that matches 4 patterns of two subscribers, among 1,000 wildcards.
fn wildcard(criterion: &mut Criterion) {
    let mut topics = topics();
    for number in 0..1000 {
        let shapes = [
            format!("market/{number}/*"),
            format!("*/{number}/bid"),
            format!("market/{number}/**"),
        ];
        subscriber(&mut topics, shapes.into_iter().skip(number % 3).take(1));
    }
    subscriber(
        &mut topics,
        [
            "market/500/*".to_owned(),
            "*/500/bid".to_owned(),
            "market/**".to_owned(),
        ],
    );
    let publication = publication("market/500/bid");
    let mut messages = Vec::new();
    let mut deliver = || {
        let receipt = topics.publish(&publication);
        drain(&mut topics, &mut messages);
        receipt.matched
    };
    assert_eq!(deliver(), 2);
    criterion.bench_function("wildcards_4_of_1000", |bencher| bencher.iter(&mut deliver));
}

/// Times a subscriber that joins with 8 topics and leaves, in a table of 100,000 topics.
fn churn(criterion: &mut Criterion) {
    let mut topics = topics();
    for thousand in 0..TOPICS / 100 {
        subscriber(
            &mut topics,
            (0..100).map(|number| format!("market/{thousand}/{number}")),
        );
    }
    let patterns: Vec<_> = (0..8)
        .map(|number| pattern(&format!("market/{}/7", number * 100)))
        .collect();
    let count = topics.statistics().subscribers;
    criterion.bench_function("join_8_and_leave", |bencher| {
        bencher.iter(|| {
            let id = topics.join().expect("there is room");
            for pattern in &patterns {
                assert_eq!(topics.subscribe(id, pattern), Ok(true));
            }
            topics.leave(id);
        });
    });
    assert_eq!(topics.statistics().subscribers, count);
}

criterion_group!(benches, fan_out, stalled, exact, wildcard, churn);
criterion_main!(benches);
