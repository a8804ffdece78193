//! A million deliveries among subscribers that join and leave, each compared with what its subscriber must get.

use std::collections::{BTreeMap, BTreeSet};

use super::{Limits, SubscriberId, TopicOptions, Topics, message, pattern, table, take};

const SUBSCRIBERS: usize = 400;
const TOPICS: usize = 32;
const DELIVERIES: usize = 1_000_000;

/// A generator of the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound
    }
}

#[derive(Default)]
struct Expected {
    topics: BTreeSet<usize>,
    waiting: Vec<usize>,
}

/// Adds a subscriber of some topics; every tenth also uses a wildcard that matches a quarter of them.
fn join(topics: &mut Topics, dice: &mut Dice) -> (SubscriberId, Expected) {
    let id = topics.join().unwrap();
    let mut expected = Expected::default();
    for _ in 0..=dice.below(4) {
        let number = dice.below(TOPICS);
        topics
            .subscribe(id, &pattern(&format!("{}/{number}", number % 4)))
            .unwrap();
        expected.topics.insert(number);
    }
    if dice.below(10) == 0 {
        let quarter = dice.below(4);
        topics.subscribe(id, &pattern(&format!("{quarter}/*"))).unwrap();
        expected
            .topics
            .extend((0..TOPICS).filter(|number| number % 4 == quarter));
    }
    (id, expected)
}

#[test]
fn a_million_deliveries_are_complete_and_in_order() {
    let mut dice = Dice(0x5eed);
    let mut topics = table(Limits::default(), TopicOptions::default());
    let mut expected: BTreeMap<SubscriberId, Expected> = BTreeMap::new();
    let (mut delivered, mut published) = (0, 0);
    let mut messages = Vec::new();
    while delivered < DELIVERIES {
        for _ in 0..dice.below(6) {
            if expected.len() >= SUBSCRIBERS
                && let Some(id) = expected.keys().nth(dice.below(SUBSCRIBERS)).copied()
            {
                topics.leave(id);
                expected.remove(&id);
            }
            let (id, joined) = join(&mut topics, &mut dice);
            expected.insert(id, joined);
        }
        for _ in 0..dice.below(12) {
            let number = dice.below(TOPICS);
            published += 1;
            let receipt = topics.publish(&message(&format!("{}/{number}", number % 4), published.to_string()));
            let subscribed = expected
                .values_mut()
                .filter(|expected| expected.topics.contains(&number));
            let count = subscribed.map(|expected| expected.waiting.push(published)).count();
            assert_eq!((receipt.matched, receipt.queued), (count as u64, count as u64));
        }
        while let Some(id) = topics.next_announced() {
            messages.clear();
            take(&mut topics, id, &mut messages, usize::MAX);
            let waiting = std::mem::take(&mut expected.get_mut(&id).unwrap().waiting);
            assert!(
                waiting
                    .iter()
                    .map(usize::to_string)
                    .eq(messages.iter().map(|message| String::from_utf8_lossy(message)))
            );
            delivered += messages.len();
        }
        assert!(
            expected.values().all(|expected| expected.waiting.is_empty()),
            "everybody was announced"
        );
    }
    assert_eq!(topics.statistics().waiting_bytes, 0);
}

#[test]
fn a_million_names_joined_and_left_leave_nothing_behind() {
    let mut topics = table(Limits::default(), TopicOptions::default());
    for round in 0..10 {
        let ids: Vec<_> = (0..1000).map(|_| topics.join().unwrap()).collect();
        for (number, id) in ids.iter().enumerate() {
            for name in 0..100 {
                topics
                    .subscribe(*id, &pattern(&format!("{round}/{number}/{name}")))
                    .unwrap();
            }
        }
        assert_eq!(topics.statistics().topics, 100_000);
        ids.into_iter().for_each(|id| topics.leave(id));
        assert_eq!((topics.statistics().topics, topics.spare()), (0, 0));
    }
}
