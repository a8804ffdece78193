//! The invariants of the topic table for any names and any order of calls. A violation panics. libFuzzer calls this
//! function through `fuzz_targets/topics.rs`, and `tests/fuzz_smoke.rs` on stable Rust.

use squall::pubsub as api;
use squall::pubsub::{Pattern, Position, Topic};

/// The table beside its model, as in the table's own tests.
#[path = "../src/pubsub/tests/side_by_side.rs"]
mod side_by_side;

/// Lines of commands to the table and to its model; see `side_by_side.rs`. Each line's name is also parsed as a
/// pattern and as a position.
pub(crate) fn topics(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut both = side_by_side::SideBySide::new();
    for line in text.lines().take(256) {
        both.command(line);
        names(line.get(2..).unwrap_or_default());
    }
    both.finish();
}

/// A pattern is either a topic, and then matches itself, or a wildcard; a position has one spelling.
fn names(text: &str) {
    match (Pattern::new(text), Topic::new(text)) {
        (Ok(pattern), Ok(topic)) => assert!(pattern.matches(&topic), "{text}"),
        (Ok(pattern), Err(_)) => {
            let example = pattern.as_str().replace("**", "x/x").replace('*', "x");
            if let Ok(topic) = Topic::new(&example) {
                assert!(pattern.matches(&topic), "{text} {example}");
            }
        }
        (Err(invalid), Ok(topic)) => panic!("{topic} is refused as a pattern: {invalid}"),
        (Err(_), Err(_)) => {}
    }
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string(), text);
    }
}
