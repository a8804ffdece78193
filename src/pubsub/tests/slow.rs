//! The effect of each policy on a slow subscriber, by example. A message here weighs 100 bytes unless stated otherwise.

use super::super::{InvalidRule, MESSAGE_OVERHEAD_BYTES, RULES_MAX, Receipt, Resync};
use super::history::after;
use super::{
    HistoryLimits, Limits, Publication, SlowConsumer, SubscriberId, TopicOptions, TopicRules, Topics, drain, message,
    options, pattern, subscriber, table, take, topic,
};
use crate::message::CloseCode;

/// Ten messages fill a queue; four are the low mark.
fn limits() -> Limits {
    Limits::default().max_queue_bytes(1000).low_queue_bytes(400)
}

/// Returns a message that begins with a number and has the given weight.
fn weighing(weight: usize, name: &str, number: usize) -> Publication {
    message(name, format!("{number:<0$}", weight - MESSAGE_OVERHEAD_BYTES))
}

fn publish(topics: &mut Topics, name: &str, numbers: impl IntoIterator<Item = usize>) -> Receipt {
    let mut sum = Receipt::default();
    for number in numbers {
        sum += topics.publish(&weighing(100, name, number));
    }
    sum
}

/// Returns a value with a key, which weighs 100 together with it.
fn value(key: &'static str, number: usize) -> Publication {
    weighing(100 - key.len(), "t", number).with_key(key)
}

fn numbers(topics: &mut Topics, id: SubscriberId) -> Vec<String> {
    drain(topics, id)
        .into_iter()
        .map(|text| text.trim_end().to_owned())
        .collect()
}

fn texts(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

#[test]
fn drop_oldest_misses_one_stretch_and_says_where() {
    let mut topics = table(limits(), options(SlowConsumer::DropOldest));
    let id = subscriber(&mut topics, &["t"]);
    let receipt = publish(&mut topics, "t", 1..=11);
    assert_eq!((receipt.queued, receipt.displaced, receipt.refused), (11, 7, 0));
    assert_eq!(
        numbers(&mut topics, id),
        [vec!["-7".to_owned()], texts(8..=11)].concat()
    );
}

#[test]
fn drop_newest_refuses_messages_until_the_low_mark() {
    let mut topics = table(limits(), options(SlowConsumer::DropNewest));
    let id = subscriber(&mut topics, &["t"]);
    let receipt = publish(&mut topics, "t", 1..=11);
    assert_eq!((receipt.queued, receipt.displaced, receipt.refused), (10, 0, 1));
    let mut messages = Vec::new();
    take(&mut topics, id, &mut messages, 5 * 36);
    assert_eq!(messages.len(), 5);
    assert_eq!(
        publish(&mut topics, "t", [12]).refused,
        1,
        "there is room, but it still lags"
    );
    take(&mut topics, id, &mut messages, 2 * 36);
    assert_eq!(publish(&mut topics, "t", [13]).refused, 0);
    assert_eq!(
        numbers(&mut topics, id),
        [texts(8..=10), vec!["-2".to_owned()], texts([13])].concat()
    );
}

#[test]
fn conflate_keeps_the_latest_value_in_the_place_of_the_first() {
    let mut topics = table(limits(), options(SlowConsumer::Conflate));
    let id = subscriber(&mut topics, &["t"]);
    let mut sum = Receipt::default();
    for number in 0..100 {
        sum += topics.publish(&value(["a", "b", "c", "d", "e"][number % 5], number));
    }
    assert_eq!((sum.queued, sum.missed()), (100, 0));
    assert_eq!(sum.conflated, 95);
    assert_eq!(numbers(&mut topics, id), texts([95, 96, 97, 98, 99]));
    let before = topics.statistics().deliveries.conflated;
    for number in 0..9 {
        topics.publish(&value("a", number));
    }
    assert_eq!(
        topics.statistics().deliveries.conflated,
        before,
        "a subscriber that keeps up gets every value"
    );
    assert_eq!(numbers(&mut topics, id), texts(0..9));
}

#[test]
fn every_key_gets_its_turn_when_all_change_faster_than_the_subscriber_reads() {
    let mut topics = table(limits(), options(SlowConsumer::Conflate));
    let id = subscriber(&mut topics, &["t"]);
    let mut read = Vec::new();
    for round in 0..30 {
        for (key, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            topics.publish(&value(name, round * 5 + key));
        }
        if round >= 10 {
            let mut messages = Vec::new();
            take(&mut topics, id, &mut messages, 1);
            read.extend(
                messages
                    .iter()
                    .map(|message| String::from_utf8_lossy(message).trim().parse::<usize>().unwrap() % 5),
            );
        }
    }
    for key in 0..5 {
        assert!(
            read.iter().filter(|seen| **seen == key).count() >= 3,
            "key {key}: {read:?}"
        );
    }
}

#[test]
fn more_keys_than_fit_lose_the_oldest() {
    let mut topics = table(limits(), options(SlowConsumer::Conflate));
    let id = subscriber(&mut topics, &["t"]);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let mut sum = Receipt::default();
    for (number, key) in keys.into_iter().enumerate() {
        sum += topics.publish(&value(key, number));
    }
    assert_eq!((sum.queued, sum.conflated, sum.displaced), (11, 0, 7));
    assert_eq!(
        numbers(&mut topics, id),
        [vec!["-7".to_owned()], texts(7..=10)].concat()
    );
}

#[test]
fn close_drops_what_waits_and_announces_it_at_once() {
    let mut topics = table(limits(), options(SlowConsumer::Close(CloseCode::TRY_AGAIN_LATER)));
    let id = subscriber(&mut topics, &["t"]);
    assert_eq!(publish(&mut topics, "t", 1..=10).closed, 0);
    assert_eq!(topics.next_announced(), Some(id));
    let mut messages = Vec::new();
    take(&mut topics, id, &mut messages, 1);
    publish(&mut topics, "t", [11]);
    let receipt = publish(&mut topics, "t", 12..=14);
    assert_eq!((receipt.closed, receipt.displaced, receipt.refused), (1, 10, 3));
    assert_eq!(
        topics.next_announced(),
        Some(id),
        "it is announced although something was left for it"
    );
    assert_eq!(numbers(&mut topics, id), ["close 1013"]);
    assert_eq!(topics.waiting_bytes(id), 0);
}

#[test]
fn droppable_messages_make_room_for_others() {
    let rules = TopicRules::new(options(SlowConsumer::DropOldest)).unwrap();
    let rules = rules
        .with(
            pattern("orders"),
            options(SlowConsumer::Close(CloseCode::TRY_AGAIN_LATER)),
        )
        .unwrap();
    let mut topics = Topics::new(limits(), rules);
    let id = subscriber(&mut topics, &["orders", "news"]);
    publish(&mut topics, "orders", [1]);
    publish(&mut topics, "news", 2..=8);
    let receipt = publish(&mut topics, "orders", 9..=11);
    assert_eq!(
        (receipt.closed, receipt.displaced),
        (0, 7),
        "down to the lower mark with the new one"
    );
    let expected = [texts([1]), vec!["-7".to_owned()], texts(9..=11)].concat();
    assert_eq!(numbers(&mut topics, id), expected);
    let receipt = publish(&mut topics, "orders", 1..=12);
    assert_eq!(receipt.closed, 1, "orders alone are too many");
}

#[test]
fn a_resyncing_subscriber_requests_its_history_once_at_the_low_mark() {
    let mut topics = table(limits(), options(SlowConsumer::Resync));
    let id = subscriber(&mut topics, &["t"]);
    let mut sum = Receipt::default();
    for sequence in 1..=13 {
        let mut publication = weighing(100, "t", 0);
        publication.message = sequence.to_string().into();
        publication.message = format!("{sequence:<36}").into();
        publication.position = Some(super::super::Position { epoch: 1, sequence });
        sum += topics.publish(&publication);
    }
    assert_eq!((sum.queued, sum.deferred, sum.missed()), (10, 3, 0));
    let mut messages = Vec::new();
    assert_eq!(
        take(&mut topics, id, &mut messages, 36).next,
        super::OutboxItem::More,
        "above the lower mark"
    );
    let seen = numbers(&mut topics, id);
    assert_eq!(
        seen,
        [texts(2..=10), vec![format!("resync {:?}", after(1, 10))]].concat()
    );
    assert_eq!(numbers(&mut topics, id), Vec::<String>::new());
    assert_eq!(topics.next_announced(), Some(id));
    assert_eq!(topics.next_announced(), None);
    let asked = Resync {
        topic: topic("t"),
        start: after(1, 10),
    };
    assert!(topics.awaits(id, &asked));
    topics.unsubscribe(id, &pattern("t"));
    let late = super::super::Resumed::Messages {
        publications: vec![weighing(100, "t", 11)],
        is_end: true,
        last: super::super::Position { epoch: 1, sequence: 11 },
    };
    assert_eq!(
        topics.replay(id, &asked, &late).matched,
        0,
        "the subscriber no longer waits for it"
    );
    // A subscriber that subscribes again makes a new request, and the response to the old one is dropped.
    topics.subscribe(id, &pattern("t")).unwrap();
    assert!(topics.resume(id, topic("t"), after(1, 5)));
    let [again] = numbers(&mut topics, id).try_into().unwrap();
    assert_eq!(again, format!("resync {:?}", after(1, 5)));
    assert_eq!(topics.replay(id, &asked, &late).matched, 0, "that was asked before");
    let resync = Resync {
        start: after(1, 5),
        ..asked
    };
    assert_eq!(topics.replay(id, &resync, &late).queued, 1);
}

#[test]
fn one_message_larger_than_a_queue_gets_into_an_empty_one() {
    let mut topics = table(limits(), options(SlowConsumer::DropNewest));
    let id = subscriber(&mut topics, &["t"]);
    assert_eq!(topics.publish(&weighing(5000, "t", 1)).queued, 1);
    assert_eq!(topics.publish(&weighing(100, "t", 2)).refused, 1);
    assert_eq!(numbers(&mut topics, id), ["1", "-1"]);
}

#[test]
fn the_shard_limit_shortens_slow_queues_before_it_refuses_messages() {
    let limits = Limits {
        max_shard_queue_bytes: 4000,
        ..limits()
    };
    let mut topics = table(limits, options(SlowConsumer::DropNewest));
    let slow: Vec<_> = (0..3).map(|_| subscriber(&mut topics, &["slow"])).collect();
    let quick = subscriber(&mut topics, &["quick"]);
    publish(&mut topics, "slow", 1..=10);
    assert_eq!(topics.statistics().waiting_bytes, 3000);
    publish(&mut topics, "quick", [1]);
    assert_eq!(
        publish(&mut topics, "quick", 2..=4).refused,
        0,
        "a full shard leaves short queues open"
    );
    assert_eq!(
        publish(&mut topics, "quick", [5]).refused,
        1,
        "above the lower mark under pressure"
    );
    let more = subscriber(&mut topics, &["large"]);
    let large = topics.publish(&weighing(700, "large", 1));
    assert_eq!((large.queued, large.refused), (0, 1), "the ceiling is the ceiling");
    assert_eq!(numbers(&mut topics, more), ["-1"]);
    for id in slow {
        topics.leave(id);
    }
    assert_eq!(topics.publish(&weighing(700, "large", 2)).queued, 1);
    assert_eq!(numbers(&mut topics, quick), ["1", "2", "3", "4", "-1"]);
}

#[test]
fn an_idle_subscriber_is_two_words_of_outbox() {
    assert!(size_of::<super::super::outbox::Outbox>() <= 2 * size_of::<usize>());
}

#[test]
fn rules_that_contradict_themselves_are_refused() {
    let history = Some(HistoryLimits::default());
    let cases = [
        (SlowConsumer::Resync, None, Some(InvalidRule::ResyncWithoutHistory)),
        (SlowConsumer::Resync, history, None),
        (SlowConsumer::Conflate, history, Some(InvalidRule::ConflateWithHistory)),
        (SlowConsumer::Close(CloseCode::TRY_AGAIN_LATER), history, None),
        (SlowConsumer::Close(CloseCode::TRY_AGAIN_LATER), None, None),
    ];
    for (slow_consumer, history, expected) in cases {
        let options = TopicOptions::default().slow_consumer(slow_consumer);
        let options = history.map_or(options, |limits| options.history(limits));
        assert_eq!(TopicRules::new(options).err(), expected);
        assert_eq!(TopicRules::default().with(pattern("t"), options).err(), expected);
    }
    let mut rules = TopicRules::default();
    for number in 1..RULES_MAX {
        let exact = pattern(&format!("a/{number}"));
        rules = rules.with(exact, options(SlowConsumer::DropNewest)).unwrap();
    }
    rules = rules.with(pattern("a/*"), options(SlowConsumer::DropNewest)).unwrap();
    assert_eq!(rules.of(&topic("a/b")).slow_consumer, SlowConsumer::DropNewest);
    assert_eq!(rules.of(&topic("b")).slow_consumer, SlowConsumer::DropOldest);
    assert_eq!(
        rules.with(pattern("b"), TopicOptions::default()).err(),
        Some(InvalidRule::TooMany)
    );
}

#[test]
fn a_rule_that_an_earlier_one_hides_is_refused() {
    for (earlier, later, is_hidden) in [
        ("prices/**", "prices/*", true),
        ("prices/**", "prices/x", true),
        ("prices/**", "prices/*/close", true),
        ("prices/*", "prices/x", true),
        ("*/x", "prices/x", true),
        ("**", "a", true),
        ("**", "**", true),
        ("a/*", "a/*", true),
        ("a", "a", true),
        ("prices/*", "prices/**", false),
        ("prices/x", "prices/*", false),
        ("*/x", "prices/*", false),
        ("prices/*", "*/x", false),
        ("prices/**", "prices", false),
        ("a/*", "a/*/*", false),
        ("a/*/*", "a/*", false),
        ("a/*", "b/*", false),
    ] {
        let rules = TopicRules::default().with(pattern(earlier), TopicOptions::default());
        let hidden = rules.unwrap().with(pattern(later), TopicOptions::default()).err();
        let expected = is_hidden.then(|| InvalidRule::Hidden {
            earlier: pattern(earlier),
            later: pattern(later),
        });
        assert_eq!(hidden, expected, "{earlier} before {later}");
    }
}
