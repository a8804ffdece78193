//! The table: subscriptions compared with the model, limits, announcements and counts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{CountChange, SubscribeError, SubscriberCounts};
use super::side_by_side::SideBySide;
use super::{
    Limits, OutboxItem, Publication, SubscriberId, TopicOptions, Topics, drain, message, pattern, subscriber, table,
    take, topic,
};

/// Overlapping names: topics, and patterns that match some of them.
const NAMES: [&str; 18] = [
    "a", "b", "a/b", "a/c", "b/b", "a/b/c", "a/b/d", "*", "**", "a/*", "*/b", "a/**", "*/*", "*/b/*", "a/b/*",
    "*/b/**", "a/*/c", "a/b/**",
];

proptest! {
    #[test]
    fn the_table_agrees_with_the_model(
        commands in vec((select(&["+", "+", "+", "-", "!", "!", "!", "<", ".", "0", "x"][..]), 0..10_u8, select(&NAMES[..])), 1..200),
    ) {
        let mut both = SideBySide::new();
        for (verb, who, name) in commands {
            both.command(&format!("{verb}{who}{name}"));
        }
        both.finish();
    }
}

#[test]
fn a_subscriber_matched_twice_gets_a_message_once() {
    let mut topics = Topics::new(Limits::default(), super::TopicRules::default());
    let id = subscriber(&mut topics, &["a/b", "a/*", "**"]);
    let receipt = topics.publish(&message("a/b", "1"));
    assert_eq!((receipt.matched, receipt.queued), (1, 1));
    assert_eq!(drain(&mut topics, id), ["1"]);
}

#[test]
fn a_turn_announces_each_subscriber_once_and_not_again_until_all_is_taken() {
    let mut topics = table(Limits::default(), TopicOptions::default());
    let [first, second] = [0, 1].map(|_| subscriber(&mut topics, &["t"]));
    let announced =
        |topics: &mut Topics| -> Vec<SubscriberId> { std::iter::from_fn(|| topics.next_announced()).collect() };
    for content in ["1", "2"] {
        topics.publish(&message("t", content));
    }
    let mut turn = announced(&mut topics);
    turn.sort_unstable();
    assert_eq!(turn, [first, second]);
    let mut messages = Vec::new();
    assert_eq!(take(&mut topics, first, &mut messages, 1).next, OutboxItem::More);
    assert_eq!(drain(&mut topics, second), ["1", "2"]);
    topics.publish(&message("t", "3"));
    assert_eq!(
        announced(&mut topics),
        [second],
        "the first subscriber already knows that more waits"
    );
    assert_eq!(drain(&mut topics, first), ["2", "3"]);
    topics.publish(&message("t", "4"));
    assert_eq!(announced(&mut topics), [first]);
}

#[test]
fn a_take_is_bounded_in_bytes_and_in_messages() {
    let mut topics = table(Limits::default(), TopicOptions::default());
    let id = subscriber(&mut topics, &["t"]);
    for _ in 0..2000 {
        topics.publish(&message("t", "abc"));
    }
    let mut messages = Vec::new();
    let small = take(&mut topics, id, &mut messages, 10);
    assert_eq!((small.messages, small.bytes, messages.len()), (3, 9, 3));
    assert_eq!(take(&mut topics, id, &mut Vec::new(), 0).messages, 1, "one at least");
    messages.clear();
    assert_eq!(
        take(&mut topics, id, &mut messages, usize::MAX).messages,
        super::super::TAKE_MESSAGES_MAX
    );
}

#[test]
fn subscribers_of_a_shard_are_bounded_and_an_id_is_never_used_again() {
    let limits = Limits::default().max_subscribers(2);
    let mut topics = table(limits, TopicOptions::default());
    let [first, second] = [0, 1].map(|_| subscriber(&mut topics, &["t"]));
    assert_eq!(topics.join(), Err(SubscribeError::TooManySubscribers));
    topics.publish(&message("t", "1"));
    topics.leave(first);
    let third = topics.join().unwrap();
    assert_ne!(third, first);
    topics.leave(first);
    assert!(!topics.unsubscribe(first, &pattern("t")));
    assert_eq!(topics.subscribe(first, &pattern("t")), Err(SubscribeError::Left));
    assert_eq!(
        topics.next_announced(),
        Some(second),
        "a subscriber that has left is not announced"
    );
    assert_eq!(topics.next_announced(), None);
    assert_eq!(drain(&mut topics, third), Vec::<String>::new());
    assert_eq!(topics.statistics().given_up, 1);
}

#[test]
fn counts_cover_those_subscribed_by_name_to_topics_that_are_counted() {
    let counted = TopicOptions::default().count_subscribers(true);
    let rules = super::TopicRules::default().with(pattern("rooms/**"), counted).unwrap();
    let mut topics = Topics::new(Limits::default(), rules);
    let first = subscriber(&mut topics, &["rooms/1", "rooms/*", "other"]);
    let second = subscriber(&mut topics, &["rooms/1", "rooms/2"]);
    let mut counts = SubscriberCounts::new();
    let mut seen = Vec::new();
    topics
        .take_count_changes()
        .for_each(|change: CountChange| counts.apply(&change));
    seen.push(["rooms/1", "rooms/2", "other"].map(|name| counts.count(name)));
    topics.leave(second);
    topics.unsubscribe(first, &pattern("rooms/*"));
    topics.take_count_changes().for_each(|change| counts.apply(&change));
    seen.push(["rooms/1", "rooms/2", "other"].map(|name| counts.count(name)));
    assert_eq!(seen, [[2, 1, 0], [1, 0, 0]]);
}

#[test]
fn a_publication_crosses_shards_and_can_get_a_count_of_its_own() {
    fn crosses<T: Send + Clone>(_: &T) {}
    let publication: Publication = message("t", vec![1; 100]).with_key("k");
    crosses(&publication);
    let pointer = publication.message.as_ptr();
    assert_eq!(publication.clone().unshared(99).message.as_ptr(), pointer);
    let own = publication.clone().unshared(100);
    assert_ne!(own.message.as_ptr(), pointer);
    assert_eq!((own, topic("t")), (publication.clone(), publication.topic));
}
