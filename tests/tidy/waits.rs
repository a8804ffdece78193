//! The rules of tests: a sleep has a reason, and a test that cannot run reports it.

use crate::source::{Finding, Source, lines};

/// How many lines above a sleep its comment may end: an attribute or the beginning of a statement stands between.
const LINES_BETWEEN_MAX: usize = 2;

/// A test waits for an event. Where a sleep only sets a pace, or time itself is tested, a comment says so.
pub(crate) fn sleeps(source: &Source) -> Vec<Finding> {
    let is_test = source.path.split('/').any(|part| part == "tests");
    let comments: Vec<&str> = source.comments.lines().collect();
    let has_reason = |number: usize| {
        let above = number.saturating_sub(2 + LINES_BETWEEN_MAX)..number - 1;
        let above = comments.get(above).unwrap_or_default();
        above.iter().any(|comment| comment.trim_start().starts_with("//"))
    };
    let broken = lines(&source.code).filter(|(number, line)| line.contains("thread::sleep(") && !has_reason(*number));
    broken
        .filter(|_| is_test)
        .map(|(number, _)| {
            (
                number,
                "await an event, or say in a comment above why a time must pass".to_owned(),
            )
        })
        .collect()
}

/// A skipped test that only returns would count as passed.
pub(crate) fn skips(source: &Source) -> Vec<Finding> {
    let is_helper = source.path == "shards/tests/common/skip.rs";
    let broken = lines(&source.text).filter(|(_, line)| line.contains(concat!("\"skip", "ped: ")) && !is_helper);
    broken
        .map(|(number, _)| {
            (
                number,
                "call `skip` of shards/tests/common/skip.rs, so that the skip is counted".to_owned(),
            )
        })
        .collect()
}
