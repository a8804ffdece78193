//! Which names are topics, which texts are patterns, and which topics match a pattern.

use core::num::NonZeroUsize;
use std::collections::BTreeSet;

use super::super::{InvalidPosition, InvalidTopic, Position};
use super::{Pattern, Topic, pattern, topic};

#[test]
fn a_topic_is_a_bounded_path_without_wildcards_and_controls() {
    let cases: [(&str, Result<(), InvalidTopic>); 19] = [
        ("rooms", Ok(())),
        ("rooms/general chat/BRK.B", Ok(())),
        ("räume/42", Ok(())),
        ("a>b[c]?", Ok(())),
        ("", Err(InvalidTopic::Empty)),
        ("/a", Err(InvalidTopic::EmptySegment)),
        ("a/", Err(InvalidTopic::EmptySegment)),
        ("a//b", Err(InvalidTopic::EmptySegment)),
        ("/", Err(InvalidTopic::EmptySegment)),
        ("x\r\nPUB y 1\r\nz", Err(InvalidTopic::Control)),
        ("a\0", Err(InvalidTopic::Control)),
        ("a\u{85}b", Err(InvalidTopic::Control)),
        ("*", Err(InvalidTopic::WildcardInTopic)),
        ("a/b*", Err(InvalidTopic::WildcardInTopic)),
        (&"x".repeat(256), Ok(())),
        (&"x".repeat(257), Err(InvalidTopic::TooLong)),
        (&"ä".repeat(129), Err(InvalidTopic::TooLong)),
        (&["x"; 16].join("/"), Ok(())),
        (&["x"; 17].join("/"), Err(InvalidTopic::TooManySegments)),
    ];
    for (name, expected) in cases {
        assert_eq!(
            Topic::new(name).map(|topic| assert_eq!(topic.as_str(), name)),
            expected,
            "{name:?}"
        );
        if expected != Err(InvalidTopic::WildcardInTopic) {
            let exact = Pattern::new(name).map(|pattern| assert_eq!(pattern, Pattern::Topic(topic(name))));
            assert_eq!(exact, expected, "{name:?} as a pattern");
        }
    }
}

#[test]
fn a_wildcard_is_a_whole_segment() {
    let cases = [
        ("*", Ok(())),
        ("**", Ok(())),
        ("a/*/c/**", Ok(())),
        ("*/*/*/**", Ok(())),
        ("a*", Err(InvalidTopic::Wildcard)),
        ("a/*b/c", Err(InvalidTopic::Wildcard)),
        ("***", Err(InvalidTopic::Wildcard)),
        ("**/a", Err(InvalidTopic::Wildcard)),
        ("*/*/*/*/**", Err(InvalidTopic::TooManyWildcards)),
        ("a//*", Err(InvalidTopic::EmptySegment)),
        ("*\n", Err(InvalidTopic::Control)),
    ];
    for (text, expected) in cases {
        assert_eq!(Pattern::new(text).map(drop), expected, "{text:?}");
    }
}

#[test]
fn patterns_fit_as_the_table_says() {
    let topics = ["a", "b", "a/b", "b/b", "a/c", "a/b/c"];
    let cases: [(&str, &[&str]); 8] = [
        ("a/b", &["a/b"]),
        ("a/*", &["a/b", "a/c"]),
        ("*/b", &["a/b", "b/b"]),
        ("*", &["a", "b"]),
        ("a/**", &["a/b", "a/c", "a/b/c"]),
        ("*/b/**", &["a/b/c"]),
        ("**", &topics),
        ("*/*/*", &["a/b/c"]),
    ];
    for (text, expected) in cases {
        let fitting: Vec<_> = topics
            .into_iter()
            .filter(|name| pattern(text).matches(&topic(name)))
            .collect();
        assert_eq!(fitting, expected, "{text}");
    }
}

#[test]
fn owners_are_the_same_for_equal_names_and_use_all_shards() {
    let shards = NonZeroUsize::new(4).unwrap();
    let owners: BTreeSet<usize> = (0..64)
        .map(|number| topic(&format!("room/{number}")).owner(shards))
        .collect();
    assert_eq!(owners, BTreeSet::from([0, 1, 2, 3]));
    assert_eq!(topic("room").owner(shards), topic("room").owner(shards));
}

#[test]
fn a_position_has_one_spelling() {
    for position in [(0, 0), (1, 2), (u64::MAX, u64::MAX)].map(|(epoch, sequence)| Position { epoch, sequence }) {
        let text = position.to_string();
        assert!(text.len() <= Position::TEXT_BYTES_MAX, "{text}");
        assert_eq!(text.parse(), Ok(position));
    }
    for text in [
        "",
        ":",
        "1",
        "1:",
        ":1",
        "01:2",
        "1:+2",
        "1:-2",
        "1: 2",
        "1:2:3",
        "1:18446744073709551616",
        "1:٢",
    ] {
        assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text:?}");
    }
}
